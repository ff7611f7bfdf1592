//! An array of nothing has no elements to point to.

use bhc_rts_alloc::{Align, GeneralHeap};

fn main() {
    let mut heap = GeneralHeap::new();
    let _ = heap.new_data::<(), Align<8>>(&[(), ()]);
}
