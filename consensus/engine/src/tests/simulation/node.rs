//! An honest node: the engine, its verifier, import, announcements and store, and GRANDPA's voter, between a disk that
//! outlives crashes and a network. Of the SDK only sync is made simple: a peer is asked for the branch of what it
//! announced, above the block that is final here.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use sc_client_api::BlockchainEvents;
use sc_consensus::BlockImport;
use sp_blockchain::HeaderBackend;
use sp_consensus::{BlockOrigin, block_validation::BlockAnnounceValidator};
use sp_core::H256;

use super::{
    super::miner::Block,
    blocks::{Genuine, START_MS},
    chain::SimChain,
    client::SimClient,
    context::Context,
    desk::{Desk, millis},
    downloads::{Downloads, announced, import_queue, with_evidence},
    gossip::Gossip,
    messages::{Event, Message},
    plan::Mutant,
    record::Record,
    runtime::Tasks,
    votes::{Voting, vote},
};
use crate::{
    Engine, EngineError, KeepProofs, PouwAnnounceValidator, PouwBlockImport, PouwVerifier,
    SealedHeader, Sources, VerifyBlocks, announce_imported, drop_proofs_on_finality,
    exchange::{AT_ONCE, AfterParent, Lanes, Lookahead},
    import::Evidence,
    machine::Machine,
};

/// A node: what is on its disk, and its life if it has one.
pub(super) struct Node {
    pub(super) chain: Arc<SimChain>,
    pub(super) record: Arc<Mutex<Record>>,
    pub(super) life: Option<Life>,
    pub(super) lives: u64,
}

/// What is lost in a crash.
pub(super) struct Life {
    pub(super) engine: Arc<Engine<Block>>,
    pub(super) lookahead: Arc<Lookahead>,
    pub(super) gossip: Arc<Gossip>,
    pub(super) desk: Arc<Desk>,
    import: PouwBlockImport<Block, SimClient>,
    validator: PouwAnnounceValidator<Block>,
    sync: Arc<Downloads>,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            chain: Arc::new(SimChain::new()),
            record: Arc::default(),
            life: None,
            lives: 0,
        }
    }

    pub(super) fn start(&mut self, me: usize, context: &Arc<Context>, tasks: &mut Tasks) {
        self.lives += 1;
        let (chain, plan) = (self.chain.clone(), &context.plan);
        let engine = Engine::on(machine(me, self.lives, context), chain.clone(), None);
        let desk = Desk::new(me, context.clone(), chain.clone());
        let gossip = Gossip::new(me, context.clone(), chain.clone(), self.record.clone());
        let lookahead = Lookahead::of(plan.lookahead);
        let client = SimClient {
            context: context.clone(),
            chain: chain.clone(),
        };
        let import = PouwBlockImport::new(client, engine.clone());
        let sources = Sources {
            proofs: desk.clone(),
            finality: desk.clone(),
            verify: VerifyBlocks::Unfinalised,
        };
        let lanes = Lanes::new(engine.clone(), sources.verify);
        let (sync, queues) = Downloads::new(desk.clone(), lookahead.clone(), lanes.clone());
        for (lane, queue) in queues.into_iter().enumerate() {
            let verifier = PouwVerifier::new(engine.clone(), sources.clone(), lookahead.clone());
            let (sync, import) = (sync.clone(), import.clone());
            if lane == AT_ONCE {
                tasks.spawn(me, import_queue(me, sync, queue, verifier, import));
            } else {
                let import = AfterParent::new(import, lanes.clone());
                tasks.spawn(me, import_queue(me, sync, queue, verifier, import));
            }
        }
        tasks.spawn(me, watch_imports(chain.clone(), gossip.clone()));
        tasks.spawn(me, relay(me, context, &chain, &engine));
        let keep = KeepProofs::Finalised(plan.keep);
        tasks.spawn(me, drop_proofs_on_finality::<Block, _>(chain.clone(), keep));
        let voting = Voting {
            me,
            context: context.clone(),
            chain: chain.clone(),
            record: self.record.clone(),
            gossip: gossip.clone(),
        };
        tasks.spawn(me, vote(voting, context.voters()));
        self.life = Some(Life {
            validator: PouwAnnounceValidator::new(engine.clone(), desk.clone()),
            engine,
            lookahead,
            gossip,
            desk,
            import,
            sync,
        });
    }

    /// Ends whatever the node does; its disk stays as it is.
    pub(super) fn crash(&mut self, me: usize, tasks: &mut Tasks) {
        tasks.kill(me);
        self.chain.crash();
        self.life = None;
    }
}

impl Life {
    /// A message came.
    pub(super) fn hear(
        &mut self,
        from: usize,
        message: Message,
        record: &Mutex<Record>,
        tasks: &mut Tasks,
    ) {
        let me = self.desk.me;
        match message {
            Message::Announce { header, data } => {
                let verdict = self.validator.validate(&header, &data);
                let verdict = verdict.map(|verdict| verdict.ok());
                tasks.spawn(me, announced(from, header, verdict, self.sync.clone()));
            }
            Message::Answer { id, answer } => self.desk.answered(id, answer),
            Message::Vote { round, vote } => self.gossip.hear(round, vote),
            Message::Commit { round, commit } => self.gossip.hear_commit(round, commit),
            Message::CatchUp(catch_up) => self.gossip.hear_catch_up(catch_up),
            Message::Here {
                round,
                finalised,
                best,
            } => {
                self.gossip.told(from, round, finalised, record);
                self.fetch(from, best, tasks);
            }
            question => self.desk.answer(from, &question, record),
        }
    }

    fn fetch(&self, from: usize, block: H256, tasks: &mut Tasks) {
        if !self.desk.chain.has(block) {
            let sync = self.sync.clone();
            tasks.spawn(self.desk.me, async move { sync.fetch(from, block).await });
        }
    }

    /// Tells peers where this node stands, and asks for what votes wait for.
    pub(super) fn gossip(&self, tasks: &mut Tasks) {
        self.gossip.look_again();
        self.gossip.tell();
        for block in self.gossip.wanted() {
            if let Some(peer) = self.desk.context.peers_of(self.desk.me).first() {
                self.fetch(*peer, block, tasks);
            }
        }
    }

    /// What the authoring loop does with a winner.
    pub(super) fn mined(&self, block: Arc<Genuine>, tasks: &mut Tasks) {
        let (engine, import) = (self.engine.clone(), self.import.clone());
        tasks.spawn(self.desk.me, async move {
            let sealed = SealedHeader::open(&block.block.header).unwrap();
            let proof = Arc::new(block.block.proof.clone());
            // A fork may have become final meanwhile, and the parent's state is gone then; or before the import below.
            let verified = match engine.check(&sealed, proof).await {
                Err(EngineError::Chain(sp_blockchain::Error::UnknownBlock(_))) => return,
                verified => verified.unwrap(),
            };
            let evidence = Evidence::Work(verified);
            let params = with_evidence(&sealed, BlockOrigin::Own, evidence);
            let _ = import.import_block(params).await;
        });
    }
}

fn machine(me: usize, life: u64, context: &Arc<Context>) -> Machine {
    let plan = &context.plan;
    let mut limits = plan.limits;
    if plan.mutant == Mutant::BoundlessCache {
        limits.proof_bytes = usize::MAX;
    }
    let (clock, sleep, threads) = (context.clone(), context.clone(), context.clone());
    Machine {
        clock: Arc::new(move || START_MS + clock.timeline.now()),
        sleep: Arc::new(move |pause: Duration| sleep.timeline.sleep(millis(pause))),
        offload: Arc::new(move |work| {
            threads.count(|stats| stats.verifications += 1);
            let pause = threads.draw(threads.plan.verify_ms);
            let node = me;
            threads
                .timeline
                .after(pause, Event::Work { node, life, work });
        }),
        at_a_time: plan.at_a_time,
        limits,
    }
}

async fn watch_imports(chain: Arc<SimChain>, gossip: Arc<Gossip>) {
    let mut imports = chain.import_notification_stream();
    drop(chain);
    while imports.next().await.is_some() {
        gossip.look_again();
    }
}

/// The engine's relay, over the network.
fn relay(
    me: usize,
    context: &Arc<Context>,
    chain: &Arc<SimChain>,
    engine: &Arc<Engine<Block>>,
) -> impl Future<Output = ()> + Send + use<> {
    let (context, blocks) = (context.clone(), chain.clone());
    let announce = move |hash: H256, proof: Option<Vec<u8>>| {
        let header = blocks.header(hash).unwrap().expect("imported just now");
        let data = proof.unwrap_or_default();
        for peer in context.peers_of(me) {
            let (header, data) = (header.clone(), data.clone());
            context.send(me, peer, Message::Announce { header, data });
        }
    };
    announce_imported(chain.clone(), engine.clone(), Arc::new(announce))
}
