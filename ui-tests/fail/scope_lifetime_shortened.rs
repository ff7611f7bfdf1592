//! As a shorter one, the handle could be exchanged for that of an inner scope.

use bhc_rts_alloc::Scope;

fn shorter<'r, 's: 'r, 'env>(scope: &'r Scope<'s, 'env>) -> &'r Scope<'r, 'env> {
    scope
}

fn main() {}
