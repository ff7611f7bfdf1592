//! The heap, and its roots, may live longer than the text.

use bhc_rts_alloc::{Align, GeneralHeap};

fn main() {
    let mut heap = GeneralHeap::new();
    let root = {
        let text = String::from("borrowed");
        heap.new_data::<&str, Align<8>>(&[&text])
    };
    println!("{}", root.get(&heap)[0]);
}
