//! A buffer over a borrowed region ends before the region does.

use bhc_rts_alloc::{Align, Place, SimdBuffer, System};

fn escape() -> SimdBuffer<f32, Align<64>, &'static System> {
    let region = System;
    Place::new().within(&region).zeroed(100)
}

fn main() {
    let buffer: SimdBuffer<f32, Align<64>, &System>;
    {
        let region = System;
        buffer = Place::new().within(&region).zeroed(100);
    }
    drop(buffer);

    let leaked;
    {
        let region = System;
        leaked = Place::<Align<64>>::new().within(&region).zeroed::<f32>(100).leak();
    }
    leaked[0] = 1.0;
}
