//! Work and proof of each block in auxiliary storage, written by the block's own import operation.
//!
//! Both records begin with a version byte, so that a later form can be told apart instead of misread.

use labora_pouw::Proof;
use parity_scale_codec::{Decode, DecodeAll, Encode};
use sc_client_api::AuxStore;
use sp_core::{H256, U256};
use sp_runtime::traits::Block as BlockT;

use crate::{chain::Chain, error::EngineError, trust::TrustedTarget};

const WORK_PREFIX: &[u8] = b"pouw:work:";
const PROOF_PREFIX: &[u8] = b"pouw:proof:";
const VOUCHED_PREFIX: &[u8] = b"pouw:vouched:";
const VERSION: u8 = 1;

/// What a block adds to the chain's work, and the sum up to it, in multiply-accumulates.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct WorkRecord {
    /// The difficulty that the block had to meet.
    pub difficulty: U256,
    /// Sum of the difficulties of all blocks up to and with this one.
    pub work: U256,
}

pub(crate) fn work_key(block: H256) -> Vec<u8> {
    [WORK_PREFIX, block.as_bytes()].concat()
}

pub(crate) fn proof_key(block: H256) -> Vec<u8> {
    [PROOF_PREFIX, block.as_bytes()].concat()
}

/// Of a block that was imported without a proof: the block by which finality vouched for it.
pub(crate) fn vouched_key(block: H256) -> Vec<u8> {
    [VOUCHED_PREFIX, block.as_bytes()].concat()
}

/// A record as it is stored: the version, then the value.
pub(crate) fn record<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + value.size_hint());
    bytes.push(VERSION);
    value.encode_to(&mut bytes);
    bytes
}

/// Takes the version byte off a record.
fn body<'a>(what: &'static str, block: H256, bytes: &'a [u8]) -> Result<&'a [u8], EngineError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        _ => Err(EngineError::Record { what, block }),
    }
}

fn decode<T: Decode>(what: &'static str, block: H256, bytes: &[u8]) -> Result<T, EngineError> {
    T::decode_all(&mut body(what, block, bytes)?).map_err(|_| EngineError::Record { what, block })
}

/// A client's record of a block, if it has one.
fn stored<C: AuxStore, T: Decode>(
    client: &C,
    what: &'static str,
    block: H256,
    key: &[u8],
) -> Result<Option<T>, EngineError> {
    let bytes = client.get_aux(key)?;
    bytes.map(|bytes| decode(what, block, &bytes)).transpose()
}

/// Work up to `block`. Genesis counts nothing. A block that came with its whole state, without the chain below it, has no
/// record; its state knows the sum, and that is asked while it is the last finalised one, which it is until it has
/// children. For any other block a missing record is an error, never zero.
pub fn accumulated_work<B: BlockT<Hash = H256>>(
    chain: &dyn Chain<B>,
    block: H256,
) -> Result<U256, EngineError> {
    let tips = chain.tips();
    if block == tips.genesis {
        return Ok(U256::zero());
    }
    let Some(bytes) = chain.record(&work_key(block))? else {
        return if block == tips.finalised_hash {
            Ok(chain.work_at(block)?)
        } else {
            Err(EngineError::NoWork(block))
        };
    };
    recorded_work(block, &bytes)
}

/// The sum in a stored record.
pub(crate) fn recorded_work(block: H256, bytes: &[u8]) -> Result<U256, EngineError> {
    Ok(decode::<WorkRecord>("work", block, bytes)?.work)
}

/// The block for whose sake `block` was imported without a proof; `None` where its own was verified.
pub(crate) fn vouched_by<C: AuxStore>(
    client: &C,
    block: H256,
) -> Result<Option<TrustedTarget>, EngineError> {
    stored(client, "trusted target", block, &vouched_key(block))
}

/// The SCALE bytes of a block's stored proof, as announcements and answers carry them.
pub(crate) fn encoded_proof<B: BlockT<Hash = H256>>(
    chain: &dyn Chain<B>,
    block: H256,
) -> Result<Option<Vec<u8>>, EngineError> {
    let Some(bytes) = chain.record(&proof_key(block))? else {
        return Ok(None);
    };
    Ok(Some(body("proof", block, &bytes)?.to_vec()))
}

/// The proof of an imported block; `None` for genesis, unknown blocks, and blocks whose proof was dropped after finality.
pub fn block_proof<C: AuxStore>(client: &C, block: H256) -> Result<Option<Proof>, EngineError> {
    stored(client, "proof", block, &proof_key(block))
}

/// Difficulty and accumulated work of an imported block; `None` for genesis, for unknown blocks, and for those below a
/// state that was downloaded.
pub fn block_work<C: AuxStore>(client: &C, block: H256) -> Result<Option<WorkRecord>, EngineError> {
    stored(client, "work", block, &work_key(block))
}
