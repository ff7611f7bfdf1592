//! The hot paths of the General Heap.

use core::ptr::NonNull;

use bhc_rts_alloc::general::raw::{Header, Info, Raw};
use bhc_rts_alloc::general::{PtrArray, Reserved};
use bhc_rts_alloc::{Gc, GeneralHeap, Root, gc_object};

static CONS: Info = Info::fixed("Cons", 2, 0);

gc_object! {
    /// Two pointers and a number.
    pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, }
}

/// An object of a constant shape, for compiled code.
///
/// # Safety
/// As for [`Raw::alloc`].
#[inline(never)]
pub unsafe fn raw_alloc_const(heap: Raw<'_>) -> Option<NonNull<Header>> {
    // SAFETY: the caller's promise.
    unsafe { heap.alloc(&CONS) }
}

/// A store into an object, for compiled code.
///
/// # Safety
/// As for [`Raw::write`].
#[inline(never)]
pub unsafe fn raw_write(heap: Raw<'_>, object: *mut Header, value: *mut Header) {
    // SAFETY: the caller's promise.
    unsafe { heap.write(object, 1, value) };
}

/// A store into an array, for compiled code.
///
/// # Safety
/// As for [`Raw::write_element`].
#[inline(never)]
pub unsafe fn raw_write_element(heap: Raw<'_>, array: *mut Header, index: usize, value: *mut Header) {
    // SAFETY: the caller's promise.
    unsafe { heap.write_element(array, index, value) };
}

/// A typed object without pointers to others.
#[inline(never)]
pub fn typed_alloc(heap: &mut GeneralHeap, value: u64) -> Gc<'_, Tree> {
    heap.new_gc::<Tree>(TreeInit { left: None, right: None, value })
}

/// A typed object with two.
#[inline(never)]
pub fn typed_alloc_rooted<'h>(heap: &'h mut GeneralHeap, left: &Root<Tree>, right: &Root<Tree>) -> Gc<'h, Tree> {
    heap.new_gc::<Tree>(TreeInit { left: Some(left), right: Some(right), value: 0 })
}

/// A typed object in a reservation, with two pointers, which are looked at.
#[inline(never)]
pub fn reserved_alloc<'h>(space: &Reserved<'h>, left: Gc<'h, Tree>, right: Gc<'h, Tree>) -> Gc<'h, Tree> {
    space.new_gc::<Tree>(TreeInit { left: Some(left), right: Some(right), value: 0 })
}

/// A store into a typed object.
#[inline(never)]
pub fn typed_set(heap: &GeneralHeap, object: Gc<'_, Tree>, value: Gc<'_, Tree>) {
    heap.set(object, Tree::right, Some(value));
}

/// From object to object.
#[inline(never)]
pub fn gc_get(object: Gc<'_, Tree>) -> Option<Gc<'_, Tree>> {
    object.get(Tree::right)
}

/// By the field itself.
#[inline(never)]
pub fn field_get<'h>(object: Gc<'h, Tree>) -> Option<Gc<'h, Tree>> {
    object.as_ref().left.get()
}

/// A number in an object.
#[inline(never)]
pub fn gc_data(object: Gc<'_, Tree>) -> u64 {
    object.value
}

/// From a root to its object.
#[inline(never)]
pub fn root_get<'h>(heap: &'h GeneralHeap, root: &Root<Tree>) -> Gc<'h, Tree> {
    root.get(heap)
}

/// Makes a root.
#[inline(never)]
pub fn root_make(heap: &GeneralHeap, object: Gc<'_, Tree>) -> Root<Tree> {
    heap.root(object)
}

/// Drops a root.
#[inline(never)]
pub fn root_drop(root: Root<Tree>) {
    drop(root);
}

/// Sums what a whole array leads to.
#[inline(never)]
pub fn array_sum(array: Gc<'_, PtrArray<Tree>>) -> u64 {
    array.iter().filter_map(|field| field.get()).map(|tree| tree.value).sum()
}
