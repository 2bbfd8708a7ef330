//! Test vectors as JSON files, re-derived from their seed; each field that differs is named.
//!
//! A file holds a seed, a shape and a difficulty, and hashes of everything that follows from them.
//! Nothing in it is trusted: lengths are bounded before anything is computed, and unknown, missing
//! or repeated fields are errors.

use core::fmt::{self, Display};
use std::string::{String, ToString};
use std::vec::Vec;

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use crate::reference::{Proved, matrices, multiply, prove};
use crate::{Difficulty, Path, Shape, ShapeError, U256, tree, verify};
use sha2::{Digest, Sha256};

/// Longest file: 2^19 winners ([`Limits::DEFAULT`]) of about 110 bytes are 58 MB, and twice that for
/// spacing.
pub const MAX_JSON_LEN: usize = 128 << 20;

/// Longest seed, in bytes; those of the vectors are words.
pub const MAX_SEED_LEN: usize = 1024;

/// Largest product that a check derives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Multiply-accumulates, m·n·k.
    pub macs: u64,
    /// Entries of each of A, Bt and C.
    pub entries: u64,
}

impl Limits {
    /// 2^35 MACs, a minute at most; 2^28 entries, as the tallest A with the shortest k has. C then has
    /// at most 2^27 (k is 256 or more), so 512 MB and 2^19 tiles.
    pub const DEFAULT: Limits = Limits {
        macs: 1 << 35,
        entries: 1 << 28,
    };
}

/// A vector file, field by field. Hashes are 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// What both matrices and the header's hash are made from.
    pub seed: String,
    /// Rows of A.
    pub m: u32,
    /// Rows of Bt.
    pub n: u32,
    /// Columns of both.
    pub k: u32,
    /// MACs a block, in decimal.
    pub difficulty: String,
    /// SHA-256 of the seed.
    pub pre_hash: String,
    /// Commitment to A.
    pub root_a: String,
    /// Commitment to Bt.
    pub root_b: String,
    /// Seed of A's noise.
    pub seed_a: String,
    /// Seed of Bt's noise.
    pub seed_b: String,
    /// BLAKE3 of A with noise, m×k.
    pub noised_a_blake3: String,
    /// BLAKE3 of Bt with noise, n×k.
    pub noised_b_blake3: String,
    /// BLAKE3 of all final transcripts, m/16 × n/16 × 12 little-endian u32s.
    pub transcripts_blake3: String,
    /// BLAKE3 of the exact product, m×n little-endian int32, row-major.
    pub product_blake3: String,
    /// Row, column and ticket of each winning tile, row by row.
    pub winners: Vec<(u32, u32, String)>,
    /// Openings of the first winner; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_proof: Option<FirstProof>,
}

/// Openings of the first winning tile.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FirstProof {
    /// Siblings of the strip of A, in pre-order.
    pub a_path: Vec<String>,
    /// Siblings of the strip of Bt, in pre-order.
    pub b_path: Vec<String>,
}

/// A field that does not hold what its seed gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Name of the field, with indices where it is a list: `winners[2].ticket`.
    pub field: String,
    /// What the file says.
    pub found: String,
    /// What is derived.
    pub expected: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, expected {}",
            self.field, self.found, self.expected
        )
    }
}

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The file is longer than any vector.
    #[error("{got} bytes; a vector file has at most {max}", max = MAX_JSON_LEN)]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
    /// Not a vector in JSON.
    #[error("not a vector in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The seed is too long.
    #[error("a seed of {got} bytes; at most {max}", max = MAX_SEED_LEN)]
    Seed {
        /// Bytes that came.
        got: usize,
    },
    /// The dimensions are no shape.
    #[error("{0}")]
    Shape(#[from] ShapeError),
    /// The product is larger than a check derives.
    #[error("a product of {m}×{n}×{k} is too large to re-derive: at most {} MACs and {} entries a matrix", .limits.macs, .limits.entries)]
    TooLarge {
        /// Rows of A.
        m: u32,
        /// Rows of Bt.
        n: u32,
        /// Columns of both.
        k: u32,
        /// What the check allows.
        limits: Limits,
    },
    /// The difficulty is no number that a chain can have.
    #[error("difficulty {0:?}; it must be a decimal number in 1..=2^256-1")]
    Difficulty(String),
}

/// Re-derives everything that a vector file holds; an empty list says that all of it is right.
///
/// Takes about a second for each 2^30 MACs, and refuses what is above [`Limits::DEFAULT`].
pub fn check(json: &str) -> Result<Vec<Difference>, VectorError> {
    check_within(json, Limits::DEFAULT)
}

/// As [`check`], with other limits.
pub fn check_within(json: &str, limits: Limits) -> Result<Vec<Difference>, VectorError> {
    if json.len() > MAX_JSON_LEN {
        return Err(VectorError::TooLong { got: json.len() });
    }
    let found: Vector = serde_json::from_str(json)?;
    let shape = Shape::new(found.m, found.n, found.k)?;
    let (derived, mut differences) = derive(&found.seed, shape, &found.difficulty, limits)?;
    compare(&found, &derived, &mut differences);
    Ok(differences)
}

/// The vector of a seed, a shape and a difficulty in decimal.
pub fn make(seed: &str, shape: Shape, difficulty: &str) -> Result<Vector, VectorError> {
    Ok(derive(seed, shape, difficulty, Limits::DEFAULT)?.0)
}

/// The vector, and what in this crate disagrees with itself (which would be a defect here, not in a
/// file).
fn derive(
    seed: &str,
    shape: Shape,
    difficulty: &str,
    limits: Limits,
) -> Result<(Vector, Vec<Difference>), VectorError> {
    if seed.len() > MAX_SEED_LEN {
        return Err(VectorError::Seed { got: seed.len() });
    }
    let entries = shape.a_len().max(shape.b_len()).max(shape.c_len() / 4);
    if shape.macs() > limits.macs || entries > limits.entries {
        let (m, n, k) = (shape.m(), shape.n(), shape.k());
        return Err(VectorError::TooLarge { m, n, k, limits });
    }
    let parsed = parse_difficulty(difficulty)?;
    let (a, bt) = matrices(seed, shape);
    let pre_hash = Sha256::digest(seed.as_bytes()).into();
    // The matrices are made to the shape, the only thing that `prove` can refuse.
    let proved = prove(&pre_hash, &a, &bt, shape, parsed)
        .unwrap_or_else(|_| unreachable!("made to the shape"));
    let mut differences = Vec::new();
    if proved.product != multiply(&a, &bt, shape) {
        differences.push(internal(
            "product_blake3",
            "the noised product less its corrections",
            "A·B",
        ));
    }
    for (i, winner) in proved.winners.iter().enumerate() {
        if let Err(error) = verify(&pre_hash, &winner.seal, &winner.proof, parsed) {
            differences.push(internal(
                &format!("winners[{i}]"),
                &error.to_string(),
                "a proof that verifies",
            ));
        }
    }
    Ok((describe(seed, difficulty, &pre_hash, &proved), differences))
}

fn internal(field: &str, found: &str, expected: &str) -> Difference {
    Difference {
        field: field.to_string(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

fn parse_difficulty(text: &str) -> Result<Difficulty, VectorError> {
    // 2^256 - 1 has 78 digits. As Python prints numbers: no sign, no leading zero.
    let canonical =
        text.len() <= 78 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let parsed = if canonical {
        U256::from_dec_str(text).ok()
    } else {
        None
    };
    parsed
        .and_then(|macs| Difficulty::new(macs).ok())
        .ok_or_else(|| {
            // No more of it than fits a line.
            VectorError::Difficulty(text.chars().take(80).collect())
        })
}

fn describe(seed: &str, difficulty: &str, pre_hash: &crate::Hash, proved: &Proved) -> Vector {
    let states: Vec<u8> = proved
        .states
        .as_flattened()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let product: Vec<u8> = proved
        .product
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    let path = |path: &Path| path.siblings().iter().map(hex::encode).collect();
    Vector {
        seed: seed.to_string(),
        m: proved.shape.m(),
        n: proved.shape.n(),
        k: proved.shape.k(),
        difficulty: difficulty.to_string(),
        pre_hash: hex::encode(pre_hash),
        root_a: hex::encode(proved.root_a),
        root_b: hex::encode(proved.root_b),
        seed_a: hex::encode(proved.seeds.a),
        seed_b: hex::encode(proved.seeds.b),
        noised_a_blake3: hex::encode(tree::root(proved.noised_a.as_bytes())),
        noised_b_blake3: hex::encode(tree::root(proved.noised_b.as_bytes())),
        transcripts_blake3: hex::encode(tree::root(&states)),
        product_blake3: hex::encode(tree::root(&product)),
        winners: (proved.winners.iter())
            .map(|winner| {
                (
                    winner.seal.row(),
                    winner.seal.column(),
                    hex::encode(winner.ticket),
                )
            })
            .collect(),
        first_proof: proved.winners.first().map(|winner| FirstProof {
            a_path: path(&winner.proof.a_path),
            b_path: path(&winner.proof.b_path),
        }),
    }
}

/// Appends each field in which `found` is not `derived`. What both are derived from (seed, shape,
/// difficulty) is the same.
fn compare(found: &Vector, derived: &Vector, differences: &mut Vec<Difference>) {
    let mut expect = |field: &str, found: &dyn Display, expected: &dyn Display| {
        let (found, expected) = (found.to_string(), expected.to_string());
        if found != expected {
            differences.push(Difference {
                field: field.to_string(),
                found,
                expected,
            });
        }
    };
    expect("pre_hash", &found.pre_hash, &derived.pre_hash);
    expect("root_a", &found.root_a, &derived.root_a);
    expect("root_b", &found.root_b, &derived.root_b);
    expect("seed_a", &found.seed_a, &derived.seed_a);
    expect("seed_b", &found.seed_b, &derived.seed_b);
    expect(
        "noised_a_blake3",
        &found.noised_a_blake3,
        &derived.noised_a_blake3,
    );
    expect(
        "noised_b_blake3",
        &found.noised_b_blake3,
        &derived.noised_b_blake3,
    );
    expect(
        "transcripts_blake3",
        &found.transcripts_blake3,
        &derived.transcripts_blake3,
    );
    expect(
        "product_blake3",
        &found.product_blake3,
        &derived.product_blake3,
    );
    expect("winners.len", &found.winners.len(), &derived.winners.len());
    for (i, (found, derived)) in found.winners.iter().zip(&derived.winners).enumerate() {
        expect(&format!("winners[{i}].row"), &found.0, &derived.0);
        expect(&format!("winners[{i}].column"), &found.1, &derived.1);
        expect(&format!("winners[{i}].ticket"), &found.2, &derived.2);
    }
    match (&found.first_proof, &derived.first_proof) {
        (Some(found), Some(derived)) => {
            let paths = [
                ("a_path", &found.a_path, &derived.a_path),
                ("b_path", &found.b_path, &derived.b_path),
            ];
            for (name, found, derived) in paths {
                expect(
                    &format!("first_proof.{name}.len"),
                    &found.len(),
                    &derived.len(),
                );
                for (i, (found, derived)) in found.iter().zip(derived).enumerate() {
                    expect(&format!("first_proof.{name}[{i}]"), found, derived);
                }
            }
        }
        (Some(_), None) => expect("first_proof", &"present", &"absent, since no tile wins"),
        (None, Some(_)) => expect("first_proof", &"absent", &"present, since a tile wins"),
        (None, None) => {}
    }
}
