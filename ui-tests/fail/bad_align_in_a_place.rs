//! A place whose alignment is no alignment.

use bhc_rts_alloc::{Align, Place};

fn main() {
    let _ = Place::<Align<96>>::new();
}
