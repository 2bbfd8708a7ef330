//! What a seed decides before a schedule begins: how many nodes of what stake, how bad the network, who crashes when.

use super::runtime::{Ms, Rng};
use crate::machine::Limits;

/// Longest proof in the simulation, in bytes: two strips of 16 × 256 and their paths.
const PROOF_BYTES: usize = 9_000;

/// One node's stay away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) node: usize,
    pub(super) at: Ms,
    pub(super) back: Ms,
}

/// A time in which only nodes of one side hear each other.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) at: Ms,
    pub(super) healed: Ms,
    /// The side of each peer.
    pub(super) sides: Vec<u8>,
}

/// What is to be broken on purpose, to see that the checker finds it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mutant {
    /// Nothing.
    #[default]
    None,
    /// More than a third of the stake votes for two things at once.
    HalfEquivocates,
    /// One node takes every block for proved.
    UnverifiedBlocks,
    /// One node votes for a block that it does not have.
    UnknownVotes,
    /// The longest chain is the best one.
    LongestChain,
    /// Nodes forget over a crash what they voted.
    ForgottenVotes,
    /// Precommits go to the voter as they come.
    Unguarded,
    /// Proofs are dropped as soon as their blocks are stored.
    WithheldProofs,
    /// That a block was imported without a proof is not written down.
    ForgottenVouchers,
    /// The proof cache has no bound.
    BoundlessCache,
    /// The network stays in two halves.
    NeverHeals,
}

/// The plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Stake of each honest node, which all vote.
    pub(super) honest: Vec<u64>,
    /// Stake of each peer that equivocates.
    pub(super) equivocating: Vec<u64>,
    /// Half of the time that a voter waits before it prevotes.
    pub(super) gossip_ms: Ms,
    /// Mean time between blocks.
    pub(super) block_ms: Ms,
    /// When the network heals for good.
    pub(super) heals: Ms,
    pub(super) delay_ms: (Ms, Ms),
    pub(super) dropped_percent: u64,
    pub(super) doubled_percent: u64,
    pub(super) crashes: Vec<Crash>,
    pub(super) partitions: Vec<Partition>,
    /// Time between two acts of the adversary; it only acts where there are equivocating peers.
    pub(super) adversary_ms: Ms,
    /// How often it answers a question for blocks with blocks that nobody mined.
    pub(super) forged_percent: u64,
    pub(super) verify_ms: (Ms, Ms),
    pub(super) write_ms: (Ms, Ms),
    /// Verifications at a time.
    pub(super) at_a_time: usize,
    pub(super) limits: Limits,
    pub(super) lookahead: u32,
    /// Finalised blocks whose proofs are kept.
    pub(super) keep: u32,
    pub(super) mutant: Mutant,
}

impl Plan {
    /// The plan of a seed; `rng` goes on to decide what happens within the schedule.
    pub(super) fn draw(rng: &mut Rng, mutant: Mutant) -> Self {
        let nodes = rng.between(3, 5) as usize;
        let honest: Vec<u64> = (0..nodes).map(|_| rng.between(1, 3)).collect();
        let equivocating = equivocating_stake(rng, honest.iter().sum(), mutant);
        let block_ms = rng.between(1_500, 5_000);
        let heals = block_ms * rng.between(5, 14);
        let delay_min = rng.between(5, 60);
        let peers = nodes + equivocating.len();
        let crashes = (0..rng.below(4))
            .map(|_| crash(rng, nodes, heals))
            .collect();
        let partitions = (0..rng.below(3))
            .map(|_| partition(rng, peers, heals))
            .collect();
        Self {
            gossip_ms: rng.between(300, 1_000),
            block_ms,
            heals,
            delay_ms: (delay_min, delay_min + rng.between(20, 1_500)),
            dropped_percent: *rng.pick(&[0, 5, 15, 30]),
            doubled_percent: *rng.pick(&[0, 5, 20]),
            crashes,
            partitions,
            adversary_ms: rng.between(700, 3_000),
            verify_ms: (1, rng.between(2, 400)),
            write_ms: (0, rng.between(1, 200)),
            at_a_time: rng.between(1, 2) as usize,
            limits: Limits {
                difficulties: rng.between(1, 8) as u32,
                proof_bytes: rng.between(2, 6) as usize * PROOF_BYTES,
                refused: rng.between(1, 6) as u32,
            },
            lookahead: rng.between(1, 12) as u32,
            // Where no proofs are left, and all is forged, finality alone vouches for blocks.
            keep: match (mutant, rng.between(0, 6) as u32) {
                (Mutant::ForgottenVouchers, _) => 0,
                (_, keep) => keep,
            },
            forged_percent: match mutant {
                Mutant::ForgottenVouchers => 90,
                _ => 20,
            },
            honest,
            equivocating,
            mutant,
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.honest.len()
    }

    /// Nodes, then the peers that equivocate.
    pub(super) fn peers(&self) -> usize {
        self.honest.len() + self.equivocating.len()
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = (u32, u64)> {
        let all = self.honest.iter().chain(&self.equivocating);
        (0u32..).zip(all.copied())
    }
}

/// Up to a third of all stake, on up to two peers: with `honest` stake beside it, at most (`honest` − 1) / 2.
fn equivocating_stake(rng: &mut Rng, honest: u64, mutant: Mutant) -> Vec<u64> {
    let most = match mutant {
        Mutant::HalfEquivocates => return vec![honest, 1],
        _ => (honest - 1) / 2,
    };
    match rng.below(4) {
        0 => Vec::new(),
        1 => vec![rng.between(1, most)],
        2 => vec![most],
        _ if most > 1 => {
            let first = rng.between(1, most - 1);
            vec![first, most - first]
        }
        _ => vec![most],
    }
}

fn crash(rng: &mut Rng, nodes: usize, heals: Ms) -> Crash {
    let at = rng.below(heals);
    Crash {
        node: rng.below(nodes as u64) as usize,
        at,
        back: rng.between(at + 1, heals),
    }
}

fn partition(rng: &mut Rng, peers: usize, heals: Ms) -> Partition {
    let at = rng.below(heals);
    Partition {
        at,
        healed: rng.between(at + 1, heals),
        sides: (0..peers).map(|_| rng.below(2) as u8).collect(),
    }
}
