//! Host memory for copies, and whose turn it is to touch it.

use cudarc::driver::{result, sys};

use super::Nvidia;
use crate::cuda::driver::{Copied, Fault, Pinned, Stream};

/// Host memory that does not move, and the mark after the last copy that used it.
pub(super) struct Held {
    pub at: *mut u8,
    pub bytes: usize,
    pub last: sys::CUevent,
    /// The stream of that copy; `None` once it was waited for.
    pub used: Option<Stream>,
}

impl Held {
    fn check(&self, offset: usize, bytes: usize) {
        let end = offset.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "past pinned memory"
        );
    }
}

impl Nvidia {
    /// Waits until no copy uses pinned memory, and checks that `offset..offset + bytes` is of it.
    pub(super) fn quiet(
        &mut self,
        at: Pinned,
        offset: usize,
        bytes: usize,
    ) -> Result<*mut u8, Fault> {
        let held = &self.pinned[at.0];
        held.check(offset, bytes);
        let (place, last) = (held.at, held.last);
        if held.used.is_some() {
            // SAFETY: the event is destroyed in `drop` only.
            self.patiently(|| unsafe { result::event::query(last) })?;
            self.pinned[at.0].used = None;
        }
        // SAFETY: `offset` lies within the allocation.
        Ok(unsafe { place.add(offset) })
    }

    /// Before a copy: what used the memory in another stream must be done. Gives its address.
    pub(super) fn lend(&mut self, copy: Copied) -> Result<*mut u8, Fault> {
        let held = &self.pinned[copy.host.0];
        if held.used.is_some_and(|other| other != copy.stream) {
            return self.quiet(copy.host, copy.offset, copy.bytes);
        }
        held.check(copy.offset, copy.bytes);
        // SAFETY: `offset` lies within the allocation.
        Ok(unsafe { held.at.add(copy.offset) })
    }

    /// After a copy: marks it.
    pub(super) fn lent(&mut self, copy: Copied) -> Result<(), Fault> {
        let (last, queue) = (self.pinned[copy.host.0].last, self.stream(copy.stream));
        // SAFETY: both handles live until `drop`.
        let recorded = unsafe { result::event::record(last, queue) };
        self.check(recorded)?;
        self.pinned[copy.host.0].used = Some(copy.stream);
        Ok(())
    }
}
