//! Consensus by useful work: blocks are mined by matrix products, and the chain of most work is the best one.
//!
//! What a header is and what the runtime answers stand in `labora-consensus-api`, what a proof is in `labora-pouw`. Here
//! is everything of a node between the network and the database that has to do with proofs:
//!
//! * [`Engine`]: what the parts share; the one place where proofs are verified;
//! * [`PouwAnnounceValidator`]: an announcement is checked before anything is downloaded;
//! * [`import_queue`], [`PouwVerifier`]: blocks from sync, whose proofs were announced or are asked for; [`InTurn`]: whom sync
//!   may ask for more of them;
//! * [`PouwBlockImport`]: work and proof into the block's own import operation, and fork choice by work;
//! * [`announce_imported`]: every imported block on to other peers, with its proof;
//! * [`ProofRequestHandler`], [`NetworkProofs`]: the request protocol for proofs;
//! * [`MostWork`], [`voting_rules`]: the best chain, and how far up it votes go;
//! * [`Guard`]: before the SDK's voter, so that a validator that votes twice does not end it;
//! * [`block_proof`], [`drop_proofs_on_finality`]: the store;
//! * [`start_authoring`]: templates for miners, and what they find.
//!
//! One block's way: a miner submits a seal and a proof to [`MiningHandle::submit`], which verifies and imports; the import
//! notification makes [`announce_imported`] tell the peers; a peer's [`PouwAnnounceValidator`] verifies and keeps the
//! proof; its sync downloads the block; its [`PouwVerifier`] finds the proof kept, and [`PouwBlockImport`] stores both.
//!
//! What is not here: mining (`labora-kernels` and the node's worker), and finality, which is the SDK's GRANDPA: its block
//! import is the inner one of [`PouwBlockImport`], [`MostWork`] tells its voter the best chain, and what its warp proofs
//! prove final ([`TrustingProvider`], [`NetworkFinality`]) needs no proof of work. A node must set the SDK's `announce_block` off (see [`announce_imported`]).

mod announce;
mod authoring;
mod ballots;
mod chain;
mod engine;
mod error;
pub mod exchange;
mod forced;
mod gate;
mod header;
mod import;
mod machine;
mod proof_cache;
mod prune;
mod relay;
mod select;
mod stats;
mod store;
mod trust;
mod verify;
mod votes;
mod warp;

#[cfg(test)]
mod tests;

pub use announce::PouwAnnounceValidator;
pub use authoring::{
    AuthoringParams, MiningHandle, Peers, Share, SubmitError, Template, start_authoring,
};
pub use ballots::{Blocks, ENDED_ROUNDS, EndedRound, FinalCommit, Guard, Surroundings, last_ended};
pub use chain::{Chain, Tips};
pub use engine::{Engine, Verified};
pub use error::{Conduct, EngineError, Fault};
pub use exchange::{
    Bound, Finality, FinalitySource, InTurn, NetworkFinality, NetworkProofs, NoFinality,
    PouwImportQueue, ProofRequestHandler, ProofSource,
};
pub use forced::{ForcedChange, ForcedChangeError, ForcedChanges};
pub use header::SealedHeader;
pub use import::PouwBlockImport;
pub use machine::{Clock, system_clock};
pub use prune::{KeepProofs, MAX_DROPPED_AT_ONCE, drop_proofs, drop_proofs_on_finality};
pub use relay::{Announce, announce_imported};
pub use select::{BlockTree, MostWork};
pub use stats::{Answered, EngineStats};
pub use store::{WorkRecord, accumulated_work, block_proof, block_work};
pub use trust::TrustedTarget;
pub use verify::{PouwVerifier, VerifyBlocks};
pub use votes::voting_rules;
pub use warp::TrustingProvider;

use std::sync::Arc;

use sc_consensus::{BasicQueue, BlockImport, BoxBlockImport, BoxJustificationImport};
use sp_consensus::Error as ConsensusError;
use sp_core::{H256, traits::SpawnEssentialNamed};
use sp_runtime::traits::Block as BlockT;
use substrate_prometheus_endpoint::Registry;

/// What the import queue asks of others.
#[derive(Clone)]
pub struct Sources {
    /// Peers that can be asked for proofs.
    pub proofs: Arc<dyn ProofSource>,
    /// Peers that can be asked what is final.
    pub finality: Arc<dyn FinalitySource>,
    /// Which blocks need a proof.
    pub verify: VerifyBlocks,
}

/// The import queue: verifiers that get missing proofs from `sources`, before `block_import`. Of its metrics those of blocks
/// whose proofs had to be asked for are not counted.
pub fn import_queue<B, I>(
    engine: Arc<Engine<B>>,
    sources: Sources,
    block_import: I,
    mut justification_import: Option<BoxJustificationImport<B>>,
    spawner: &impl SpawnEssentialNamed,
    registry: Option<&Registry>,
) -> PouwImportQueue<B>
where
    B: BlockT<Hash = H256>,
    I: BlockImport<B, Error = ConsensusError> + Clone + Send + Sync + 'static,
{
    let lookahead = exchange::Lookahead::new();
    let lanes = exchange::Lanes::new(engine.clone(), sources.verify);
    let queue = |lane| {
        let import: BoxBlockImport<B> = match lane {
            exchange::AT_ONCE => Box::new(block_import.clone()),
            _ => Box::new(exchange::AfterParent::new(
                block_import.clone(),
                lanes.clone(),
            )),
        };
        BasicQueue::new(
            PouwVerifier::new(engine.clone(), sources.clone(), lookahead.clone()),
            import,
            // Justifications come to the first queue.
            justification_import.take(),
            spawner,
            registry.filter(|_| lane == exchange::AT_ONCE),
        )
    };
    PouwImportQueue::new(queue, lookahead.clone(), lanes.clone())
}
