//! What enters the chain, and which chain is the best.

use std::sync::Arc;

use labora_consensus_api::MAX_FUTURE_MS;
use parity_scale_codec::{DecodeAll, Encode};
use sc_consensus::{BlockImport, BlockImportParams, ImportResult, StateAction, Verifier};
use sp_core::U256;
use sp_runtime::DigestItem;

use super::{miner::*, mock::*};
use crate::{
    accumulated_work,
    import::{EVIDENCE_KEY, Evidence},
    store::{WorkRecord, encoded_proof, record, work_key},
};

fn is_new_best(result: ImportResult) -> bool {
    match result {
        ImportResult::Imported(aux) => aux.is_new_best,
        other => panic!("not imported: {other:?}"),
    }
}

#[tokio::test]
async fn work_and_proof_are_stored_with_the_block() {
    let node = Node::new();
    let genesis = node.chain.best();
    node.chain.set_difficulty(genesis.hash(), EASY + 5);
    let first = node.grow(&genesis).await;
    let second = node.grow(&first.header).await;
    assert_eq!(
        accumulated_work(&*node.chain, first.hash()).unwrap(),
        U256::from(EASY + 5)
    );
    assert_eq!(
        accumulated_work(&*node.chain, second.hash()).unwrap(),
        U256::from(2 * EASY + 5)
    );
    let stored = encoded_proof(&*node.chain, second.hash()).unwrap().unwrap();
    assert_eq!(
        labora_pouw::Proof::decode_all(&mut &stored[..]).unwrap(),
        second.proof
    );
    assert_eq!(stored, second.proof.encode());
}

#[tokio::test]
async fn a_failed_import_stores_nothing() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    node.chain.set_failing(true);
    assert!(matches!(
        node.hear_and_sync(&block).await,
        Err(SyncError::NotNow(_))
    ));
    assert_eq!(node.chain.records(), 0);
    node.chain.set_failing(false);
    node.hear_and_sync(&block).await.unwrap();
    assert_eq!(node.chain.best().hash(), block.hash());
}

#[tokio::test]
async fn a_block_without_evidence_is_not_imported() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    let unverified = Node::from_sync(&block.header);
    let error = node.import.import_block(unverified).await.unwrap_err();
    assert!(error.to_string().contains("without evidence"), "{error}");
    assert!(!node.chain.has(block.hash()));
}

#[tokio::test]
async fn a_proof_verified_for_one_block_does_not_import_another() {
    let node = Node::new();
    let genesis = node.chain.best();
    let (proved, other) = (node.child(&genesis), node.child(&genesis));
    let verified = node
        .engine
        .check(&Node::open(&proved.header), Arc::new(proved.proof.clone()))
        .await
        .unwrap();
    let mut block = Node::from_sync(&other.header);
    block.insert_intermediate(EVIDENCE_KEY, Evidence::Work(verified));
    assert!(node.import.import_block(block).await.is_err());
    assert!(!node.chain.has(other.hash()));
}

#[tokio::test]
async fn a_block_is_not_imported_unexecuted() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    node.engine
        .proofs
        .keep_unchecked(block.hash(), Arc::new(block.proof.clone()), None);
    let mut params: BlockImportParams<Block> = Node::from_sync(&block.header);
    params.state_action = StateAction::Skip;
    let params = node.verifier.verify(params).await.unwrap();
    let error = node.import.import_block(params).await.unwrap_err();
    assert!(error.to_string().contains("must be executed"), "{error}");
}

#[tokio::test]
async fn of_forks_of_equal_work_the_first_seen_stays() {
    let node = Node::new();
    let genesis = node.chain.best();
    let (first, second) = (node.child(&genesis), node.child(&genesis));
    assert!(is_new_best(node.hear_and_sync(&first).await.unwrap()));
    assert!(!is_new_best(node.hear_and_sync(&second).await.unwrap()));
    assert_eq!(node.chain.best().hash(), first.hash());

    let other = Node::new();
    other.hear_and_sync(&second).await.unwrap();
    other.hear_and_sync(&first).await.unwrap();
    assert_eq!(
        other.chain.best().hash(),
        second.hash(),
        "order alone decides"
    );
}

#[tokio::test]
async fn a_branch_of_more_work_wins_over_one_of_more_blocks_and_loses_to_more_work_again() {
    let node = Node::new();
    let genesis = node.chain.best();
    let root = node.grow(&genesis).await;
    let long_1 = node.grow(&root.header).await;
    let long_2 = node.grow(&long_1.header).await;
    let long_3 = node.grow(&long_2.header).await;
    // Another branch, each of whose blocks counts two: after one block it has as much as it takes to equal two.
    let heavy_0 = node.grow(&root.header).await;
    node.chain.set_difficulty(heavy_0.hash(), 2 * EASY);
    assert_eq!(node.chain.best().hash(), long_3.hash());
    let heavy_1 = node.child(&heavy_0.header);
    assert!(
        !is_new_best(node.hear_and_sync(&heavy_1).await.unwrap()),
        "equal: 4 and 1+1+2"
    );
    node.chain.set_difficulty(heavy_1.hash(), 2 * EASY);
    let heavy_2 = node.child(&heavy_1.header);
    assert!(is_new_best(node.hear_and_sync(&heavy_2).await.unwrap()));
    assert_eq!(node.chain.best().hash(), heavy_2.hash());
    let long_4 = node.grow(&long_3.header).await;
    assert_eq!(node.chain.best().hash(), heavy_2.hash(), "5 against 6");
    let long_5 = node.grow(&long_4.header).await;
    let long_6 = node.grow(&long_5.header).await;
    assert_eq!(node.chain.best().hash(), long_6.hash(), "7 against 6");
}

#[tokio::test]
async fn imports_that_come_together_are_decided_one_after_the_other() {
    let node = Node::new();
    let genesis = node.chain.best();
    let blocks: Vec<_> = (0..8).map(|_| node.child(&genesis)).collect();
    let imports = blocks.iter().map(|block| node.hear_and_sync(block));
    let results = futures::future::join_all(imports).await;
    let best = results
        .into_iter()
        .filter(|result| matches!(result, Ok(ImportResult::Imported(aux)) if aux.is_new_best));
    assert_eq!(
        best.count(),
        1,
        "of eight siblings of equal work exactly the first is best"
    );
    assert_eq!(node.chain.imports(), 8);
}

#[tokio::test]
async fn a_lost_work_record_fails_the_import_and_never_counts_as_zero() {
    let node = Node::new();
    let genesis = node.chain.best();
    let first = node.grow(&genesis).await;
    node.chain.remove_record(&work_key(first.hash()));
    let (sibling, child) = (node.child(&genesis), node.child(&first.header));
    for block in [sibling, child] {
        let error = node.hear_and_sync(&block).await.unwrap_err();
        assert!(
            matches!(&error, SyncError::NotNow(why) if why.contains("work")),
            "{error:?}"
        );
    }
    node.chain.put_record(work_key(first.hash()), vec![9, 9]);
    let child = node.child(&first.header);
    assert!(matches!(
        node.hear_and_sync(&child).await,
        Err(SyncError::NotNow(_))
    ));
    assert_eq!(node.chain.imports(), 1);
}

#[tokio::test]
async fn work_that_does_not_fit_fails_the_import_and_does_not_saturate() {
    let node = Node::new();
    let first = node.grow(&node.chain.best()).await;
    let full = WorkRecord {
        difficulty: EASY.into(),
        work: U256::MAX,
    };
    node.chain.put_record(work_key(first.hash()), record(&full));
    let child = node.child(&first.header);
    assert!(matches!(
        node.hear_and_sync(&child).await,
        Err(SyncError::NotNow(_))
    ));
}

#[tokio::test]
async fn what_is_final_needs_no_proof_and_a_fork_that_finality_cut_off_is_refused() {
    let node = Node::new();
    let genesis = node.chain.best();
    let first = node.grow(&genesis).await;
    let fork = node.child(&genesis);
    let refused =
        |result, why: &str| matches!(result, Err(SyncError::NotNow(said)) if said.contains(why));
    assert!(
        refused(node.sync(&fork.header).await, "valid proof"),
        "not final yet"
    );
    node.chain.set_finalised(1);
    node.sync(&first.header).await.unwrap();
    // Whoever sent it may not know: it is not hung up on, and not taken at its word either.
    assert!(refused(node.sync(&fork.header).await, "cut its fork off"));
    assert_eq!(node.chain.best().hash(), first.hash());
    let next = node.child(&first.header);
    assert!(
        matches!(node.sync(&next.header).await, Err(SyncError::NotNow(_))),
        "above: needs its proof"
    );
}

#[tokio::test]
async fn a_timestamp_not_above_the_parents_bans_the_sender_and_one_too_far_ahead_does_not() {
    let node = Node::new();
    let parent = node.grow(&node.chain.best()).await;
    let late = mine(unsealed(&parent.header, time_at(1), 1), EASY);
    assert!(matches!(
        node.hear_and_sync(&late).await,
        Err(SyncError::SenderBanned(_))
    ));
    let early = mine(
        unsealed(&parent.header, NOW_MS + MAX_FUTURE_MS + 1, 1),
        EASY,
    );
    assert!(matches!(
        node.hear_and_sync(&early).await,
        Err(SyncError::NotNow(_))
    ));
    assert_eq!(node.chain.imports(), 1);
}

#[tokio::test]
async fn a_header_sent_under_another_hash_bans_the_sender() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    let mut params = Node::from_sync(&block.header);
    params.post_hash = Some(sp_core::H256::repeat_byte(1));
    assert!(node.verifier.verify(params).await.is_err());
}

#[tokio::test]
async fn the_block_of_a_runtime_upgrade_is_imported() {
    let node = Node::new();
    let header = unsealed(&node.chain.best(), time_at(1), 1);
    let block = mine(
        with_item(header, DigestItem::RuntimeEnvironmentUpdated),
        EASY,
    );
    assert!(is_new_best(node.hear_and_sync(&block).await.unwrap()));
}
