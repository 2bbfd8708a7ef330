//! Proofs of finality around a change of authorities that finality did not make.

use std::sync::Arc;

use parity_scale_codec::{DecodeAll, Encode};
use sc_consensus_grandpa::{
    AuthoritySet, GrandpaJustification, SharedAuthoritySet, warp_proof::WarpSyncFragment,
};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpSyncProvider,
};
use sp_blockchain::{BlockStatus, HeaderBackend, Info};
use sp_consensus_grandpa::{
    AuthorityId, AuthorityList, Commit, ConsensusLog, GRANDPA_ENGINE_ID, ScheduledChange,
};
use sp_core::{H256, crypto::UncheckedFrom};
use sp_runtime::{Digest, DigestItem, Justifications, traits::Header as _};

use super::miner::{Block, Header};
use crate::{
    ForcedChange, ForcedChangeError, ForcedChanges, TrustedTarget,
    warp::{Failure, Fragments, verify_as_far},
};

/// Sets end at blocks 10 and 20 as they should, at 23 twice by force, at 40 as they should; 45 is the last final one.
const ENDS: [(u64, u32); 5] = [(0, 10), (1, 20), (2, 23), (3, 23), (4, 40)];
const FORCED: u32 = 23;
/// Too early: those that are gone were among the new authorities.
const IN_VAIN: u32 = 27;
const ANNOUNCED: u32 = 30;
const DELAY: u32 = 4;
const FINAL: u32 = 45;
const BEST: u32 = 47;

fn authorities(of: u8) -> AuthorityList {
    vec![(AuthorityId::unchecked_from([of; 32]), 1)]
}

/// A chain with these changes.
struct Headers(Vec<Header>);

impl Headers {
    fn new() -> Self {
        let mut headers: Vec<Header> = Vec::new();
        for number in 0..=BEST {
            let change = |delay| ScheduledChange {
                next_authorities: authorities(number as u8),
                delay,
            };
            let log = match number {
                10 | 20 | 40 => Some(ConsensusLog::ScheduledChange(change(0))),
                // Announced while nothing became final, and undone by force.
                26 => Some(ConsensusLog::ScheduledChange(change(0))),
                IN_VAIN => Some(ConsensusLog::ForcedChange(FORCED, change(1))),
                ANNOUNCED => Some(ConsensusLog::ForcedChange(FORCED, change(DELAY))),
                _ => None,
            };
            let logs = log.map(|log: ConsensusLog<u32>| {
                DigestItem::Consensus(GRANDPA_ENGINE_ID, log.encode())
            });
            let parent = headers.last().map_or(H256::zero(), Header::hash);
            headers.push(Header::new(
                number,
                H256::zero(),
                H256::zero(),
                parent,
                Digest {
                    logs: logs.into_iter().collect(),
                },
            ));
        }
        Self(headers)
    }

    fn at(&self, number: u32) -> &Header {
        &self.0[number as usize]
    }
}

impl HeaderBackend<Block> for Headers {
    fn header(&self, hash: H256) -> sp_blockchain::Result<Option<Header>> {
        Ok(self.0.iter().find(|header| header.hash() == hash).cloned())
    }

    fn info(&self) -> Info<Block> {
        Info {
            best_hash: self.at(BEST).hash(),
            best_number: BEST,
            genesis_hash: self.at(0).hash(),
            finalized_hash: self.at(FINAL).hash(),
            finalized_number: FINAL,
            finalized_state: None,
            number_leaves: 1,
            block_gap: None,
        }
    }

    fn status(&self, _: H256) -> sp_blockchain::Result<BlockStatus> {
        Ok(BlockStatus::InChain)
    }

    fn number(&self, hash: H256) -> sp_blockchain::Result<Option<u32>> {
        Ok(self.header(hash)?.map(|header| header.number))
    }

    fn hash(&self, number: u32) -> sp_blockchain::Result<Option<H256>> {
        Ok(self.0.get(number as usize).map(Header::hash))
    }
}

fn fragment(header: &Header) -> WarpSyncFragment<Block> {
    let commit: Commit<Header> = finality_grandpa::Commit {
        target_hash: header.hash(),
        target_number: header.number,
        precommits: Vec::new(),
    };
    let bytes = (1u64, commit, Vec::<Header>::new()).encode();
    WarpSyncFragment {
        header: header.clone(),
        justification: GrandpaJustification::decode(&bytes).unwrap(),
    }
}

/// Makes proofs as the SDK does: up to the first change by force, and then the last final block.
struct Sdk {
    headers: Arc<Headers>,
    ends: Vec<u32>,
}

impl WarpSyncProvider<Block> for Sdk {
    fn generate(&self, start: H256) -> Result<EncodedProof, Failure> {
        let start = self.headers.number(start)?.ok_or("not known")?;
        // Of two sets that ended at the block the second may come first, by how it searches.
        let from = self
            .ends
            .iter()
            .position(|end| *end > start || *end == FORCED && start == FORCED);
        let ends = self.ends.iter().skip(from.unwrap_or(self.ends.len()));
        let ends = ends.take_while(|end| [10, 20, 40].contains(*end));
        let fragments = ends
            .chain([&FINAL])
            .map(|at| fragment(self.headers.at(*at)));
        Ok(EncodedProof((fragments.collect::<Vec<_>>(), true).encode()))
    }

    fn create_verifier(&self) -> Box<dyn Verifier<Block>> {
        unreachable!("nothing is verified here")
    }
}

/// The proofs of a node that went through the change, if `saw_it`, and was told of these.
fn node(saw_it: bool, told: Vec<ForcedChange>) -> (Arc<ForcedChanges<Block>>, Arc<Headers>) {
    let headers = Arc::new(Headers::new());
    let ends: Vec<_> = ENDS
        .into_iter()
        .filter(|(_, at)| saw_it || *at != FORCED)
        .collect();
    // Authorities, their number, pending changes by finality and by force, and how sets ended.
    let set = (
        authorities(40),
        5u64,
        (Vec::<()>::new(), None::<u32>),
        Vec::<()>::new(),
        ends.clone(),
    );
    let set = AuthoritySet::<H256, u32>::decode_all(&mut &set.encode()[..]).unwrap();
    let sdk = Sdk {
        headers: headers.clone(),
        ends: ends.into_iter().map(|(_, at)| at).collect(),
    };
    let set = SharedAuthoritySet::from(set);
    (
        ForcedChanges::new(told, headers.clone(), set, Arc::new(sdk)),
        headers,
    )
}

fn the_change(headers: &Headers) -> ForcedChange {
    ForcedChange {
        number: FORCED,
        hash: headers.at(FORCED).hash(),
        effective: ANNOUNCED + DELAY,
        set_id: 4,
        authorities: authorities(ANNOUNCED as u8),
    }
}

fn fragments(proof: &EncodedProof) -> Fragments<Block> {
    Fragments::<Block>::decode_all(&mut &proof.0[..]).unwrap()
}

fn numbers(of: &Arc<ForcedChanges<Block>>, start: H256) -> Vec<u32> {
    let (fragments, is_finished) = fragments(&of.generate(start).unwrap());
    assert!(is_finished);
    let headers = fragments.iter().map(|fragment| fragment.header.number);
    headers.collect()
}

#[test]
fn who_went_through_a_forced_change_can_tell_others_of_it() {
    let (node, headers) = node(true, Vec::new());
    assert_eq!(node.known().unwrap(), [the_change(&headers)]);
    let (told, headers) = self::node(false, vec![the_change(&headers)]);
    assert_eq!(told.known().unwrap(), [the_change(&headers)]);
}

#[test]
fn what_is_told_is_held_against_the_chain() {
    let wrong = |saw_it, change: fn(&mut ForcedChange)| {
        let mut told = the_change(&Headers::new());
        change(&mut told);
        match node(saw_it, vec![told]).0.check() {
            Ok(()) => None,
            Err(ForcedChangeError::Wrong { why, .. }) => Some(why),
            Err(error) => panic!("{error}"),
        }
    };
    for saw_it in [false, true] {
        assert_eq!(wrong(saw_it, |_| {}), None);
        let refused: [fn(&mut ForcedChange); 9] = [
            |told| told.authorities.clear(),
            |told| {
                told.authorities
                    .push((AuthorityId::unchecked_from([1; 32]), 0))
            },
            |told| told.set_id = 0,
            |told| told.set_id = u64::MAX,
            |told| told.effective = told.number,
            |told| told.hash = H256::repeat_byte(1),
            |told| told.authorities = authorities(1),
            |told| told.effective += 1,
            |told| (told.number, told.effective) = (u32::MAX, 0),
        ];
        for change in refused {
            assert!(wrong(saw_it, change).is_some());
        }
    }
    // The chain does not say which set it makes; who went through it knows.
    assert!(wrong(true, |told| told.set_id = 3).is_some());
    // Of what is not here yet nothing is known.
    assert_eq!(wrong(false, |told| told.effective = FINAL + 1), None);
    let twice = vec![the_change(&Headers::new()); 2];
    assert!(matches!(
        node(false, twice).0.check(),
        Err(ForcedChangeError::Wrong { number: FORCED, .. })
    ));

    // Nor is it put into proofs, if it is of another chain.
    let mut told = the_change(&Headers::new());
    told.hash = H256::repeat_byte(1);
    let (misled, headers) = node(false, vec![told]);
    assert_eq!(numbers(&misled, headers.at(20).hash()), [40, FINAL]);
}

#[test]
fn proofs_name_the_block_after_which_authorities_were_changed_by_force() {
    let (saw_it, headers) = node(true, Vec::new());
    let (was_told, _) = node(false, vec![the_change(&headers)]);
    for node in [saw_it, was_told] {
        let from = |number| numbers(&node, headers.at(number).hash());
        assert_eq!(from(0), [10, 20, FORCED, 40, FINAL]);
        assert_eq!(from(20), [FORCED, 40, FINAL]);
        assert_eq!(from(FORCED), [FORCED, 40, FINAL]);
        // Beyond it they are the SDK's.
        assert_eq!(from(FORCED + 1), [40, FINAL]);
        assert_eq!(from(40), [FINAL]);
        assert!(node.generate(H256::repeat_byte(9)).is_err());
    }
}

/// Takes what hands over at these blocks, and knows or does not know of the change by force.
struct Knowing {
    by_force: bool,
    seen: Option<u32>,
}

impl Verifier<Block> for Knowing {
    fn verify(&mut self, proof: &EncodedProof) -> Result<VerificationResult<Block>, Failure> {
        let (fragments, is_finished) = fragments(proof);
        let mut seen = self.seen;
        for fragment in &fragments {
            let number = fragment.header.number;
            let follows = match number {
                FORCED => self.by_force,
                _ if number > FORCED => seen >= Some(FORCED),
                _ => true,
            };
            if !follows {
                return Err("it does not hold".into());
            }
            seen = seen.max(Some(number));
        }
        self.seen = seen;
        let last = fragments.last().ok_or("nothing")?.header.clone();
        let none = Justifications::from((GRANDPA_ENGINE_ID, Vec::new()));
        let all = fragments
            .into_iter()
            .map(|fragment| (fragment.header, none.clone()));
        Ok(match is_finished {
            true => VerificationResult::Complete(last, all.collect()),
            false => VerificationResult::Partial(all.collect()),
        })
    }

    fn next_proof_context(&self) -> H256 {
        unreachable!("nobody asks")
    }

    fn status(&self) -> Option<String> {
        None
    }
}

#[test]
fn who_does_not_know_of_the_change_believes_the_proof_up_to_it() {
    let (node, headers) = node(true, Vec::new());
    let begin = headers.at(0).hash();
    let proof = node.generate(begin).unwrap();
    let verify = |proof: &EncodedProof, begin, by_force, seen| {
        verify_as_far(proof, begin, &mut Knowing { by_force, seen })
    };
    assert!(matches!(
        verify(&proof, begin, true, None),
        Ok(VerificationResult::Complete(header, _)) if header.number == FINAL
    ));
    let (_, as_far) = verify(&proof, begin, false, None).map(drop).unwrap_err();
    let at_20 = TrustedTarget::of::<Block>(headers.at(20));
    assert_eq!(as_far, Some(at_20));

    // Who was there has the new authorities, though the last block that is final to it is the one before them.
    let begin = headers.at(FORCED).hash();
    let proof = node.generate(begin).unwrap();
    assert!(verify(&proof, begin, false, Some(FORCED)).is_ok());
    let (_, as_far) = verify(&proof, begin, false, Some(20))
        .map(drop)
        .unwrap_err();
    assert_eq!(as_far, None);
}
