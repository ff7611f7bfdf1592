//! What a generator emits: objects that are called what the macro's own words are, and that stand beside other things
//! called so; in modules, functions and macros; with many fields.
#![forbid(unsafe_code)]
#![deny(warnings)]
#![allow(dead_code, reason = "only that it compiles, and what it means, is looked at")]

use bhc_rts_alloc::GeneralHeap;

mod shadows {
    // What a language's prelude may have.
    pub enum Option<T> {
        Nothing,
        Just(T),
    }
    pub struct Cell;
    pub struct Field;
    pub struct Info;
    pub struct Gc;
    pub fn offset_of() {}

    macro_rules! assert {
        ($($all:tt)*) => {};
    }
    macro_rules! stringify {
        ($($all:tt)*) => {
            "another"
        };
    }

    bhc_rts_alloc::gc_object! {
        pub struct P / PInit { ptr next: P, ptr object: T, ptr init: GeneralHeap, data payload: u64, cell heap: u8, }
        pub struct T / TInit { data data: u8, data ptr: u16, cell cell: u32, cell h: i64, }
        pub struct GeneralHeap / Init { ptr left: P, ptr right: super::Outer, }
        pub struct Pointers / Rooted { ptr r#type: Pointers, ptr index: Managed, data r#struct: u8 }
        pub struct Managed / Object { data value: [u64; 3] }
    }

    const _: () = {
        assert!(false);
        core::assert!(stringify!(used).len() == 7);
        let _ = Option::Just(Option::Nothing::<u8>);
    };
}

bhc_rts_alloc::gc_object! {
    #[derive(Debug, Default, Clone, Copy, PartialEq)]
    #[repr(align(8))]
    pub struct Outer / OuterInit { data value: (u8, u32), }
}

macro_rules! constructors {
    ($($name:ident / $init:ident: $($field:ident)*;)*) => {
        bhc_rts_alloc::gc_object! {$(
            #[doc = concat!("The constructor `", stringify!($name), "`.")]
            struct $name / $init { $(ptr $field: $name,)* data tag: u32, }
        )*}
    };
}

constructors! {
    Nil / NilInit: ;
    Cons / ConsInit: head tail;
    Wide / WideInit: f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24 f25
        f26 f27 f28 f29 f30 f31 f32 f33 f34 f35 f36 f37 f38 f39 f40 f41 f42 f43 f44 f45 f46 f47 f48 f49 f50 f51 f52
        f53 f54 f55 f56 f57 f58 f59 f60 f61 f62 f63 f64 f65 f66 f67 f68 f69 f70 f71 f72 f73 f74 f75 f76 f77 f78 f79
        f80 f81 f82 f83;
}

fn main() {
    bhc_rts_alloc::gc_object! { struct Local / LocalInit { ptr outer: Outer, cell seen: char } }

    let mut heap = GeneralHeap::new();
    let outer = heap.new_root::<Outer>(OuterInit { value: (1, 2) });
    let local = heap.new_root::<Local>(LocalInit { outer: Some(&outer), seen: 'a' });
    local.get(&heap).seen.set('b');
    assert_eq!(*local.get(&heap).outer.get().unwrap(), Outer { value: (1, 2) });

    let t = heap.new_root::<shadows::T>(shadows::TInit { data: 1, ptr: 2, cell: 3, h: 4 });
    let p = shadows::PInit { next: None, object: Some(&t), init: None, payload: 5, heap: 6 };
    let p = heap.new_root::<shadows::P>(p);
    heap.set(p.get(&heap), shadows::P::next, Some(p.get(&heap)));
    let seen = p.get(&heap).get(shadows::P::next).unwrap().get(shadows::P::object).unwrap();
    assert_eq!((seen.data, seen.ptr, seen.cell.get(), seen.h.get()), (1, 2, 3, 4));

    let raw = heap.new_root::<shadows::Pointers>(shadows::Rooted { r#type: None, index: None, r#struct: 7 });
    assert_eq!(raw.get(&heap).r#struct, 7);
    assert!(raw.get(&heap).get(shadows::Pointers::r#type).is_none());
}
