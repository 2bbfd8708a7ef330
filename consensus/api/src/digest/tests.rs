//! What may stand in a digest, item by item.

use labora_pouw::Shape;
use sp_core::H256;
use sp_runtime::{
    generic,
    traits::{BlakeTwo256, Header as _},
};

use super::*;
use crate::inherent::MAX_HEADER_LEN;

type Header = generic::Header<u32, BlakeTwo256>;

fn pre() -> PreDigest {
    PreDigest {
        author: AccountId32::new([7; 32]),
        timestamp_ms: 1_700_000_000_000,
    }
}

fn seal() -> Seal {
    let shape = Shape::new(64, 128, 4_096).expect("a valid shape");
    Seal::new(shape, [1; 32], [2; 32], 3, 5).expect("a tile of the shape")
}

fn header(logs: Vec<DigestItem>) -> Header {
    Header::new(
        u32::MAX,
        H256::zero(),
        H256::zero(),
        H256::zero(),
        Digest { logs },
    )
}

fn read(logs: Vec<DigestItem>) -> Result<PreDigest, DigestError> {
    author_and_time(&Digest { logs })
}

#[test]
fn the_authors_item_comes_first_and_is_read() {
    assert_eq!(read(vec![pre_digest_item(&pre())]), Ok(pre()));
}

#[test]
fn what_the_runtime_deposits_may_follow() {
    let change = DigestItem::Consensus(*b"FRNK", vec![1; 40]);
    let upgrade = DigestItem::RuntimeEnvironmentUpdated;
    assert_eq!(
        read(vec![pre_digest_item(&pre()), change, upgrade]),
        Ok(pre())
    );
}

#[test]
fn anything_else_is_a_stray_item_at_its_place() {
    let upgrade = DigestItem::RuntimeEnvironmentUpdated;
    for stray in [
        pre_digest_item(&pre()),
        DigestItem::PreRuntime(*b"aura", vec![]),
        seal_item(&seal()),
        DigestItem::Seal(*b"aura", vec![]),
        DigestItem::Other(vec![1]),
    ] {
        let logs = vec![pre_digest_item(&pre()), upgrade.clone(), stray];
        assert_eq!(read(logs), Err(DigestError::Stray(2)));
    }
}

#[test]
fn a_digest_that_does_not_begin_with_the_authors_item_is_refused() {
    assert_eq!(read(vec![]), Err(DigestError::NoPreDigest));
    for first in [
        DigestItem::PreRuntime(*b"aura", pre().encode()),
        DigestItem::Consensus(ENGINE_ID, pre().encode()),
        DigestItem::RuntimeEnvironmentUpdated,
    ] {
        assert_eq!(
            read(vec![first, pre_digest_item(&pre())]),
            Err(DigestError::NoPreDigest)
        );
    }
}

#[test]
fn an_authors_item_must_be_exactly_one() {
    let whole = pre().encode();
    assert_eq!(whole.len(), PreDigest::max_encoded_len());
    for bytes in [
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], &[0]].concat(),
        vec![],
    ] {
        let logs = vec![DigestItem::PreRuntime(ENGINE_ID, bytes)];
        assert_eq!(read(logs), Err(DigestError::BadPreDigest));
    }
}

#[test]
fn a_seal_comes_off_and_leaves_what_was_sealed() {
    let bare = header(vec![pre_digest_item(&pre())]);
    let mut sealed = bare.clone();
    sealed.digest_mut().push(seal_item(&seal()));
    assert_eq!(split_seal(sealed), Ok((bare, seal())));
}

#[test]
fn only_a_seal_of_this_engine_that_comes_last_counts() {
    let whole = seal().encode();
    assert_eq!(split_seal(header(vec![])), Err(DigestError::NoSeal));
    for last in [
        pre_digest_item(&pre()),
        DigestItem::Seal(*b"aura", whole.clone()),
    ] {
        assert_eq!(
            split_seal(header(vec![seal_item(&seal()), last])),
            Err(DigestError::NoSeal)
        );
    }
    for bytes in [
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], &[0]].concat(),
        vec![],
    ] {
        let logs = vec![DigestItem::Seal(ENGINE_ID, bytes)];
        assert_eq!(split_seal(header(logs)), Err(DigestError::BadSeal));
    }
}

#[test]
fn a_header_with_a_change_of_a_hundred_authorities_is_within_its_length() {
    // Key and weight of each, the length of the list, the delay, and the kind of change.
    let change = vec![0; 100 * (32 + 8) + 2 + 4 + 1];
    let logs = vec![
        pre_digest_item(&pre()),
        DigestItem::Consensus(*b"FRNK", change),
        DigestItem::RuntimeEnvironmentUpdated,
        seal_item(&seal()),
    ];
    assert!(header(logs).encoded_size() < MAX_HEADER_LEN);
}
