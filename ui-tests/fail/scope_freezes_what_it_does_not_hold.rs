//! `freeze` takes what was allocated in the scope, not what is in another region.

use bhc_rts_alloc::{HotArena, SimdBuffer};

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let sums = SimdBuffer::<f32>::zeroed(100);
        scope.freeze(sums)[0] = 1.0;
    });
}
