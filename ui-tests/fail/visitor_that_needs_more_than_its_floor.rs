//! A visitor is called with any alignment from its floor up, so it cannot ask for more than the floor.

use bhc_rts_alloc::{Align, AlignVisitor, AlignedSlice, AtLeast};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

struct StrongerBound;
impl AlignVisitor for StrongerBound {
    type Floor = Align<16>;
    type Output = ();
    fn visit<A: AtLeast<Align<64>>>(self) {}
}

struct StrongerCall;
impl AlignVisitor for StrongerCall {
    type Floor = Align<16>;
    type Output = f32;
    fn visit<A: AtLeast<Align<16>>>(self) -> f32 {
        kernel(AlignedSlice::<f32, A>::empty())
    }
}

fn main() {}
