//! [`Range`]: a stretch of addresses of which parts become memory when they are needed.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// Where a range comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Reserved from the system without any memory behind it.
    Mapped,
    /// One block of the standard library's `System` allocator: for targets, and tools, without virtual memory. It never
    /// is the program's global allocator, which may be made of this.
    Portable,
}

impl Source {
    /// What the target has.
    pub(crate) const NATIVE: Self = if cfg!(all(unix, not(miri))) { Self::Mapped } else { Self::Portable };
}

/// Addresses for one owner, given back when it is dropped. What has been [committed](Self::commit) is memory, zeroed at first.
pub(crate) struct Range {
    start: NonNull<u8>,
    layout: Layout,
    source: Source,
    /// What the standard library's allocator gave, for a portable one.
    base: NonNull<u8>,
}

// SAFETY: a range is the right to addresses, not bound to a thread; its methods on `&self` are the system's.
unsafe impl Send for Range {}
// SAFETY: as above.
unsafe impl Sync for Range {}

impl Range {
    /// Reserves `layout.size()` bytes of addresses, aligned to `layout.align()`; both are multiples of a page.
    pub(crate) fn reserve(layout: Layout, source: Source) -> Option<Self> {
        match source {
            Source::Mapped => {
                let start = mapped::reserve(layout)?;
                Some(Self { start, layout, source, base: start })
            }
            Source::Portable => {
                // SAFETY: the size is not zero.
                let base = NonNull::new(unsafe { std::alloc::System.alloc_zeroed(with_slack(layout)?) })?;
                let skipped = crate::align::align_up(base.addr().get(), layout.align()) - base.addr().get();
                // SAFETY: less than the alignment into a block that is that much longer.
                Some(Self { start: unsafe { base.add(skipped) }, layout, source, base })
            }
        }
    }

    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) const fn len(&self) -> usize {
        self.layout.size()
    }

    /// Makes bytes `from..to` memory, if they are not yet: as many more as whole pages need.
    pub(crate) fn commit(&self, from: usize, to: usize) -> bool {
        debug_assert!(from <= to && to <= self.len());
        let page = super::page_size();
        let from = crate::align::align_down(from, page);
        self.source == Source::Portable || mapped::commit(self.at(from), to - from)
    }

    /// Asks for bytes `from..to` to be huge pages when they are written first. Advice: what comes of it is the system's to decide.
    pub(crate) fn prefer_huge(&self, from: usize, to: usize) {
        debug_assert!(from <= to && to <= self.len());
        if self.source == Source::Mapped {
            mapped::prefer_huge(self.at(from), to - from);
        }
    }

    /// Gives the memory of the whole pages in `from..to` back to the system; they read as zeros then. `false` if that cannot
    /// be done: they have their contents still.
    ///
    /// # Safety
    /// Committed, and nobody refers to these bytes.
    pub(crate) unsafe fn decommit(&self, from: usize, to: usize) -> bool {
        debug_assert!(from <= to && to <= self.len());
        // SAFETY: the caller's promise.
        self.source == Source::Mapped && unsafe { mapped::decommit(self.at(from), to - from) }
    }

    /// Moves the pages `from..from + len` to `to..to + len` without copying; what was there is lost, and the old place reads
    /// as zeros. `false` if that cannot be done: what was at `from` is as before. Leaves some mappings more.
    ///
    /// # Safety
    /// Both are whole pages, committed, do not overlap; nobody refers to them.
    pub(crate) unsafe fn relocate(&self, from: usize, to: usize, len: usize) -> bool {
        debug_assert!(from + len <= self.len() && to + len <= self.len());
        // SAFETY: the caller's promise.
        self.source == Source::Mapped && unsafe { mapped::relocate(self.at(from), self.at(to), len) }
    }

    /// Makes the pages `from..to` inaccessible, or accessible again; their contents stay. `false` if that was not done for all
    /// of them: there is no memory protection, or these are not whole pages, or it takes more mappings than there may be. Then
    /// some may be inaccessible all the same, so access is asked for again before they are used. Takes a system call, and
    /// leaves some mappings more.
    ///
    /// # Safety
    /// Committed; nobody touches these bytes until they are accessible again.
    pub(crate) unsafe fn protect(&self, from: usize, to: usize, accessible: bool) -> bool {
        debug_assert!(from <= to && to <= self.len());
        // SAFETY: the caller's promise.
        self.source == Source::Mapped && unsafe { mapped::protect(self.at(from), to - from, accessible) }
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.len());
        // SAFETY: within the range, as all callers have asserted.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        match self.source {
            // SAFETY: reserved there with this size, and the range is gone, with the right to its memory.
            Source::Mapped => unsafe { mapped::release(self.start, self.layout.size()) },
            // SAFETY: as above.
            Source::Portable => unsafe {
                if let Some(layout) = with_slack(self.layout) {
                    std::alloc::System.dealloc(self.base.as_ptr(), layout);
                }
            },
        }
    }
}

/// Room to align `layout` in. Asked for its alignment, the standard library's allocator writes zeros to every page; so it gives
/// pages of the system that nobody has touched.
fn with_slack(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(layout.align())?, align_of::<usize>()).ok()
}

#[cfg(all(unix, not(miri)))]
mod mapped {
    use core::alloc::Layout;
    use core::ptr::NonNull;

    pub(super) fn reserve(layout: Layout) -> Option<NonNull<u8>> {
        super::super::map::map_aligned(layout, libc::PROT_NONE, libc::MAP_NORESERVE)
    }

    pub(super) fn commit(start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: pages of our own reservation, which only become accessible.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    pub(super) fn prefer_huge(start: NonNull<u8>, len: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: advice on pages of our own reservation, which changes no contents.
        unsafe {
            libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (start, len);
    }

    /// # Safety
    /// Nobody refers to the bytes.
    pub(super) unsafe fn decommit(start: NonNull<u8>, len: usize) -> bool {
        let page = crate::os::page_size();
        let from = crate::align::align_up(start.addr().get(), page) - start.addr().get();
        let to = crate::align::align_down(start.addr().get() + len, page).saturating_sub(start.addr().get());
        if from != 0 || to != len {
            return false; // parts of pages are somebody else's
        }
        // On Linux this drops the pages at once and the next access finds zeros; elsewhere it is advice that need not be
        // followed, so nothing may be concluded.
        // SAFETY: whole pages of our own mapping, of which the caller promises that nobody needs them.
        cfg!(target_os = "linux") && unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) == 0 }
    }

    /// # Safety
    /// As for `Range::protect`.
    pub(super) unsafe fn protect(start: NonNull<u8>, len: usize, accessible: bool) -> bool {
        let page = crate::os::page_size();
        if !start.addr().get().is_multiple_of(page) || !len.is_multiple_of(page) {
            return false; // parts of pages are somebody else's
        }
        let access = if accessible { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
        // SAFETY: whole pages of our own mapping, which the caller promises that nobody touches while they are inaccessible.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, access) == 0 }
    }

    /// # Safety
    /// As for `Range::relocate`.
    pub(super) unsafe fn relocate(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> bool {
        #[cfg(target_os = "linux")]
        // SAFETY: the caller's promise. The old place stays mapped, so the range has no hole that somebody else may get.
        unsafe {
            // Not straight to the target: that is unmapped before all that may go wrong has gone well. So first to where
            // the system wants, which harms nothing if it is refused, as it is for what lies in several mappings.
            let away = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
            let between = libc::mremap(from.as_ptr().cast(), len, len, away);
            if between == libc::MAP_FAILED {
                return false;
            }
            let there = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            if libc::mremap(between, len, len, there, to.as_ptr()) == libc::MAP_FAILED {
                // The target may be a hole now. It is filled, or nobody may go on.
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                if libc::mmap(to.as_ptr().cast(), len, access, flags, -1, 0) == libc::MAP_FAILED {
                    std::process::abort();
                }
                to.as_ptr().copy_from_nonoverlapping(between.cast(), len);
                libc::munmap(between, len);
            }
            true
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (from, to, len);
            false
        }
    }

    /// # Safety
    /// Reserved, and not used afterwards.
    pub(super) unsafe fn release(start: NonNull<u8>, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(start.as_ptr().cast(), len) };
    }
}

#[cfg(not(all(unix, not(miri))))]
mod mapped {
    //! Nothing is ever mapped here: `Source::NATIVE` is the portable one.
    use core::alloc::Layout;
    use core::ptr::NonNull;

    pub(super) fn reserve(_: Layout) -> Option<NonNull<u8>> {
        None
    }
    pub(super) fn commit(_: NonNull<u8>, _: usize) -> bool {
        false
    }
    pub(super) fn prefer_huge(_: NonNull<u8>, _: usize) {}
    pub(super) unsafe fn decommit(_: NonNull<u8>, _: usize) -> bool {
        false
    }
    pub(super) unsafe fn protect(_: NonNull<u8>, _: usize, _: bool) -> bool {
        false
    }
    pub(super) unsafe fn relocate(_: NonNull<u8>, _: NonNull<u8>, _: usize) -> bool {
        false
    }
    pub(super) unsafe fn release(_: NonNull<u8>, _: usize) {}
}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use super::*;

    /// Whether the system, asked to read a byte, can: it answers with an error where a program would be ended.
    fn readable(byte: NonNull<u8>) -> bool {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors, which are closed once; an address that cannot be read is an error (EFAULT).
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let written = libc::write(ends[1], byte.as_ptr().cast(), 1);
            ends.into_iter().for_each(|end| assert_eq!(libc::close(end), 0));
            written == 1
        }
    }

    #[test]
    fn protected_pages_cannot_be_read_and_have_their_contents_afterwards() {
        let page = crate::os::page_size();
        let range = Range::reserve(Layout::from_size_align(4 * page, page).unwrap(), Source::Mapped).unwrap();
        assert!(range.commit(0, 4 * page));
        let pages = [0, 1, 2, 3].map(|index| range.at(index * page));
        // SAFETY: committed, ours alone, and read where it is accessible.
        unsafe {
            (1..5).zip(pages).for_each(|(value, page)| page.write(value));
            assert!(range.protect(page, 3 * page, false));
            assert_eq!(pages.map(readable), [true, false, false, true]);
            assert!(range.protect(2 * page, 3 * page, true));
            assert_eq!(pages.map(readable), [true, false, true, true]);
            assert!(range.protect(page, 2 * page, true));
            assert_eq!(pages.map(|page| page.read()), [1, 2, 3, 4]);
            assert!(!range.protect(0, page + 1, false) && !range.protect(1, page, false), "not whole pages");
            assert_eq!(pages.map(readable), [true; 4]);
        }
    }

    #[test]
    fn a_block_of_the_allocator_is_not_protected() {
        let page = crate::os::page_size();
        let range = Range::reserve(Layout::from_size_align(page, page).unwrap(), Source::Portable).unwrap();
        // SAFETY: ours alone.
        unsafe {
            assert!(!range.protect(0, page, false));
            range.start().write(1);
        }
    }
}
