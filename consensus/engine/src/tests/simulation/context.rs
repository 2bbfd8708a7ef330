//! What all parts of one schedule share, and the network between its peers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finality_grandpa::{Message as Ballot, voter_set::VoterSet};
use parking_lot::Mutex;
use sc_network_types::PeerId;

use super::{
    blocks::Truth,
    messages::{Answer, Event, Message},
    plan::{Mutant, Plan},
    record::{Id, Vote},
    runtime::{Ms, Rng, Timeline},
    stats::Stats,
};

/// The context.
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) timeline: Timeline<Event>,
    pub(super) rng: Mutex<Rng>,
    pub(super) truth: Mutex<Truth>,
    pub(super) stats: Mutex<Stats>,
    pub(super) ids: Vec<PeerId>,
    /// Whether to print what happens, for whoever runs one schedule again.
    shown: bool,
    /// Rules that were broken.
    broken: Mutex<Vec<String>>,
    links: Mutex<Links>,
    /// All votes of the newest rounds.
    votes: Mutex<BTreeMap<u64, Vec<Vote>>>,
}

struct Links {
    sides: Option<Vec<u8>>,
    healed: bool,
    asked: u64,
    /// Who does not speak with whom any more, and until when.
    banned: HashMap<(usize, usize), Ms>,
    /// Who sent whom a block and last said nothing about its proof, and when.
    silent: HashMap<(usize, usize), Ms>,
}

/// How long a peer that did wrong is kept away.
const BAN_MS: Ms = 8_000;

/// How soon after the first silence the second is one too many, by the SDK's reputations.
const SILENCE_MS: Ms = 175_000;

impl Context {
    pub(super) fn new(plan: Plan, rng: Rng) -> Arc<Self> {
        let links = Links {
            sides: None,
            healed: false,
            asked: 0,
            banned: HashMap::new(),
            silent: HashMap::new(),
        };
        Arc::new(Self {
            ids: (0..plan.peers()).map(peer_id).collect(),
            plan,
            shown: std::env::var_os("LABORA_SIM_SEED").is_some(),
            timeline: Timeline::new(),
            rng: Mutex::new(rng),
            truth: Mutex::new(Truth::new()),
            stats: Mutex::default(),
            broken: Mutex::default(),
            links: Mutex::new(links),
            votes: Mutex::default(),
        })
    }

    /// Prints what happens, if somebody looks.
    pub(super) fn show(&self, what: impl FnOnce() -> String) {
        if self.shown {
            println!("{:>8} {}", self.timeline.now(), what());
        }
    }

    /// A rule was broken.
    pub(super) fn broke(&self, what: String) {
        let at = self.timeline.now();
        self.show(|| format!("BROKEN: {what}"));
        self.broken.lock().push(format!("at {at} ms: {what}"));
    }

    pub(super) fn broken(&self) -> Vec<String> {
        self.broken.lock().clone()
    }

    /// Somebody was seen to vote for two things in one round.
    pub(super) fn equivocated(&self, who: Id) {
        self.count(|stats| stats.equivocations += 1);
        if self.is_honest(who as usize) {
            self.broke(format!(
                "honest voter {who} voted for two things in one round"
            ));
        }
    }

    pub(super) fn count(&self, what: impl FnOnce(&mut Stats)) {
        what(&mut self.stats.lock());
    }

    pub(super) fn voters(&self) -> VoterSet<Id> {
        VoterSet::new(self.plan.voters()).expect("there are honest voters")
    }

    /// An honest node votes.
    pub(super) fn voted(&self, round: u64, vote: &Vote) {
        self.count(|stats| stats.votes += 1);
        self.show(|| {
            format!(
                "node {} votes in round {round}: {:?}",
                vote.id, vote.message
            )
        });
        let (target, number) = vote.target();
        if self.truth.lock().work(*target).is_none() {
            self.broke(format!(
                "node {} votes for block {number}, {target:?}, which nobody mined",
                vote.id
            ));
        }
        let kind = std::mem::discriminant(&vote.message);
        let votes = self.votes.lock();
        let before =
            votes.get(&round).into_iter().flatten().find(|before| {
                before.id == vote.id && std::mem::discriminant(&before.message) == kind
            });
        if before.is_some_and(|before| before != vote) {
            let id = vote.id;
            self.broke(format!(
                "node {id} votes twice in round {round}: {:?}, before {:?}",
                vote.message,
                before.map(|before| &before.message)
            ));
        }
        drop(votes);
        self.overheard(round, vote);
    }

    /// Any vote, for those who make use of others'.
    pub(super) fn overheard(&self, round: u64, vote: &Vote) {
        let mut votes = self.votes.lock();
        let of_round = votes.entry(round).or_default();
        if !of_round.contains(vote) {
            of_round.push(vote.clone());
        }
    }

    /// The votes of the newest round that has precommits.
    pub(super) fn newest_votes(&self) -> Option<(u64, Vec<Vote>)> {
        let votes = self.votes.lock();
        let newest = votes.iter().rev().find(|(_, votes)| {
            votes
                .iter()
                .any(|vote| matches!(vote.message, Ballot::Precommit(_)))
        })?;
        Some((*newest.0, newest.1.clone()))
    }

    /// Node `by` finds that `of` did wrong. Nobody honest must ever be found so.
    pub(super) fn blame(&self, by: usize, of: usize, why: &str) {
        self.count(|stats| stats.peers_banned += 1);
        self.show(|| format!("node {by} hangs up on {of}: {why}"));
        // It sent the block before it knew; the rule is that its sender goes, for it might as well be a forger.
        let was_late = why.contains("which finality is proved of");
        // It has no proof of a block that was vouched for, or cannot prove the finality for which it dropped it.
        let has_no_proof = why.contains("none gave a valid proof");
        if self.is_honest(of) && (was_late || has_no_proof) {
            self.count(|stats| stats.honest_peers_banned += 1);
        } else if self.is_honest(of) {
            self.broke(format!("node {by} hangs up on honest node {of}: {why}"));
        }
        self.ban(by, of);
    }

    /// Node `of` sent `by` a block, and said nothing when it was asked for the proof, as whoever is cut off may.
    pub(super) fn silent(&self, by: usize, of: usize) {
        let now = self.timeline.now();
        let last = self.links.lock().silent.insert((by, of), now);
        if last.is_none_or(|last| last + SILENCE_MS < now) {
            return;
        }
        self.show(|| format!("node {by} hangs up on {of}, which says nothing"));
        self.count(|stats| match self.is_honest(of) {
            true => stats.honest_peers_banned_for_silence += 1,
            false => stats.peers_banned_for_silence += 1,
        });
        self.ban(by, of);
    }

    /// Node `of` sent `by` a block that nobody knows anything of, as whoever's answers are lost may; it costs something, and
    /// schedules are too short for that to add up.
    pub(super) fn without_evidence(&self, by: usize, of: usize) {
        self.show(|| format!("node {by} holds a block without evidence against {of}"));
        self.count(|stats| match self.is_honest(of) {
            true => stats.honest_blocks_without_evidence += 1,
            false => stats.blocks_without_evidence += 1,
        });
    }

    /// A time drawn from a range.
    pub(super) fn draw(&self, (first, last): (Ms, Ms)) -> Ms {
        self.rng.lock().between(first, last)
    }

    pub(super) fn peer(&self, id: PeerId) -> usize {
        let at = self.ids.iter().position(|known| *known == id);
        at.expect("nobody else is there")
    }

    pub(super) fn is_honest(&self, peer: usize) -> bool {
        peer < self.plan.nodes()
    }

    pub(super) fn divide(&self, sides: Option<Vec<u8>>) {
        self.links.lock().sides = sides;
    }

    pub(super) fn heal(&self) {
        let mut links = self.links.lock();
        links.sides = match self.plan.mutant {
            Mutant::NeverHeals => Some((0..self.plan.peers()).map(|peer| peer as u8 % 2).collect()),
            _ => None,
        };
        links.healed = true;
    }

    /// Peer `by` hangs up on peer `of`.
    pub(super) fn ban(&self, by: usize, of: usize) {
        let until = self.timeline.now() + BAN_MS;
        self.links.lock().banned.insert((by, of), until);
    }

    pub(super) fn speaks(&self, one: usize, other: usize) -> bool {
        let (now, links) = (self.timeline.now(), self.links.lock());
        let apart = links
            .sides
            .as_ref()
            .is_some_and(|sides| sides[one] != sides[other]);
        let until = |by, of| links.banned.get(&(by, of)).copied().unwrap_or(0);
        !apart && until(one, other) <= now && until(other, one) <= now
    }

    /// Other peers that `peer` is connected with, in an order of chance.
    pub(super) fn peers_of(&self, peer: usize) -> Vec<usize> {
        let mut peers: Vec<usize> = (0..self.plan.peers())
            .filter(|other| *other != peer && self.speaks(peer, *other))
            .collect();
        let mut rng = self.rng.lock();
        for at in (1..peers.len()).rev() {
            peers.swap(at, rng.below(at as u64 + 1) as usize);
        }
        peers
    }

    /// A number for a question.
    pub(super) fn new_question(&self) -> u64 {
        let mut links = self.links.lock();
        links.asked += 1;
        links.asked
    }

    /// Sends a message, which may arrive late, twice, after later ones, or never.
    pub(super) fn send(&self, from: usize, to: usize, message: Message) {
        let plan = &self.plan;
        let stormy = !self.links.lock().healed;
        let speaks = self.speaks(from, to);
        let lost = !speaks || (stormy && self.rng.lock().chance(plan.dropped_percent));
        if lost {
            self.count(|stats| stats.dropped += 1);
            return self.lose(from, to, message);
        }
        if stormy && self.rng.lock().chance(plan.doubled_percent) {
            self.count(|stats| stats.doubled += 1);
            self.deliver(from, to, message.clone());
        }
        self.deliver(from, to, message);
    }

    fn deliver(&self, from: usize, to: usize, message: Message) {
        let delay = self.draw(self.plan.delay_ms);
        self.timeline
            .after(delay, Event::Arrive { from, to, message });
    }

    /// Who asked mostly learns that the connection broke; else it waits in vain.
    fn lose(&self, from: usize, to: usize, message: Message) {
        let id = match message {
            Message::AskBlocks { id, .. }
            | Message::AskProofs { id, .. }
            | Message::AskFinality { id, .. } => id,
            _ => return,
        };
        if self.rng.lock().chance(80) {
            let answer = Answer::Failed;
            let message = Message::Answer { id, answer };
            self.deliver(to, from, message);
        }
    }
}

/// The same identity in every run: a multihash of a made-up Ed25519 key.
fn peer_id(peer: usize) -> PeerId {
    let mut bytes = vec![0, 36, 8, 1, 18, 32];
    bytes.extend([peer as u8 + 1; 32]);
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes")
}
