//! Votes, commits and what is missed of them, between a node's voter and its peers: after `sc-consensus-grandpa`, whose
//! gossip is private. Messages about unknown blocks wait for these; a peer that lags gets what it lacks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finality_grandpa::{
    Message as Ballot, SignedMessage,
    voter::{CommunicationIn, CommunicationOut, VoterState},
};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use parking_lot::Mutex;
use sp_blockchain::HeaderBackend;
use sp_core::H256;

use super::{
    chain::SimChain,
    context::Context,
    globals::Global,
    messages::Message,
    plan::Mutant,
    record::{CatchUp, Commit, Completed, Id, Record, Vote, VoterError},
};
use crate::ballots::{Ballots, Fit, Precommit, precommit_of};

type State = Box<dyn VoterState<Id> + Send + Sync>;
type In = Result<CommunicationIn<H256, u32, Id, Id>, VoterError>;

/// Rounds below the present one of which votes are kept for peers.
const KEPT_ROUNDS: u64 = 2;

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
    pub(super) context: Arc<Context>,
    pub(super) chain: Arc<SimChain>,
    pub(super) record: Arc<Mutex<Record>>,
    mind: Mutex<Mind>,
}

pub(super) struct Mind {
    round: u64,
    pub(super) ballots: Ballots<Id, Id>,
    heard: BTreeMap<u64, Vec<Vote>>,
    streams: BTreeMap<u64, Vec<UnboundedSender<Result<Vote, VoterError>>>>,
    waiting: Vec<(u64, Vote)>,
    pub(super) global: Option<UnboundedSender<In>>,
    voter: Option<State>,
    held: Vec<Global>,
    pub(super) commit: Option<(u64, Commit)>,
    /// The round that a peer was in when it was last heard of.
    peers: HashMap<usize, u64>,
}

impl Gossip {
    pub(super) fn new(
        me: usize,
        context: Arc<Context>,
        chain: Arc<SimChain>,
        record: Arc<Mutex<Record>>,
    ) -> Arc<Self> {
        let ballots = Ballots::new(context.voters(), Some(me as Id), 0, &*chain);
        Arc::new(Self {
            me,
            context,
            chain,
            record,
            mind: Mutex::new(Mind {
                round: 0,
                ballots,
                heard: BTreeMap::new(),
                streams: BTreeMap::new(),
                waiting: Vec::new(),
                global: None,
                voter: None,
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
        let me = Some(self.me as Id);
        mind.ballots = Ballots::new(self.context.voters(), me, last + 1, &*self.chain);
        if let Some(Completed { round, base, votes }) = record.last_completed() {
            mind.ballots.restored(*round, *base, votes);
        }
        for (round, votes) in mind.heard.clone() {
            for vote in votes {
                if self.knows(vote.target().0, vote.target().1) == Known::Yes {
                    self.take(&mut mind, round, &vote);
                }
            }
        }
        stream
    }

    /// Votes of a round, heard and to be heard.
    pub(super) fn votes_of(&self, round: u64) -> UnboundedReceiver<Result<Vote, VoterError>> {
        let (votes, stream) = mpsc::unbounded();
        let mut mind = self.mind.lock();
        for vote in mind.heard.get(&round).into_iter().flatten() {
            let is_known = self.knows(vote.target().0, vote.target().1) == Known::Yes;
            let may_pass = match (&vote.message, precommit_of(vote)) {
                (_, Some(precommit)) => mind.ballots.has_passed(round, &precommit),
                (Ballot::Prevote(prevote), _) => {
                    let target = (prevote.target_hash, prevote.target_number);
                    mind.ballots.has_prevoted(round, &vote.id, target)
                }
                _ => true,
            };
            if is_known && (may_pass || !self.guards()) {
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
    pub(super) fn guards(&self) -> bool {
        self.context.plan.mutant != Mutant::Unguarded
    }

    /// A vote goes to the voter, if that can take it.
    fn take(&self, mind: &mut Mind, round: u64, vote: &Vote) {
        if let Ballot::Prevote(_) = vote.message {
            let target = (*vote.target().0, vote.target().1);
            if vote.id == self.me as Id {
                mind.ballots.note_prevote(round, &vote.id, target);
                mind.pass(round, vote);
            } else {
                match (mind.ballots).prevoted(round, &vote.id, target, &*self.chain) {
                    _ if !self.guards() => mind.pass(round, vote),
                    Fit::Takes | Fit::Has => mind.pass(round, vote),
                    Fit::Waits => mind.waiting.push((round, vote.clone())),
                    Fit::Never => {}
                }
            }
            let released = mind.ballots.released(round, &*self.chain);
            return mind.pass_all(round, released);
        }
        let Some(precommit) = precommit_of(vote).filter(|_| self.guards()) else {
            return mind.pass(round, vote);
        };
        if vote.id == self.me as Id {
            mind.ballots.passed(round, &precommit);
            mind.pass(round, vote);
        }
        if mind.ballots.came(round, &precommit).is_some() {
            self.context.equivocated(vote.id);
        }
        let released = mind.ballots.released(round, &*self.chain);
        mind.pass_all(round, released);
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
        self.look_at_votes(&mut mind);
        for global in std::mem::take(&mut mind.held) {
            let targets = global.targets();
            let known = targets
                .iter()
                .map(|(block, number)| self.knows(block, *number))
                .max();
            match known {
                Some(Known::NotYet) => mind.held.push(global),
                Some(Known::Yes) => self.take_global(&mut mind, global),
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

    /// Votes that waited, for a block or for a round, may go on.
    fn look_at_votes(&self, mind: &mut Mind) {
        for (round, vote) in std::mem::take(&mut mind.waiting) {
            match self.knows(vote.target().0, vote.target().1) {
                Known::Yes => self.take(mind, round, &vote),
                Known::NotYet if round + KEPT_ROUNDS >= mind.round => {
                    mind.waiting.push((round, vote));
                }
                Known::NotYet | Known::Wrong => {}
            }
        }
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
        mind.ballots.enter(now, &*self.chain);
        self.look_at_votes(&mut mind);
        for round in mind.ballots.waiting() {
            let released = mind.ballots.released(round, &*self.chain);
            mind.pass_all(round, released);
        }
        let first = mind.round.saturating_sub(KEPT_ROUNDS);
        mind.heard.retain(|round, _| *round >= first);
        mind.streams.retain(|_, streams| {
            streams.retain(|stream| !stream.is_closed());
            !streams.is_empty()
        });
    }

    /// Whom to ask for the state of the voter.
    pub(super) fn is_heard_by(&self, voter: State) {
        self.mind.lock().voter = Some(voter);
    }

    /// What it knows, for whoever looks at a schedule that failed. A voter that is at work cannot be asked.
    pub(super) fn described(&self, with_voter: bool) -> String {
        let mind = self.mind.lock();
        let voter = mind.voter.as_ref().filter(|_| with_voter).map(|voter| {
            let (round, state) = voter.get().best_round;
            let prevotes = (state.prevote_current_weight.0, state.prevote_ids);
            let precommits = (state.precommit_current_weight.0, state.precommit_ids);
            (round, prevotes, precommits)
        });
        format!(
            "node {} in round {}: {:?}; {voter:?}",
            self.me, mind.round, mind.ballots
        )
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

impl Mind {
    fn pass(&mut self, round: u64, vote: &Vote) {
        for stream in self.streams.get(&round).into_iter().flatten() {
            let _ = stream.unbounded_send(Ok(vote.clone()));
        }
    }

    pub(super) fn pass_all(&mut self, round: u64, precommits: Vec<Precommit<Id, Id>>) {
        for signed in precommits {
            let vote = SignedMessage {
                message: Ballot::Precommit(signed.precommit),
                signature: signed.signature,
                id: signed.id,
            };
            self.pass(round, &vote);
        }
    }
}
