//! An authoring loop over a proposer that makes empty blocks, and winners for its templates.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use futures::{channel::mpsc, future::Ready, stream};
use labora_pouw::reference;
use parking_lot::Mutex;
use sc_consensus::JustificationSyncLink;
use sp_consensus::{Environment, ProposeArgs, Proposer, SyncOracle};
use sp_core::H256;
use sp_runtime::traits::Header as _;
use tokio::sync::watch;

use super::{miner::*, mock::*};
use crate::{
    MiningHandle, Peers, Template,
    authoring::testing::{Loop, spawn_loop},
};

/// Longest wait for a condition; only a failing test gets there.
pub(super) const DEADLINE: Duration = Duration::from_secs(240);

#[derive(Clone, Default)]
pub(super) struct Empty {
    pub(super) spoil: Arc<AtomicBool>,
    pub(super) made: Arc<AtomicUsize>,
}

pub(super) struct EmptyBlock {
    pub(super) parent: Header,
    pub(super) spoil: bool,
    pub(super) salt: usize,
}

impl Environment<Block> for Empty {
    type Proposer = EmptyBlock;
    type CreateProposer = Ready<Result<EmptyBlock, Self::Error>>;
    type Error = sp_blockchain::Error;

    fn init(&mut self, parent: &Header) -> Self::CreateProposer {
        let salt = self.made.fetch_add(1, Ordering::SeqCst);
        futures::future::ready(Ok(EmptyBlock {
            parent: parent.clone(),
            spoil: self.spoil.load(Ordering::SeqCst),
            salt,
        }))
    }
}

impl Proposer<Block> for EmptyBlock {
    type Error = sp_blockchain::Error;
    type Proposal = Ready<Result<sp_consensus::Proposal<Block>, Self::Error>>;

    fn propose(self, args: ProposeArgs<Block>) -> Self::Proposal {
        assert!(args.block_size_limit.is_some());
        assert_eq!(
            args.inherent_data.len(),
            2,
            "the time and the parent's header"
        );
        let mut digest = args.inherent_digests;
        if self.spoil {
            digest.push(sp_runtime::DigestItem::Other(vec![1]));
        }
        let header = Header::new(
            self.parent.number + 1,
            H256::from_low_u64_be(self.salt as u64),
            H256::zero(),
            self.parent.hash(),
            digest,
        );
        let block = Block {
            header,
            extrinsics: Vec::new(),
        };
        futures::future::ready(Ok(sp_consensus::Proposal {
            block,
            storage_changes: Default::default(),
        }))
    }
}

#[derive(Clone, Default)]
pub(super) struct Net {
    pub(super) syncing: Arc<AtomicBool>,
    pub(super) offline: Arc<AtomicBool>,
    /// Blocks whose justification was asked for.
    pub(super) asked: Arc<Mutex<Vec<(H256, u32)>>>,
}

impl JustificationSyncLink<Block> for Net {
    fn request_justification(&self, hash: &H256, number: u32) {
        self.asked.lock().push((*hash, number));
    }

    fn clear_justification_requests(&self) {}
}

impl SyncOracle for Net {
    fn is_major_syncing(&self) -> bool {
        self.syncing.load(Ordering::SeqCst)
    }

    fn is_offline(&self) -> bool {
        self.offline.load(Ordering::SeqCst)
    }
}

pub(super) struct Mine {
    pub(super) node: Node,
    pub(super) net: Net,
    pub(super) proposers: Empty,
    pub(super) handle: MiningHandle<Block>,
    pub(super) templates: watch::Receiver<Option<Template>>,
    /// Tells the loop of an import, as the client does; the loop ends with it.
    pub(super) imports: mpsc::UnboundedSender<()>,
}

pub(super) fn start(peers: Peers, net: Net) -> Mine {
    let node = Node::new();
    let proposers = Empty::default();
    let (imports, notified) = mpsc::unbounded();
    let handle = spawn_loop(Loop {
        engine: node.engine.clone(),
        block_import: Box::new(node.import.clone()),
        proposers: proposers.clone(),
        imports: notified,
        transactions: stream::pending::<()>(),
        sync: net.clone(),
        justifications: Arc::new(net.clone()),
        author: author(),
        peers,
    });
    let templates = handle.templates();
    Mine {
        node,
        net,
        proposers,
        handle,
        templates,
        imports,
    }
}

pub(super) fn start_alone() -> Mine {
    start(Peers::NotRequired, Net::default())
}

impl Mine {
    pub(super) async fn wait(
        &mut self,
        wanted: impl FnMut(&Option<Template>) -> bool,
    ) -> Option<Template> {
        let template = tokio::time::timeout(DEADLINE, self.templates.wait_for(wanted));
        template
            .await
            .expect("in time")
            .expect("the loop runs")
            .clone()
    }

    pub(super) async fn template(&mut self) -> Template {
        self.wait(Option::is_some).await.expect("waited for")
    }
}

/// A winner for a template, without its header.
pub(super) fn winner(template: &Template) -> reference::Winner {
    find(template, |wins| wins)
}

/// Another winner than `first`.
pub(super) fn find_other(template: &Template, first: &reference::Winner) -> reference::Winner {
    find_where(template, |found, wins| wins && found.seal != first.seal)
}

pub(super) fn find(template: &Template, wanted: impl Fn(bool) -> bool) -> reference::Winner {
    find_where(template, |_, wins| wanted(wins))
}

pub(super) fn find_where(
    template: &Template,
    wanted: impl Fn(&reference::Winner, bool) -> bool,
) -> reference::Winner {
    let shape = labora_pouw::Shape::new(32, 32, 256).unwrap();
    let all = labora_pouw::Difficulty::new(1.into()).unwrap();
    let real = labora_pouw::Difficulty::new(template.difficulty).unwrap();
    (0..)
        .find_map(|attempt| {
            let (a, bt) = reference::matrices(&format!("authoring {attempt}"), shape);
            let proved = reference::prove(&template.pre_hash.0, &a, &bt, shape, all).unwrap();
            proved
                .winners
                .into_iter()
                .find(|found| wanted(found, real.wins(&found.ticket, shape.k())))
        })
        .unwrap()
}
