//! What verifier, import, announcements and authoring share: the chain, the clock, cached difficulties and proofs, and
//! the only place where a proof is verified.

use std::{sync::Arc, time::Duration};

use labora_pouw::{Difficulty, Proof, Seal, VerifyError};
use parking_lot::Mutex;
use schnellru::{ByLength, LruMap};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};
use tokio::sync::oneshot;

use crate::{
    chain::Chain,
    error::EngineError,
    exchange::Noted,
    gate::Gate,
    header::SealedHeader,
    machine::{Clock, Machine},
    proof_cache::ProofCache,
    stats::Tally,
    trust::TrustedTarget,
};

/// Peers that did not give a batch of proofs in time are asked for one at a time for so long.
const SLOW: Duration = Duration::from_secs(600);

/// A proof that was verified for one block at the difficulty that this block has to meet.
///
/// Only [`Engine::check`] makes one, so holding one is the evidence that import asks for.
#[derive(Clone, Debug)]
pub struct Verified {
    block: H256,
    difficulty: Difficulty,
    proof: Arc<Proof>,
}

impl Verified {
    /// The block whose work is proved.
    pub fn block(&self) -> H256 {
        self.block
    }

    /// The difficulty that was met, in multiply-accumulates.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// The proof.
    pub fn proof(&self) -> &Arc<Proof> {
        &self.proof
    }
}

/// The engine's shared state. One for each node, made before everything else of this crate.
pub struct Engine<B: BlockT<Hash = H256>> {
    chain: Arc<dyn Chain<B>>,
    machine: Machine,
    difficulties: Mutex<LruMap<H256, Difficulty>>,
    pub(crate) gate: Arc<Gate>,
    trusted: Mutex<Option<TrustedTarget>>,
    /// What the last proof of finality that sync checked led to, which may lie below the checkpoint.
    warped: Mutex<Option<TrustedTarget>>,
    /// Whose turn it is to import, or to say what is to be trusted.
    pub(crate) turn: tokio::sync::Mutex<()>,
    checkpoint: Option<TrustedTarget>,
    pub(crate) proofs: ProofCache,
    /// Peers to ask for one proof at a time.
    pub(crate) slow: Noted,
    pub(crate) tally: Tally,
}

impl<B: BlockT<Hash = H256>> Engine<B> {
    /// The engine over a client, with as many verifications at a time as the machine has cores, less one for the rest.
    /// `checkpoint` is a block that the user knows to be final: the chain must contain it, whatever anybody proves.
    pub fn new(
        chain: Arc<dyn Chain<B>>,
        clock: Clock,
        checkpoint: Option<TrustedTarget>,
    ) -> Arc<Self> {
        Self::on(Machine::real(clock), chain, checkpoint)
    }

    pub(crate) fn on(
        machine: Machine,
        chain: Arc<dyn Chain<B>>,
        checkpoint: Option<TrustedTarget>,
    ) -> Arc<Self> {
        let limits = machine.limits;
        Arc::new(Self {
            chain,
            difficulties: Mutex::new(LruMap::new(ByLength::new(limits.difficulties))),
            gate: Gate::new(machine.at_a_time),
            machine,
            trusted: Mutex::new(checkpoint),
            warped: Mutex::new(None),
            turn: tokio::sync::Mutex::default(),
            checkpoint,
            proofs: ProofCache::new(limits),
            slow: Noted::lasting(SLOW),
            tally: Tally::default(),
        })
    }

    /// Notes a block that finality was proved of. Of several the highest stays: each is on the one final chain.
    pub(crate) fn trust(&self, target: TrustedTarget) {
        let mut trusted = self.trusted.lock();
        if trusted.is_none_or(|known| known.number < target.number) {
            tracing::debug!(number = target.number, hash = ?target.hash, "Finality is proved up to here");
            *trusted = Some(target);
        }
    }

    /// The same between two imports, so that each knows from its beginning to its end what is trusted.
    pub(crate) async fn trust_between_imports(&self, target: TrustedTarget) {
        let _turn = self.turn.lock().await;
        self.trust(target);
    }

    /// Notes what sync's own proof of finality led to, whose state may come.
    pub(crate) fn trust_state_of(&self, target: TrustedTarget) {
        *self.warped.lock() = Some(target);
        self.trust(target);
    }

    /// Whether a whole state may come for this block.
    pub(crate) fn trusts_state_of(&self, block: H256) -> bool {
        let targets = [*self.warped.lock(), self.trusted()];
        targets.iter().flatten().any(|target| target.hash == block)
    }

    /// The highest block that the user or a proof of finality vouches for, if any.
    pub fn trusted(&self) -> Option<TrustedTarget> {
        *self.trusted.lock()
    }

    /// The chain.
    pub fn chain(&self) -> &dyn Chain<B> {
        &*self.chain
    }

    /// Unix time in milliseconds, by this node's clock.
    pub fn now_ms(&self) -> u64 {
        (self.machine.clock)()
    }

    /// Pauses.
    pub(crate) fn sleep(&self, pause: Duration) -> futures::future::BoxFuture<'static, ()> {
        (self.machine.sleep)(pause)
    }

    /// How many difficulties are remembered.
    #[cfg(test)]
    pub(crate) fn difficulties(&self) -> usize {
        self.difficulties.lock().len()
    }

    /// Difficulty that a child of `parent` has to meet. It is a function of the parent's state, so it is asked once.
    pub fn difficulty_after(&self, parent: H256) -> Result<Difficulty, EngineError> {
        if let Some(known) = self.difficulties.lock().get(&parent) {
            return Ok(*known);
        }
        let macs = self.chain.difficulty_at(parent)?;
        let difficulty = Difficulty::new(macs).map_err(|_| EngineError::ZeroDifficulty(parent))?;
        self.difficulties.lock().insert(parent, difficulty);
        Ok(difficulty)
    }

    /// Refuses a block that has the checkpoint's number and is another.
    pub(crate) fn check_checkpoint(
        &self,
        sealed: &SealedHeader<B::Header>,
    ) -> Result<(), EngineError> {
        if let Some(target) = self.checkpoint {
            target.is(sealed.number, sealed.hash)?;
        }
        Ok(())
    }

    /// Refuses a block that is not final though its number is, and one that the final state came before, as in a warp sync, and
    /// that does not lead to it. Of history each block is its successor's parent, so the last one that is missing shows whether
    /// all of it is true.
    pub(crate) fn check_history(
        &self,
        sealed: &SealedHeader<B::Header>,
    ) -> Result<(), EngineError> {
        self.check_checkpoint(sealed)?;
        let got = sealed.hash;
        let above = match self.chain.hash_at(sealed.number)? {
            Some(finalised) if finalised == got => return Ok(()),
            Some(finalised) => return Err(EngineError::CutOff { got, finalised }),
            None => self.chain.hash_at(sealed.number.saturating_add(1))?,
        };
        let Some(above) = above else { return Ok(()) };
        let header = self.chain.sealed_header(above)?;
        match header.is_none_or(|header| *header.parent_hash() == got) {
            true => Ok(()),
            false => Err(EngineError::FalseHistory { got, above }),
        }
    }

    /// Checks a header against its parent, the clock and the checkpoint.
    pub fn check_header(&self, sealed: &SealedHeader<B::Header>) -> Result<(), EngineError> {
        self.check_checkpoint(sealed)?;
        let parent = self
            .chain
            .sealed_header(sealed.parent)?
            .ok_or(EngineError::UnknownParent(sealed.parent))?;
        sealed.follows(&parent)?;
        sealed.is_due(self.now_ms())
    }

    /// Verifies a proof at the difficulty that the block has to meet, off the asynchronous threads.
    pub async fn check(
        &self,
        sealed: &SealedHeader<B::Header>,
        proof: Arc<Proof>,
    ) -> Result<Verified, EngineError> {
        let difficulty = self.difficulty_after(sealed.parent)?;
        self.verify(sealed, proof.clone(), difficulty, sealed.number)
            .await?;
        Ok(Verified {
            block: sealed.hash,
            difficulty,
            proof,
        })
    }

    /// Verifies that a block whose parent is unknown is worth at least `floor`, which is no evidence for import. Its
    /// number is whatever its sender likes, so it waits behind all others.
    pub(crate) async fn check_orphan(
        &self,
        sealed: &SealedHeader<B::Header>,
        proof: Arc<Proof>,
        floor: Difficulty,
    ) -> Result<(), EngineError> {
        self.verify(sealed, proof, floor, 0).await
    }

    async fn verify(
        &self,
        sealed: &SealedHeader<B::Header>,
        proof: Arc<Proof>,
        difficulty: Difficulty,
        rank: u32,
    ) -> Result<(), EngineError> {
        let (pre_hash, seal) = (sealed.pre_hash, sealed.seal);
        let verified = self
            .in_turn(rank, move || {
                labora_pouw::verify(&pre_hash.0, &seal, &proof, difficulty)
            })
            .await;
        match verified {
            Ok(()) => self.tally.verified(),
            Err(EngineError::Proof(_)) => self.tally.refused(),
            Err(_) => {}
        }
        verified
    }

    /// The ticket of the tile that a proof opens, for a header without its seal, whatever that ticket is worth.
    pub(crate) async fn ticket(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Arc<Proof>,
        rank: u32,
    ) -> Result<labora_pouw::Hash, EngineError> {
        self.in_turn(rank, move || {
            labora_pouw::proved_ticket(&pre_hash.0, &seal, &proof)
        })
        .await
    }

    /// Runs a verification off the asynchronous threads, when its turn has come.
    async fn in_turn<T: Send + 'static>(
        &self,
        rank: u32,
        verification: impl FnOnce() -> Result<T, VerifyError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let pass = self.gate.pass(rank).await;
        let (done, result) = oneshot::channel();
        (self.machine.offload)(Box::new(move || {
            let verified = verification();
            // The pass goes with the work, not with the one who waits for it and may have given up.
            drop(pass);
            let _ = done.send(verified);
        }));
        result
            .await
            .map_err(|_| EngineError::ShuttingDown)?
            .map_err(EngineError::Proof)
    }
}
