//! Nor is anything known at compile time about an alignment chosen at run time.

use bhc_rts_alloc::{Alignment, Place};

fn main() {
    let _ = Place::at(Alignment::Page).zeroed::<f32>(100);
}
