//! What the SDK's GRANDPA makes of votes on two branches, which the simulation has to know.

use std::sync::Arc;

use finality_grandpa::{Commit, Precommit, SignedPrecommit};
use sc_consensus_grandpa::GrandpaJustification;
use sp_consensus::BlockOrigin;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature};
use sp_core::{H256, ed25519};

use super::{
    super::miner::{Block, Header},
    blocks::{Stamp, Truth, genesis},
    chain::SimChain,
};

fn precommit(
    voter: u8,
    header: &Header,
) -> SignedPrecommit<H256, u32, AuthoritySignature, AuthorityId> {
    SignedPrecommit {
        precommit: Precommit {
            target_hash: header.hash(),
            target_number: header.number,
        },
        signature: ed25519::Signature::from_raw([0; 64]).into(),
        id: ed25519::Public::from_raw([voter; 32]).into(),
    }
}

/// The voter adds both votes of whoever equivocated to its commit, and `finalize_block` makes a justification of each
/// commit: where the votes lie on two branches that fails, and the voter with it.
#[test]
fn the_sdk_makes_no_justification_of_a_commit_with_an_equivocation_on_two_branches() {
    let chain = Arc::new(SimChain::new());
    let mut truth = Truth::new();
    let [one, other] = [0, 1].map(|_| truth.mine(&genesis(), Stamp::Due).block.header.clone());
    for header in [&one, &other] {
        let stored = chain.store(header.clone(), Vec::new(), false, BlockOrigin::File);
        stored.unwrap();
    }
    let justify = |precommits| {
        let commit = Commit {
            target_hash: one.hash(),
            target_number: 1,
            precommits,
        };
        GrandpaJustification::<Block>::from_commit(&chain, 1, commit)
    };
    let mut votes: Vec<_> = (0..4).map(|voter| precommit(voter, &one)).collect();
    assert!(justify(votes.clone()).is_ok());
    votes.push(precommit(3, &other));
    assert!(justify(votes).is_err());
}
