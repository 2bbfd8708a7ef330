//! The `pouw_…` methods. They speak to the chain through its runtime API and to the engine through [`Mining`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::future::BoxFuture;
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, SubscriptionMessage,
    core::{RpcResult, SubscriptionResult, async_trait, server::ConnectionId},
    proc_macros::rpc,
};
use labora_consensus::{EngineError, ForcedChange, Share, SubmitError, Template};
use labora_consensus_api::{PouwApi, split_seal};
use labora_pouw::{Difficulty, Proof, Seal};
use labora_runtime::opaque::Block;
use parity_scale_codec::{DecodeAll, Encode};
use sc_rpc_api::check_if_safe;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::{Bytes, H256};
use tokio::sync::watch;

use super::{
    error::Error,
    share_types::{ShareAnswer, SharesInfo},
    types::{self, BlockProof, Info, Limits, SealInfo, Stats, WorkMessage},
    work::WorkFeed,
};
use crate::{shares::Shares, worker::WorkerStats};

/// Mining by anyone, over RPC. What hands out or takes work is denied on interfaces that other machines can reach, unless
/// the node was told `--rpc-methods unsafe`.
#[rpc(server, client)]
pub trait Pouw {
    /// The protocol, the chain's figures, and what this node mines on.
    #[method(name = "pouw_info")]
    fn info(&self) -> RpcResult<Info>;

    /// What is to be mined: at once, and whenever it changes. A slow reader misses what was replaced meanwhile.
    #[subscription(
        name = "pouw_subscribeWork" => "pouw_work",
        unsubscribe = "pouw_unsubscribeWork",
        item = WorkMessage,
        with_extensions
    )]
    async fn subscribe_work(&self) -> SubscriptionResult;

    /// What is to be mined at this moment. A miner that asks every few tenths of a second also knows whether the node is
    /// alive.
    #[method(name = "pouw_getWork", with_extensions)]
    fn get_work(&self) -> RpcResult<WorkMessage>;

    /// Counts a tile that is worth what `pouw_info` asks of a share for the rig of that name, once; seals the block as well
    /// if it wins. Hash, seal and proof as for `pouw_submitSeal`.
    #[method(name = "pouw_submitShare", with_extensions)]
    async fn submit_share(
        &self,
        rig: String,
        pre_hash: String,
        seal: String,
        proof: String,
    ) -> RpcResult<ShareAnswer>;

    /// The shares of each rig since the node's start.
    #[method(name = "pouw_shares", with_extensions)]
    fn shares(&self) -> RpcResult<SharesInfo>;

    /// Seals the block whose header hashes to `pre_hash`, imports and announces it; its hash. All three parameters are hex.
    #[method(name = "pouw_submitSeal", with_extensions)]
    async fn submit_seal(&self, pre_hash: String, seal: String, proof: String) -> RpcResult<H256>;

    /// Seal and proof of a block, with which anyone can verify its work.
    #[method(name = "pouw_blockProof")]
    fn block_proof(&self, hash: H256) -> RpcResult<BlockProof>;

    /// What the block at `number` was mined on, by the state of block `at` (default: best); null for genesis, for blocks
    /// that are not yet built upon, and for those older than the state remembers.
    #[method(name = "pouw_sealOf")]
    fn seal_of(&self, number: u32, at: Option<H256>) -> RpcResult<Option<SealInfo>>;

    /// Counters of this node's mining since its start.
    #[method(name = "pouw_stats")]
    fn stats(&self) -> RpcResult<Stats>;

    /// Changes of validators that finality did not make, as a chain spec tells newcomers of them. Looks through the chain for
    /// each, so it is denied where work is.
    #[method(name = "pouw_forcedChanges", with_extensions)]
    fn forced_changes(&self) -> RpcResult<Vec<ForcedChange>>;
}

/// The engine's side of mining, as these methods need it.
pub trait Mining: Send + Sync {
    /// What is to be mined; `None` for nothing.
    fn templates(&self) -> watch::Receiver<Option<Template>>;
    /// Seals, imports and announces a block; its hash.
    fn submit(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Proof,
    ) -> BoxFuture<'static, Result<H256, SubmitError>>;
    /// Verifies a tile at the difficulty of a share, and counts it once; seals nothing.
    fn check_share(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Arc<Proof>,
        least: Difficulty,
    ) -> BoxFuture<'static, Result<Share, SubmitError>>;
}

/// Lists the forced changes that a node knows of.
pub type ListForcedChanges =
    Arc<dyn Fn() -> Result<Vec<ForcedChange>, sp_blockchain::Error> + Send + Sync>;

/// Reads the proof of a block from the store.
pub type ReadProof = Arc<dyn Fn(H256) -> Result<Option<Proof>, EngineError> + Send + Sync>;

/// Reads what the devices of this node are and did.
pub type ReadWorker = Arc<dyn Fn() -> WorkerStats + Send + Sync>;

/// Implements the methods.
pub struct PouwRpc<C> {
    /// The chain.
    pub client: Arc<C>,
    /// The proof store.
    pub proofs: ReadProof,
    /// The engine's mining side; `None` without `--mine`.
    pub mining: Option<Arc<dyn Mining>>,
    /// SS58 address that is mined for.
    pub author: Option<String>,
    /// The devices of this node.
    pub worker: ReadWorker,
    /// Seals taken and refused.
    pub submissions: Arc<Submissions>,
    /// Shares by rig; `None` if this node counts none.
    pub shares: Option<Arc<Shares>>,
    /// Forced changes of validators.
    pub forced_changes: ListForcedChanges,
}

/// Counts seals that came by RPC.
#[derive(Default)]
pub struct Submissions {
    accepted: AtomicU64,
    rejected: AtomicU64,
}

impl Submissions {
    /// Counts a seal by what became of it.
    pub(super) fn count<T, E>(&self, result: &Result<T, E>) {
        let counter = match result {
            Ok(_) => &self.accepted,
            Err(_) => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl<C> PouwRpc<C> {
    async fn try_submit(&self, pre_hash: &str, seal: &str, proof: &str) -> Result<H256, Error> {
        let mining = self.mining.as_ref().ok_or(Error::NotMining)?;
        let (pre_hash, seal, proof) = decode(pre_hash, seal, proof)?;
        mining
            .submit(pre_hash, seal, proof)
            .await
            .map_err(Error::from)
    }
}

/// Reads what a miner submits.
pub(super) fn decode(
    pre_hash: &str,
    seal: &str,
    proof: &str,
) -> Result<(H256, Seal, Proof), Error> {
    let pre_hash = from_hex("the hash", pre_hash, 32)?;
    if pre_hash.len() != 32 {
        return Err(Error::Malformed(format!(
            "the hash has {} bytes instead of 32",
            pre_hash.len()
        )));
    }
    let seal = from_hex("the seal", seal, Seal::ENCODED_LEN)?;
    let seal = Seal::decode_all(&mut &seal[..])
        .map_err(|error| Error::Malformed(format!("the seal does not decode: {error}")))?;
    let proof = from_hex("the proof", proof, Proof::MAX_ENCODED_LEN)?;
    let proof = Proof::decode_all(&mut &proof[..])
        .map_err(|error| Error::Malformed(format!("the proof does not decode: {error}")))?;
    Ok((H256::from_slice(&pre_hash), seal, proof))
}

impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Malformed(reason) => Error::Malformed(reason.to_string()),
            SubmitError::Stale { .. } => Error::Stale,
            SubmitError::Weak { difficulty } => {
                Error::Weak(format!("the ticket misses the difficulty {difficulty}"))
            }
            SubmitError::Duplicate { .. } => Error::Duplicate,
            SubmitError::Full { max } => {
                Error::Busy(format!("{max} shares of this work are counted already"))
            }
            SubmitError::Refused(reason) => Error::Refused(reason.to_string()),
        }
    }
}

/// Reads hex of at most `max` bytes, and looks at its length before it allocates.
fn from_hex(what: &str, text: &str, max: usize) -> Result<Vec<u8>, Error> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() > 2 * max {
        return Err(Error::Malformed(format!(
            "{what} has {} hex digits, at most {} are allowed",
            digits.len(),
            2 * max
        )));
    }
    hex::decode(digits).map_err(|error| Error::Malformed(format!("{what} is not hex: {error}")))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

#[async_trait]
impl<C> PouwServer for PouwRpc<C>
where
    C: HeaderBackend<Block> + ProvideRuntimeApi<Block> + Send + Sync + 'static,
    C::Api: PouwApi<Block>,
{
    fn info(&self) -> RpcResult<Info> {
        let chain = self.client.info();
        let api = self.client.runtime_api();
        let best = chain.best_hash;
        Ok(Info {
            protocol: types::protocol(),
            genesis: chain.genesis_hash,
            best,
            best_number: chain.best_number,
            accumulated_work: api.accumulated_work(best).map_err(internal)?.to_string(),
            difficulty: api.difficulty(best).map_err(internal)?.to_string(),
            target_block_time_ms: api.target_block_time_ms(best).map_err(internal)?,
            mining: self.mining.is_some(),
            author: self.author.clone(),
            devices: (self.worker)().devices,
            share_macs: self
                .shares
                .as_ref()
                .map(|shares| shares.worth.get().to_string()),
            limits: Limits::of_protocol(),
        })
    }

    async fn subscribe_work(
        &self,
        pending: PendingSubscriptionSink,
        ext: &Extensions,
    ) -> SubscriptionResult {
        if let Err(denied) = check_if_safe(ext) {
            pending.reject(denied).await;
            return Ok(());
        }
        let Some(mining) = &self.mining else {
            pending.reject(Error::NotMining).await;
            return Ok(());
        };
        let mut feed = WorkFeed::new(mining.templates());
        let sink = pending.accept().await?;
        loop {
            let message = tokio::select! {
                () = sink.closed() => return Ok(()),
                message = feed.next() => message,
            };
            let Some(message) = message else {
                return Ok(());
            };
            // Into the connection's own bounded buffer: while it is full this waits.
            sink.send(SubscriptionMessage::from_json(&message)?).await?;
        }
    }

    fn get_work(&self, ext: &Extensions) -> RpcResult<WorkMessage> {
        check_if_safe(ext)?;
        let mining = self.mining.as_ref().ok_or(Error::NotMining)?;
        Ok(WorkMessage::from(mining.templates().borrow().as_ref()))
    }

    async fn submit_seal(
        &self,
        ext: &Extensions,
        pre_hash: String,
        seal: String,
        proof: String,
    ) -> RpcResult<H256> {
        check_if_safe(ext)?;
        let result = self.try_submit(&pre_hash, &seal, &proof).await;
        self.submissions.count(&result);
        Ok(result?)
    }

    async fn submit_share(
        &self,
        ext: &Extensions,
        rig: String,
        pre_hash: String,
        seal: String,
        proof: String,
    ) -> RpcResult<ShareAnswer> {
        check_if_safe(ext)?;
        let connection = ext.get::<ConnectionId>().copied().unwrap_or_default();
        let answer = self.try_share(connection, &rig, &pre_hash, &seal, &proof);
        Ok(answer.await?)
    }

    fn shares(&self, ext: &Extensions) -> RpcResult<SharesInfo> {
        check_if_safe(ext)?;
        let shares = self.shares.as_ref().ok_or(Error::SharesOff)?;
        Ok(SharesInfo::new(shares.worth, &shares.ledger.report()))
    }

    fn block_proof(&self, hash: H256) -> RpcResult<BlockProof> {
        let header = self
            .client
            .header(hash)
            .map_err(internal)?
            .ok_or_else(|| Error::UnknownBlock(format!("this node has no block {hash:?}")))?;
        let (header, seal) = split_seal(header).map_err(|error| {
            Error::UnknownBlock(format!("block {hash:?} was not mined: {error}"))
        })?;
        let proof = (self.proofs)(hash).map_err(internal)?.ok_or_else(|| {
            Error::UnknownBlock(format!("this node does not keep the proof of {hash:?}"))
        })?;
        Ok(BlockProof {
            pre_hash: header.hash(),
            seal: Bytes(seal.encode()),
            proof: Bytes(proof.encode()),
        })
    }

    fn seal_of(&self, number: u32, at: Option<H256>) -> RpcResult<Option<SealInfo>> {
        let at = at.unwrap_or_else(|| self.client.info().best_hash);
        if self.client.header(at).map_err(internal)?.is_none() {
            return Err(Error::UnknownBlock(format!("this node has no block {at:?}")).into());
        }
        let record = self
            .client
            .runtime_api()
            .seal_of(at, number)
            .map_err(internal)?;
        Ok(record.map(SealInfo::from))
    }

    fn stats(&self) -> RpcResult<Stats> {
        let submissions = &self.submissions;
        let [accepted, rejected] = [&submissions.accepted, &submissions.rejected]
            .map(|counter| counter.load(Ordering::Relaxed));
        Ok(Stats::new(&(self.worker)(), accepted, rejected))
    }

    fn forced_changes(&self, ext: &Extensions) -> RpcResult<Vec<ForcedChange>> {
        check_if_safe(ext)?;
        Ok((self.forced_changes)().map_err(internal)?)
    }
}

#[cfg(test)]
mod tests;
