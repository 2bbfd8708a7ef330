//! A validator that votes for blocks beside the one that others vote for: it tells each half of its peers another block first.

use std::collections::BTreeSet;

use finality_grandpa::{Message, Precommit, Prevote, SignedMessage};
use labora_tests::Outcome;
use parity_scale_codec::{Decode, Encode};
use sc_network::{
    NotificationService,
    service::traits::{NotificationEvent, ValidationResult},
};
use sc_network_types::PeerId;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature, localized_payload};
use sp_core::H256;
use sp_keyring::Ed25519Keyring;
use tokio::{sync::watch, task::JoinSet};

use super::{
    chain::Chain,
    peer::{Key, Peer},
};

/// A block and its height.
pub type Target = (H256, u32);

/// What it votes for beside the block that others vote for.
pub enum Beside {
    /// Blocks that nobody mined: a little above the others' and as high as numbers go.
    MadeUp,
    /// One of these blocks of other branches, above the last final one, in rounds in which there is one.
    Branches(Vec<Target>),
}

/// How far above the block that others vote for made-up ones lie; the last is further than any block.
const ABOVE: [u32; 4] = [1, 3, 40, u32::MAX];

type Vote = SignedMessage<H256, u32, AuthoritySignature, AuthorityId>;

/// What GRANDPA's peers say to each other, as far as this one does.
#[derive(Decode, Encode)]
enum Gossip {
    #[codec(index = 0)]
    Vote { round: u64, set: u64, vote: Vote },
    #[codec(index = 2)]
    Neighbour(Neighbour),
}

#[derive(Clone, Copy, Decode, Encode)]
enum Neighbour {
    #[codec(index = 1)]
    V1 {
        round: u64,
        set: u64,
        finalised: u32,
    },
}

/// Sets and rounds in which it voted for something beside the block that others vote for.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    /// For blocks that nobody mined.
    pub made_up: Vec<(u64, u64)>,
    /// For another branch.
    pub branches: Vec<(u64, u64)>,
}

/// The validator. Dropping it ends it.
pub struct Voter {
    lies: watch::Receiver<Lies>,
    _peer: Peer,
    _tasks: JoinSet<()>,
}

impl Voter {
    /// Votes with this key before these nodes.
    pub fn start(
        key: Key,
        nodes: &[String],
        chain: Chain,
        signer: Ed25519Keyring,
        beside: watch::Receiver<Beside>,
    ) -> Outcome<Self> {
        let (peer, notifications) = Peer::validator(key, nodes, chain)?;
        let (tell, lies) = watch::channel(Lies::default());
        let mut tasks = JoinSet::new();
        let mut mind = Mind {
            notifications,
            signer,
            beside,
            peers: BTreeSet::new(),
            stand: (0, 0, 0),
            voted: (0, 0),
            tell,
        };
        tasks.spawn(async move { mind.vote().await });
        Ok(Self {
            lies,
            _peer: peer,
            _tasks: tasks,
        })
    }

    /// Where it voted for more than others did.
    pub fn lies(&self) -> Lies {
        self.lies.borrow().clone()
    }
}

struct Mind {
    notifications: Box<dyn NotificationService>,
    signer: Ed25519Keyring,
    beside: watch::Receiver<Beside>,
    peers: BTreeSet<PeerId>,
    /// The highest set and round, and final block, of all peers.
    stand: (u64, u64, u32),
    /// The last set and round in which it voted.
    voted: (u64, u64),
    tell: watch::Sender<Lies>,
}

impl Mind {
    async fn vote(&mut self) {
        while let Some(event) = self.notifications.next_event().await {
            match event {
                NotificationEvent::ValidateInboundSubstream { result_tx, .. } => {
                    let _ = result_tx.send(ValidationResult::Accept);
                }
                NotificationEvent::NotificationStreamOpened { peer, .. } => {
                    self.peers.insert(peer);
                    self.tell(&peer);
                }
                NotificationEvent::NotificationStreamClosed { peer } => {
                    self.peers.remove(&peer);
                }
                NotificationEvent::NotificationReceived { notification, .. } => {
                    if let Ok(said) = Gossip::decode(&mut &notification[..]) {
                        self.hear(said);
                    }
                }
            }
        }
    }

    fn tell(&mut self, peer: &PeerId) {
        let (set, round, finalised) = self.stand;
        if round > 0 {
            let here = Gossip::Neighbour(Neighbour::V1 {
                round,
                set,
                finalised,
            });
            self.notifications
                .send_sync_notification(peer, here.encode());
        }
    }

    fn hear(&mut self, said: Gossip) {
        match said {
            Gossip::Neighbour(Neighbour::V1 {
                round,
                set,
                finalised,
            }) => {
                let (old_set, old_round, old_finalised) = self.stand;
                if (set, round) > (old_set, old_round) {
                    self.stand = (set, round, finalised.max(old_finalised));
                    for peer in self.peers.clone() {
                        self.tell(&peer);
                    }
                }
            }
            Gossip::Vote { round, set, vote } => {
                let (now_set, now_round, _) = self.stand;
                if let Message::Prevote(prevote) = vote.message
                    && (set, round) == (now_set, now_round)
                    && (set, round) > self.voted
                {
                    self.voted = (set, round);
                    self.vote_in(set, round, (prevote.target_hash, prevote.target_number));
                }
            }
        }
    }

    fn vote_in(&mut self, set: u64, round: u64, honest: Target) {
        let others = self.others(round, honest);
        let precommit = |(target_hash, target_number)| {
            Message::Precommit(Precommit {
                target_hash,
                target_number,
            })
        };
        let signed = |message| self.signed(set, round, message);
        let prevote = signed(Message::Prevote(Prevote {
            target_hash: honest.0,
            target_number: honest.1,
        }));
        let one = signed(precommit(honest));
        let others: Vec<_> = others.into_iter().map(precommit).map(signed).collect();
        for (at, peer) in self.peers.clone().iter().enumerate() {
            let precommits: Vec<_> = match at % 2 {
                0 => others.iter().chain([&one]).collect(),
                _ => [&one].into_iter().chain(&others).collect(),
            };
            for vote in [&prevote].into_iter().chain(precommits) {
                self.notifications
                    .send_sync_notification(peer, vote.clone());
            }
        }
    }

    /// What else to vote for, told of.
    fn others(&self, round: u64, honest: Target) -> Vec<Target> {
        let (set, _, last_final) = self.stand;
        let (number, is_between) = (honest.1, |number| number > last_final && number <= honest.1);
        match &*self.beside.borrow() {
            Beside::MadeUp => {
                self.tell
                    .send_modify(|lies| lies.made_up.push((set, round)));
                let made_up = (1..).zip(ABOVE).map(|(at, above): (u64, u32)| {
                    let hash = H256::from_low_u64_be(round << 8 | at);
                    (hash, number.saturating_add(above))
                });
                made_up.collect()
            }
            Beside::Branches(branches) => {
                let mut others = branches.iter().copied();
                let other = others.find(|(hash, number)| *hash != honest.0 && is_between(*number));
                if other.is_some() {
                    self.tell
                        .send_modify(|lies| lies.branches.push((set, round)));
                }
                other.into_iter().collect()
            }
        }
    }

    fn signed(&self, set: u64, round: u64, message: Message<H256, u32>) -> Vec<u8> {
        let signature = self.signer.sign(&localized_payload(round, set, &message));
        let vote = Vote {
            message,
            signature: signature.into(),
            id: self.signer.public().into(),
        };
        Gossip::Vote { round, set, vote }.encode()
    }
}
