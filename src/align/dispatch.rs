//! From an alignment value to an alignment type: the code for each type is compiled once, the value picks one.
//!
//! Compiling the code for all thirty types would bloat it for nothing, so both ways here go through a short ladder:
//! 8, 16, 32, 64, 4096 and whatever floor the caller states. A value between two rungs takes the lower one, which it
//! satisfies.

use super::marker::{Align, AtLeast, KnownAlign};
use super::value::Alignment;

/// Code that works for every alignment from [`Floor`](Self::Floor) up, for [`Alignment::dispatch`].
///
/// ```
/// use bhc_rts_alloc::{Align, Alignment, AlignVisitor, AtLeast, KnownAlign};
///
/// struct Name;
/// impl AlignVisitor for Name {
///     type Floor = Align<16>;
///     type Output = usize;
///     fn visit<A: AtLeast<Align<16>>>(self) -> usize {
///         A::BYTES // `A` is a type here: pass it to typed code
///     }
/// }
/// assert_eq!(Alignment::Simd256.dispatch(Name).ok(), Some(32));
/// assert_eq!(Alignment::new(128).unwrap().dispatch(Name).ok(), Some(64)); // the next rung below
/// assert!(Alignment::Default.dispatch(Name).is_err()); // 8 is below the floor: the visitor comes back
/// ```
pub trait AlignVisitor {
    /// The weakest alignment that [`visit`](Self::visit) can work with.
    type Floor: DispatchFloor;
    /// What the visit gives.
    type Output;

    /// Called once, with an `A` that the dispatched value satisfies.
    fn visit<A: AtLeast<Self::Floor>>(self) -> Self::Output;
}

impl Alignment {
    /// Calls `visitor` with the strongest type of the ladder (the visitor's floor, 8, 16, 32, 64, 4096) that `self` is
    /// at least.
    ///
    /// Cost: at most five comparisons, and one compiled copy of the visit per rung from the floor up.
    ///
    /// # Errors
    /// The visitor itself, not called, if `self` is weaker than its floor.
    #[inline]
    pub fn dispatch<V: AlignVisitor>(self, visitor: V) -> Result<V::Output, V> {
        V::Floor::dispatch(self, visitor)
    }
}

/// An alignment that [`Alignment::dispatch`] can start from: every [`Align<N>`]. Sealed through [`KnownAlign`].
pub trait DispatchFloor: KnownAlign {
    #[doc(hidden)]
    fn dispatch<V: AlignVisitor<Floor = Self>>(value: Alignment, visitor: V) -> Result<V::Output, V>;
}

/// Each row: a group of floors and the rungs above them, strongest first. The floor is concrete in each impl, so that
/// `Align<rung>: AtLeast<floor>` is known there; a generic impl could not conclude it.
macro_rules! ladder {
    ($([$($floor:literal)+] $above:tt;)+) => { $( $( ladder!(@floor $floor $above); )+ )+ };
    (@floor $floor:literal [$($rung:literal)*]) => {
        impl DispatchFloor for Align<$floor> {
            #[inline]
            fn dispatch<V: AlignVisitor<Floor = Self>>(value: Alignment, visitor: V) -> Result<V::Output, V> {
                $(
                    if value >= const { Alignment::of::<Align<$rung>>() } {
                        return Ok(visitor.visit::<Align<$rung>>());
                    }
                )*
                if value >= const { Alignment::of::<Self>() } { Ok(visitor.visit::<Self>()) } else { Err(visitor) }
            }
        }
    };
}

ladder! {
    [1 2 4] [4096 64 32 16 8];
    [8] [4096 64 32 16];
    [16] [4096 64 32];
    [32] [4096 64];
    [64 128 256 512 1024 2048] [4096];
    [4096 8192 16384 32768 65536 131072 262144 524288 1048576 2097152 4194304 8388608 16777216 33554432 67108864
        134217728 268435456 536870912] [];
}

/// Compiles a block once per alignment and runs the one for the strongest alignment that a value satisfies.
///
/// `with_alignment!(value, |A| block)` has the rungs 4096, 64, 32, 16, 8, 1, so one of them always fits.
/// `with_alignment!(value, [64, 32], |A| block, else other)` has the rungs listed, strongest first, and `other` for a
/// weaker value. `A` names a type inside the block. All blocks must have one type.
///
/// ```
/// use bhc_rts_alloc::{Alignment, KnownAlign, Place, with_alignment};
///
/// fn zeroed_sum(alignment: Alignment) -> f32 {
///     with_alignment!(alignment, |A| {
///         let buffer = Place::<A>::new().zeroed::<f32>(100);
///         buffer.view().iter().sum() // `view()` is an `&AlignedSlice<f32, A>`
///     })
/// }
/// assert_eq!(zeroed_sum(Alignment::Simd256), 0.0);
///
/// let bytes = with_alignment!(Alignment::Page, [64, 32], |A| A::BYTES, else 0);
/// assert_eq!(bytes, 64);
/// let bytes = with_alignment!(Alignment::Default, [64, 32], |A| A::BYTES, else 0);
/// assert_eq!(bytes, 0);
/// ```
#[macro_export]
macro_rules! with_alignment {
    ($value:expr, |$A:ident| $body:expr $(,)?) => {
        $crate::with_alignment!($value, [4096, 64, 32, 16, 8], |$A| $body, else {
            type $A = $crate::Align<1>;
            $body
        })
    };
    ($value:expr, [$($bytes:literal),+ $(,)?], |$A:ident| $body:expr, else $otherwise:expr $(,)?) => {{
        const {
            ::core::assert!(
                $crate::__private::strictly_descending(&[$($bytes),+]),
                "with_alignment!: list the alignments strongest first"
            );
        }
        let value: $crate::Alignment = $value;
        $(
            if value >= const { $crate::Alignment::of::<$crate::Align<$bytes>>() } {
                type $A = $crate::Align<$bytes>;
                $body
            } else
        )+ {
            $otherwise
        }
    }};
}

/// For [`with_alignment!`]: a rung below a weaker one would never be reached.
#[must_use]
pub const fn strictly_descending(rungs: &[usize]) -> bool {
    let mut at = 1;
    while at < rungs.len() {
        if rungs[at] >= rungs[at - 1] {
            return false;
        }
        at += 1;
    }
    true
}
