//! The one check that a block's work is done: recompute the winning tile, from rejected-for-free to
//! costly.

use alloc::vec::Vec;

use crate::noise::{add_noise, sparse_factor};
use crate::transcript::{ticket, tile_state};
use crate::{Difficulty, Hash, LIMIT, Proof, Seal, Strip, TILE, seeds};

/// The first rule that a proof breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// A strip does not have 16·k entries.
    #[error("strips of {a} and {b} entries; the seal's k asks for {expected} each")]
    StripLength {
        /// Entries of the strip of A.
        a: usize,
        /// Entries of the strip of Bt.
        b: usize,
        /// Entries expected: 16·k.
        expected: usize,
    },
    /// An entry of a strip is outside [-63, 63].
    #[error("entry {0} in a strip; entries must be in -63..=63")]
    Range(i8),
    /// The strip of A is not what root_a commits to at the tile's row.
    #[error("the strip of A does not open root_a at the seal's row")]
    OpeningA,
    /// The strip of Bt is not what root_b commits to at the tile's column.
    #[error("the strip of Bt does not open root_b at the seal's column")]
    OpeningB,
    /// The tile is proved, but its ticket does not win.
    #[error("the tile's ticket does not win at difficulty {}", .0.get())]
    Difficulty(Difficulty),
}

/// Checks that the work of a block is proved: `pre_hash` is the hash of its header without the
/// seal.
///
/// Pure and total. Allocates two noised strips of 16·k bytes and two sparse factors of 3·k, 38·k in
/// all: at most 608 KiB at k = 16384. The shape and the tile are valid since the seal exists; then,
/// in order: strip lengths, entries, both openings, the ticket.
pub fn verify(
    pre_hash: &Hash,
    seal: &Seal,
    proof: &Proof,
    difficulty: Difficulty,
) -> Result<(), VerifyError> {
    let ticket = proved_ticket(pre_hash, seal, proof)?;
    if difficulty.wins(&ticket, seal.shape().k()) {
        Ok(())
    } else {
        Err(VerifyError::Difficulty(difficulty))
    }
}

/// The ticket of the tile that `proof` opens, whatever it is worth; else the first rule that the
/// proof breaks, never [`VerifyError::Difficulty`].
///
/// What [`verify`] does before it compares: for those who have to hold one ticket against several
/// difficulties, as a node does that counts shares.
pub fn proved_ticket(pre_hash: &Hash, seal: &Seal, proof: &Proof) -> Result<Hash, VerifyError> {
    let shape = seal.shape();
    let (a, b) = (&proof.a, &proof.b);
    let expected = shape.strip_len();
    if a.entries().len() != expected || b.entries().len() != expected {
        return Err(VerifyError::StripLength {
            a: a.entries().len(),
            b: b.entries().len(),
            expected,
        });
    }
    in_range(a)?;
    in_range(b)?;
    if a.root(shape.a_len(), seal.row(), &proof.a_path) != Some(*seal.root_a()) {
        return Err(VerifyError::OpeningA);
    }
    if b.root(shape.b_len(), seal.column(), &proof.b_path) != Some(*seal.root_b()) {
        return Err(VerifyError::OpeningB);
    }
    let seeds = seeds(pre_hash, seal.root_a(), seal.root_b(), shape);
    let state = tile_state(
        &noised(a, &seeds.a, seal.row()),
        &noised(b, &seeds.b, seal.column()),
    );
    Ok(ticket(&seeds.a, &state))
}

fn in_range(strip: &Strip) -> Result<(), VerifyError> {
    // Two passes: the first has no early exit and becomes vector code.
    let outside = |entry: &i8| !(-LIMIT..=LIMIT).contains(entry);
    if !strip
        .entries()
        .iter()
        .fold(false, |any, entry| any | outside(entry))
    {
        return Ok(());
    }
    match strip.entries().iter().copied().find(outside) {
        Some(entry) => Err(VerifyError::Range(entry)),
        None => Ok(()),
    }
}

fn noised(strip: &Strip, seed: &Hash, index: u32) -> Vec<i8> {
    add_noise(
        strip.entries(),
        seed,
        &sparse_factor(seed, strip.k()),
        u64::from(index) * TILE as u64,
    )
}
