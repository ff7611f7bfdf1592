//! A function that takes any text is also one that takes constant text, but an array of the former is no array of the
//! latter: a function could be put there that keeps what it is given.

use bhc_rts_alloc::general::{Array, FieldOf};
use bhc_rts_alloc::{Align, GeneralHeap, Root, gc_object};

type Any = for<'a> fn(&'a str);
type Constant = fn(&'static str);

gc_object! { pub struct Hook / HookInit { ptr calls: Array<Any>, } }

fn keep(_: &'static str) {}
fn forget(_: &str) {}

fn main() {
    let mut heap = GeneralHeap::new();
    let any: Root<Array<Any, Align<8>>> = heap.new_data(&[forget as Any]);
    let constant: Root<Array<Constant, Align<8>>> = heap.root(any.get(&heap));
    heap.data_mut(&constant)[0] = keep;

    let token: FieldOf<Hook, Array<Constant>> = Hook::calls;
    let hook = heap.new_root::<Hook>(HookInit { calls: None });
    heap.set(hook.get(&heap), token, Some(constant.get(&heap)));
}
