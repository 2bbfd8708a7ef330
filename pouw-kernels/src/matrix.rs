//! A matrix as devices take it, with its commitment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use labora_pouw::{Hash, LIMIT, RANK, Shape, TILE, tree};
use zerocopy::IntoBytes;

use crate::error::MatrixError;

/// Bytes under which a subtree is hashed by one thread: 256 chunks, enough for the widest SIMD many times over.
const HASHED_AT_ONCE: usize = 256 << 10;

/// A row-major matrix of int8 in [-63, 63]: rows a multiple of 16, columns (k) a multiple of 64.
///
/// Clones share the entries. B is given transposed, so that rows of both operands run along the shared dimension.
#[derive(Clone, Debug)]
pub struct Matrix(Arc<Entries>);

#[derive(Debug)]
struct Entries {
    rows: u32,
    k: u32,
    data: Vec<i8>,
    root: OnceLock<Hash>,
    family: Option<Family>,
}

/// Matrices of one family differ in their first chunk of 1,024 entries alone, so that a device which has one of them
/// needs no more than that chunk of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family(u64);

impl Family {
    /// A family that no matrix is of.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Family(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Matrix {
    /// Checks `data`, rows×k entries, row by row.
    pub fn new(rows: u32, k: u32, data: Vec<i8>) -> Result<Self, MatrixError> {
        if rows == 0 || rows > Shape::MAX_SIDE || !rows.is_multiple_of(TILE as u32) {
            return Err(MatrixError::Rows { got: rows });
        }
        if k == 0 || k > Shape::MAX_K || !k.is_multiple_of(RANK as u32) {
            return Err(MatrixError::Columns { got: k });
        }
        let expected = rows as usize * k as usize;
        if data.len() != expected {
            return Err(MatrixError::Length {
                got: data.len(),
                expected,
            });
        }
        let outside = |entry: &i8| entry.unsigned_abs() > LIMIT.unsigned_abs();
        // By blocks without an early exit, which compilers turn into vector code.
        for (block, entries) in data.chunks(4096).enumerate() {
            if entries
                .iter()
                .fold(false, |found, entry| found | outside(entry))
                && let Some(within) = entries.iter().position(outside)
            {
                let at = block * 4096 + within;
                return Err(MatrixError::Entry {
                    row: at / k as usize,
                    column: at % k as usize,
                    got: data[at],
                });
            }
        }
        Ok(Matrix(Arc::new(Entries {
            rows,
            k,
            data,
            root: OnceLock::new(),
            family: None,
        })))
    }

    /// Rows.
    pub fn rows(&self) -> u32 {
        self.0.rows
    }

    /// Columns: the length of the dimension that both operands share.
    pub fn k(&self) -> u32 {
        self.0.k
    }

    /// The entries, row by row.
    pub fn data(&self) -> &[i8] {
        &self.0.data
    }

    /// The commitment: BLAKE3 of the entries' bytes. Hashed at the first call, remembered after.
    pub fn root(&self) -> Hash {
        *self.0.root.get_or_init(|| root(self.0.data.as_bytes()))
    }

    /// The commitment, if it was asked for or computed before.
    pub fn known_root(&self) -> Option<Hash> {
        self.0.root.get().copied()
    }

    /// Remembers a commitment that a device has computed.
    pub(crate) fn set_root(&self, root: Hash) {
        let kept = self.0.root.get_or_init(|| root);
        debug_assert_eq!(*kept, root);
    }

    /// The family it is of, if any.
    pub(crate) fn family(&self) -> Option<Family> {
        self.0.family
    }

    /// Makes it the first of a family: from now on only its first chunk may be replaced, which is all that can be.
    pub(crate) fn found_family(&mut self) {
        if let Some(entries) = Arc::get_mut(&mut self.0) {
            entries.family = Some(Family::new());
        }
    }

    /// Overwrites the first chunk of 1,024 entries with `chunk`, if nobody else holds the matrix; `root` is the
    /// commitment afterwards. False if somebody does.
    pub(crate) fn replace_chunk(
        &mut self,
        chunk: &[i8; tree::CHUNK],
        root: impl FnOnce(&[u8]) -> Hash,
    ) -> bool {
        debug_assert!(
            chunk
                .iter()
                .all(|entry| entry.unsigned_abs() <= LIMIT.unsigned_abs())
        );
        let Some(entries) = Arc::get_mut(&mut self.0) else {
            return false;
        };
        let Some(first) = entries.data.first_chunk_mut() else {
            return false;
        };
        *first = *chunk;
        entries.root = OnceLock::from(root(chunk.as_bytes()));
        true
    }

    /// Has the commitment hashed again when it is next asked for, if nobody else holds the matrix. For benches.
    pub(crate) fn forget_root(&mut self) {
        if let Some(entries) = Arc::get_mut(&mut self.0) {
            entries.root = OnceLock::new();
        }
    }

    /// A copy that shares nothing with this one.
    pub(crate) fn deep_clone(&self) -> Self {
        let Entries {
            rows,
            k,
            data,
            root,
            family,
        } = &*self.0;
        Matrix(Arc::new(Entries {
            rows: *rows,
            k: *k,
            data: data.clone(),
            root: root.clone(),
            family: *family,
        }))
    }
}

/// BLAKE3 of `data`, on all threads of the pool that the caller is in.
fn root(data: &[u8]) -> Hash {
    if data.len() <= HASHED_AT_ONCE {
        return tree::root(data);
    }
    let (left, right) = children(data, 0);
    blake3::hazmat::merge_subtrees_root(&left, &right, blake3::hazmat::Mode::Hash).into()
}

/// Chaining values of both halves of the tree over `data`, more than one chunk of which the first is chunk `first`.
fn children(data: &[u8], first: u64) -> (Hash, Hash) {
    let chunks = data.len().div_ceil(tree::CHUNK);
    let left = chunks.div_ceil(2).next_power_of_two();
    let (low, high) = data.split_at(left * tree::CHUNK);
    rayon::join(
        || subtree(low, first),
        || subtree(high, first + left as u64),
    )
}

fn subtree(data: &[u8], first: u64) -> Hash {
    if data.len() <= HASHED_AT_ONCE {
        return tree::subtree(data, first);
    }
    let (left, right) = children(data, first);
    tree::parent(&left, &right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_plain_blake3_whatever_the_length() {
        for (rows, k) in [
            (16, 64),
            (32, 256),
            (64, 4096),
            (80, 4096),
            (176, 4160),
            (1024, 1024),
        ] {
            let data: Vec<i8> = (0..rows as usize * k as usize)
                .map(|i| (i * i % 127) as i8 - 63)
                .collect();
            let hash = *blake3::hash(data.as_bytes()).as_bytes();
            assert_eq!(
                Matrix::new(rows, k, data).unwrap().root(),
                hash,
                "{rows}×{k}"
            );
        }
    }

    #[test]
    fn what_devices_do_not_take_is_no_matrix() {
        assert_eq!(
            Matrix::new(24, 64, vec![0; 24 * 64]).unwrap_err(),
            MatrixError::Rows { got: 24 }
        );
        assert_eq!(
            Matrix::new(0, 64, vec![]).unwrap_err(),
            MatrixError::Rows { got: 0 }
        );
        assert_eq!(
            Matrix::new(16, 100, vec![0; 1600]).unwrap_err(),
            MatrixError::Columns { got: 100 }
        );
        assert_eq!(
            Matrix::new(16, 16448, vec![]).unwrap_err(),
            MatrixError::Columns { got: 16448 }
        );
        let short = MatrixError::Length {
            got: 1023,
            expected: 1024,
        };
        assert_eq!(Matrix::new(16, 64, vec![0; 1023]).unwrap_err(), short);
        for entry in [64, -64, i8::MIN, i8::MAX] {
            let mut data = vec![63; 128 * 64];
            data[4096 + 65] = entry;
            let error = MatrixError::Entry {
                row: 65,
                column: 1,
                got: entry,
            };
            assert_eq!(Matrix::new(128, 64, data).unwrap_err(), error);
        }
    }
}
