//! Unsafe code trusts the numbers of `KnownAlign`, `AlignSpec` and `AtLeast`, so nobody else can implement them.

use bhc_rts_alloc::{Align, AlignSpec, Alignment, AtLeast, DispatchFloor, KnownAlign};

#[derive(Clone, Copy)]
struct Liar;

impl AlignSpec for Liar {
    type Repr = ();
    fn alignment((): ()) -> Alignment {
        Alignment::Page
    }
}

impl KnownAlign for Liar {
    const BYTES: usize = 4096;
    const LOG2: u32 = 3;
    type Archetype = ();
}

impl DispatchFloor for Liar {}

impl AtLeast<Align<64>> for Align<16> {}

fn main() {}
