//! Orphans, lags and authors, as blocks come, go and become final.

use std::time::Duration;

use labora_consensus_api::{PreDigest, pre_digest_item, seal_item};
use labora_pouw::{Seal, Shape};
use labora_runtime::opaque::Header;
use sp_core::{H256, crypto::AccountId32};
use sp_runtime::{Digest, traits::Header as _};

use super::super::tally::{Figures, Tally};

const ANN: AccountId32 = AccountId32::new([1; 32]);
const BOB: AccountId32 = AccountId32::new([2; 32]);

/// A sealed header of this author on that parent; `salt` tells siblings apart.
fn block(author: AccountId32, number: u32, parent: H256, salt: u64) -> Header {
    let shape = Shape::new(2_048, 1_024, 4_096).expect("a valid shape");
    let seal = Seal::new(shape, [1; 32], [2; 32], 100, 50).expect("a tile of the shape");
    let pre = PreDigest {
        author,
        timestamp_ms: salt,
    };
    let digest = Digest {
        logs: vec![pre_digest_item(&pre), seal_item(&seal)],
    };
    Header::new(number, H256::zero(), H256::zero(), parent, digest)
}

/// A chain of an author's blocks, from a parent on.
fn chain(author: AccountId32, from: u32, to: u32, mut parent: H256) -> Vec<Header> {
    let next = |number| {
        let header = block(author.clone(), number, parent, u64::from(number));
        parent = header.hash();
        header
    };
    (from..=to).map(next).collect()
}

fn count(figures: &Figures, author: AccountId32) -> u64 {
    figures
        .by_author
        .get(&Some(author))
        .copied()
        .unwrap_or_default()
}

#[test]
fn a_straight_chain_has_no_orphans_and_counts_for_its_authors() {
    let mut tally = Tally::new(0);
    let ann = chain(ANN, 1, 3, H256::zero());
    let bob = chain(BOB, 4, 5, ann[2].hash());
    for header in ann.iter().chain(&bob) {
        tally.best(header, header.number.saturating_sub(2));
    }
    tally.finalised(3, Duration::from_secs(9));
    tally.finalised(4, Duration::from_secs(12));
    let figures = tally.figures();
    assert_eq!(
        (figures.blocks, figures.orphans, figures.finalised),
        (5, 0, 4)
    );
    assert_eq!((count(&figures, ANN), count(&figures, BOB)), (3, 2));
    assert_eq!(figures.first_final, Some(Duration::from_secs(9)));
    // Lags: 1, 2, 2, 2, 2.
    assert_eq!(
        (figures.median_lag, figures.highest_lag),
        (Some(2), Some(2))
    );
    assert_eq!(figures.orphan_rate(), 0.0);
}

#[test]
fn a_branch_that_loses_is_orphaned_and_one_that_wins_again_is_not() {
    let mut tally = Tally::new(0);
    let root = block(ANN, 1, H256::zero(), 1);
    let left = chain(ANN, 2, 3, root.hash());
    let right = chain(BOB, 2, 4, root.hash());
    tally.best(&root, 0);
    tally.best(&left[0], 0);
    tally.seen(&right[0]);
    assert_eq!(tally.figures().orphans, 1, "a sibling of the best block");
    tally.best(&left[1], 0);
    tally.seen(&right[1]);
    tally.best(&right[2], 0);
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.orphans), (4, 2));
    assert_eq!((count(&figures, ANN), count(&figures, BOB)), (1, 3));
    let back = chain(ANN, 4, 5, left[1].hash());
    tally.seen(&back[0]);
    tally.best(&back[1], 0);
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.orphans), (5, 3));
    assert_eq!(figures.orphan_rate(), 3.0 / 8.0);
}

#[test]
fn the_same_news_twice_counts_once() {
    let mut tally = Tally::new(0);
    let header = block(ANN, 1, H256::zero(), 1);
    for _ in 0..3 {
        tally.seen(&header);
        tally.best(&header, 0);
    }
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.orphans), (1, 0));
    assert_eq!(figures.median_lag, Some(1));
}

#[test]
fn a_resumed_chain_counts_from_where_it_was_final() {
    let mut tally = Tally::new(100);
    tally.finalised(100, Duration::from_secs(1));
    assert_eq!(tally.first_final(), None);
    tally.best(&block(ANN, 100, H256::zero(), 1), 100);
    for header in chain(BOB, 101, 103, H256::repeat_byte(7)) {
        tally.best(&header, 101);
    }
    tally.finalised(102, Duration::from_secs(2));
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.finalised), (3, 2));
    assert_eq!(figures.first_final, Some(Duration::from_secs(2)));
}

#[test]
fn counts_stay_when_old_blocks_are_forgotten() {
    let mut tally = Tally::new(0);
    let (mut parent, mut orphans) = (H256::zero(), 0);
    for number in 1..=1_000 {
        let author = if number % 2 == 0 { ANN } else { BOB };
        if number % 10 == 0 {
            tally.seen(&block(BOB, number, parent, 99));
            orphans += 1;
        }
        let header = block(author, number, parent, 1);
        parent = header.hash();
        tally.best(&header, number.saturating_sub(3));
        tally.finalised(number.saturating_sub(2), Duration::from_secs(1));
    }
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.orphans), (1_000, orphans));
    assert_eq!((count(&figures, ANN), count(&figures, BOB)), (500, 500));
    assert_eq!(figures.median_lag, Some(3));
    // What comes late for a height that is settled changes nothing.
    tally.seen(&block(ANN, 5, H256::zero(), 3));
    assert_eq!(tally.figures(), figures);
}

#[test]
fn memory_is_bounded_when_nothing_becomes_final() {
    let mut tally = Tally::new(0);
    for header in chain(ANN, 1, 20_000, H256::zero()) {
        tally.best(&header, 0);
    }
    let figures = tally.figures();
    assert_eq!((figures.blocks, figures.orphans), (20_000, 0));
    assert_eq!(figures.highest_lag, Some(10_000));
    assert!(tally.remembered() <= 8_192);
}
