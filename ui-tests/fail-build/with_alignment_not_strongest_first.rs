//! With 32 before 64, the code for 64 would never run.

use bhc_rts_alloc::{Alignment, KnownAlign, with_alignment};

fn main() {
    let _ = with_alignment!(Alignment::Page, [32, 64], |A| A::BYTES, else 0);
}
