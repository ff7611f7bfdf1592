//! The General Heap: objects for compiled code. Pointers to objects are to their header word; `void *` in C.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::capability::{BhcCapability, collection_of, with_mutator};
use super::error::{BhcStatus, Failure, answer_or_end, pointer};
use super::layout::{BhcInfo, BhcMutator};
use crate::error::AllocError;
use crate::general::raw::{Header, Raw, RootVisitor, Slot};
use crate::general::{Info, Kind};

/// What a root callback shows its slots to.
pub struct BhcRootVisitor {
    _private: [u8; 0],
}

/// A root callback of C, and what it is called with.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    call: unsafe extern "C" fn(*mut BhcRootVisitor, *mut c_void),
    data: *mut c_void,
}

/// What is registered in place of C's callback: lets it use nothing of the heap meanwhile.
///
/// # Safety
/// `data` is a capability that lives.
unsafe extern "C" fn show(visitor: &mut RootVisitor<'_>, data: *mut c_void) {
    // SAFETY: the caller's promise.
    let capability = unsafe { &*data.cast::<BhcCapability>() };
    if let Some(Callback { call, data }) = capability.callback.get() {
        capability.busy.set(true);
        // SAFETY: what whoever registered it has promised.
        unsafe { call(core::ptr::from_mut(visitor).cast(), data) };
        capability.busy.set(false);
    }
}

/// A descriptor that is not null and makes sense.
///
/// # Safety
/// Null, or a descriptor in constant data.
unsafe fn checked(info: *const BhcInfo) -> Result<&'static Info, Failure> {
    let info = info.cast::<Info>();
    if info.is_null() {
        return Err(Failure::Null("info"));
    }
    if !info.is_aligned() {
        return Err(Failure::Invalid("the object's descriptor is not aligned to 16 bytes"));
    }
    // SAFETY: the caller's promise.
    unsafe { Info::of_foreign(info) }.map_err(Failure::Invalid)
}

/// An object, as it is used here.
fn object(object: *mut c_void, name: &'static str) -> Result<NonNull<Header>, Failure> {
    NonNull::new(object.cast()).ok_or(Failure::Null(name))
}

/// An object of a descriptor that was checked to be of none that are arrays.
///
/// # Safety
/// `info` as for [`bhc_alloc`]; whatever `make` asks for.
unsafe fn new_object(
    mutator: *mut BhcMutator,
    info: *const BhcInfo,
    make: impl FnOnce(Raw<'_>, &'static Info) -> Option<NonNull<Header>>,
) -> *mut c_void {
    answer_or_end(|| {
        with_mutator(mutator, |capability, raw| {
            // SAFETY: the caller's promise.
            let info = unsafe { checked(info) }?;
            if info.size == 0 {
                return Err(Failure::Invalid("an array has a length: `bhc_alloc_array` makes it"));
            }
            let bytes = info.size as usize * size_of::<usize>();
            make(raw, info).map(pointer).ok_or_else(|| capability.capability.general().refused(bytes).into())
        })
    })
}

/// Makes an object, its words not initialised, and answers a pointer to its header word. May collect.
/// `bhc_alloc_inline` is faster.
///
/// # Safety
/// Roots are as the module says. `info` is null or one that a macro `BHC_INFO_*` made, in constant data. All pointers of
/// the object are initialised before anything may collect again.
///
/// cbindgen:postfix=BHC_MAKES_OBJECT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_alloc(mutator: *mut BhcMutator, info: *const BhcInfo) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { new_object(mutator, info, |raw, info| raw.alloc(info)) }
}

/// Sees to it that the next objects of together `words` words, headers included, can be made by
/// [`bhc_alloc_reserved`], which does not collect: one check for all that a piece of code makes. May collect.
/// `bhc_gc_reserve_inline` is faster.
///
/// # Safety
/// Roots are as the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_reserve(mutator: *mut BhcMutator, words: usize) -> BhcStatus {
    status_or_end(|| {
        with_mutator(mutator, |capability, raw| {
            let bytes = words.checked_mul(size_of::<usize>()).ok_or(AllocError::Overflow)?;
            // SAFETY: the caller's promise.
            match unsafe { raw.reserve(words) } {
                true => Ok(()),
                false => Err(capability.capability.general().refused(bytes).into()),
            }
        })
    })
}

/// As [`bhc_alloc`], out of what was [reserved](bhc_gc_reserve): never collects. Null if that is used up.
/// `bhc_alloc_reserved_inline` is faster.
///
/// # Safety
/// `info` as for [`bhc_alloc`]. All pointers of the object are initialised before anything may collect.
///
/// cbindgen:postfix=BHC_MAKES_OBJECT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_alloc_reserved(mutator: *mut BhcMutator, info: *const BhcInfo) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { new_object(mutator, info, |raw, info| raw.alloc_reserved(info)) }
}

/// An array of a descriptor that was checked to be one of arrays.
///
/// # Safety
/// As for [`bhc_alloc_array`].
unsafe fn array(
    mutator: *mut BhcMutator,
    info: *const BhcInfo,
    len: usize,
    make: impl FnOnce(Raw<'_>, &'static Info) -> Result<Option<NonNull<Header>>, Failure>,
) -> *mut c_void {
    answer_or_end(|| {
        with_mutator(mutator, |capability, raw| {
            // SAFETY: the caller's promise.
            let info = unsafe { checked(info) }?;
            if info.size != 0 {
                return Err(Failure::Invalid("not an array: `bhc_alloc` makes it"));
            }
            let words = info.array_words(len).ok_or(AllocError::Overflow)?;
            make(raw, info)?
                .map(pointer)
                .ok_or_else(|| capability.capability.general().refused(words * size_of::<usize>()).into())
        })
    })
}

/// Makes an array of `len` elements, all bytes zero, and answers a pointer to its header word; its length follows, then
/// its elements. May collect.
///
/// # Safety
/// Roots are as the module says. `info` is null or one that a macro `BHC_INFO_*` made, in constant data.
///
/// cbindgen:postfix=BHC_MAKES_OBJECT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_alloc_array(mutator: *mut BhcMutator, info: *const BhcInfo, len: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { array(mutator, info, len, |raw, info| Ok(raw.alloc_array_zeroed(info, len))) }
}

/// As [`bhc_alloc_array`], for plain data that is to be written at once: its elements are not initialised.
///
/// # Safety
/// As for [`bhc_alloc_array`].
///
/// cbindgen:postfix=BHC_MAKES_OBJECT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_alloc_data(mutator: *mut BhcMutator, info: *const BhcInfo, len: usize) -> *mut c_void {
    let make = |raw: Raw<'_>, info: &'static Info| match info.kind() {
        // SAFETY: the caller's promise.
        Kind::Data => Ok(unsafe { raw.alloc_array(info, len) }),
        _ => Err(Failure::Invalid("an array of pointers is to be initialised: `bhc_alloc_array` makes it")),
    };
    // SAFETY: the caller's promise.
    unsafe { array(mutator, info, len, make) }
}

/// Collects if that was asked for, by [`bhc_gc_request`](super::bhc_gc_request): for loops that do not allocate.
/// `bhc_gc_safe_point_inline` is faster.
///
/// # Safety
/// Roots are as the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_safe_point(mutator: *mut BhcMutator) -> BhcStatus {
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.safepoint() };
        Ok(())
    })
}

/// Collects: `collection` is a `BhcCollection`. This cannot run short of memory.
///
/// # Safety
/// Roots are as the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_collect(mutator: *mut BhcMutator, collection: i32) -> BhcStatus {
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.collect(collection_of(collection)?) };
        Ok(())
    })
}

fn status_or_end(body: impl FnOnce() -> Result<(), Failure>) -> BhcStatus {
    answer_or_end(|| body().map(|()| BhcStatus::Ok))
}

fn of_heap(mutator: *mut BhcMutator, use_it: impl FnOnce(Raw<'_>) -> Result<(), Failure>) -> BhcStatus {
    status_or_end(|| with_mutator(mutator, |_, raw| use_it(raw)))
}

/// Pushes a pointer to an object, with any tag, or null, onto the shadow stack. `bhc_gc_root_push_inline` is faster.
///
/// # Safety
/// Null, or an object that lives; until it is popped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_root_push(mutator: *mut BhcMutator, object: *mut c_void) -> BhcStatus {
    // SAFETY: the caller's promise.
    of_heap(mutator, |raw| match unsafe { raw.try_push(object.cast()) } {
        true => Ok(()),
        false => Err(Failure::StackFull),
    })
}

/// Pops what was pushed last, as it is now. Null if that was null, or the shadow stack is empty: then
/// [`bhc_last_error`](super::bhc_last_error) is `BHC_STATUS_STACK_EMPTY`. `bhc_gc_root_pop_inline` is faster.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_gc_root_pop(mutator: *mut BhcMutator) -> *mut c_void {
    answer_or_end(|| {
        with_mutator(mutator, |_, raw| match raw.depth() {
            0 => Err(Failure::StackEmpty),
            // SAFETY: there is something.
            _ => Ok(unsafe { raw.pop() }.cast()),
        })
    })
}

/// How many slots are on the shadow stack.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_gc_root_depth(mutator: *mut BhcMutator) -> usize {
    answer_or_end(|| with_mutator(mutator, |_, raw| Ok(raw.depth())))
}

/// A slot of the shadow stack, counted from the top: 0 is what was pushed last. To be read and written by the rules of
/// [`bhc_gc_root_push`]. Null if there are not so many. `bhc_gc_root_slot_inline` is faster.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_gc_root_slot(mutator: *mut BhcMutator, index: usize) -> *mut *mut c_void {
    answer_or_end(|| {
        with_mutator(mutator, |_, raw| match raw.depth().checked_sub(index).and_then(|above| above.checked_sub(1)) {
            None => Err(Failure::StackEmpty),
            // SAFETY: there are so many.
            Some(index) => Ok(unsafe { raw.slot(index) }.cast()),
        })
    })
}

/// Pops all but the `depth` slots that were pushed first: the frames of code that is left at once. With fewer there it is
/// `BHC_STATUS_STACK_EMPTY`.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_gc_root_truncate(mutator: *mut BhcMutator, depth: usize) -> BhcStatus {
    of_heap(mutator, |raw| {
        if depth > raw.depth() {
            return Err(Failure::StackEmpty);
        }
        // SAFETY: there are so many.
        unsafe { raw.truncate(depth) };
        Ok(())
    })
}

/// A pointer to an object that stays what it is while the object moves, and keeps it alive: for code that has pointers of
/// its own, as GHC's stable pointers are.
///
/// What it points to is the object, which [`bhc_stable_get`](crate::capi) of the header reads.
pub struct BhcStable {
    _private: [u8; 0],
}

const _: () = assert!(size_of::<Slot>() == size_of::<*mut c_void>());

/// Makes a stable pointer to an object. Null if there is no memory for it.
///
/// # Safety
/// An object of this heap that lives, with any tag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_stable_new(mutator: *mut BhcMutator, object: *mut c_void) -> *mut BhcStable {
    answer_or_end(|| {
        with_mutator(mutator, |_, raw| {
            let object = self::object(object, "object")?;
            // SAFETY: the caller's promise.
            Ok(unsafe { raw.own_slot(object)? }.as_ptr().cast())
        })
    })
}

/// Ends a stable pointer. To free null does nothing. They are to be freed before their capability is destroyed; the
/// memory of those that are not stays taken.
///
/// # Safety
/// [`bhc_stable_new`] gave it for this mutator, and it is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_stable_free(mutator: *mut BhcMutator, stable: *mut BhcStable) -> BhcStatus {
    of_heap(mutator, |raw| {
        if let Some(slot) = NonNull::new(stable.cast::<Slot>()) {
            // SAFETY: the caller's promise.
            unsafe { raw.disown_slot(slot) };
        }
        Ok(())
    })
}

/// What is called in every collection, and by [`bhc_gc_verify`], to show roots that only the program knows, to [`bhc_gc_visit_root`]. Null: nothing
/// is. While it runs, functions that use this heap answer `BHC_STATUS_BUSY`, and those that are inline must not be used.
///
/// # Safety
/// `call` shows all of those slots, with `data`, whenever it is called until another one is set, and does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_set_root_callback(
    mutator: *mut BhcMutator,
    call: Option<unsafe extern "C" fn(visitor: *mut BhcRootVisitor, data: *mut c_void)>,
    data: *mut c_void,
) -> BhcStatus {
    status_or_end(|| {
        with_mutator(mutator, |capability, raw| {
            capability.callback.set(call.map(|call| Callback { call, data }));
            let itself = core::ptr::from_ref(capability).cast_mut().cast();
            // SAFETY: the caller's promise; the capability lives as long as its heap, and stays where it is.
            unsafe { raw.set_root_callback(call.is_some().then_some(show), itself) };
            Ok(())
        })
    })
}

/// Shows a root: the slot is updated if what it points to has moved.
///
/// # Safety
/// `visitor` is what the callback was called with, which has not returned yet. The slot holds null or a pointer to an
/// object, with any tag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_visit_root(visitor: *mut BhcRootVisitor, slot: *mut *mut c_void) -> BhcStatus {
    status_or_end(|| {
        if visitor.is_null() || slot.is_null() {
            return Err(Failure::Null(if slot.is_null() { "slot" } else { "visitor" }));
        }
        // SAFETY: the caller's promise.
        unsafe { (*visitor.cast::<RootVisitor<'_>>()).slot(slot.cast()) };
        Ok(())
    })
}

/// Stores a pointer into word `index` after the header of an object that is no array: with the write barrier. Never
/// collects. `bhc_gc_write_inline` is faster.
///
/// # Safety
/// An object of this heap, without a tag, which has a pointer there; `value` is null or an object that lives, with any
/// tag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_write(
    mutator: *mut BhcMutator,
    object: *mut c_void,
    index: usize,
    value: *mut c_void,
) -> BhcStatus {
    let object = self::object(object, "object");
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.write(object?.as_ptr(), index, value.cast()) };
        Ok(())
    })
}

/// Stores a pointer into element `index` of an array of pointers: with the write barrier. Never collects. An index that
/// is too large is `BHC_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// An array of this heap, without a tag; `value` as for [`bhc_gc_write`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_write_element(
    mutator: *mut BhcMutator,
    array: *mut c_void,
    index: usize,
    value: *mut c_void,
) -> BhcStatus {
    of_heap(mutator, |raw| {
        let array = object(array, "array")?;
        // SAFETY: the caller's promise.
        unsafe {
            let is_one = raw.info(array).kind() == Kind::Pointers;
            if !is_one || index >= raw.word(array.as_ptr(), 0).cast::<usize>().read() {
                return Err(Failure::Invalid("there is no such element"));
            }
            raw.write_element(array.as_ptr(), index, value.cast());
        }
        Ok(())
    })
}

/// What the inline write barrier calls for an old object that is written for the first time since a collection: notes
/// that it may point to young ones. To be called before the pointer is stored.
///
/// # Safety
/// An object of this heap, without a tag, that is no array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_remember(mutator: *mut BhcMutator, object: *mut c_void) -> BhcStatus {
    let object = self::object(object, "object");
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.barrier(object?.as_ptr()) };
        Ok(())
    })
}

/// Replaces a thunk by an indirection to `value`: with the write barrier. Never collects. Later collections put `value`,
/// with its tag, in place of pointers to the thunk.
///
/// # Safety
/// A thunk of this heap, without a tag; `value` is an object that lives, with any tag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_update(mutator: *mut BhcMutator, thunk: *mut c_void, value: *mut c_void) -> BhcStatus {
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.update(object(thunk, "thunk")?, object(value, "value")?) };
        Ok(())
    })
}

/// Replaces an object's header by another descriptor of the same size: a black hole for a thunk.
///
/// # Safety
/// An object of this heap, without a tag; `info` as for [`bhc_alloc`], and its words are valid for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_set_info(
    mutator: *mut BhcMutator,
    object: *mut c_void,
    info: *const BhcInfo,
) -> BhcStatus {
    of_heap(mutator, |raw| {
        let object = self::object(object, "object")?;
        // SAFETY: the caller's promise.
        unsafe {
            let info = checked(info)?;
            if raw.info(object).size != info.size || info.size == 0 {
                return Err(Failure::Invalid("the descriptor is for objects of another size"));
            }
            raw.set_info(object, info);
        }
        Ok(())
    })
}

/// The object that a pointer, with any tag, leads to: itself, or what it was [updated](bhc_gc_update) with, which may have
/// a tag.
///
/// # Safety
/// Null, or an object that lives; the thunks that it leads to were not updated with each other in a circle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_follow(mutator: *mut BhcMutator, object: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's promise.
    answer_or_end(|| with_mutator(mutator, |_, raw| Ok(unsafe { raw.follow(object.cast()) }.cast())))
}

/// Makes the pointers of a static object roots, as of a global that is evaluated once: one outside of any heap, whose
/// header word points to its descriptor.
///
/// # Safety
/// The object stays where it is and valid as long as the heap lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_register_static(mutator: *mut BhcMutator, object: *mut c_void) -> BhcStatus {
    let object = self::object(object, "object");
    of_heap(mutator, |raw| {
        // SAFETY: the caller's promise.
        unsafe { raw.register_static(object?)? };
        Ok(())
    })
}

/// Looks at the whole heap: all objects, roots and tables. What is wrong, if anything is (then generated code has an
/// error, or the collector), is `BHC_STATUS_CORRUPT`, and [`bhc_last_error_message`](super::bhc_last_error_message) says
/// where. Takes as long as some full collections, and memory of the process allocator, without which it ends the program.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_gc_verify(mutator: *mut BhcMutator) -> BhcStatus {
    status_or_end(|| {
        with_mutator(mutator, |capability, _| {
            capability.capability.general().verify().map(|_| ()).map_err(Failure::Corrupt)
        })
    })
}
