//! Templates and submissions.

use std::sync::{Arc, atomic::Ordering};

use labora_pouw::{Seal, reference};
use parity_scale_codec::Encode;
use sp_core::H256;

use super::{mine::*, miner::*};
use crate::{Peers, SubmitError, store::encoded_proof};

#[tokio::test]
async fn a_winner_becomes_the_best_block_with_its_proof_stored_and_a_new_template_follows() {
    let mut mine = start_alone();
    let template = mine.template().await;
    assert_eq!((template.number, template.difficulty), (1, EASY.into()));
    let found = winner(&template);
    let hash = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof.clone())
        .await
        .unwrap();
    assert_eq!(mine.node.chain.best().hash(), hash);
    let stored = encoded_proof(&*mine.node.chain, hash).unwrap().unwrap();
    assert_eq!(stored, found.proof.encode());
    mine.imports.unbounded_send(()).unwrap();
    let next = mine
        .wait(|next| next.as_ref().is_some_and(|next| next.number == 2))
        .await
        .unwrap();
    assert_eq!(next.parent, hash);
}

#[tokio::test]
async fn the_justification_of_an_own_block_is_asked_for_if_authorities_change_by_it() {
    let mut mine = start_alone();
    for (number, changing) in [(1, false), (2, true)] {
        mine.node.chain.set_changing(changing);
        let template = mine
            .wait(|next| next.as_ref().is_some_and(|next| next.number == number))
            .await
            .unwrap();
        let found = winner(&template);
        let submitted = mine
            .handle
            .submit(template.pre_hash, found.seal, found.proof);
        let hash = submitted.await.unwrap();
        let expected = if changing {
            vec![(hash, number)]
        } else {
            vec![]
        };
        assert_eq!(*mine.net.asked.lock(), expected);
        mine.imports.unbounded_send(()).unwrap();
    }
}

#[tokio::test]
async fn a_chain_of_blocks_is_mined_each_on_the_last() {
    let mut mine = start_alone();
    for number in 1..=5 {
        let template = mine
            .wait(|next| next.as_ref().is_some_and(|next| next.number == number))
            .await
            .unwrap();
        let found = winner(&template);
        mine.handle
            .submit(template.pre_hash, found.seal, found.proof)
            .await
            .unwrap();
        mine.imports.unbounded_send(()).unwrap();
    }
    assert_eq!(mine.node.chain.best().number, 5);
}

#[tokio::test]
async fn a_second_winner_of_a_template_is_a_duplicate() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let found = winner(&template);
    mine.handle
        .submit(template.pre_hash, found.seal, found.proof.clone())
        .await
        .unwrap();
    let again = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof)
        .await;
    assert!(
        matches!(again, Err(SubmitError::Duplicate { .. })),
        "{again:?}"
    );
    assert_eq!(mine.node.chain.imports(), 1);
}

#[tokio::test]
async fn a_sealed_template_is_offered_to_nobody_anymore() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let found = winner(&template);
    mine.handle
        .submit(template.pre_hash, found.seal, found.proof)
        .await
        .unwrap();
    // The loop has not been told of the import; it may have noticed by itself.
    let offered = mine.handle.templates().borrow().clone();
    assert!(
        offered
            .as_ref()
            .is_none_or(|next| next.parent != template.parent),
        "{offered:?}"
    );
}

#[tokio::test]
async fn two_winners_submitted_together_make_one_block() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let found = winner(&template);
    let submit = || {
        mine.handle
            .submit(template.pre_hash, found.seal, found.proof.clone())
    };
    let (one, other) = tokio::join!(submit(), submit());
    assert_eq!(
        u8::from(one.is_ok()) + u8::from(other.is_ok()),
        1,
        "{one:?} {other:?}"
    );
    assert_eq!(mine.node.chain.imports(), 1);
}

#[tokio::test]
async fn weak_malformed_and_stale_submissions_are_told_apart_and_leave_the_template_alone() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let pre_hash = template.pre_hash;
    let (found, weak) = (winner(&template), find(&template, |wins| !wins));

    let result = mine.handle.submit(pre_hash, weak.seal, weak.proof).await;
    assert!(matches!(result, Err(SubmitError::Weak { difficulty }) if difficulty == EASY.into()));
    let result = mine
        .handle
        .submit(pre_hash, found.seal, flipped(&found.proof))
        .await;
    assert!(
        matches!(result, Err(SubmitError::Malformed(_))),
        "{result:?}"
    );
    let result = mine
        .handle
        .submit(H256::repeat_byte(9), found.seal, found.proof.clone())
        .await;
    assert!(
        matches!(result, Err(SubmitError::Stale { .. })),
        "{result:?}"
    );

    let (seal, proof) = (found.seal.encode(), found.proof.encode());
    for (seal, proof) in [
        (&seal[1..], &proof[..]),
        (&seal[..], &proof[1..]),
        (&[][..], &[][..]),
        (
            &seal[..],
            &vec![0; labora_pouw::Proof::MAX_ENCODED_LEN + 1][..],
        ),
    ] {
        let result = mine.handle.submit_encoded(pre_hash, seal, proof).await;
        assert!(
            matches!(result, Err(SubmitError::Malformed(_))),
            "{result:?}"
        );
    }
    assert_eq!(seal.len(), Seal::ENCODED_LEN);
    mine.handle
        .submit_encoded(pre_hash, &seal, &proof)
        .await
        .unwrap();
}

fn share_of(macs: u64) -> labora_pouw::Difficulty {
    labora_pouw::Difficulty::new(macs.into()).unwrap()
}

#[tokio::test]
async fn a_share_is_verified_at_its_own_difficulty_and_seals_nothing() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let pre_hash = template.pre_hash;
    let (won, lost) = (winner(&template), find(&template, |wins| !wins));
    let lowest = share_of(1);
    let check = |found: &reference::Winner, least| {
        let proof = Arc::new(found.proof.clone());
        mine.handle.check_share(pre_hash, found.seal, proof, least)
    };

    let share = check(&lost, lowest).await.unwrap();
    assert_eq!((share.macs, share.wins), (lowest, false));
    let share = check(&won, lowest).await.unwrap();
    assert_eq!((share.macs, share.wins), (lowest, true));
    assert_eq!(mine.node.chain.imports(), 0);

    // What a share must be worth at least never passes what the block is worth.
    let again = find_other(&template, &won);
    let share = check(&again, share_of(u64::MAX)).await.unwrap();
    assert_eq!((share.macs, share.wins), (share_of(EASY), true));
    mine.handle
        .submit(pre_hash, won.seal, won.proof.clone())
        .await
        .unwrap();
}

#[tokio::test]
async fn weak_malformed_repeated_and_late_shares_are_told_apart_and_not_counted() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let pre_hash = template.pre_hash;
    let (won, lost) = (winner(&template), find(&template, |wins| !wins));
    let check = |pre_hash, found: &reference::Winner, proof: &labora_pouw::Proof, least| {
        let proof = Arc::new(proof.clone());
        mine.handle.check_share(pre_hash, found.seal, proof, least)
    };

    let weak = check(pre_hash, &lost, &lost.proof, share_of(EASY)).await;
    assert!(
        matches!(weak, Err(SubmitError::Weak { difficulty }) if difficulty == EASY.into()),
        "{weak:?}"
    );
    let broken = check(pre_hash, &won, &flipped(&won.proof), share_of(1)).await;
    assert!(
        matches!(broken, Err(SubmitError::Malformed(_))),
        "{broken:?}"
    );
    let foreign = check(H256::repeat_byte(9), &won, &won.proof, share_of(1)).await;
    assert!(
        matches!(foreign, Err(SubmitError::Stale { .. })),
        "{foreign:?}"
    );

    let (one, other) = tokio::join!(
        check(pre_hash, &lost, &lost.proof, share_of(1)),
        check(pre_hash, &lost, &lost.proof, share_of(1))
    );
    assert_eq!(
        u8::from(one.is_ok()) + u8::from(other.is_ok()),
        1,
        "{one:?} {other:?}"
    );
    let again = check(pre_hash, &lost, &lost.proof, share_of(1)).await;
    assert!(
        matches!(again, Err(SubmitError::Duplicate { .. })),
        "{again:?}"
    );

    mine.handle
        .submit(pre_hash, won.seal, won.proof.clone())
        .await
        .unwrap();
    let late = check(pre_hash, &won, &won.proof, share_of(1)).await;
    assert!(matches!(late, Err(SubmitError::Stale { .. })), "{late:?}");
}

#[tokio::test]
async fn a_winner_for_an_older_best_block_is_stale() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let found = winner(&template);
    let genesis = mine.node.chain.best();
    mine.node.grow(&genesis).await;
    let result = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof)
        .await;
    assert!(
        matches!(result, Err(SubmitError::Stale { .. })),
        "{result:?}"
    );
    assert_eq!(mine.node.chain.imports(), 1);
}

#[tokio::test]
async fn a_failed_import_leaves_no_template_behind_and_is_followed_by_a_new_one() {
    let mut mine = start_alone();
    let template = mine.template().await;
    let found = winner(&template);
    mine.node.chain.set_failing(true);
    let result = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof.clone())
        .await;
    assert!(matches!(result, Err(SubmitError::Refused(_))), "{result:?}");
    let again = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof.clone())
        .await;
    assert!(
        matches!(again, Err(SubmitError::Stale { .. })),
        "it is gone: {again:?}"
    );
    mine.node.chain.set_failing(false);
    let old = template.pre_hash;
    let next = mine
        .wait(|next| next.as_ref().is_some_and(|next| next.pre_hash != old))
        .await
        .unwrap();
    let found = winner(&next);
    mine.handle
        .submit(next.pre_hash, found.seal, found.proof)
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_mines_while_the_node_syncs_and_a_late_miner_is_told_so() {
    let net = Net::default();
    net.syncing.store(true, Ordering::SeqCst);
    let mut mine = start(Peers::NotRequired, net);
    assert_eq!(*mine.handle.templates().borrow(), None);
    mine.net.syncing.store(false, Ordering::SeqCst);
    let template = mine.template().await;
    mine.net.syncing.store(true, Ordering::SeqCst);
    mine.wait(Option::is_none).await;
    assert_eq!(
        *mine.handle.templates().borrow(),
        None,
        "a late subscriber sees the stop too"
    );
    let found = winner(&template);
    let result = mine
        .handle
        .submit(template.pre_hash, found.seal, found.proof)
        .await;
    assert!(
        matches!(result, Err(SubmitError::Stale { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_node_without_peers_mines_only_where_it_may() {
    let net = Net::default();
    net.offline.store(true, Ordering::SeqCst);
    let mut mine = start(Peers::Required, net.clone());
    let mut alone = start(Peers::NotRequired, net.clone());
    alone.template().await;
    assert_eq!(*mine.templates.borrow(), None);
    assert_eq!(mine.proposers.made.load(Ordering::SeqCst), 0);
    net.offline.store(false, Ordering::SeqCst);
    mine.template().await;
}

#[tokio::test]
async fn a_proposal_that_would_not_import_is_never_offered_and_does_not_make_the_loop_spin() {
    let mut mine = start_alone();
    let template = mine.template().await;
    mine.proposers.spoil.store(true, Ordering::SeqCst);
    let made = mine.proposers.made.load(Ordering::SeqCst);
    let genesis = mine.node.chain.best();
    mine.node.grow(&genesis).await;
    for _ in 0..100 {
        mine.imports.unbounded_send(()).unwrap();
    }
    mine.wait(Option::is_none).await;
    assert!(
        mine.proposers.made.load(Ordering::SeqCst) - made <= 2,
        "a hundred events, one try"
    );
    mine.proposers.spoil.store(false, Ordering::SeqCst);
    let next = mine.template().await;
    assert_eq!(next.number, template.number + 1);
}
