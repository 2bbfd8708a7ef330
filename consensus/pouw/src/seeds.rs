//! The two seeds of the noise, which bind header, commitments and dimensions.

use sha2::{Digest, Sha256};

use crate::{Hash, Shape, TAG};

/// Seeds of the noise on A and on Bt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seeds {
    /// Seed of A's noise; also the seed that tickets are hashed with.
    pub a: Hash,
    /// Seed of Bt's noise.
    pub b: Hash,
}

/// Both seeds. `pre_hash` is the hash of the header without its seal.
pub fn seeds(pre_hash: &Hash, root_a: &Hash, root_b: &Hash, shape: Shape) -> Seeds {
    let b = seed_b(pre_hash, root_b, shape.n(), shape.k());
    Seeds {
        a: seed_a(&b, root_a, shape.m(), shape.k()),
        b,
    }
}

/// Seed of Bt's noise. It depends on the block template and Bt alone, so a noised Bt serves every A
/// under one template.
pub fn seed_b(pre_hash: &Hash, root_b: &Hash, n: u32, k: u32) -> Hash {
    seed(b'B', pre_hash, root_b, n, k)
}

/// Seed of A's noise: through `seed_b` it depends on everything.
pub fn seed_a(seed_b: &Hash, root_a: &Hash, m: u32, k: u32) -> Hash {
    seed(b'A', seed_b, root_a, m, k)
}

fn seed(letter: u8, before: &Hash, root: &Hash, rows: u32, k: u32) -> Hash {
    Sha256::new()
        .chain_update(TAG)
        .chain_update([letter])
        .chain_update(before)
        .chain_update(root)
        .chain_update(rows.to_le_bytes())
        .chain_update(k.to_le_bytes())
        .finalize()
        .into()
}
