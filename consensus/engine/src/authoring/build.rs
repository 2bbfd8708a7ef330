//! Building one proposal on the best block.

use std::{sync::Arc, time::Duration};

use labora_consensus_api::{
    PreDigest, author_and_time, inherent::MAX_HEADER_LEN, inherent::ParentHeader, pre_digest_item,
};
use labora_pouw::Seal;
use sp_consensus::{Environment, ProposeArgs, Proposer};
use sp_core::{H256, crypto::AccountId32};
use sp_inherents::InherentDataProvider;
use sp_runtime::{
    Digest,
    traits::{Block as BlockT, Header},
};

use super::{Template, proposals::Proposal};
use crate::{chain::number_of, engine::Engine, error::EngineError, header::time_of};

/// Longest time for filling a block with transactions: a twelfth of the target time between blocks, during which the
/// old template is mined on.
const MAX_BUILD: Duration = Duration::from_secs(1);

/// Longest block body, in bytes: what the runtime's block length allows (5 MiB), so that no proposal is refused for it.
const MAX_BLOCK_BYTES: usize = 5 * 1024 * 1024;

/// Bytes that a seal adds to a header: its tag, engine, length of two bytes, and the seal.
const SEAL_ITEM_LEN: usize = 1 + 4 + 2 + Seal::ENCODED_LEN;

/// Why no template was built.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the inherents' data cannot be made: {0}")]
    Inherents(#[from] sp_inherents::Error),
    #[error("no proposer: {0}")]
    Proposer(Box<dyn std::error::Error + Send + Sync>),
    #[error("the proposal would not be imported: {0}")]
    Unfit(#[from] Unfit),
}

/// What is wrong with a proposal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it stands on {got:?} as number {number}, not on {expected:?}")]
    Parent {
        got: H256,
        number: u32,
        expected: H256,
    },
    #[error("its author's item is not the one that was asked for")]
    Author,
    #[error(transparent)]
    Digest(#[from] labora_consensus_api::DigestError),
    #[error("sealed, its header would be {got} bytes long, of at most {MAX_HEADER_LEN}")]
    Header { got: usize },
}

/// A block and the state it leaves.
pub(super) type Built<B> = Proposal<<B as BlockT>::Header, sp_consensus::Proposal<B>>;

/// Builds proposals.
pub(super) struct Builder<B: BlockT<Hash = H256>, E> {
    pub(super) engine: Arc<Engine<B>>,
    pub(super) proposers: E,
    pub(super) author: AccountId32,
}

impl<B: BlockT<Hash = H256>, E: Environment<B>> Builder<B, E> {
    /// Builds a proposal on the best block, with the time that it is now.
    pub(super) async fn build(&mut self) -> Result<Built<B>, BuildError> {
        let parent = self.engine.chain().tips().best;
        let parent_header = self
            .engine
            .chain()
            .sealed_header(parent)
            .map_err(EngineError::from)?
            .ok_or(EngineError::UnknownParent(parent))?;
        let difficulty = self.engine.difficulty_after(parent)?.get();
        let pre = PreDigest {
            author: self.author.clone(),
            timestamp_ms: self.time_after(&parent_header)?,
        };
        let inherents = (
            sp_timestamp::InherentDataProvider::new(pre.timestamp_ms.into()),
            ParentHeader(parent_header.clone()),
        );
        let args = ProposeArgs {
            inherent_data: inherents.create_inherent_data().await?,
            inherent_digests: Digest {
                logs: vec![pre_digest_item(&pre)],
            },
            max_duration: MAX_BUILD,
            block_size_limit: Some(MAX_BLOCK_BYTES),
            ..Default::default()
        };
        let proposer = self
            .proposers
            .init(&parent_header)
            .await
            .map_err(|error| BuildError::Proposer(Box::new(error)))?;
        let proposal = proposer
            .propose(args)
            .await
            .map_err(|error| BuildError::Proposer(Box::new(error)))?;
        let header = proposal.block.header().clone();
        let number = number_of(&parent_header).saturating_add(1);
        check(&header, parent, number, &pre)?;
        let template = Template {
            pre_hash: header.hash(),
            difficulty,
            parent,
            number,
        };
        Ok(Proposal {
            template,
            header,
            payload: proposal,
        })
    }

    /// The time of a child of `parent`: now, but above the parent's, and not too far ahead.
    fn time_after(&self, parent: &B::Header) -> Result<u64, EngineError> {
        let now_ms = self.engine.now_ms();
        let parent_ms = time_of(parent)?;
        let got_ms = now_ms.max(parent_ms.saturating_add(1));
        let max_ahead_ms = labora_consensus_api::MAX_FUTURE_MS;
        if got_ms - now_ms > max_ahead_ms {
            return Err(EngineError::TooLate {
                got_ms,
                now_ms,
                max_ahead_ms,
            });
        }
        Ok(got_ms)
    }
}

/// What import and the next block's author will ask of the header is asked before anyone mines on it.
fn check<H: Header<Hash = H256>>(
    header: &H,
    parent: H256,
    number: u32,
    pre: &PreDigest,
) -> Result<(), Unfit> {
    let (got, got_number) = (*header.parent_hash(), number_of(header));
    if got != parent || got_number != number {
        return Err(Unfit::Parent {
            got,
            number: got_number,
            expected: parent,
        });
    }
    if author_and_time(header.digest())? != *pre {
        return Err(Unfit::Author);
    }
    let got = header.encoded_size() + SEAL_ITEM_LEN;
    if got > MAX_HEADER_LEN {
        return Err(Unfit::Header { got });
    }
    Ok(())
}
