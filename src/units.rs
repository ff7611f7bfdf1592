//! Numbers as people read them, and lines of text: without memory, as they are wanted when it is short.

use core::fmt::{self, Write};

/// A line of at most `N` bytes. What does not fit is cut off.
pub(crate) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub(crate) fn of(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; N], len: 0 };
        // It writes whatever it is told to.
        let _ = line.write_fmt(text);
        line
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// Writes a short text as wide as the formatter wants it.
fn pad(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    f.pad(str::from_utf8(Line::<32>::of(text).as_bytes()).unwrap_or_default())
}

/// A size, as people read it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_units = |unit: u64| self.0 as f64 / unit as f64;
        match self.0 {
            bytes @ ..1024 => pad(f, format_args!("{bytes} B")),
            1024..1_048_576 => pad(f, format_args!("{:.1} KiB", in_units(1 << 10))),
            1_048_576..1_073_741_824 => pad(f, format_args!("{:.1} MiB", in_units(1 << 20))),
            _ => pad(f, format_args!("{:.1} GiB", in_units(1 << 30))),
        }
    }
}

/// A time, as people read it.
pub(crate) struct Time(pub(crate) u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ns @ ..10_000 => pad(f, format_args!("{ns} ns")),
            ns @ ..10_000_000 => pad(f, format_args!("{:.1} us", ns as f64 / 1e3)),
            ns @ ..10_000_000_000 => pad(f, format_args!("{:.1} ms", ns as f64 / 1e6)),
            ns => pad(f, format_args!("{:.2} s", ns as f64 / 1e9)),
        }
    }
}
