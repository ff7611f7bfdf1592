//! Typed objects: [`Gc`], [`Field`], [`Object`], and [`gc_object!`](crate::gc_object), which makes them.
//!
//! # Note: why this is sound
//! * Objects move and die in collections only, and what collects takes `&mut GeneralHeap`. A [`Gc<'h, T>`](Gc) has the
//!   lifetime of a `&'h GeneralHeap`: while it is used nothing can collect. What survives collections is a
//!   [`Root`](super::Root), whose slot the collector knows.
//! * A [`Field`] is nowhere but in an object of a heap: it has no constructor, is neither `Copy` nor `Clone`, and
//!   nobody ever gets an object by `&mut` or by value. So a `&'h Field` was borrowed from a heap for `'h`, and what it
//!   leads to may be borrowed as long: it is in the same heap, since every pointer that is stored is looked at first.
//! * No code of a user runs in a collection: what the collector knows of an object is constant data, which the macro
//!   derives from the same declaration as the struct. Objects have no destructor: their data is `Copy`.
//! * Another heap's pointers, or roots, are refused where they are used: by address, or by the table of the slot.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use super::heap::GeneralHeap;
use super::info::{Header, Info, WORD, Word, word};
use super::root::Root;

/// What lives in a [`GeneralHeap`] and is reached by [`Gc`]: objects made by [`gc_object!`](crate::gc_object),
/// [`PtrArray`](super::PtrArray) and [`Array`](super::Array).
///
/// # Safety
/// Not to be implemented by hand: the collector trusts `INFO`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in a `GeneralHeap`",
    label = "is not made by `gc_object!`, and is no `PtrArray` or `Array`",
    note = "objects of the heap are moved and freed without running any code: `gc_object!` declares them",
    note = "text and bytes are `Bytes`, plain data is `Array<T>`, several pointers are `PtrArray<T>`"
)]
pub unsafe trait Managed: 'static {
    /// What a [`Gc`] dereferences to.
    type View: ?Sized;

    /// What the collector knows of it.
    #[doc(hidden)]
    const INFO: &'static Info;

    /// What is seen of an object.
    ///
    /// # Safety
    /// An object of this type, which stays where it is for `'h`.
    #[doc(hidden)]
    unsafe fn view<'h>(object: NonNull<Header>) -> &'h Self::View;
}

/// A struct that lives in a [`GeneralHeap`], made by [`gc_object!`](crate::gc_object).
///
/// # Safety
/// As for [`Managed`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an object that `gc_object!` has made",
    label = "cannot be allocated in a `GeneralHeap`"
)]
pub unsafe trait Object: Managed<View = Self> + Sized {
    /// The bytes of the heap that one takes, header included: what to [reserve](GeneralHeap::reserve) for it.
    const BYTES: usize = Self::INFO.size as usize * WORD;

    /// What one is made of: its fields, where pointers are given as `P` says.
    type Init<P: Pointers>;

    /// Panics unless all pointers of `init` are this heap's.
    #[doc(hidden)]
    #[track_caller]
    fn check<P: Pointers>(init: &Self::Init<P>, heap: &GeneralHeap);

    /// Writes the fields.
    ///
    /// # Safety
    /// Memory for an object of this type, in the heap that `init` was checked for.
    #[doc(hidden)]
    unsafe fn write<P: Pointers>(object: NonNull<Header>, init: Self::Init<P>);
}

mod sealed {
    pub trait Sealed {}
}

/// How pointers to objects are given to what makes an object: as [roots](Rooted), or as [pointers](Live).
pub trait Pointers: sealed::Sealed {
    /// A pointer to a `T`.
    type To<T: Managed>: Copy;

    /// Panics unless it is this heap's.
    #[doc(hidden)]
    #[track_caller]
    fn check<T: Managed>(pointer: Option<Self::To<T>>, heap: &GeneralHeap);

    /// What it points to, now.
    #[doc(hidden)]
    fn word<T: Managed>(pointer: Option<Self::To<T>>) -> Word;
}

/// Pointers are given as `&Root<T>`: for what may collect. They are read after that.
pub struct Rooted<'i>(PhantomData<&'i ()>);

/// Pointers are given as `Gc<'h, T>`: where nothing can collect.
pub struct Live<'h>(PhantomData<&'h ()>);

impl sealed::Sealed for Rooted<'_> {}
impl sealed::Sealed for Live<'_> {}

impl<'i> Pointers for Rooted<'i> {
    type To<T: Managed> = &'i Root<T>;

    #[inline(always)]
    #[track_caller]
    fn check<T: Managed>(pointer: Option<&'i Root<T>>, heap: &GeneralHeap) {
        if let Some(root) = pointer {
            root.check(heap);
        }
    }

    #[inline(always)]
    fn word<T: Managed>(pointer: Option<&'i Root<T>>) -> Word {
        pointer.map_or(core::ptr::null_mut(), Root::word)
    }
}

impl<'h> Pointers for Live<'h> {
    type To<T: Managed> = Gc<'h, T>;

    #[inline(always)]
    #[track_caller]
    fn check<T: Managed>(pointer: Option<Gc<'h, T>>, heap: &GeneralHeap) {
        if let Some(pointer) = pointer {
            heap.check(pointer);
        }
    }

    #[inline(always)]
    fn word<T: Managed>(pointer: Option<Gc<'h, T>>) -> Word {
        pointer.map_or(core::ptr::null_mut(), Gc::word)
    }
}

/// A pointer to an object of a heap that is borrowed for `'h`, in which nothing collects meanwhile. It is `Copy`, one
/// word (also in an `Option`), and costs nothing.
///
/// It dereferences to the object's fields. A field that is a pointer gives the next `Gc`: by [`get`](Self::get) with
/// its token, with the whole of `'h`; or as `gc.field.get()`, as long as `gc` is borrowed.
///
/// ```
/// use bhc_rts_alloc::{GeneralHeap, Gc, gc_object};
///
/// gc_object! {
///     /// A list of numbers.
///     pub struct Cons / ConsInit { ptr tail: Cons, data head: u64, }
/// }
///
/// fn sum<'h>(mut list: Option<Gc<'h, Cons>>) -> u64 {
///     let mut sum = 0;
///     while let Some(cons) = list {
///         sum += cons.head;
///         list = cons.get(Cons::tail);
///     }
///     sum
/// }
///
/// let mut heap = GeneralHeap::new();
/// let one = heap.new_root::<Cons>(ConsInit { tail: None, head: 1 });
/// let two = heap.new_gc::<Cons>(ConsInit { tail: Some(&one), head: 2 });
/// assert_eq!(sum(Some(two)), 3);
/// ```
///
/// It does not outlive what may collect; what does is a [`Root`]:
/// ```compile_fail,E0502
/// # use bhc_rts_alloc::{GeneralHeap, gc_object};
/// # gc_object! { pub struct Cons / ConsInit { ptr tail: Cons, data head: u64, } }
/// # let mut heap = GeneralHeap::new();
/// # let root = heap.new_root::<Cons>(ConsInit { tail: None, head: 1 });
/// let one = root.get(&heap);
/// heap.safepoint();
/// println!("{}", one.head);
/// ```
pub struct Gc<'h, T: Managed> {
    object: NonNull<Header>,
    /// Invariant in `T`: of an array that is written as one type, and read as another, both must be the same.
    _borrow: PhantomData<(&'h T, *mut T)>,
}

impl<T: Managed> Clone for Gc<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Managed> Copy for Gc<'_, T> {}

impl<'h, T: Managed> Gc<'h, T> {
    /// # Safety
    /// An object of type `T`, in a heap in which nothing collects for `'h`.
    #[inline(always)]
    pub(super) unsafe fn new(object: NonNull<Header>) -> Self {
        Self { object, _borrow: PhantomData }
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<Header> {
        self.object
    }

    #[inline(always)]
    pub(super) fn word(self) -> Word {
        self.object.as_ptr()
    }

    /// The object, for as long as the heap is borrowed.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "`AsRef` could not give the whole lifetime")]
    pub fn as_ref(self) -> &'h T::View {
        // SAFETY: an object of this type, which does not move for `'h`.
        unsafe { T::view(self.object) }
    }

    /// What a pointer field leads to.
    #[inline(always)]
    #[must_use]
    pub fn get<U: Managed>(self, field: FieldOf<T, U>) -> Option<Gc<'h, U>> {
        // SAFETY: a token is of a field of `T`; it holds null or a pointer to a `U` of the same heap.
        unsafe { NonNull::new(word(self.word(), field.index).read()).map(|object| Gc::new(object)) }
    }

    /// The object as [raw](super::raw) code knows it.
    #[inline(always)]
    #[must_use]
    pub fn as_raw(self) -> NonNull<Header> {
        self.object
    }

    /// Whether both are the same object. Only to be asked between collections: objects have no address to remember.
    #[must_use]
    pub fn ptr_eq(self, other: Self) -> bool {
        self.object == other.object
    }
}

impl<T: Managed> Deref for Gc<'_, T> {
    type Target = T::View;

    #[inline(always)]
    fn deref(&self) -> &T::View {
        self.as_ref()
    }
}

impl<T: Managed> fmt::Debug for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gc<{}>({:p})", T::INFO.name(), self.object)
    }
}

/// A pointer in an object. It is changed with [`GeneralHeap::set`], which knows the write barrier.
#[repr(transparent)]
pub struct Field<T: Managed> {
    word: UnsafeCell<Word>,
    _to: PhantomData<*mut T>,
}

static_assertions::assert_eq_size!(Word, usize);

impl<T: Managed> Field<T> {
    /// What it leads to.
    #[inline(always)]
    #[must_use]
    pub fn get<'h>(&'h self) -> Option<Gc<'h, T>> {
        // SAFETY: a field is in an object that is borrowed for `'h`, with its heap; see the note above.
        unsafe { NonNull::new(*self.word.get()).map(|object| Gc::new(object)) }
    }
}

impl<T: Managed> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Which pointer field of a `T` leads to a `U`: a constant that [`gc_object!`](crate::gc_object) makes, with the
/// field's name.
pub struct FieldOf<T, U> {
    /// The word of the object, its header included.
    pub(super) index: usize,
    /// Invariant in both: what is stored by the token is what is read by it.
    _of: PhantomData<fn(*mut T, *mut U)>,
}

impl<T, U> Clone for FieldOf<T, U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, U> Copy for FieldOf<T, U> {}

impl<T, U> FieldOf<T, U> {
    /// # Safety
    /// `T` has a `Field<U>` at byte `offset`.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn new(offset: usize) -> Self {
        Self { index: 1 + offset / WORD, _of: PhantomData }
    }
}

/// For [`gc_object!`](crate::gc_object): what its expansion uses. It names nothing else, as other names may mean
/// something else where it is expanded.
#[doc(hidden)]
pub mod private {
    use super::{Field, Header, Info, Managed, WORD, Word};
    use core::ptr::NonNull;

    pub use core::cell::Cell;
    pub use core::mem::offset_of;
    pub use core::option::Option;
    pub use core::stringify;

    /// What the fields of an object may be that are no pointers.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not plain data",
        label = "`data` and `cell` fields are `Copy + 'static`",
        note = "objects of the heap are moved and freed without running any code: they own nothing, and borrow nothing",
        note = "what lives in the heap itself is a `ptr` field: to an object, to a `PtrArray`, or to an `Array` of data"
    )]
    pub trait Plain: Copy + 'static {}

    #[diagnostic::do_not_recommend]
    impl<T: Copy + 'static> Plain for T {}

    /// The shape of `T`, with pointers at these byte offsets.
    #[must_use]
    pub const fn info<T>(name: &'static str, pointers: &[usize]) -> Info {
        assert!(!core::mem::needs_drop::<T>(), "a heap object has no destructor: no code runs when it is collected");
        assert!(
            align_of::<T>() <= WORD,
            "a field of a heap object is aligned to at most a word: for more there is `Array`"
        );
        let words = size_of::<T>().div_ceil(WORD);
        assert!(words < u32::MAX as usize, "an object of more than 2^32 words");
        let mut index = 0;
        while index < pointers.len() {
            // There are as many as that, so that they fill it.
            assert!(
                pointers[index] < pointers.len() * WORD && pointers[index].is_multiple_of(WORD),
                "the pointers of a heap object are its first fields"
            );
            index += 1;
        }
        Info::fixed(name, pointers.len() as u32, (words - pointers.len()) as u32)
    }

    /// Asserts that data at byte `offset` of an object is what may be there.
    pub const fn check_data<T: Plain>(offset: usize) {
        assert!(
            offset.is_multiple_of(align_of::<T>()),
            "a field of a heap object is aligned: it is not `repr(packed)`"
        );
    }

    /// An object's payload.
    ///
    /// # Safety
    /// Memory for an object.
    #[inline(always)]
    #[must_use]
    pub unsafe fn payload<T>(object: NonNull<Header>) -> NonNull<T> {
        // SAFETY: an object has at least two words.
        unsafe { object.cast::<Word>().add(1).cast() }
    }

    /// Initialises a pointer field.
    ///
    /// # Safety
    /// Memory for a field; null, or a pointer to a `T` of the heap that it is in.
    #[inline(always)]
    pub unsafe fn write_field<T: Managed>(field: *mut Field<T>, value: Word) {
        // SAFETY: the caller's promise; a field is a word.
        unsafe { field.cast::<Word>().write(value) };
    }
}

/// Declares structs that live in a [`GeneralHeap`](crate::GeneralHeap).
///
/// `struct Name / Init { … }` declares the object, and with the second name the struct of what one is made of. Fields
/// come in this order:
/// * `ptr name: T,` a pointer to a `T` that lives in the heap, or to nothing: in the object a
///   [`Field<T>`](crate::general::Field), in `Init` an `Option<&Root<T>>`, or an `Option<Gc<'h, T>>` where nothing can
///   collect. `Name::name` is the token to [`get`](crate::Gc::get) and [`set`](crate::GeneralHeap::set) it by.
/// * `data name: T,` plain data (`Copy + 'static`), which does not change.
/// * `cell name: T,` plain data that may be changed: in the object a `Cell<T>`.
///
/// The struct takes attributes and doc comments, its fields doc comments. It has no parameters, and no destructor. All
/// fields are public.
///
/// ```
/// #![forbid(unsafe_code)]
/// use bhc_rts_alloc::{GeneralHeap, gc_object};
///
/// gc_object! {
///     /// A node of a graph.
///     pub struct Node / NodeInit {
///         /// Where to go from here.
///         ptr next: Node,
///         data name: char,
///         /// How often it was come by.
///         cell visits: u32,
///     }
/// }
///
/// let mut heap = GeneralHeap::new();
/// let a = heap.new_root::<Node>(NodeInit { next: None, name: 'a', visits: 0 });
/// let b = heap.new_root::<Node>(NodeInit { next: Some(&a), name: 'b', visits: 0 });
/// heap.set(a.get(&heap), Node::next, Some(b.get(&heap))); // a circle
/// heap.collect(bhc_rts_alloc::general::Collection::Full);
///
/// let mut node = a.get(&heap);
/// for _ in 0..10 {
///     node.visits.set(node.visits.get() + 1);
///     node = node.get(Node::next).unwrap();
/// }
/// assert_eq!((node.name, b.get(&heap).visits.get()), ('a', 5));
/// ```
#[macro_export]
macro_rules! gc_object {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident / $init:ident { $($fields:tt)* }
    )+) => {$(
        $crate::__gc_object! { @sort { [$(#[$meta])*] $vis $name $init } [] [] [] $($fields)* }
    )+};
    ($(#[$meta:meta])* $vis:vis struct $name:ident < $($rest:tt)*) => {
        compile_error! { concat!(
            "`", stringify!($name), "`: a heap object has neither lifetimes nor types for parameters"
        ) }
    };
    ($($other:tt)*) => {
        compile_error! {
            "an object is declared as `pub struct Name / NameInit { ptr a: Other, data b: u64, cell c: u32, }`"
        }
    };
}

/// `@sort` takes the fields one by one and puts them in three lists, of pointers, data and cells, as they have to come;
/// then comes `@object`, which declares everything.
#[doc(hidden)]
#[macro_export]
macro_rules! __gc_object {
    (@sort $head:tt [$($ptr:tt)*] [] []
        $(#[doc = $doc:expr])* ptr $name:ident: Self $(, $($rest:tt)*)?
    ) => {
        compile_error! { concat!("`ptr ", stringify!($name), ": Self`: write the name of the struct for `Self`") }
    };
    (@sort $head:tt [$($ptr:tt)*] [] []
        $(#[doc = $doc:expr])* ptr $name:ident: $type:ty $(, $($rest:tt)*)?
    ) => {
        $crate::__gc_object! { @sort $head [$($ptr)* { [$(#[doc = $doc])*] $name: $type }] [] [] $($($rest)*)? }
    };
    (@sort $head:tt $ptrs:tt [$($data:tt)*] []
        $(#[doc = $doc:expr])* data $name:ident: $type:ty $(, $($rest:tt)*)?
    ) => {
        $crate::__gc_object! { @sort $head $ptrs [$($data)* { [$(#[doc = $doc])*] $name: $type }] [] $($($rest)*)? }
    };
    (@sort $head:tt $ptrs:tt $datas:tt [$($cell:tt)*]
        $(#[doc = $doc:expr])* cell $name:ident: $type:ty $(, $($rest:tt)*)?
    ) => {
        $crate::__gc_object! { @sort $head $ptrs $datas [$($cell)* { [$(#[doc = $doc])*] $name: $type }] $($($rest)*)? }
    };
    (@sort { $($head:tt)* } $ptrs:tt $datas:tt $cells:tt) => {
        $crate::__gc_object! { @object $($head)* $ptrs $datas $cells }
    };

    // What no rule above takes.
    (@sort $head:tt $ptrs:tt $datas:tt $cells:tt $(#[doc = $doc:expr])* ptr $name:ident: $($rest:tt)*) => {
        compile_error! { concat!("`ptr ", stringify!($name), "`: pointers come first, before `data` and `cell`") }
    };
    (@sort $head:tt $ptrs:tt $datas:tt $cells:tt $(#[doc = $doc:expr])* data $name:ident: $($rest:tt)*) => {
        compile_error! { concat!("`data ", stringify!($name), "`: data comes before `cell`") }
    };
    (@sort $head:tt $ptrs:tt $datas:tt $cells:tt #$attribute:tt $($rest:tt)*) => {
        compile_error! { "a field of `gc_object!` takes doc comments, and no other attributes" }
    };
    (@sort $head:tt $ptrs:tt $datas:tt $cells:tt $($rest:tt)*) => {
        compile_error! { concat!(
            "`", stringify!($($rest)*), "`: ",
            "a field of `gc_object!` is `ptr name: T,` or `data name: T,` or `cell name: T,`, and always public"
        ) }
    };

    (@object [$(#[$meta:meta])*] $vis:vis $name:ident $init:ident
        [$({ [$($ptr_doc:tt)*] $ptr:ident: $to:ty })*]
        [$({ [$($data_doc:tt)*] $data:ident: $data_type:ty })*]
        [$({ [$($cell_doc:tt)*] $cell:ident: $cell_type:ty })*]
    ) => {
        $(#[$meta])*
        #[repr(C)]
        $vis struct $name {
            $($($ptr_doc)* #[allow(missing_docs, reason = "names may do")]
            pub $ptr: $crate::general::Field<$to>,)*
            $($($data_doc)* #[allow(missing_docs, reason = "names may do")]
            pub $data: $data_type,)*
            $($($cell_doc)* #[allow(missing_docs, reason = "names may do")]
            pub $cell: $crate::general::__private::Cell<$cell_type>,)*
        }

        $crate::__gc_object! {
            @init $vis $name $init [$($ptr: $to,)*] [$($data: $data_type,)* $($cell: $cell_type,)*]
        }

        #[allow(non_upper_case_globals, dead_code, reason = "named as their fields, and some are not used")]
        impl $name {$(
            #[doc = concat!("The field `", stringify!($ptr), "`.")]
            $vis const $ptr: $crate::general::FieldOf<Self, $to> = {
                // SAFETY: the field is there, and is a `Field<$to>`, since `write` below compiles.
                unsafe { $crate::general::FieldOf::new($crate::general::__private::offset_of!($name, $ptr)) }
            };
        )*}

        // An attribute may have made another struct of the one above. So it is looked at again: which fields it has
        // (here), of which types (`write`), and where (`INFO`).
        const _: fn(&$name) = |object| {
            let $name { $($ptr: _,)* $($data: _,)* $($cell: _,)* } = object;
        };
        const _: () = {
            $($crate::general::__private::check_data::<$data_type>(
                $crate::general::__private::offset_of!($name, $data),
            );)*
            $($crate::general::__private::check_data::<$cell_type>(
                $crate::general::__private::offset_of!($name, $cell),
            );)*
        };

        // SAFETY: the shape is that of the struct: so many pointers first, of which each is a `Field` of a managed
        // type; plain data behind. It has no other fields.
        unsafe impl $crate::general::Managed for $name {
            type View = Self;
            const INFO: &'static $crate::general::Info = {
                static INFO: $crate::general::Info = $crate::general::__private::info::<$name>(
                    $crate::general::__private::stringify!($name),
                    &[$($crate::general::__private::offset_of!($name, $ptr)),*],
                );
                &INFO
            };

            #[inline(always)]
            unsafe fn view<'h>(object: ::core::ptr::NonNull<$crate::general::Header>) -> &'h Self {
                // SAFETY: the caller's promise: an object of this type, which does not move for `'h`.
                unsafe { $crate::general::__private::payload::<Self>(object).as_ref() }
            }
        }

        // SAFETY: every field is written, from values of the same types.
        unsafe impl $crate::general::Object for $name {
            type Init<GivenAs: $crate::general::Pointers> = $crate::__gc_object!(@type $init GivenAs [$($ptr)*]);

            #[inline(always)]
            #[track_caller]
            #[allow(unused_variables, reason = "there may be no pointers")]
            fn check<GivenAs: $crate::general::Pointers>(init: &Self::Init<GivenAs>, heap: &$crate::GeneralHeap) {
                $(GivenAs::check(init.$ptr, heap);)*
            }

            #[inline(always)]
            #[allow(unused_variables, reason = "there may be no fields")]
            unsafe fn write<GivenAs: $crate::general::Pointers>(
                object: ::core::ptr::NonNull<$crate::general::Header>,
                init: Self::Init<GivenAs>,
            ) {
                // SAFETY: the caller's promise: memory for all fields, and pointers of the heap that it is in.
                unsafe {
                    let payload = $crate::general::__private::payload::<Self>(object).as_ptr();
                    $($crate::general::__private::write_field::<$to>(
                        &raw mut (*payload).$ptr,
                        GivenAs::word::<$to>(init.$ptr),
                    );)*
                    $((&raw mut (*payload).$data).write(init.$data);)*
                    $((&raw mut (*payload).$cell).write($crate::general::__private::Cell::new(init.$cell));)*
                }
            }
        }
    };

    // What an object is made of: with a parameter only if there are pointers, as an unused one is an error.
    (@type $init:ident $given_as:ident []) => { $init };
    (@type $init:ident $given_as:ident [$($ptr:ident)+]) => { $init<$given_as> };
    (@init $vis:vis $name:ident $init:ident [] [$($data:ident: $data_type:ty,)*]) => {
        #[doc = concat!("What a [`", stringify!($name), "`] is made of.")]
        $vis struct $init {
            $(#[doc = "See the object."] pub $data: $data_type,)*
        }
    };
    (@init $vis:vis $name:ident $init:ident [$($ptr:ident: $to:ty,)+] [$($data:ident: $data_type:ty,)*]) => {
        #[doc = concat!("What a [`", stringify!($name), "`] is made of.")]
        $vis struct $init<GivenAs: $crate::general::Pointers> {
            $(#[doc = "See the object."] pub $ptr: $crate::general::__private::Option<GivenAs::To<$to>>,)*
            $(#[doc = "See the object."] pub $data: $data_type,)*
        }
    };
}
