//! The proof of useful work: what a miner computes from two matrices of its own choice, and how
//! anyone checks it.
//!
//! The crate is the one place where the protocol stands. It has no I/O, no clock and no randomness
//! of its own, is `no_std`, and gives the same answer in native code and in the runtime's WASM.
//! Kernels are faster ways to the same bytes and are tested against [`mod@reference`].
//!
//! A is m×k and Bt (B transposed) n×k, both int8 in [-63, 63] and row-major; C = A·B is m×n in
//! int32. In order:
//!
//! 1. [`tree`]: commitments are plain BLAKE3 hashes, of which rows can be opened;
//! 2. [`seeds()`]: the header and the commitments give two seeds;
//! 3. [`noise`]: the seeds give noise of rank 64 that is added to A and Bt;
//! 4. [`transcript`]: the noised product, tile by tile, folds into a state, whose hash is a ticket;
//! 5. [`Difficulty`]: says which tickets win;
//! 6. [`Seal`] and [`Proof`] say which tile won, and [`verify()`] recomputes that one tile.
//!
//! Beside it: [`freivalds`] checks whole products of jobs, [`fraud`] shows one wrong entry of a
//! result to the chain, and [`asert`] moves the difficulty with the clock.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod asert;
mod difficulty;
pub mod fraud;
pub mod freivalds;
pub mod noise;
mod proof;
#[cfg(feature = "std")]
pub mod reference;
mod seal;
mod seeds;
mod shape;
pub mod transcript;
pub mod tree;
#[cfg(feature = "serde")]
pub mod vector;
mod verify;

pub use difficulty::{Difficulty, WorkOverflow, ZeroDifficulty};
pub use primitive_types::U256;
pub use proof::{Proof, Strip, StripError};
pub use seal::{Seal, SealError};
pub use seeds::{Seeds, seed_a, seed_b, seeds};
pub use shape::{Shape, ShapeError};
pub use tree::Path;
pub use verify::{VerifyError, proved_ticket, verify};

/// Rows and columns of a tile: a ticket covers `TILE`×`TILE` entries of C.
pub const TILE: usize = 16;

/// Rank of the noise, which is also the length of one window along k. A window longer than the rank
/// would have a cheaper factored form when A = B = 0.
pub const RANK: usize = 64;

/// Words of transcript state: 12 words, SHA-256's padding and its length fill exactly one block.
pub const WORDS: usize = 12;

/// Largest magnitude of an entry of A and Bt. With noise in [-64, 63] every noised entry is in
/// [-127, 126].
pub const LIMIT: i8 = 63;

/// Tag of everything that SHA-256 hashes here; one letter follows it. A change of the protocol
/// changes this.
pub const TAG: &[u8; 15] = b"labora-pouw-v1:";

/// A hash, commitment, seed or ticket.
pub type Hash = [u8; 32];
