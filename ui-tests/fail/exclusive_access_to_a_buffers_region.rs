//! `&mut` of a region could end all its blocks, so a buffer never gives it out.

use bhc_rts_alloc::{Align, Place, SimdBuffer, System};

fn main() {
    let mut buffer: SimdBuffer<f32, Align<64>, Box<System>> = Place::new().within(Box::new(System)).zeroed(4);
    let _: &mut Box<System> = buffer.region();
    let _ = buffer.region_mut();
    let _: &mut System = &mut *buffer.region;
}
