//! A static is every thread's.

use bhc_rts_alloc::GeneralHeap;

use std::sync::{LazyLock, Mutex};

static HEAP: LazyLock<GeneralHeap> = LazyLock::new(GeneralHeap::new);
static LOCKED: LazyLock<Mutex<GeneralHeap>> = LazyLock::new(|| Mutex::new(GeneralHeap::new()));

fn main() {}
