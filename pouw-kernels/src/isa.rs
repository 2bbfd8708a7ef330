//! Instruction sets: which of them this CPU has, and one door to the kernels written for each.
//!
//! An [`Isa`] can only be made for a CPU that has the instructions, so holding one is the proof that calls into its file
//! are sound. Every path gives the same bytes as [`Isa::portable`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_pack;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_pack;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sha;
#[cfg(not(target_arch = "x86_64"))]
#[path = "isa/no_sha.rs"]
mod sha;
#[cfg(test)]
mod tests;

use core::fmt;

pub(crate) use sha::{AT_ONCE, Midstate};

use crate::layout::{Call, Entries, State};
use crate::noise::Sparse;

/// An instruction set that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => "avx512-vnni",
        })
    }
}

/// Sixteen rows of a matrix, k entries each, `stride` entries apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub data: &'a [i8],
    pub stride: usize,
    pub k: usize,
}

impl<'a> Rows<'a> {
    /// Panics if the sixteen rows do not lie within `data`.
    pub(crate) fn new(data: &'a [i8], stride: usize, k: usize) -> Self {
        assert!(k <= stride && data.len() >= (labora_pouw::TILE - 1) * stride + k);
        Rows { data, stride, k }
    }

    /// Row `r`.
    pub(crate) fn row(&self, r: usize) -> &'a [i8] {
        &self.data[r * self.stride..][..self.k]
    }
}

impl Isa {
    /// The fastest that this CPU has.
    pub fn detect() -> Self {
        Self::avx512vnni()
            .or_else(Self::avx_vnni)
            .or_else(Self::avx2)
            .unwrap_or(Self::portable())
    }

    /// Plain Rust, on any CPU.
    pub fn portable() -> Self {
        Isa(Kind::Portable)
    }

    /// AVX2 (most x86-64 machines since 2013), or `None` where the CPU lacks it.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            return Some(Isa(Kind::Avx2));
        }
        None
    }

    /// AVX-VNNI (Intel's clients since Alder Lake), or `None` where the CPU lacks it.
    pub fn avx_vnni() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("avxvnni") {
            return Some(Isa(Kind::AvxVnni));
        }
        None
    }

    /// AVX-512 with VNNI (Cascade Lake, Ice Lake, Zen 4 and later), or `None` where the CPU lacks it.
    pub fn avx512vnni() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vnni")
        {
            return Some(Isa(Kind::Avx512Vnni));
        }
        None
    }

    /// Every path that this CPU can run, portable first. For tests and benches.
    pub fn available() -> Vec<Self> {
        let paths = [
            Some(Self::portable()),
            Self::avx2(),
            Self::avx_vnni(),
            Self::avx512vnni(),
        ];
        paths.into_iter().flatten().collect()
    }

    /// Bytes of a packed strip of A (16 rows × k).
    pub(crate) fn strip_bytes(self, entries: Entries, k: usize) -> usize {
        match (self.0, entries) {
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, entries) => avx2::strip_bytes(entries, k),
            _ => 16 * k,
        }
    }

    /// Rows that lie side by side in a strip, of entries and of corrections alike.
    pub(crate) fn interleave(self) -> usize {
        match self.0 {
            Kind::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 4,
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => 1,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => 8,
        }
    }

    /// Panels that a call should be given where there are as many.
    pub(crate) fn panels(self) -> usize {
        match self.0 {
            Kind::Portable => 1,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 | Kind::AvxVnni => 1,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => 3,
        }
    }

    /// Adds noise to sixteen rows: `to[r][c] = rows[r][c] + dense[r][p[c]] + s[c]·dense[r][q[c]]`, rows of `to` `stride`
    /// apart. `dense` is 16 × 64.
    pub(crate) fn add_noise(
        self,
        rows: Rows<'_>,
        dense: &[i8],
        sparse: &Sparse,
        to: &mut [i8],
        stride: usize,
    ) {
        assert!(
            dense.len() == 1024
                && sparse.k() == rows.k
                && stride >= rows.k
                && to.len() >= 15 * stride + rows.k
        );
        match self.0 {
            Kind::Portable => portable::add_noise(rows, dense, sparse, to, stride),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of these kinds is only made where AVX2 was detected.
            Kind::Avx2 | Kind::AvxVnni => unsafe {
                avx2_pack::add_noise(rows, dense, sparse, to, stride)
            },
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni if std::is_x86_feature_detected!("avx512vbmi") => {
                // SAFETY: AVX-512 F and BW were detected when this Isa was made, VBMI just now.
                unsafe { avx512_pack::add_noise(rows, dense, sparse, to, stride) }
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected too. (Cascade Lake has VNNI, no VBMI.)
            Kind::Avx512Vnni => unsafe { avx2_pack::add_noise(rows, dense, sparse, to, stride) },
        }
    }

    /// Multiplies sixteen rows by the transposed sparse factor over the windows from `first` on, as many as `to` says:
    /// `to` is 16 × 64 sums, and at most 128 windows may be summed.
    pub(crate) fn onto_factor(
        self,
        rows: Rows<'_>,
        sparse: &Sparse,
        windows: core::ops::Range<usize>,
        to: &mut [i16],
    ) {
        assert!(to.len() == 1024 && sparse.k() == rows.k && windows.end * 64 <= rows.k);
        assert!(windows.len() <= 2 * crate::layout::MAX_SUMMED_WINDOWS);
        match self.0 {
            Kind::Portable => portable::onto_factor(rows, sparse, windows, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of these kinds is only made where AVX2 was detected.
            Kind::Avx2 | Kind::AvxVnni => unsafe {
                avx2_pack::onto_factor(rows, sparse, windows, to)
            },
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni if std::is_x86_feature_detected!("avx512vbmi") => {
                // SAFETY: AVX-512 F and BW were detected when this Isa was made, VBMI just now.
                unsafe { avx512_pack::onto_factor(rows, sparse, windows, to) }
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected too.
            Kind::Avx512Vnni => unsafe { avx2_pack::onto_factor(rows, sparse, windows, to) },
        }
    }

    /// Packs sixteen rows of A into a strip.
    pub(crate) fn pack_strip(self, entries: Entries, rows: Rows<'_>, to: &mut [u8]) {
        assert!(
            to.len() == self.strip_bytes(entries, rows.k)
                && rows.k.is_multiple_of(crate::layout::WINDOW)
        );
        match self.0 {
            Kind::Portable => portable::pack_strip(rows, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected.
            Kind::Avx2 => unsafe { avx2_pack::pack_strip(entries, rows, to) },
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => avx_vnni::pack_strip(rows, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected too.
            Kind::Avx512Vnni => unsafe { avx512_pack::pack_strip(rows, to) },
        }
    }

    /// Packs sixteen rows of Bt into a panel.
    pub(crate) fn pack_panel(self, entries: Entries, rows: Rows<'_>, to: &mut [u8]) {
        assert!(
            to.len() == crate::layout::panel_bytes(rows.k)
                && rows.k.is_multiple_of(crate::layout::WINDOW)
        );
        assert!(to.as_ptr().addr().is_multiple_of(crate::layout::LINE));
        match self.0 {
            Kind::Portable => portable::pack_panel(rows, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected.
            Kind::Avx2 => unsafe { avx2_pack::pack_panel(avx2::bias(entries), rows, to) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX2 was detected too.
            Kind::AvxVnni => unsafe { avx2_pack::pack_panel(avx_vnni::BIAS, rows, to) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made where AVX-512 F, BW and VNNI were detected.
            Kind::Avx512Vnni => unsafe { avx512_pack::pack_panel(rows, to) },
        }
    }

    /// Multiplies a strip by panels; with `states` also folds each window into the transcript of each tile, which it
    /// then writes there, one per panel.
    ///
    /// # Safety
    /// `call.out`, if there is one, must point to 16 rows of 16·panels entries that nothing else touches meanwhile.
    pub(crate) unsafe fn multiply(
        self,
        entries: Entries,
        call: &Call<'_>,
        states: Option<&mut [State]>,
    ) {
        call.check(
            self.strip_bytes(entries, call.k),
            states.as_ref().map(|s| s.len()),
        );
        match self.0 {
            // SAFETY: lengths were checked above, and the caller vouches for the output.
            Kind::Portable => unsafe { portable::multiply(call, states) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: AVX2 was detected when this Isa was made; lengths and output as above.
            Kind::Avx2 => unsafe { avx2::multiply(entries, call, states) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: AVX2 and AVX-VNNI were detected when this Isa was made; lengths and output as above.
            Kind::AvxVnni => unsafe { avx_vnni::multiply(call, states) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: AVX-512 F, BW and VNNI were detected when this Isa was made; lengths and output as above.
            Kind::Avx512Vnni => unsafe { avx512::multiply(call, states) },
        }
    }
}
