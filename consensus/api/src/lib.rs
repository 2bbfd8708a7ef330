//! What the runtime and the engine must agree on, and nothing else: the engine's id, the author's digest, how a seal
//! stands in a header, the inherent that brings the parent's header, and the runtime API.
//!
//! `no_std`, so that the runtime can name it without pulling in the client. The proof itself is `labora_pouw`.

#![cfg_attr(not(feature = "std"), no_std)]

mod digest;
pub mod inherent;

pub use digest::{DigestError, PreDigest, author_and_time, pre_digest_item, seal_item, split_seal};

use parity_scale_codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{H256, U256};
use sp_runtime::ConsensusEngineId;

/// Marks this engine's items in a header's digest.
pub const ENGINE_ID: ConsensusEngineId = *b"pouw";

/// How far, in milliseconds, a header's timestamp may lie ahead of the clock of the node that checks it.
pub const MAX_FUTURE_MS: u64 = 15_000;

/// What a block was mined on, as the state of its descendants knows it.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct SealRecord {
    /// Hash of the block, its seal included.
    pub block: H256,
    /// The seal: shape, roots of A and Bt, and the tile that won.
    pub seal: labora_pouw::Seal,
    /// Difficulty that the block had to meet, in multiply-accumulates.
    pub difficulty: U256,
}

sp_api::decl_runtime_apis! {
    /// What the engine, the RPC and explorers ask of the state about work.
    pub trait PouwApi {
        /// Difficulty that a child of this block has to meet: the multiply-accumulates it is expected to take.
        fn difficulty() -> U256;
        /// Sum of the difficulties of all blocks up to this one, in multiply-accumulates; genesis counts nothing.
        fn accumulated_work() -> U256;
        /// Time between blocks that the difficulty aims at, in milliseconds.
        fn target_block_time_ms() -> u64;
        /// What the block at `number` was mined on; `None` for genesis, for blocks not yet built upon, and for those
        /// older than the state remembers.
        fn seal_of(number: u32) -> Option<SealRecord>;
    }
}
