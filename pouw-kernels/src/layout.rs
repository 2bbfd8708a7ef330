//! How operands lie in memory while they are multiplied, and what one call of a kernel is given.
//!
//! A is packed by *strips* of 16 rows and Bt by *panels* of 16 rows (columns of B), so that a strip and a panel meet in
//! exactly one proof tile. The words of a strip are ordered as its instruction set likes; panels look alike everywhere:
//! 64 bytes of per-column bias for all of k, then per window of 64 along k its 16 steps of 16 columns × 4 entries
//! (1,024 bytes) and 64 bytes of that window's own bias.

use labora_pouw::{RANK, TILE, WORDS};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of k that a window holds: the transcript folds once a window.
pub(crate) const WINDOW: usize = RANK;
/// Entries of k that one multiply step consumes per row (four int8 in an int32 lane).
pub(crate) const STEP: usize = 4;
/// Steps in a window.
pub(crate) const STEPS: usize = WINDOW / STEP;
/// Bytes of one step of a panel: 16 columns × 4 entries, one cache line.
pub(crate) const LINE: usize = TILE * STEP;
/// Bytes of one window of a panel: its entries, then its bias.
pub(crate) const PANEL_WINDOW: usize = STEPS * LINE + LINE;
/// Panels that one kernel call multiplies at most: three registers of 16 columns beside 8 rows fill AVX-512's 32.
pub(crate) const MAX_PANELS: usize = 3;
/// Windows that one half of the right correction sums: 128·(127 + 127) = 32,512 is the largest sum that fits an int16.
pub(crate) const MAX_SUMMED_WINDOWS: usize = 128;

/// One tile's transcript.
pub(crate) type State = [u32; WORDS];

/// The range that both operands keep, which decides how pairs may be added in int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// [-63, 63]: matrices as miners are given them.
    Narrow,
    /// [-127, 127]: matrices with noise.
    Full,
}

/// Bytes of a packed panel of Bt (16 rows × k).
pub(crate) const fn panel_bytes(k: usize) -> usize {
    LINE + k / WINDOW * PANEL_WINDOW
}

/// Columns of the correction that gives the exact product back: 64 for the left noise, and 64 for each half of the
/// right noise (two halves from k = 8,192 up, see [`MAX_SUMMED_WINDOWS`]).
pub(crate) const fn fix_ranks(k: usize) -> usize {
    RANK + RANK * (k / WINDOW).div_ceil(MAX_SUMMED_WINDOWS)
}

/// int16 words of one strip or panel of the correction.
pub(crate) const fn fix_words(k: usize) -> usize {
    TILE * fix_ranks(k)
}

/// A cache line, so that packed operands are aligned for every instruction set.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// A growing, aligned buffer that keeps its memory from one product to the next.
#[derive(Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    bytes: usize,
}

impl Buffer {
    /// Makes room for `bytes`; what is in them is left over from before.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(size_of::<Line>());
        if self.lines.len() < lines {
            // A new allocation rather than a grown one: nothing is copied.
            self.lines = vec![Line([0; 64]); lines];
        }
        self.bytes = bytes;
    }

    /// The bytes asked for last.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.lines.as_bytes()[..self.bytes]
    }

    /// The bytes asked for last, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.lines.as_mut_bytes()[..self.bytes]
    }

    /// What the buffer holds on to, whatever was asked for last.
    pub(crate) fn capacity(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }
}

/// The two operands of the correction: C = C' + left·right, with left already negated.
#[derive(Clone, Copy)]
pub(crate) struct Fix<'a> {
    /// One strip: 16 rows × `fix_ranks(k)`, packed.
    pub left: &'a [i16],
    /// `panels` panels: 16 columns × `fix_ranks(k)` each, packed.
    pub right: &'a [i16],
}

/// Where a kernel call writes its 16 × 16·panels entries of C.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    /// First entry.
    pub first: *mut i32,
    /// Entries from one row to the next.
    pub stride: usize,
}

impl Out {
    /// Has a tile's row fetched, so that writing it in the end does not wait for memory then. Of any row and panel.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn fetch(self, row: usize, panel: usize, panels: usize) {
        use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        let row = self.first.wrapping_add(row.wrapping_mul(self.stride));
        for panel in panel..=panel + panels {
            // SAFETY: fetching an address ahead of use is harmless, whatever is there.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(row.wrapping_add(panel * TILE).cast()) };
        }
    }
}

/// One kernel call: a strip of A times one to three panels of Bt.
pub(crate) struct Call<'a> {
    /// Length along the shared dimension, a multiple of [`WINDOW`].
    pub k: usize,
    /// One packed strip.
    pub a: &'a [u8],
    /// The packed panels, one after the other.
    pub b: &'a [u8],
    /// How many panels, 1 to [`MAX_PANELS`].
    pub panels: usize,
    /// The correction, if C is wanted without the noise.
    pub fix: Option<Fix<'a>>,
    /// Where C goes, if it is wanted.
    pub out: Option<Out>,
}

impl Call<'_> {
    /// Panics unless every length is what the kernels will read: they go on to raw pointers.
    pub(crate) fn check(&self, strip_bytes: usize, states: Option<usize>) {
        assert!(
            self.k > 0 && self.k.is_multiple_of(WINDOW) && (1..=MAX_PANELS).contains(&self.panels)
        );
        assert_eq!(self.a.len(), strip_bytes);
        assert_eq!(self.b.len(), self.panels * panel_bytes(self.k));
        assert!(self.b.as_ptr().addr().is_multiple_of(LINE));
        if let Some(fix) = self.fix {
            assert_eq!(fix.left.len(), fix_words(self.k));
            assert_eq!(fix.right.len(), self.panels * fix_words(self.k));
        }
        if let Some(states) = states {
            assert_eq!(states, self.panels);
        }
    }
}
