//! A buffer is sent where its elements and its region can be.

use std::rc::Rc;

use bhc_rts_alloc::{Align, MemoryRegion, Place, SimdBuffer, System};

fn send<T: Send>(_: T) {}

fn share<T: Sync>(_: &T) {}

fn main() {
    send(SimdBuffer::<Rc<u8>>::from_fn(4, |_| Rc::new(0)));
    send(Place::<Align<64>>::new().within(Rc::new(System)).zeroed::<u8>(4));
    share(&SimdBuffer::<std::cell::Cell<u8>>::with_capacity(4));
}

fn behind_dyn(region: &dyn MemoryRegion) {
    send(Place::<Align<64>>::new().within(region).try_zeroed::<u8>(4).unwrap());
}
