//! Peers that do not keep to the rules. They see all there is, hold up to a third of the stake, vote for different
//! things before different nodes, send commits, blocks and proofs that are none, and mine blocks that they keep back.

use std::{collections::HashMap, sync::Arc};

use finality_grandpa::{Message as Ballot, Precommit, Prevote, SignedMessage, SignedPrecommit};
use labora_consensus_api::seal_item;
use parity_scale_codec::Encode;
use sp_blockchain::HeaderBackend;
use sp_core::H256;

use super::{
    super::miner::{Header, flipped, unsealed},
    blocks::{Genuine, START_MS, Stamp},
    context::Context,
    messages::{Answer, Message},
    node::Node,
    plan::Mutant,
    record::{Commit, Id},
};
use crate::{
    SealedHeader,
    exchange::{decode_request, encode_answer},
    header::time_of,
};

/// The adversary.
pub(super) struct Adversary {
    context: Arc<Context>,
    forged: HashMap<H256, Header>,
    /// Mined and not yet told of.
    withheld: Vec<Arc<Genuine>>,
    /// Votes for what each node itself prefers, instead of by chance.
    mirrors: bool,
    salt: u64,
}

impl Adversary {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let mirrors =
            context.plan.mutant == Mutant::HalfEquivocates || context.rng.lock().chance(50);
        Self {
            context,
            forged: HashMap::new(),
            withheld: Vec::new(),
            mirrors,
            salt: 0,
        }
    }

    fn peers(&self) -> std::ops::Range<usize> {
        self.context.plan.nodes()..self.context.plan.peers()
    }

    fn one_of_us(&self) -> usize {
        let peers: Vec<usize> = self.peers().collect();
        *self.context.rng.lock().pick(&peers)
    }

    /// Does one thing. That it is slashed takes its stake and not its votes, before the authorities change: it goes on.
    pub(super) fn act(&mut self, nodes: &[Node], healed: bool) {
        let what = self.context.rng.lock().below(10);
        match what {
            0..=5 => self.equivocate(nodes),
            6 => self.commit(),
            7 | 8 => self.announce_forgery(nodes),
            // After the network healed work is the honest nodes' alone, so that it settles.
            _ if healed => self.release(),
            _ => self.mine_or_release(nodes),
        }
    }

    fn equivocate(&self, nodes: &[Node]) {
        for (at, node) in nodes.iter().enumerate() {
            let Some(life) = &node.life else { continue };
            let (target_hash, target_number) = match self.mirrors {
                true => self.as_it_would(node),
                false => self.any_block(),
            };
            let round = life.gossip.round();
            for peer in self.peers() {
                let prevote = Ballot::Prevote(Prevote {
                    target_hash,
                    target_number,
                });
                let precommit = Ballot::Precommit(Precommit {
                    target_hash,
                    target_number,
                });
                for ballot in [prevote, precommit] {
                    let (signature, id) = (peer as Id, peer as Id);
                    let vote = SignedMessage {
                        message: ballot,
                        signature,
                        id,
                    };
                    self.context.overheard(round, &vote);
                    self.context.send(peer, at, Message::Vote { round, vote });
                }
            }
        }
    }

    /// What the node itself would vote for.
    fn as_it_would(&self, node: &Node) -> (H256, u32) {
        let best = node.chain.best();
        let behind = best.number.saturating_sub(1).max(node.chain.finalised().1);
        let hash = node.chain.hash(behind).unwrap().unwrap_or(best.hash());
        (hash, behind)
    }

    /// One of the newest blocks.
    fn any_block(&self) -> (H256, u32) {
        let truth = self.context.truth.lock();
        let newest = truth.mined.len().saturating_sub(8);
        match &truth.mined[newest..] {
            [] => (super::blocks::genesis().hash(), 0),
            some => {
                let block = self.context.rng.lock().pick(some).clone();
                (block.block.hash(), block.number())
            }
        }
    }

    /// Claims that a block is final, with whatever precommits there are.
    fn commit(&self) {
        let (target_hash, target_number) = self.any_block();
        let Some((round, votes)) = self.context.newest_votes() else {
            return;
        };
        let mut precommits: Vec<SignedPrecommit<H256, u32, Id, Id>> = Vec::new();
        for SignedMessage {
            message,
            signature,
            id,
        } in votes
        {
            if let Ballot::Precommit(precommit) = message {
                precommits.push(SignedPrecommit {
                    precommit,
                    signature,
                    id,
                });
            }
        }
        for peer in self.peers() {
            let precommit = Precommit {
                target_hash,
                target_number,
            };
            let (signature, id) = (peer as Id, peer as Id);
            precommits.push(SignedPrecommit {
                precommit,
                signature,
                id,
            });
        }
        self.context.count(|stats| stats.false_commits += 1);
        let commit = Commit {
            target_hash,
            target_number,
            precommits,
        };
        for node in 0..self.context.plan.nodes() {
            let commit = commit.clone();
            self.context
                .send(self.one_of_us(), node, Message::Commit { round, commit });
        }
    }

    /// A header on `parent` with the seal of another block, of which no proof is ever sent.
    fn forge(&mut self, parent: &Header) -> Option<Header> {
        let seal = {
            let truth = self.context.truth.lock();
            let some = truth.mined.last()?;
            SealedHeader::open(&some.block.header).ok()?.seal
        };
        self.salt += 1;
        let time_ms = time_of(parent).ok()?.max(START_MS) + 1;
        let mut header = unsealed(parent, time_ms, 1_000_000 + self.salt);
        header.digest.push(seal_item(&seal));
        self.context.count(|stats| stats.forgeries_sent += 1);
        self.forged.insert(header.hash(), header.clone());
        Some(header)
    }

    fn announce_forgery(&mut self, nodes: &[Node]) {
        let to = self.context.rng.lock().below(nodes.len() as u64) as usize;
        let some = self.context.truth.lock().mined.last().cloned();
        let Some(some) = some else { return };
        let kind = self.context.rng.lock().below(4);
        let genuine = some.block.header.clone();
        let forged = self.forge(&nodes[to].chain.best());
        let (header, data) = match (kind, forged) {
            // A block that is good, with a proof that is not.
            (0, _) => (genuine, flipped(&some.block.proof).encode()),
            (1, _) => (genuine, vec![7; 40]),
            (2, Some(forged)) => (forged, flipped(&some.block.proof).encode()),
            // Nothing at all: the node has to ask.
            (_, Some(forged)) => (forged, Vec::new()),
            (_, None) => return,
        };
        self.context
            .send(self.one_of_us(), to, Message::Announce { header, data });
    }

    fn mine_or_release(&mut self, nodes: &[Node]) {
        if self.withheld.len() > 2 || self.context.rng.lock().chance(40) {
            return self.release();
        }
        let parent = match self.withheld.last() {
            Some(last) => last.block.header.clone(),
            None => self.context.rng.lock().pick(nodes).chain.best(),
        };
        let mut truth = self.context.truth.lock();
        if truth.work(parent.hash()).is_none() {
            return;
        }
        let stamp = match self.context.rng.lock().chance(20) {
            true => Stamp::Ahead,
            false => Stamp::Due,
        };
        self.withheld.push(truth.mine(&parent, stamp));
        self.context.count(|stats| stats.blocks_mined += 1);
    }

    /// Tells some nodes of the blocks that were kept back, mostly with their proofs.
    fn release(&mut self) {
        for block in std::mem::take(&mut self.withheld) {
            for node in 0..self.context.plan.nodes() {
                let (told, proved) = {
                    let mut rng = self.context.rng.lock();
                    (rng.chance(70), rng.chance(80))
                };
                if told {
                    let header = block.block.header.clone();
                    let data = if proved {
                        block.proof.clone()
                    } else {
                        Vec::new()
                    };
                    let message = Message::Announce { header, data };
                    self.context.send(self.one_of_us(), node, message);
                }
            }
        }
    }

    /// A message came to `me`.
    pub(super) fn hear(&mut self, from: usize, me: usize, message: &Message, nodes: &[Node]) {
        let (id, answer) = match message {
            Message::AskBlocks { id, block, above } => (
                *id,
                Answer::Blocks(self.blocks(from, *block, *above, nodes)),
            ),
            Message::AskProofs { id, request } => (*id, self.proofs(request)),
            Message::AskFinality { id, .. } => {
                let known = nodes
                    .iter()
                    .find_map(|node| node.record.lock().justification.clone());
                let target = self.any_block().0;
                let forged = known.map(|known| Arc::new(known.forged(target)));
                (*id, Answer::Final(forged))
            }
            _ => return,
        };
        self.context.send(me, from, Message::Answer { id, answer });
    }

    fn blocks(&mut self, asker: usize, block: H256, above: u32, nodes: &[Node]) -> Vec<Header> {
        if let Some(forged) = self.forged.get(&block) {
            return vec![forged.clone()];
        }
        if self
            .context
            .rng
            .lock()
            .chance(self.context.plan.forged_percent)
        {
            return self.forge_branch(&nodes[asker], above);
        }
        let truth = self.context.truth.lock();
        let mut headers = Vec::new();
        let mut next = truth.get(block);
        while let Some(genuine) = next.filter(|genuine| genuine.number() > above) {
            headers.push(genuine.block.header.clone());
            next = truth.get(genuine.block.header.parent_hash);
        }
        headers.reverse();
        headers
    }

    /// Another branch than was asked for, on the asker's best block or on its final one.
    fn forge_branch(&mut self, asker: &Node, above: u32) -> Vec<Header> {
        let (on_best, length) = {
            let mut rng = self.context.rng.lock();
            (rng.chance(50), rng.between(1, 3))
        };
        let final_one = asker.chain.hash(above).unwrap();
        let final_one = final_one.and_then(|hash| asker.chain.header(hash).unwrap());
        let parent = if on_best { None } else { final_one };
        let mut parent = parent.unwrap_or_else(|| asker.chain.best());
        let mut branch = Vec::new();
        for _ in 0..length {
            let Some(forged) = self.forge(&parent) else {
                break;
            };
            parent = forged.clone();
            branch.push(forged);
        }
        branch
    }

    fn proofs(&self, request: &[u8]) -> Answer {
        let Ok(blocks) = decode_request(request) else {
            return Answer::Failed;
        };
        match self.context.rng.lock().below(4) {
            0 => return Answer::Failed,
            1 => return Answer::Proofs(vec![9; 30]),
            2 => {
                let nothing = blocks.iter().map(|_| None);
                return Answer::Proofs(encode_answer(nothing));
            }
            _ => {}
        }
        let truth = self.context.truth.lock();
        // The right one, or one that proves nothing. At these difficulties every product wins, so the matrices of another
        // block, as they are, would be honest work for this one.
        let proofs = blocks.iter().map(|block| match truth.get(*block) {
            Some(genuine) => Some(genuine.proof.clone()),
            None => Some(flipped(&truth.mined.last()?.block.proof).encode()),
        });
        Answer::Proofs(encode_answer(proofs))
    }
}
