//! BLAKE3 as a Merkle tree: roots of matrices, and openings of ranges of whole chunks.
//!
//! A commitment is the plain BLAKE3 hash of the bytes, so that any tool can compute it. The tree
//! under it is BLAKE3's own (section 2.1 of the BLAKE3 paper): leaves are chunks of 1024 bytes, and
//! the left child of a subtree holds the largest power of two of chunks that leaves at least one to
//! the right. An opening lists, in pre-order, the chaining values of the maximal subtrees outside
//! the range. It holds no positions: the lengths alone fix the tree's form, so there is exactly one
//! path to a given root and range.

use alloc::vec::Vec;
use core::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use parity_scale_codec::{Compact, Decode, DecodeWithMemTracking, Encode, Error, Input};
use scale_info::TypeInfo;

use crate::Hash;

/// Bytes of a leaf.
pub const CHUNK: usize = blake3::CHUNK_LEN;

/// Siblings of an opening, in pre-order.
///
/// SCALE: as `Vec<[u8; 32]>`; decoding refuses more than [`Path::MAX_SIBLINGS`] before it
/// allocates.
#[derive(Clone, Debug, Default, Encode, Eq, PartialEq, TypeInfo)]
pub struct Path(Vec<Hash>);

/// More siblings than any opening has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a path of {got} siblings; an opening has at most {max}", max = Path::MAX_SIBLINGS)]
pub struct PathTooLong {
    /// How many came.
    pub got: usize,
}

impl Path {
    /// Most siblings of an opening. A range has two edges and gives each level below the root at
    /// most one sibling an edge; A and Bt have at most 2^34 bytes = 2^24 chunks, so 24 levels: 2·24
    /// = 48. A single leaf of C, at most 2^42 bytes = 2^32 chunks, has at most 32.
    pub const MAX_SIBLINGS: usize = 48;

    /// Longest encoding: a one-byte length (48 < 64) and 48 hashes.
    pub const MAX_ENCODED_LEN: usize = 1 + 32 * Self::MAX_SIBLINGS;

    /// A path of given siblings, in pre-order.
    pub fn new(siblings: Vec<Hash>) -> Result<Path, PathTooLong> {
        if siblings.len() > Self::MAX_SIBLINGS {
            return Err(PathTooLong {
                got: siblings.len(),
            });
        }
        Ok(Path(siblings))
    }

    /// The siblings, in pre-order.
    pub fn siblings(&self) -> &[Hash] {
        &self.0
    }
}

impl Decode for Path {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let Compact(count) = Compact::<u32>::decode(input)?;
        let count = count as usize;
        if count > Path::MAX_SIBLINGS {
            return Err("path: more than 48 siblings".into());
        }
        input.on_before_alloc_mem(32 * count)?;
        let mut siblings = Vec::with_capacity(count);
        for _ in 0..count {
            siblings.push(Hash::decode(input)?);
        }
        Ok(Path(siblings))
    }
}

impl DecodeWithMemTracking for Path {}

/// The commitment to `data`: its BLAKE3 hash.
pub fn root(data: &[u8]) -> Hash {
    blake3::hash(data).into()
}

/// Chunks in the left child of a subtree of `chunks` ≥ 2: the largest power of two below it.
fn left_chunks(chunks: u64) -> u64 {
    chunks.div_ceil(2).next_power_of_two()
}

/// Chaining value, as a non-root node, of the subtree over `piece`, whose first byte is byte
/// `CHUNK`·`first_chunk` of the input.
///
/// `piece` must be a subtree of the input's tree and not empty, which [`open_range_with`]
/// guarantees to its callback; else this panics, or gives a value of no use.
pub fn subtree(piece: &[u8], first_chunk: u64) -> Hash {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(first_chunk.wrapping_mul(CHUNK as u64));
    hasher.update(piece).finalize_non_root()
}

/// Chaining value of a non-root node from those of its children.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    merge_subtrees_non_root(left, right, Mode::Hash)
}

/// Opening of bytes [`offset`, `offset`+`len`) of `data`, widened to whole chunks and cut at the
/// end of `data`.
///
/// Hashes all of `data` outside the range once.
pub fn open_range(data: &[u8], offset: usize, len: usize) -> Path {
    open_range_with(data.len() as u64, offset as u64, len as u64, |chunks| {
        let from = (chunks.start as usize)
            .saturating_mul(CHUNK)
            .min(data.len());
        let to = (chunks.end as usize).saturating_mul(CHUNK).min(data.len());
        subtree(&data[from..to], chunks.start)
    })
}

/// As [`open_range`], for who keeps the chaining values of large subtrees: `sibling` is asked, in
/// the order of the path, for the chaining value of each subtree (a range of chunks, the last of
/// which may be short) that lies outside the range.
pub fn open_range_with(
    total: u64,
    offset: u64,
    len: u64,
    mut sibling: impl FnMut(Range<u64>) -> Hash,
) -> Path {
    let chunks = total.div_ceil(CHUNK as u64);
    let lo = (offset / CHUNK as u64).min(chunks);
    let hi = offset
        .saturating_add(len)
        .div_ceil(CHUNK as u64)
        .min(chunks);
    let mut path = Vec::new();
    if chunks < 2 || lo >= hi {
        return Path(path);
    }
    // Depth first with the right child put aside: at most one subtree a level waits.
    let mut waiting = alloc::vec![0..chunks];
    while let Some(node) = waiting.pop() {
        if node.end <= lo || node.start >= hi {
            path.push(sibling(node));
        } else if node.start < lo || node.end > hi {
            let middle = node.start + left_chunks(node.end - node.start);
            waiting.push(middle..node.end);
            waiting.push(node.start..middle);
        }
    }
    Path(path)
}

/// Root of the `total`-byte input that has `piece` at `offset`, given the siblings of
/// [`open_range`].
///
/// `None` if `piece` is empty, does not lie within the input, does not consist of whole chunks (the
/// input's last may be short), or the path has a sibling too few or too many. Total, and linear in
/// `piece` and path.
pub fn range_root(total: u64, offset: u64, piece: &[u8], path: &Path) -> Option<Hash> {
    const LEN: u64 = CHUNK as u64;
    let end = offset.checked_add(piece.len() as u64)?;
    let whole = offset.is_multiple_of(LEN) && (end.is_multiple_of(LEN) || end == total);
    if piece.is_empty() || end > total || !whole {
        return None;
    }
    if piece.len() as u64 == total {
        return path.0.is_empty().then(|| root(piece));
    }
    // A proper part that is whole chunks: the input has at least two.
    let chunks = total.div_ceil(LEN);
    let mut walk = Walk {
        lo: offset / LEN,
        hi: end.div_ceil(LEN),
        piece,
        siblings: &path.0,
    };
    let left = left_chunks(chunks);
    let left_value = walk.value(0, left)?;
    let right_value = walk.value(left, chunks - left)?;
    walk.siblings
        .is_empty()
        .then(|| merge_subtrees_root(&left_value, &right_value, Mode::Hash).into())
}

/// A walk of the tree in pre-order that uses up the siblings.
struct Walk<'a> {
    /// First chunk of the piece, and the one after its last.
    lo: u64,
    hi: u64,
    piece: &'a [u8],
    siblings: &'a [Hash],
}

impl Walk<'_> {
    /// Chaining value of the subtree of `chunks` chunks from chunk `first`. Recursion is one level
    /// a level of the tree.
    fn value(&mut self, first: u64, chunks: u64) -> Option<Hash> {
        let end = first + chunks;
        if end <= self.lo || first >= self.hi {
            let (sibling, rest) = self.siblings.split_first()?;
            self.siblings = rest;
            return Some(*sibling);
        }
        if first >= self.lo && end <= self.hi {
            // Inside the piece, so both products are at most its length (rounded up to a chunk).
            let from = (first - self.lo) as usize * CHUNK;
            let to = ((end - self.lo) as usize)
                .saturating_mul(CHUNK)
                .min(self.piece.len());
            return Some(subtree(self.piece.get(from..to)?, first));
        }
        let left = left_chunks(chunks);
        let left_value = self.value(first, left)?;
        let right_value = self.value(first + left, chunks - left)?;
        Some(parent(&left_value, &right_value))
    }
}
