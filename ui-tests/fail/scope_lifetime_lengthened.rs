//! The lifetime of a scope is its own: as a longer one, its allocations would outlive it.

use bhc_rts_alloc::Scope;

fn longer<'r, 's, 'env>(scope: &'r Scope<'s, 'env>) -> &'r Scope<'env, 'env> {
    scope
}

fn main() {}
