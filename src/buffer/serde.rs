//! serde, as a sequence of elements; feature `serde`.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{AlignedSlice, Place, SimdBuffer};
use crate::align::{AlignSpec, KnownAlign};
use crate::region::MemoryRegion;

/// What is reserved on the word of the input alone, in bytes. More is allocated as elements arrive, so a short input that
/// claims to be long costs no memory.
const TRUSTED_BYTES: usize = 1 << 20;

impl<T: Serialize, A: KnownAlign> Serialize for AlignedSlice<T, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice())
    }
}

impl<T: Serialize, A: AlignSpec, R: MemoryRegion> Serialize for SimdBuffer<T, A, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice())
    }
}

impl<'de, T: Deserialize<'de>, A: KnownAlign> Deserialize<'de> for SimdBuffer<T, A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place::new().deserialize(deserializer)
    }
}

impl<A: AlignSpec, R: MemoryRegion> Place<A, R> {
    /// Deserializes a sequence into a buffer here. For the static alignments in [`System`](crate::System) the buffer
    /// implements `Deserialize` itself.
    ///
    /// # Errors
    /// The deserializer's, or that there is no memory.
    ///
    /// ```
    /// use bhc_rts_alloc::{Alignment, Place};
    /// let mut input = serde_json::Deserializer::from_str("[1.0, 2.0]");
    /// let buffer = Place::at(Alignment::Page).deserialize::<f32, _>(&mut input)?;
    /// assert_eq!(buffer, [1.0, 2.0]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn deserialize<'de, T, D>(self, deserializer: D) -> Result<SimdBuffer<T, A, R>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        struct Elements<T, A: AlignSpec, R: MemoryRegion>(Place<A, R>, PhantomData<T>);

        impl<'de, T: Deserialize<'de>, A: AlignSpec, R: MemoryRegion> Visitor<'de> for Elements<T, A, R> {
            type Value = SimdBuffer<T, A, R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
                let trusted = TRUSTED_BYTES.checked_div(size_of::<T>()).unwrap_or(0);
                let capacity = sequence.size_hint().unwrap_or(0).min(trusted);
                let mut buffer = self.0.try_with_capacity(0).map_err(S::Error::custom)?;
                // A hint that cannot be met may be a lie; if it is not, `try_push` will say so.
                let _ = buffer.try_reserve_exact(capacity);
                while let Some(element) = sequence.next_element()? {
                    buffer.try_push(element).map_err(|(_, error)| S::Error::custom(error))?;
                }
                Ok(buffer)
            }
        }

        deserializer.deserialize_seq(Elements(self, PhantomData))
    }
}
