//! Blocks from peers: what becomes of announcements, the branches that peers are asked for, and the import queue.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, channel::mpsc};
use labora_consensus_api::seal_item;
use parking_lot::Mutex;
use sc_consensus::{
    BlockCheckParams, BlockImport, BlockImportParams, ImportResult, IncomingBlock, Verifier,
};
use sp_consensus::{BlockOrigin, block_validation::Validation};
use sp_core::H256;
use sp_runtime::traits::Header as HeaderT;

use super::{
    super::{
        miner::{Block, Header},
        mock::Node as Params,
    },
    desk::Desk,
    plan::Mutant,
};
use crate::{
    PouwVerifier, SealedHeader, TrustedTarget,
    exchange::{LANES, Lanes, Lookahead},
    import::{EVIDENCE_KEY, Evidence},
};

/// A block's parameters once its evidence is found.
pub(super) fn with_evidence(
    sealed: &SealedHeader<Header>,
    origin: BlockOrigin,
    evidence: Evidence,
) -> BlockImportParams<Block> {
    let mut params = BlockImportParams::new(origin, sealed.unsealed.clone());
    params.post_digests.push(seal_item(&sealed.seal));
    params.body = Some(Vec::new());
    params.post_hash = Some(sealed.hash);
    params.insert_intermediate(EVIDENCE_KEY, evidence);
    params
}

/// What becomes of an announcement.
pub(super) async fn announced(
    from: usize,
    header: Header,
    verdict: impl Future<Output = Option<Validation>>,
    sync: Arc<Downloads>,
) {
    let (context, me) = (&sync.desk.context, sync.desk.me);
    context.count(|stats| stats.announcements += 1);
    match verdict.await {
        Some(Validation::Success { .. }) => {
            let block = header.hash();
            if !sync.desk.chain.has(block) {
                sync.fetch(from, block).await;
            }
        }
        Some(Validation::Failure { disconnect }) => {
            context.count(|stats| stats.announcements_refused += 1);
            if disconnect {
                context.blame(me, from, "an announcement");
            }
        }
        None => {}
    }
}

pub(super) struct Batch {
    from: usize,
    headers: Vec<Header>,
}

/// Blocks from peers: one batch of each at a time.
pub(super) struct Downloads {
    pub(super) desk: Arc<Desk>,
    lookahead: Arc<Lookahead>,
    lanes: Arc<Lanes<Block>>,
    batches: Vec<mpsc::UnboundedSender<Batch>>,
    busy: Mutex<HashSet<usize>>,
}

impl Downloads {
    pub(super) fn new(
        desk: Arc<Desk>,
        lookahead: Arc<Lookahead>,
        lanes: Arc<Lanes<Block>>,
    ) -> (Arc<Self>, Vec<mpsc::UnboundedReceiver<Batch>>) {
        let (batches, queues) = (0..LANES).map(|_| mpsc::unbounded()).unzip();
        let busy = Mutex::default();
        let downloads = Self {
            desk,
            lookahead,
            lanes,
            batches,
            busy,
        };
        (Arc::new(downloads), queues)
    }

    pub(super) async fn fetch(&self, from: usize, block: H256) {
        if !self.busy.lock().insert(from) {
            return;
        }
        let headers = self.desk.blocks(from, block).await;
        if headers.is_empty() {
            self.busy.lock().remove(&from);
            return;
        }
        let sender = self.desk.context.ids[from];
        let blocks: Vec<_> = headers
            .iter()
            .map(|header| incoming(header, sender))
            .collect();
        self.lookahead.remember(&blocks);
        let lane = self.lanes.enter(&blocks);
        let _ = self.batches[lane].unbounded_send(Batch { from, headers });
    }
}

fn incoming(header: &Header, sender: sc_network_types::PeerId) -> IncomingBlock<Block> {
    IncomingBlock {
        hash: header.hash(),
        header: Some(header.clone()),
        body: Some(Vec::new()),
        indexed_body: None,
        justifications: None,
        origin: Some(sender),
        allow_missing_state: false,
        skip_execution: false,
        import_existing: false,
        state: None,
    }
}

/// One of the SDK's import queues: block after block, each through the verifier into import.
pub(super) async fn import_queue(
    me: usize,
    sync: Arc<Downloads>,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    verifier: PouwVerifier<Block>,
    import: impl BlockImport<Block>,
) {
    let context = sync.desk.context.clone();
    while let Some(Batch { from, headers }) = batches.next().await {
        for header in &headers {
            let check = BlockCheckParams {
                hash: header.hash(),
                number: header.number,
                parent_hash: header.parent_hash,
                allow_missing_state: false,
                allow_missing_parent: false,
                import_existing: false,
            };
            match import.check_block(check).await {
                Ok(ImportResult::Imported(_)) => {}
                Ok(ImportResult::AlreadyInChain) => continue,
                _ => break,
            }
            let params = match context.plan.mutant {
                Mutant::UnverifiedBlocks if me == 0 => Ok(unverified(header)),
                _ => verifier.verify(Params::from_sync(header)).await,
            };
            let params = match params {
                Ok(params) => params,
                Err(error) => {
                    context.blame(me, from, &error);
                    break;
                }
            };
            match import.import_block(params).await {
                Ok(ImportResult::Imported(_) | ImportResult::AlreadyInChain) => {}
                _ => break,
            }
        }
        sync.lanes.leave(headers.iter().map(HeaderT::hash));
        sync.busy.lock().remove(&from);
    }
}

/// A block as a verifier would let it pass that does not verify.
fn unverified(header: &Header) -> BlockImportParams<Block> {
    let sealed = SealedHeader::open(header).unwrap();
    let block = sealed.hash;
    let by = TrustedTarget {
        number: u32::MAX,
        hash: H256::zero(),
    };
    with_evidence(
        &sealed,
        BlockOrigin::NetworkBroadcast,
        Evidence::Vouched { block, by },
    )
}
