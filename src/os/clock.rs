//! Two clocks: a coarse one that costs next to nothing, and a fine one to measure pauses with.

/// Milliseconds since some moment, modulo 2^32. May go in steps of a few.
pub(crate) fn milliseconds() -> u32 {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let time = system(libc::CLOCK_MONOTONIC_COARSE);
        (time.tv_sec as u32).wrapping_mul(1000).wrapping_add(time.tv_nsec as u32 / 1_000_000)
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    {
        since_start().as_millis() as u32
    }
}

/// Nanoseconds since some moment, another than that of [`milliseconds`]. Never goes back; lasts for five centuries.
pub(crate) fn nanoseconds() -> u64 {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let time = system(libc::CLOCK_MONOTONIC);
        core::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as u64
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    {
        since_start().as_nanos() as u64
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn system(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn since_start() -> std::time::Duration {
    // There is no clock, and asking panics.
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        return std::time::Duration::ZERO;
    }
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    #[test]
    fn nanoseconds_are_no_fewer_than_what_they_enclose_and_no_more_than_what_encloses_them() {
        let outer = Instant::now();
        let from = super::nanoseconds();
        let inner = Instant::now();
        let least = loop {
            let elapsed = inner.elapsed().as_nanos();
            if elapsed >= 1000 {
                break elapsed;
            }
        };
        let measured = u128::from(super::nanoseconds() - from);
        let most = outer.elapsed().as_nanos();
        assert!((least..=most).contains(&measured), "{measured} of {least} to {most}");
    }
}
