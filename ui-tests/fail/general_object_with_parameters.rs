//! Objects have neither lifetimes nor types for parameters: nothing in them is borrowed, and their shape is a constant.

use bhc_rts_alloc::gc_object;

gc_object! { pub struct Node<'h> / NodeInit { ptr next: Node, data value: u64, } }
gc_object! { pub struct List<T> / ListInit { ptr next: List, data value: T, } }

fn main() {}
