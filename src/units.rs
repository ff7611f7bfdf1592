//! Numbers as people read them.

use core::fmt;

/// A size, as people read it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: f64, unit: &str| std::format!("{value:.1} {unit}");
        let text = match self.0 {
            bytes @ ..1024 => std::format!("{bytes} B"),
            bytes @ ..1_048_576 => text(bytes as f64 / 1024.0, "KiB"),
            bytes @ ..1_073_741_824 => text(bytes as f64 / 1_048_576.0, "MiB"),
            bytes => text(bytes as f64 / 1_073_741_824.0, "GiB"),
        };
        f.pad(&text)
    }
}

/// A time, as people read it.
pub(crate) struct Time(pub(crate) u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            ns @ ..10_000 => std::format!("{ns} ns"),
            ns @ ..10_000_000 => std::format!("{:.1} us", ns as f64 / 1e3),
            ns @ ..10_000_000_000 => std::format!("{:.1} ms", ns as f64 / 1e6),
            ns => std::format!("{:.2} s", ns as f64 / 1e9),
        };
        f.pad(&text)
    }
}
