//! The collector runs no code, so it cannot run this (nor can that touch neighbours which are gone already).

use bhc_rts_alloc::gc_object;

gc_object! { pub struct File / FileInit { data descriptor: i32, } }

impl Drop for File {
    fn drop(&mut self) {
        println!("close {}", self.descriptor);
    }
}

fn main() {}
