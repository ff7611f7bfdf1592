//! A capability stays on its thread, and is not shared. What is shared is its Pinned Heap.

use bhc_rts_alloc::{Alignment, Capability, Config, RegionKind};

fn main() {
    let capability = Capability::new();
    let shared = capability.pinned().clone();
    std::thread::spawn(move || drop(Config::new().share_pinned(shared)));
    std::thread::scope(|scope| {
        scope.spawn(|| capability.alloc(RegionKind::Pinned, 100, Alignment::Page).is_ok());
    });
    std::thread::spawn(move || drop(capability));
}
