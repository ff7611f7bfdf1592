//! Arrays of data are moved and freed as bytes, too.

use bhc_rts_alloc::{Align, GeneralHeap};

fn main() {
    let mut heap = GeneralHeap::new();
    let _ = heap.new_data::<String, Align<8>>(&[String::new()]);
    let _ = heap.new_zeroed::<&'static str, Align<8>>(10);
}
