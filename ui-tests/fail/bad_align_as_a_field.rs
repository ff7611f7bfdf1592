//! `Align<N>` exists for powers of two in 1..=2^29 only: as a field and as a value.

use bhc_rts_alloc::Align;

struct Counter {
    _value: u64,
    _own_line: Align<48>,
}

fn main() {
    let _ = Align::<3>::NEW;
}
