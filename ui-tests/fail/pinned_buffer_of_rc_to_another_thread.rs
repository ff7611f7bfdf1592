//! A heap is for all threads; what is in a buffer, or holds the heap, may be for one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bhc_rts_alloc::{Align, PinnedHeap, Place};

fn send<T: Send>(_: T) {}

fn share<T: Sync>(_: &T) {}

fn main() {
    let heap = PinnedHeap::new();
    let place = Place::<Align<64>>::new();
    send(place.within(&heap).from_fn(4, |_| Rc::new(0)));
    share(&place.within(&heap).from_fn(4, |_| Cell::new(0)));
    let heap = Arc::new(PinnedHeap::new());
    send(place.within(heap).from_fn(4, |_| Rc::new(0)));
    send(place.within(Rc::new(PinnedHeap::new())).zeroed::<u8>(4));
}
