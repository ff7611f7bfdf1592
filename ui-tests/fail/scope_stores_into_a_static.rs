//! A static lives longer than every scope, even one of an arena that nobody drops.

use std::sync::Mutex;

use bhc_rts_alloc::HotArena;

static LAST: Mutex<Option<&f32>> = Mutex::new(None);

fn main() {
    let arena = Box::leak(Box::new(HotArena::new()));
    arena.scope(|scope| {
        let last: &f32 = scope.alloc(1.0);
        *LAST.lock().unwrap() = Some(last);
    });
}
