//! Freivalds' check of a whole product, at the cost of reading it: is C = A·B?
//!
//! For a random vector r over a field of p elements, A·(B·r) = C·r holds always if C = A·B, and
//! with chance at most 1/p if not (Freivalds, "Probabilistic machines can use less running time",
//! 1977). Here p = 2^61 - 1, so differences of int32 entries never vanish mod p. The vector must be
//! unknown to who computed C, so an auditor draws it from a secret of its own and C's root, and C·r
//! tells nobody else's answer: [`commitment`] is what auditors attest with.

use alloc::vec::Vec;

use blake3::Hasher;

use crate::{Hash, Shape, TILE};

/// The field's order, the Mersenne prime 2^61 - 1.
pub const P: u64 = (1 << 61) - 1;

/// Low bits of an element that form its first limb: int8 times 31 bits, summed 2^20 times, is below
/// 2^58.
const LIMB: u32 = 31;

/// An element of the field of 2^61 - 1, always below it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Element(u64);

impl Element {
    /// The residue of an integer.
    pub fn from_i128(value: i128) -> Element {
        // A remainder by P > 0 lies in 0..P, which fits.
        Element(value.rem_euclid(i128::from(P)) as u64)
    }

    /// The least non-negative residue, below 2^61 - 1.
    pub fn get(self) -> u64 {
        self.0
    }

    fn limbs(self) -> (i64, i64) {
        ((self.0 & ((1 << LIMB) - 1)) as i64, (self.0 >> LIMB) as i64)
    }
}

/// Lengths that do not belong to the shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{operand} has {got} entries, its shape asks for {expected}")]
pub struct LengthError {
    /// Which operand: "A", "Bt", "C" or "r".
    pub operand: &'static str,
    /// Entries that came.
    pub got: usize,
    /// Entries of the shape.
    pub expected: u64,
}

/// What the check found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// C·r is A·(B·r). If C were wrong, this had a chance of at most 1/(2^61 - 1).
    Holds,
    /// C is not A·B; in this row of C, or others too, an entry is wrong.
    Wrong {
        /// First row of C, from 0, whose product with r differs.
        row: u32,
    },
}

/// The auditor's vector: `n` elements, uniform, from its `secret` and the root of the result.
///
/// From the XOF of BLAKE3 keyed with `secret` over "freivalds" and the root: eight little-endian
/// bytes at a time, cut to 61 bits, again if that is 2^61 - 1.
pub fn challenge(secret: &Hash, root_c: &Hash, n: u32) -> Vec<Element> {
    let mut hasher = Hasher::new_keyed(secret);
    hasher.update(b"freivalds").update(root_c);
    let mut reader = hasher.finalize_xof();
    let mut draw = || loop {
        let mut bytes = [0; 8];
        reader.fill(&mut bytes);
        let value = u64::from_le_bytes(bytes) & P;
        if value != P {
            return Element(value);
        }
    };
    (0..n).map(|_| draw()).collect()
}

/// Whether `c` is A·B, given a vector `r` that its maker did not know.
///
/// `a`: m×k and `bt`: n×k, row-major, any int8. `c`: m×n in tile-major order (tile (i, j) at
/// i·n/16+j, 16×16 row-major inside). `r`: n. Costs about n·k + m·k + m·n multiply-adds; allocates
/// 24 bytes for each of m and k.
pub fn check(
    shape: Shape,
    a: &[i8],
    bt: &[i8],
    c: &[i32],
    r: &[Element],
) -> Result<Verdict, LengthError> {
    expect("A", a.len(), shape.a_len())?;
    expect("Bt", bt.len(), shape.b_len())?;
    let from_result = product_times_r(shape, c, r)?;
    let from_factors = times_vector(a, &columns_times_r(bt, r, shape.k() as usize));
    let differs = from_result
        .iter()
        .zip(&from_factors)
        .position(|(c_r, ab_r)| c_r != ab_r);
    Ok(match differs {
        None => Verdict::Holds,
        // A position in a vector of m elements.
        Some(row) => Verdict::Wrong { row: row as u32 },
    })
}

/// C·r: m elements. `c` is m×n in tile-major order, `r` has n elements.
pub fn product_times_r(
    shape: Shape,
    c: &[i32],
    r: &[Element],
) -> Result<Vec<Element>, LengthError> {
    expect("C", c.len(), shape.c_len() / 4)?;
    expect("r", r.len(), u64::from(shape.n()))?;
    let mut out = Vec::with_capacity(shape.m() as usize);
    for tiles in c.chunks_exact(TILE * shape.n() as usize) {
        // |entry·r| < 2^92, summed 2^20 times at most.
        let mut sums = [0_i128; TILE];
        for (tile, r) in tiles
            .as_chunks::<{ TILE * TILE }>()
            .0
            .iter()
            .zip(r.as_chunks::<TILE>().0)
        {
            for (row, sum) in tile.as_chunks::<TILE>().0.iter().zip(&mut sums) {
                for (entry, r) in row.iter().zip(r) {
                    *sum = sum.wrapping_add(i128::from(*entry).wrapping_mul(i128::from(r.0)));
                }
            }
        }
        out.extend(sums.map(Element::from_i128));
    }
    Ok(out)
}

/// What an auditor attests with: the BLAKE3 hash of C·r as little-endian u64s. Auditors' vectors
/// differ, so a copied commitment is not the copier's own, which shows when both secrets are
/// opened.
pub fn commitment(product_times_r: &[Element]) -> Hash {
    let mut hasher = Hasher::new();
    for element in product_times_r {
        hasher.update(&element.0.to_le_bytes());
    }
    hasher.finalize().into()
}

/// The seal under which an auditor keeps its answers until all have given theirs: the BLAKE3 hash of "labora-audit-v1:", the
/// auditor's account, its `secret`, and for each product the [`commitment`] to C·r, in order. The account is in it, so that
/// nobody opens a seal that somebody else has made.
pub fn sealed(auditor: &[u8], secret: &Hash, answers: &[Hash]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(b"labora-audit-v1:");
    // Of another length, it would be another account with another secret.
    hasher.update(&(auditor.len() as u64).to_le_bytes());
    hasher.update(auditor).update(secret);
    for answer in answers {
        hasher.update(answer);
    }
    hasher.finalize().into()
}

fn expect(operand: &'static str, got: usize, expected: u64) -> Result<(), LengthError> {
    if got as u64 == expected {
        Ok(())
    } else {
        Err(LengthError {
            operand,
            got,
            expected,
        })
    }
}

fn joined(low: i64, high: i64) -> Element {
    Element::from_i128(i128::from(low) + (i128::from(high) << LIMB))
}

/// B·r = Btᵀ·r: k elements, read row by row of Bt.
fn columns_times_r(bt: &[i8], r: &[Element], k: usize) -> Vec<Element> {
    let mut low = alloc::vec![0_i64; k];
    let mut high = alloc::vec![0_i64; k];
    for (row, r) in bt.chunks_exact(k).zip(r) {
        let (r_low, r_high) = r.limbs();
        for ((entry, low), high) in row.iter().zip(&mut low).zip(&mut high) {
            *low = low.wrapping_add(i64::from(*entry).wrapping_mul(r_low));
            *high = high.wrapping_add(i64::from(*entry).wrapping_mul(r_high));
        }
    }
    low.into_iter()
        .zip(high)
        .map(|(low, high)| joined(low, high))
        .collect()
}

/// A·v: one element a row of A; `v` is k long.
fn times_vector(a: &[i8], v: &[Element]) -> Vec<Element> {
    let limbs: Vec<(i64, i64)> = v.iter().map(|element| element.limbs()).collect();
    let row_times = |row: &[i8]| {
        let sums = row
            .iter()
            .zip(&limbs)
            .fold((0_i64, 0_i64), |(low, high), (entry, limbs)| {
                let entry = i64::from(*entry);
                (
                    low.wrapping_add(entry.wrapping_mul(limbs.0)),
                    high.wrapping_add(entry.wrapping_mul(limbs.1)),
                )
            });
        joined(sums.0, sums.1)
    };
    a.chunks_exact(v.len()).map(row_times).collect()
}
