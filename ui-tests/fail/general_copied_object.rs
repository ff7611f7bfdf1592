//! An object with pointers is not copied out of the heap: the barrier would remember where it is not.

use bhc_rts_alloc::gc_object;

gc_object! {
    #[derive(Clone, Copy, Default)]
    pub struct Node / NodeInit { ptr next: Node, data value: u64, }
}

fn main() {}
