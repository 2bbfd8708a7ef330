//! The proof that travels beside a block: two strips and their openings.

use alloc::{vec, vec::Vec};

use parity_scale_codec::{Compact, Decode, DecodeWithMemTracking, Encode, Error, Input, Output};
use scale_info::TypeInfo;
use zerocopy::IntoBytes;

use crate::{Hash, Path, RANK, Shape, TILE, tree};

/// Sixteen whole rows of A or of Bt: 16×k, row-major. The length is that of a valid k; entries may
/// be any int8, since their range is a rule of [`verify`](crate::verify()) and not one of jobs.
///
/// SCALE: as `Vec<i8>`; decoding refuses a length that is none before it allocates.
#[derive(Clone, Debug, Eq, PartialEq, TypeInfo)]
pub struct Strip(Vec<i8>);

/// A length that no strip has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a strip of {got} entries; it must be 16 rows of a k that is a multiple of 64 in 256..=16384"
)]
pub struct StripError {
    /// How many entries came.
    pub got: usize,
}

impl Strip {
    /// Longest strip: 16 rows of the largest k, 262,144 entries.
    pub const MAX_LEN: usize = TILE * Shape::MAX_K as usize;

    /// Longest encoding: a compact length of four bytes (2^18 < 2^30) and the entries.
    pub const MAX_ENCODED_LEN: usize = 4 + Self::MAX_LEN;

    /// A strip of given entries, 16×k, row-major.
    pub fn new(entries: Vec<i8>) -> Result<Strip, StripError> {
        if !Self::is_len(entries.len()) {
            return Err(StripError { got: entries.len() });
        }
        Ok(Strip(entries))
    }

    fn is_len(len: usize) -> bool {
        len >= TILE * Shape::MIN_K as usize
            && len <= Self::MAX_LEN
            && len.is_multiple_of(TILE * RANK)
    }

    /// The entries, 16×k, row-major.
    pub fn entries(&self) -> &[i8] {
        &self.0
    }

    /// The entries as the bytes that are committed to.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Columns: the k of the matrix that the strip is of.
    pub fn k(&self) -> usize {
        self.0.len() / TILE
    }

    /// Root of the `total`-byte matrix whose strip number `index` this is, if `path` opens it;
    /// `None` if it cannot.
    pub(crate) fn root(&self, total: u64, index: u32, path: &Path) -> Option<Hash> {
        tree::range_root(
            total,
            u64::from(index) * self.0.len() as u64,
            self.bytes(),
            path,
        )
    }
}

impl Encode for Strip {
    fn size_hint(&self) -> usize {
        Self::MAX_ENCODED_LEN - Self::MAX_LEN + self.0.len()
    }

    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        // Every strip is at most MAX_LEN long, far below 2^32.
        Compact(self.0.len() as u32).encode_to(output);
        output.write(self.bytes());
    }
}

impl Decode for Strip {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let Compact(len) = Compact::<u32>::decode(input)?;
        let len = len as usize;
        if !Strip::is_len(len) {
            return Err(
                "strip: length is not 16·k for a k that is a multiple of 64 in 256..=16384".into(),
            );
        }
        if input.remaining_len()?.is_some_and(|left| left < len) {
            return Err("strip: shorter than it says".into());
        }
        input.on_before_alloc_mem(len)?;
        let mut entries = vec![0_i8; len];
        input.read(entries.as_mut_bytes())?;
        Ok(Strip(entries))
    }
}

impl DecodeWithMemTracking for Strip {}

/// The proof of a block's work: the winning tile's 16 rows of A and 16 rows of Bt, opened against
/// the seal's roots.
///
/// Given the seal there is exactly one valid proof, and exactly one encoding of it. SCALE: `a`,
/// `a_path`, `b`, `b_path`.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct Proof {
    /// Rows 16·row to 16·row+15 of A.
    pub a: Strip,
    /// Opening of `a` against root_a.
    pub a_path: Path,
    /// Rows 16·column to 16·column+15 of Bt.
    pub b: Strip,
    /// Opening of `b` against root_b.
    pub b_path: Path,
}

impl Proof {
    /// Longest encoding: two strips of at most 4 + 262,144 bytes and two paths of at most 1 +
    /// 48·32, 527,370 bytes.
    pub const MAX_ENCODED_LEN: usize = 2 * Strip::MAX_ENCODED_LEN + 2 * Path::MAX_ENCODED_LEN;

    /// A proof of two strips, 16×k and row-major each, and their openings.
    pub fn new(a: Vec<i8>, a_path: Path, b: Vec<i8>, b_path: Path) -> Result<Proof, StripError> {
        Ok(Proof {
            a: Strip::new(a)?,
            a_path,
            b: Strip::new(b)?,
            b_path,
        })
    }
}
