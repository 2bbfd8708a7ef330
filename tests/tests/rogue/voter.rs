//! A validator that votes for two branches in every round in which there are two: it tells each half of its peers another
//! block first.

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

/// The validator. Dropping it ends it.
pub struct Voter {
    double_votes: watch::Receiver<usize>,
    _peer: Peer,
    _tasks: JoinSet<()>,
}

impl Voter {
    /// Votes with this key before these nodes. `beside` is told of blocks beside the best chain, above the last final one.
    pub fn start(
        key: Key,
        nodes: &[String],
        chain: Chain,
        signer: Ed25519Keyring,
        beside: watch::Receiver<Vec<Target>>,
    ) -> Outcome<Self> {
        let (peer, notifications) = Peer::validator(key, nodes, chain)?;
        let (count, double_votes) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let mut mind = Mind {
            notifications,
            signer,
            beside,
            peers: BTreeSet::new(),
            stand: (0, 0, 0),
            voted: (0, 0),
            count,
        };
        tasks.spawn(async move { mind.vote().await });
        Ok(Self {
            double_votes,
            _peer: peer,
            _tasks: tasks,
        })
    }

    /// In how many rounds it voted for two branches.
    pub fn double_votes(&self) -> usize {
        *self.double_votes.borrow()
    }
}

struct Mind {
    notifications: Box<dyn NotificationService>,
    signer: Ed25519Keyring,
    beside: watch::Receiver<Vec<Target>>,
    peers: BTreeSet<PeerId>,
    /// The highest set and round, and final block, of all peers.
    stand: (u64, u64, u32),
    /// The last set and round in which it voted.
    voted: (u64, u64),
    count: watch::Sender<usize>,
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
        let (target_hash, target_number) = honest;
        let prevote = self.signed(
            set,
            round,
            Message::Prevote(Prevote {
                target_hash,
                target_number,
            }),
        );
        let mut precommit = |target: &Target| {
            self.signed(
                set,
                round,
                Message::Precommit(Precommit {
                    target_hash: target.0,
                    target_number: target.1,
                }),
            )
        };
        let one = precommit(&honest);
        let beside = self.beside.borrow().clone();
        let other = beside.iter().find(|(hash, number)| {
            *hash != target_hash && *number <= target_number && *number > self.stand.2
        });
        let two = other.map(&mut precommit);
        for (at, peer) in self.peers.clone().iter().enumerate() {
            let mut send = |vote: &Vec<u8>| {
                self.notifications
                    .send_sync_notification(peer, vote.clone());
            };
            send(&prevote);
            match &two {
                Some(two) if at % 2 == 0 => [two, &one].map(send),
                Some(two) => [&one, two].map(send),
                None => [(), send(&one)],
            };
        }
        if two.is_some() {
            self.count.send_modify(|count| *count += 1);
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
