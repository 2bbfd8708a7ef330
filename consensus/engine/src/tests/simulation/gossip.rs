//! Votes, commits and what is missed of them, between a node's voter and its peers: after `sc-consensus-grandpa`, whose
//! gossip is private. Messages about unknown blocks wait for these; a peer that lags gets what it lacks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finality_grandpa::{
    Message as Ballot, SignedMessage,
    voter::{Callback, CommunicationIn, CommunicationOut},
};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use parking_lot::Mutex;
use sc_client_api::utils::is_descendent_of;
use sp_blockchain::HeaderBackend;
use sp_core::H256;

use super::{
    chain::SimChain,
    context::Context,
    messages::Message,
    plan::Mutant,
    record::{CatchUp, Commit, Id, Record, Vote, VoterError},
};
use crate::ballots::{Ballots, Blocks, Precommit, precommit_of};

type In = Result<CommunicationIn<H256, u32, Id, Id>, VoterError>;

/// Rounds below the present one of which votes are kept for peers.
const KEPT_ROUNDS: u64 = 2;

enum Global {
    Commit(u64, Commit),
    CatchUp(CatchUp),
}

impl Global {
    /// Blocks that must be known first.
    fn targets(&self) -> Vec<(H256, u32)> {
        match self {
            Self::Commit(_, commit) => {
                let voted = commit.precommits.iter().map(|signed| &signed.precommit);
                let mut targets: Vec<_> = voted
                    .map(|vote| (vote.target_hash, vote.target_number))
                    .collect();
                targets.push((commit.target_hash, commit.target_number));
                targets
            }
            Self::CatchUp(catch_up) => {
                let first = catch_up.prevotes.iter().map(|signed| &signed.prevote);
                let second = catch_up.precommits.iter().map(|signed| &signed.precommit);
                let first = first.map(|vote| (vote.target_hash, vote.target_number));
                let second = second.map(|vote| (vote.target_hash, vote.target_number));
                let base = (catch_up.base_hash, catch_up.base_number);
                first.chain(second).chain([base]).collect()
            }
        }
    }
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Known {
    Yes,
    NotYet,
    /// The vote names another number than the block has.
    Wrong,
}

/// A node's side of the gossip; lost when it crashes.
pub(super) struct Gossip {
    me: usize,
    context: Arc<Context>,
    chain: Arc<SimChain>,
    mind: Mutex<Mind>,
}

struct Mind {
    round: u64,
    ballots: Ballots<Id, Id>,
    heard: BTreeMap<u64, Vec<Vote>>,
    streams: BTreeMap<u64, Vec<UnboundedSender<Result<Vote, VoterError>>>>,
    waiting: Vec<(u64, Vote)>,
    global: Option<UnboundedSender<In>>,
    held: Vec<Global>,
    commit: Option<(u64, Commit)>,
    /// The round that a peer was in when it was last heard of.
    peers: HashMap<usize, u64>,
}

impl Gossip {
    pub(super) fn new(me: usize, context: Arc<Context>, chain: Arc<SimChain>) -> Arc<Self> {
        let weights = context.plan.voters().collect();
        Arc::new(Self {
            me,
            context,
            chain,
            mind: Mutex::new(Mind {
                round: 0,
                ballots: Ballots::new(weights),
                heard: BTreeMap::new(),
                streams: BTreeMap::new(),
                waiting: Vec::new(),
                global: None,
                held: Vec::new(),
                commit: None,
                peers: HashMap::new(),
            }),
        })
    }

    /// The round that is voted in.
    pub(super) fn round(&self) -> u64 {
        self.mind.lock().round
    }

    /// Commits and catch-ups for a voter that starts after the round `last`. The votes of the rounds on disk are there
    /// for peers that are stuck in them.
    pub(super) fn global(&self, last: u64, record: &Record) -> UnboundedReceiver<In> {
        let (global, stream) = mpsc::unbounded();
        let mut mind = self.mind.lock();
        for completed in record.completed() {
            mind.heard.insert(completed.round, completed.votes.clone());
        }
        mind.global = Some(global);
        mind.round = last + 1;
        mind.ballots.enter(last + 1);
        stream
    }

    /// Votes of a round, heard and to be heard.
    pub(super) fn votes_of(&self, round: u64) -> UnboundedReceiver<Result<Vote, VoterError>> {
        let (votes, stream) = mpsc::unbounded();
        let mut mind = self.mind.lock();
        for vote in mind.heard.get(&round).into_iter().flatten() {
            let is_known = self.knows(vote.target().0, vote.target().1) == Known::Yes;
            let may_pass = |vote| mind.ballots.has_passed(round, &vote);
            if is_known && (!self.guards() || precommit_of(vote).is_none_or(may_pass)) {
                let _ = votes.unbounded_send(Ok(vote.clone()));
            }
        }
        mind.streams.entry(round).or_default().push(votes);
        stream
    }

    fn knows(&self, block: &H256, number: u32) -> Known {
        match self.chain.number_of(*block) {
            None => Known::NotYet,
            Some(known) if known == number => Known::Yes,
            Some(_) => Known::Wrong,
        }
    }

    pub(super) fn hear(&self, round: u64, vote: Vote) {
        let mut mind = self.mind.lock();
        if round + KEPT_ROUNDS < mind.round {
            return;
        }
        let heard = mind.heard.entry(round).or_default();
        if heard.contains(&vote) {
            return;
        }
        heard.push(vote.clone());
        match self.knows(vote.target().0, vote.target().1) {
            Known::Yes => self.take(&mut mind, round, &vote),
            Known::NotYet => mind.waiting.push((round, vote)),
            Known::Wrong => {}
        }
    }

    /// Whether precommits wait until the voter can take them.
    fn guards(&self) -> bool {
        self.context.plan.mutant == Mutant::Guarded
    }

    /// A vote goes to the voter, if that can take it.
    fn take(&self, mind: &mut Mind, round: u64, vote: &Vote) {
        let Some(precommit) = precommit_of(vote).filter(|_| self.guards()) else {
            return mind.pass(round, vote);
        };
        if vote.id == self.me as Id {
            mind.ballots.passed(round, &precommit);
            mind.pass(round, vote);
        }
        let came = mind.ballots.came(round, &precommit, &*self.chain);
        if came.second_to.is_some() {
            self.context.equivocated(vote.id);
        }
        mind.pass_all(round, came.pass);
    }

    /// A message to all, without the votes that the voter cannot take.
    fn stripped(&self, mind: &mut Mind, mut global: Global) -> Global {
        let (round, votes) = match &mut global {
            Global::Commit(round, commit) => (*round, &mut commit.precommits),
            Global::CatchUp(catch_up) => (catch_up.round_number, &mut catch_up.precommits),
        };
        if self.guards() && mind.ballots.is_near(round) {
            for vote in votes.iter() {
                let came = mind.ballots.came(round, vote, &*self.chain);
                mind.pass_all(round, came.pass);
            }
            votes.retain(|vote| mind.ballots.has_passed(round, vote));
        }
        global
    }

    pub(super) fn hear_commit(&self, round: u64, commit: Commit) {
        self.hold(Global::Commit(round, commit));
    }

    pub(super) fn hear_catch_up(&self, catch_up: CatchUp) {
        if catch_up.round_number >= self.round() {
            self.hold(Global::CatchUp(catch_up));
        }
    }

    fn hold(&self, global: Global) {
        self.mind.lock().held.push(global);
        self.look_again();
    }

    /// A block was imported: what waited for it can go on.
    pub(super) fn look_again(&self) {
        let mut mind = self.mind.lock();
        for (round, vote) in std::mem::take(&mut mind.waiting) {
            match self.knows(vote.target().0, vote.target().1) {
                Known::Yes => self.take(&mut mind, round, &vote),
                Known::NotYet if round + KEPT_ROUNDS >= mind.round => {
                    mind.waiting.push((round, vote));
                }
                Known::NotYet | Known::Wrong => {}
            }
        }
        for global in std::mem::take(&mut mind.held) {
            let targets = global.targets();
            let known = targets
                .iter()
                .map(|(block, number)| self.knows(block, *number))
                .max();
            match known {
                Some(Known::NotYet) => mind.held.push(global),
                Some(Known::Yes) => {
                    let global = self.stripped(&mut mind, global);
                    mind.pass_global(global);
                }
                Some(Known::Wrong) | None => {}
            }
        }
        if self.guards() {
            for round in mind.ballots.waiting() {
                let released = mind.ballots.released(round, &*self.chain);
                mind.pass_all(round, released);
            }
        }
        // Commits of a peer that makes up blocks would wait for ever.
        let first = mind.held.len().saturating_sub(32);
        mind.held.drain(..first);
    }

    /// Blocks that something waits for.
    pub(super) fn wanted(&self) -> Vec<H256> {
        let mind = self.mind.lock();
        let votes = mind.waiting.iter().map(|(_, vote)| *vote.target().0);
        let global = mind.held.iter().flat_map(|global| global.targets());
        let mut wanted: Vec<H256> = votes.chain(global.map(|(block, _)| block)).collect();
        wanted.retain(|block| !self.chain.has(*block));
        wanted.sort();
        wanted.dedup();
        wanted
    }

    /// Sends this node's own vote, and announces its block as the SDK does, without data.
    pub(super) fn cast(&self, round: u64, ballot: Ballot<H256, u32>) {
        let vote = SignedMessage {
            message: ballot,
            signature: self.me as Id,
            id: self.me as Id,
        };
        self.context.voted(round, &vote);
        self.hear(round, vote.clone());
        let header = self.chain.header(*vote.target().0).ok().flatten();
        for peer in self.context.peers_of(self.me) {
            let vote = vote.clone();
            self.context
                .send(self.me, peer, Message::Vote { round, vote });
            if let Some(header) = header.clone().filter(|header| header.number > 0) {
                let data = Vec::new();
                self.context
                    .send(self.me, peer, Message::Announce { header, data });
            }
        }
    }

    pub(super) fn commit(&self, out: CommunicationOut<H256, u32, Id, Id>) {
        let CommunicationOut::Commit(round, commit) = out;
        for peer in self.context.peers_of(self.me) {
            let commit = commit.clone();
            self.context
                .send(self.me, peer, Message::Commit { round, commit });
        }
    }

    pub(super) fn completed(&self, round: u64) {
        let mut mind = self.mind.lock();
        mind.round = mind.round.max(round + 1);
        let now = mind.round;
        mind.ballots.enter(now);
        let first = mind.round.saturating_sub(KEPT_ROUNDS);
        mind.heard.retain(|round, _| *round >= first);
        mind.streams.retain(|_, streams| {
            streams.retain(|stream| !stream.is_closed());
            !streams.is_empty()
        });
    }

    pub(super) fn finalised(&self, round: u64, commit: Commit) {
        self.mind.lock().commit = Some((round, commit));
    }

    /// Tells all peers where this node stands.
    pub(super) fn tell(&self) {
        let info = self.chain.info();
        let here = Message::Here {
            round: self.round(),
            finalised: info.finalized_number,
            best: info.best_hash,
        };
        for peer in self.context.peers_of(self.me) {
            self.context.send(self.me, peer, here.clone());
        }
    }

    /// A peer told where it stands: it gets what it lacks, if it seems to get on no more.
    pub(super) fn told(&self, peer: usize, round: u64, finalised: u32, record: &Mutex<Record>) {
        let mut mind = self.mind.lock();
        let send = |message| self.context.send(self.me, peer, message);
        let commit = mind
            .commit
            .as_ref()
            .filter(|(_, commit)| commit.target_number > finalised);
        if let Some((round, commit)) = commit.cloned() {
            send(Message::Commit { round, commit });
        }
        if round + 1 < mind.round {
            let completed = record.lock().last_completed().cloned();
            if let Some(completed) = completed.filter(|completed| completed.round > round) {
                send(Message::CatchUp(completed.catch_up()));
            }
        } else if mind.peers.insert(peer, round) == Some(round) {
            for round in [round.saturating_sub(1), round] {
                for vote in mind.heard.get(&round).into_iter().flatten() {
                    let vote = vote.clone();
                    send(Message::Vote { round, vote });
                }
            }
        }
    }
}

impl Blocks for SimChain {
    fn finalised(&self) -> (H256, u32) {
        SimChain::finalised(self)
    }

    fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let header = self.header(hash).ok().flatten()?;
        Some((header.number, header.parent_hash))
    }

    fn is_final(&self, hash: H256) -> bool {
        let (last, height) = SimChain::finalised(self);
        let Some(number) = self.number_of(hash).filter(|number| *number <= height) else {
            return false;
        };
        hash == last
            || (number < height && is_descendent_of(self, None)(&hash, &last).unwrap_or(false))
    }
}

impl Mind {
    fn pass(&mut self, round: u64, vote: &Vote) {
        for stream in self.streams.get(&round).into_iter().flatten() {
            let _ = stream.unbounded_send(Ok(vote.clone()));
        }
    }

    fn pass_all(&mut self, round: u64, precommits: Vec<Precommit<Id, Id>>) {
        for signed in precommits {
            let vote = SignedMessage {
                message: Ballot::Precommit(signed.precommit),
                signature: signed.signature,
                id: signed.id,
            };
            self.pass(round, &vote);
        }
    }

    fn pass_global(&mut self, global: Global) {
        let message = match global {
            Global::Commit(round, commit) => {
                CommunicationIn::Commit(round, commit.into(), Callback::Blank)
            }
            Global::CatchUp(catch_up) => CommunicationIn::CatchUp(catch_up, Callback::Blank),
        };
        if let Some(voter) = &self.global {
            let _ = voter.unbounded_send(Ok(message));
        }
    }
}
