//! The closure has `&mut Scope`, which could open an inner scope under the buffer; a buffer borrows it as `&*scope`.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let _ = Place::<Align<64>>::new().within(scope);
    });
}
