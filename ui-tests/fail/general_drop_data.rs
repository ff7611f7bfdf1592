//! The collector frees objects without running any code, so they own nothing.

use bhc_rts_alloc::gc_object;

use std::rc::Rc;

gc_object! {
    pub struct Named / NamedInit { data name: String, }
    pub struct Shared / SharedInit { cell count: Rc<u32>, }
}

fn main() {}
