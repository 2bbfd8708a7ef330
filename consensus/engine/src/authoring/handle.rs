//! The miners' side: watch templates, submit what wins.

use std::sync::Arc;

use labora_consensus_api::seal_item;
use labora_pouw::{Difficulty, Proof, Seal, VerifyError};
use parity_scale_codec::DecodeAll;
use parking_lot::Mutex;
use sc_consensus::{
    BlockImport, BlockImportParams, BoxBlockImport, ImportResult, JustificationSyncLink,
    StateAction, StorageChanges,
};
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};
use tokio::sync::{Notify, watch};

use super::{
    Template,
    build::Built,
    proposals::{Lookup, MAX_SHARES, Noted, Proposals},
};
use crate::{
    engine::{Engine, Verified},
    error::EngineError,
    header::SealedHeader,
    import::{EVIDENCE_KEY, Evidence},
};

/// Why a submission became no block.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The bytes are no seal or no proof, or the proof breaks a rule.
    #[error("malformed: {0}")]
    Malformed(#[source] EngineError),
    /// The template is no longer mined on.
    #[error(
        "stale: {pre_hash:?} is not the template of the best block, nor one of the last few on it: take the newest"
    )]
    Stale {
        /// What was mined on.
        pre_hash: H256,
    },
    /// The tile is proved, but its ticket does not reach the difficulty.
    #[error("weak: the tile is proved, but its ticket does not win at difficulty {difficulty}")]
    Weak {
        /// Difficulty of the template, in multiply-accumulates.
        difficulty: sp_core::U256,
    },
    /// The template was sealed before.
    #[error("duplicate: {pre_hash:?} was sealed before")]
    Duplicate {
        /// What was mined on.
        pre_hash: H256,
    },
    /// Too many shares of one template were counted.
    #[error("busy: {max} shares of one template are counted: a share must be worth more")]
    Full {
        /// How many are.
        max: usize,
    },
    /// The block was not imported, through no fault of the miner.
    #[error("refused: {0}")]
    Refused(#[from] ConsensusError),
}

impl From<EngineError> for SubmitError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Proof(VerifyError::Difficulty(difficulty)) => Self::Weak {
                difficulty: difficulty.get(),
            },
            error @ (EngineError::Proof(_)
            | EngineError::ProofEncoding { .. }
            | EngineError::Digest(_)) => Self::Malformed(error),
            error => Self::Refused(error.into()),
        }
    }
}

/// A proved tile that is worth counting, whether or not it wins the block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// Multiply-accumulates that such a tile takes to find: what was asked of a share, or the block's own difficulty where
    /// that is lower.
    pub macs: Difficulty,
    /// Whether it wins the block too: [`MiningHandle::submit`] it.
    pub wins: bool,
}

/// A handle on the authoring loop, for miners. Clones are the same loop.
pub struct MiningHandle<B: BlockT<Hash = H256>> {
    shared: Arc<Shared<B>>,
}

impl<B: BlockT<Hash = H256>> Clone for MiningHandle<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

struct Shared<B: BlockT<Hash = H256>> {
    engine: Arc<Engine<B>>,
    block_import: BoxBlockImport<B>,
    justifications: Arc<dyn JustificationSyncLink<B>>,
    proposals: Mutex<Proposals<B::Header, sp_consensus::Proposal<B>>>,
    templates: watch::Sender<Option<Template>>,
    rebuild: Notify,
}

impl<B: BlockT<Hash = H256>> MiningHandle<B> {
    pub(super) fn new(
        engine: Arc<Engine<B>>,
        block_import: BoxBlockImport<B>,
        justifications: Arc<dyn JustificationSyncLink<B>>,
    ) -> Self {
        let shared = Shared {
            engine,
            block_import,
            justifications,
            proposals: Mutex::new(Proposals::new()),
            templates: watch::Sender::new(None),
            rebuild: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The template to mine on; `None` means stop. A late subscriber sees the present one.
    pub fn templates(&self) -> watch::Receiver<Option<Template>> {
        self.shared.templates.subscribe()
    }

    /// Seals a template and imports the block; returns its hash. The block is announced once it is imported.
    ///
    /// Runs to its end even if the caller gives up on it.
    pub async fn submit(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Proof,
    ) -> Result<H256, SubmitError> {
        let shared = self.shared.clone();
        let task = tokio::spawn(async move { shared.submit(pre_hash, seal, proof).await });
        task.await
            .map_err(|_| SubmitError::from(EngineError::ShuttingDown))?
    }

    /// Verifies a tile at the difficulty `least`, which lies below the block's, and counts it once. Seals nothing.
    ///
    /// Tiles of templates that may no longer be sealed are [stale](SubmitError::Stale), of whatever worth.
    pub async fn check_share(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Arc<Proof>,
        least: Difficulty,
    ) -> Result<Share, SubmitError> {
        self.shared.check_share(pre_hash, seal, proof, least).await
    }

    /// As [`submit`](Self::submit), from SCALE bytes.
    pub async fn submit_encoded(
        &self,
        pre_hash: H256,
        seal: &[u8],
        proof: &[u8],
    ) -> Result<H256, SubmitError> {
        let wrong_seal = |_| EngineError::from(labora_consensus_api::DigestError::BadSeal);
        let seal = Seal::decode_all(&mut &seal[..]).map_err(wrong_seal)?;
        let wrong = EngineError::ProofEncoding {
            got: proof.len(),
            max: Proof::MAX_ENCODED_LEN,
        };
        if proof.len() > Proof::MAX_ENCODED_LEN {
            return Err(wrong.into());
        }
        let proof = Proof::decode_all(&mut &proof[..]).map_err(|_| wrong)?;
        self.submit(pre_hash, seal, proof).await
    }

    pub(super) fn offer(&self, proposal: Built<B>) {
        let template = proposal.template.clone();
        self.shared.proposals.lock().add(proposal);
        self.publish(Some(template));
    }

    /// No proposal is left, and miners stop.
    pub(super) fn stop(&self) {
        self.shared.stop();
    }

    pub(super) fn publish(&self, template: Option<Template>) {
        self.shared.publish(template);
    }

    pub(super) async fn rebuild_wanted(&self) {
        self.shared.rebuild.notified().await;
    }

    /// Whether the latest proposal stands on the best block.
    pub(super) fn is_on_best(&self) -> bool {
        let best = self.shared.engine.chain().tips().best;
        self.shared.proposals.lock().parent() == Some(best)
    }
}

impl<B: BlockT<Hash = H256>> Shared<B> {
    fn publish(&self, template: Option<Template>) {
        // Waking miners for what they have would make them drop their work.
        self.templates.send_if_modified(|current| {
            let changed = *current != template;
            *current = template;
            changed
        });
    }

    fn stop(&self) {
        self.proposals.lock().clear();
        self.publish(None);
    }

    /// No more is mined on `parent`, of which a child is being imported; who comes now waits for what stands on that.
    fn retire(&self, parent: H256) {
        self.templates.send_if_modified(|current| {
            let solved = current
                .as_ref()
                .is_some_and(|template| template.parent == parent);
            if solved {
                *current = None;
            }
            solved
        });
    }

    /// The template and header of that hash, if it can still be sealed.
    fn open(&self, pre_hash: H256) -> Result<(Template, B::Header), SubmitError> {
        let found = self.proposals.lock().lookup(pre_hash);
        match found {
            Lookup::Open(template, header)
                if template.parent == self.engine.chain().tips().best =>
            {
                Ok((template, header))
            }
            Lookup::Sealed => Err(SubmitError::Duplicate { pre_hash }),
            Lookup::Open(..) | Lookup::Unknown => Err(SubmitError::Stale { pre_hash }),
        }
    }

    async fn check_share(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Arc<Proof>,
        least: Difficulty,
    ) -> Result<Share, SubmitError> {
        let (template, header) = match self.open(pre_hash) {
            // Its block is sealed: the work is late, and counts as little as any other late work.
            Err(SubmitError::Duplicate { pre_hash }) => {
                return Err(SubmitError::Stale { pre_hash });
            }
            open => open?,
        };
        if self.proposals.lock().has_share(pre_hash, &seal) {
            return Err(SubmitError::Duplicate { pre_hash });
        }
        let block = self.engine.difficulty_after(*header.parent_hash())?;
        let macs = least.min(block);
        let rank = template.number;
        let ticket = self.engine.ticket(pre_hash, seal, proof, rank).await?;
        let k = seal.shape().k();
        if !macs.wins(&ticket, k) {
            let difficulty = macs.get();
            return Err(SubmitError::Weak { difficulty });
        }
        let wins = block.wins(&ticket, k);
        // Two of the same may have been verified together.
        match self.proposals.lock().note_share(pre_hash, seal) {
            Noted::New => Ok(Share { macs, wins }),
            Noted::Known => Err(SubmitError::Duplicate { pre_hash }),
            Noted::Full => Err(SubmitError::Full { max: MAX_SHARES }),
            Noted::Gone => Err(SubmitError::Stale { pre_hash }),
        }
    }

    async fn submit(&self, pre_hash: H256, seal: Seal, proof: Proof) -> Result<H256, SubmitError> {
        let (template, mut header) = self.open(pre_hash)?;
        header.digest_mut().push(seal_item(&seal));
        let sealed = SealedHeader::open(&header)?;
        let verified = self.engine.check(&sealed, Arc::new(proof)).await?;
        // Two winners of one template may arrive together: the first to get here has it.
        let Some(proposal) = self.proposals.lock().take(pre_hash) else {
            return Err(SubmitError::Duplicate { pre_hash });
        };
        self.retire(template.parent);
        match self.import(proposal.payload, &sealed, verified).await {
            Ok(hash) => {
                tracing::info!(
                    number = sealed.number,
                    block = ?hash,
                    macs = %template.difficulty,
                    root_a = ?H256(*seal.root_a()),
                    "Mined block",
                );
                Ok(hash)
            }
            Err(error) => {
                tracing::warn!(number = sealed.number, %error, "Own block was not imported");
                self.proposals.lock().unseal(pre_hash);
                self.stop();
                self.rebuild.notify_one();
                Err(error)
            }
        }
    }

    async fn import(
        &self,
        proposal: sp_consensus::Proposal<B>,
        sealed: &SealedHeader<B::Header>,
        verified: Verified,
    ) -> Result<H256, SubmitError> {
        let (header, body) = proposal.block.deconstruct();
        let mut block = BlockImportParams::new(BlockOrigin::Own, header);
        block.post_digests.push(seal_item(&sealed.seal));
        block.body = Some(body);
        block.state_action =
            StateAction::ApplyChanges(StorageChanges::Changes(proposal.storage_changes));
        block.post_hash = Some(sealed.hash);
        block.insert_intermediate(EVIDENCE_KEY, Evidence::Work(verified));
        let result = self.block_import.import_block(block).await?;
        // Of blocks that others made sync takes care. Without it whoever makes the block by which authorities change, and is cut
        // off before that is final, never learns that it is.
        result.handle_justification(&sealed.hash, sealed.number.into(), &*self.justifications);
        match result {
            ImportResult::Imported(_) => Ok(sealed.hash),
            ImportResult::AlreadyInChain => Err(SubmitError::Duplicate {
                pre_hash: sealed.pre_hash,
            }),
            result => Err(EngineError::NotImported {
                block: sealed.hash,
                result,
            }
            .into()),
        }
    }
}
