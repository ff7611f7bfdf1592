//! A scope freezes its own buffers: another's lives as long as that one, not as long as this.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut first = HotArena::new();
    let mut second = HotArena::new();
    first.scope(|outer| {
        let sums = second.scope(|inner| {
            let sums = Place::<Align<64>>::new().within(&*inner).zeroed::<f32>(100);
            outer.freeze(sums)[0]
        });
        println!("{sums}");
    });
}
