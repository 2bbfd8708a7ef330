//! Headers, and proofs of their work: a miner that multiplies by definition, and cheats.

use labora_consensus_api::{PreDigest, pre_digest_item, seal_item};
use labora_pouw::{Difficulty, Proof, Shape, reference};
use sp_core::{H256, U256, crypto::AccountId32};
use sp_runtime::{
    Digest, DigestItem, OpaqueExtrinsic, generic,
    traits::{BlakeTwo256, Header as _},
};

pub(super) type Header = generic::Header<u32, BlakeTwo256>;
pub(super) type Block = generic::Block<Header, OpaqueExtrinsic>;

/// A ticket of the test products is worth 65,536: about one in two wins.
pub(super) const EASY: u64 = 130_000;

/// Time of the block at number n: genesis has none, and the clock of the tests stands a minute after the last.
pub(super) fn time_at(number: u32) -> u64 {
    1_800_000_000_000 + 12_000 * u64::from(number)
}

/// The tests' clock.
pub(super) const NOW_MS: u64 = 1_800_000_000_000 + 100 * 12_000;

pub(super) fn author() -> AccountId32 {
    AccountId32::new([7; 32])
}

/// A header on `parent` without its seal; `salt` makes siblings differ.
pub(super) fn unsealed(parent: &Header, timestamp_ms: u64, salt: u64) -> Header {
    let pre = PreDigest {
        author: author(),
        timestamp_ms,
    };
    Header::new(
        parent.number + 1,
        H256::from_low_u64_be(salt),
        H256::zero(),
        parent.hash(),
        Digest {
            logs: vec![pre_digest_item(&pre)],
        },
    )
}

/// A sealed header and its proof.
#[derive(Clone, Debug)]
pub(super) struct Mined {
    pub(super) header: Header,
    pub(super) proof: Proof,
}

impl Mined {
    pub(super) fn hash(&self) -> H256 {
        self.header.hash()
    }
}

/// Mines a header: products of new matrices until a tile wins.
pub(super) fn mine(header: Header, difficulty: u64) -> Mined {
    let shape = Shape::new(32, 32, 256).unwrap();
    let difficulty = Difficulty::new(difficulty.into()).unwrap();
    let pre_hash = header.hash();
    let winner = (0..)
        .find_map(|attempt| {
            let (a, bt) = reference::matrices(&format!("engine {attempt}"), shape);
            let proved = reference::prove(&pre_hash.0, &a, &bt, shape, difficulty).unwrap();
            proved.winners.into_iter().next()
        })
        .unwrap();
    let mut header = header;
    header.digest.push(seal_item(&winner.seal));
    Mined {
        header,
        proof: winner.proof,
    }
}

/// As [`mine`], but a tile that is proved and does not win.
pub(super) fn lose(header: Header, difficulty: u64) -> Mined {
    let shape = Shape::new(32, 32, 256).unwrap();
    let pre_hash = header.hash();
    let all = Difficulty::new(U256::one()).unwrap();
    let real = Difficulty::new(difficulty.into()).unwrap();
    let loser = (0..)
        .find_map(|attempt| {
            let (a, bt) = reference::matrices(&format!("engine {attempt}"), shape);
            let proved = reference::prove(&pre_hash.0, &a, &bt, shape, all).unwrap();
            proved
                .winners
                .into_iter()
                .find(|winner| !real.wins(&winner.ticket, shape.k()))
        })
        .unwrap();
    let mut header = header;
    header.digest.push(seal_item(&loser.seal));
    Mined {
        header,
        proof: loser.proof,
    }
}

/// A proof with one entry of a strip changed, still in range.
pub(super) fn flipped(proof: &Proof) -> Proof {
    let mut a = proof.a.entries().to_vec();
    a[5] = if a[5] == 0 { 1 } else { 0 };
    Proof::new(
        a,
        proof.a_path.clone(),
        proof.b.entries().to_vec(),
        proof.b_path.clone(),
    )
    .unwrap()
}

/// A header with one more digest item before the seal.
pub(super) fn with_item(header: Header, item: DigestItem) -> Header {
    let mut header = header;
    header.digest.push(item);
    header
}
