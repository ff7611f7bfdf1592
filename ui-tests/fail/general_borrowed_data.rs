//! When the heap looks at an object next, what it has borrowed may be gone.

use bhc_rts_alloc::gc_object;

gc_object! {
    pub struct Word / WordInit { data text: &'a str, }
    pub struct Line / LineInit { data text: &str, }
}

fn main() {}
