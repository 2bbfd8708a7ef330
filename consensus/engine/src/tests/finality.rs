//! What is final needs no proof of work, and nothing else goes without one.

use std::sync::{Arc, atomic::Ordering};

use parity_scale_codec::Encode;
use sc_consensus::{
    BlockImport, ImportResult, ImportedState, StateAction, StorageChanges, Verifier,
};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier as WarpVerifier, WarpSyncProvider,
};
use sc_network_types::PeerId;
use sp_core::{H256, U256};

use super::{miner::*, mock::*};
use crate::{
    Chain, Finality, NetworkFinality, TrustedTarget, VerifyBlocks, accumulated_work,
    exchange::MAX_HASHES,
    store::encoded_proof,
    warp::{proves_beginning, proves_nothing},
};

/// Peers that hold no proof and say that `target` is final.
fn peers_without_proofs(target: &Mined) -> Arc<MockPeers> {
    let peers = MockPeers::of(vec![(PeerId::random(), MockPeers::holding(&[]))]);
    *peers.finality.lock() = Some(Finality::Proved(TrustedTarget::of::<Block>(&target.header)));
    peers
}

#[tokio::test]
async fn blocks_up_to_a_final_one_need_no_proof_and_are_asked_about_once() {
    let blocks = chain_of(4);
    let peers = peers_without_proofs(&blocks[2]);
    let node = Node::with_peers(peers.clone());
    for block in &blocks[..3] {
        node.sync(&block.header).await.unwrap();
        assert!(encoded_proof(&*node.chain, block.hash()).unwrap().is_none());
    }
    assert_eq!(node.chain.best().hash(), blocks[2].hash());
    assert_eq!(peers.asked.lock().len(), 1, "only the first was asked for");
    assert_eq!(peers.asked_finality.load(Ordering::Relaxed), 1);
    assert_eq!(
        accumulated_work(&*node.chain, blocks[2].hash()).unwrap(),
        U256::from(3 * EASY),
        "work counts, proved or final"
    );
    // The one above the final block needs its proof.
    assert!(matches!(
        node.sync(&blocks[3].header).await,
        Err(SyncError::NotNow(_) | SyncError::SenderBanned(_))
    ));
    node.hear_and_sync(&blocks[3]).await.unwrap();
    assert_eq!(node.chain.best().hash(), blocks[3].hash());
}

/// A node that was sent a full batch of blocks, whose peers hold all their proofs and say this of finality.
fn node_with_batch(say: impl FnOnce(&[Mined]) -> Finality) -> (Node, Arc<MockPeers>, Vec<Mined>) {
    let blocks = chain_of(MAX_HASHES);
    let proofs = MockPeers::holding(&blocks.iter().collect::<Vec<_>>());
    let peers = MockPeers::of(vec![(PeerId::random(), proofs)]);
    *peers.finality.lock() = Some(say(&blocks));
    let node = Node::with_peers(peers.clone());
    let batch: Vec<_> = blocks.iter().map(|block| incoming(block, None)).collect();
    node.lookahead.remember(&batch);
    (node, peers, blocks)
}

#[tokio::test]
async fn of_a_full_batch_no_proof_is_asked_for_if_it_is_final() {
    let (node, peers, blocks) = node_with_batch(|blocks| {
        Finality::Proved(TrustedTarget::of::<Block>(&blocks[MAX_HASHES - 1].header))
    });
    for block in &blocks {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(node.chain.best().hash(), blocks[MAX_HASHES - 1].hash());
    assert!(peers.asked.lock().is_empty());
    assert_eq!(peers.asked_finality.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_full_batch_that_is_not_final_needs_its_proofs_and_is_asked_about_once() {
    let (node, peers, blocks) = node_with_batch(|_| Finality::NothingNewer);
    for block in &blocks {
        node.sync(&block.header).await.unwrap();
        assert!(encoded_proof(&*node.chain, block.hash()).unwrap().is_some());
    }
    assert_eq!(peers.asked.lock().len(), 1, "all proofs in one request");
    assert_eq!(peers.asked_finality.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn another_block_at_the_number_of_the_final_one_bans_its_sender() {
    let honest = chain_of(3);
    let forged = chain_beside(&honest, 3);
    let node = Node::with_peers(peers_without_proofs(&honest[2]));
    // The forged branch gets as far as the block before the final one, and no further.
    for block in &forged[..2] {
        node.sync(&block.header).await.unwrap();
    }
    assert!(matches!(
        node.sync(&forged[2].header).await,
        Err(SyncError::SenderBanned(reason)) if reason.contains("finality is proved of")
    ));
    for block in &honest {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(node.chain.best().hash(), honest[2].hash());
}

#[tokio::test]
async fn the_final_block_is_best_even_if_another_branch_has_more_work() {
    let honest = chain_of(2);
    let node = Node::with_peers(peers_without_proofs(&honest[1]));
    for block in chain_beside(&honest, 4) {
        node.hear_and_sync(&block).await.unwrap();
    }
    assert_eq!(node.chain.best().number, 4);
    for block in &honest {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(node.chain.best().hash(), honest[1].hash());
}

#[tokio::test]
async fn without_a_proof_of_finality_a_missing_proof_is_held_against_the_sender_only_if_peers_answer()
 {
    let blocks = chain_of(1);
    let sender = PeerId::random();
    for (said, banned) in [(Finality::NothingNewer, true), (Finality::Unknown, false)] {
        let peers = MockPeers::of(vec![(sender, MockPeers::holding(&[]))]);
        *peers.finality.lock() = Some(said);
        let node = Node::with_peers(peers);
        node.lookahead
            .remember(&[incoming(&blocks[0], Some(sender))]);
        let result = node.sync(&blocks[0].header).await;
        assert_eq!(
            matches!(result, Err(SyncError::SenderBanned(_))),
            banned,
            "{said:?}: {result:?}"
        );
        assert!(!node.chain.has(blocks[0].hash()));
    }
}

#[tokio::test]
async fn whoever_sent_a_block_is_asked_for_its_proof_first_and_then_whether_it_is_final() {
    let blocks = chain_of(1);
    let sender = PeerId::random();
    let peers = MockPeers::of(vec![
        (PeerId::random(), MockPeers::holding(&[])),
        (sender, MockPeers::holding(&[])),
    ]);
    let node = Node::with_peers(peers.clone());
    node.lookahead
        .remember(&[incoming(&blocks[0], Some(sender))]);
    assert!(node.sync(&blocks[0].header).await.is_err());
    assert_eq!(peers.asked_peers()[0], sender);
    assert_eq!(*peers.finality_of.lock(), [Some(sender)]);
}

#[tokio::test]
async fn a_missing_proof_is_not_held_against_the_sender_of_a_branch_that_finality_just_cut_off() {
    let sender = PeerId::random();
    let peers = MockPeers::of(vec![(sender, MockPeers::holding(&[]))]);
    let node = Node::with_peers(peers);
    let genesis = node.chain.best();
    let (winner, loser) = (node.grow(&genesis).await, node.grow(&genesis).await);
    let late = node.child(&loser.header);
    for (finalised, banned) in [(&loser, true), (&winner, false)] {
        node.chain
            .set_finalised_with_state(finalised.header.clone(), EASY);
        node.lookahead.remember(&[incoming(&late, Some(sender))]);
        let result = node.sync(&late.header).await;
        assert_eq!(
            matches!(result, Err(SyncError::SenderBanned(_))),
            banned,
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn who_verifies_all_takes_nothing_on_trust() {
    let blocks = chain_of(1);
    let peers = peers_without_proofs(&blocks[0]);
    let node = Node::verifying(peers.clone(), VerifyBlocks::All);
    assert!(node.sync(&blocks[0].header).await.is_err());
    assert_eq!(peers.asked_finality.load(Ordering::Relaxed), 0);
    node.engine
        .trust(TrustedTarget::of::<Block>(&blocks[0].header));
    assert!(node.sync(&blocks[0].header).await.is_err());
    assert!(!node.chain.has(blocks[0].hash()));
}

/// The block with a state, as warp sync brings it.
fn with_state(header: &Header) -> sc_consensus::BlockImportParams<Block> {
    let mut block = Node::from_sync(header);
    block.state_action = StateAction::ApplyChanges(StorageChanges::Import(ImportedState {
        block: header.hash(),
        state: Vec::new().into(),
    }));
    block
}

#[tokio::test]
async fn a_state_is_taken_for_the_final_block_alone() {
    let blocks = chain_of(2);
    let node = Node::new();
    let refused = node.verifier.verify(with_state(&blocks[0].header)).await;
    assert!(refused.is_err_and(|reason| reason.contains("not the one that finality")));
    node.engine
        .trust(TrustedTarget::of::<Block>(&blocks[0].header));
    assert!(
        node.verifier
            .verify(with_state(&blocks[1].header))
            .await
            .is_err()
    );
    let verified = node.verifier.verify(with_state(&blocks[0].header)).await;
    let imported = node.import.import_block(verified.unwrap()).await.unwrap();
    assert!(matches!(imported, ImportResult::Imported(aux) if aux.is_new_best));
}

#[tokio::test]
async fn a_state_may_come_for_a_final_block_below_the_checkpoint() {
    let blocks = chain_of(2);
    let node = Node::knowing(MockPeers::none(), &blocks[1]);
    let first = || with_state(&blocks[0].header);
    assert!(node.verifier.verify(first()).await.is_err());
    let target = TrustedTarget::of::<Block>(&blocks[0].header);
    node.engine.trust_state_of(target);
    assert_eq!(node.engine.trusted().map(|target| target.number), Some(2));
    let verified = node.verifier.verify(first()).await.unwrap();
    node.import.import_block(verified).await.unwrap();
}

#[tokio::test]
async fn history_that_does_not_lead_to_the_final_state_is_refused_at_its_end() {
    let blocks = chain_of(4);
    let forged = chain_beside(&blocks, 4);
    let node = Node::new();
    node.chain
        .set_finalised_with_state(blocks[3].header.clone(), 4 * EASY);
    node.sync(&forged[0].header).await.unwrap();
    node.sync(&forged[1].header).await.unwrap();
    let ended = node.sync(&forged[2].header).await;
    assert!(
        matches!(&ended, Err(SyncError::SenderBanned(why)) if why.contains("sync again")),
        "{ended:?}"
    );
    for block in &blocks[..3] {
        node.sync(&block.header).await.unwrap();
    }
}

#[tokio::test]
async fn children_of_a_block_that_came_with_its_state_count_the_work_that_the_state_knows() {
    let blocks = chain_of(2);
    let node = Node::new();
    node.chain
        .set_finalised_with_state(blocks[0].header.clone(), 7 * EASY);
    node.hear_and_sync(&blocks[1]).await.unwrap();
    assert_eq!(
        accumulated_work(&*node.chain, blocks[1].hash()).unwrap(),
        U256::from(8 * EASY)
    );
    assert_eq!(node.chain.best().hash(), blocks[1].hash());
}

#[tokio::test]
async fn up_to_a_checkpoint_nothing_is_asked_and_its_number_has_no_other_block() {
    let blocks = chain_of(3);
    let forged = chain_beside(&blocks, 4);
    let peers = peers_without_proofs(&forged[3]);
    let node = Node::knowing(peers.clone(), &blocks[1]);
    for block in &blocks[..2] {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(node.chain.best().hash(), blocks[1].hash());
    assert!(peers.asked.lock().is_empty());
    assert_eq!(peers.asked_finality.load(Ordering::Relaxed), 0);
    // Not even a proof of finality above it, as keys of old validators could make one, lets another block in.
    node.engine
        .trust(TrustedTarget::of::<Block>(&forged[3].header));
    node.sync(&forged[0].header).await.unwrap();
    let refused = |result| matches!(result, Err(SyncError::SenderBanned(why)) if why.contains("which finality is proved of"));
    assert!(refused(node.hear_and_sync(&forged[1]).await));
    // Nor once the number is below the final one, where nothing is asked of blocks.
    node.chain.set_finalised(2);
    assert!(refused(node.sync(&forged[1].header).await));
    node.sync(&blocks[1].header).await.unwrap();
}

/// Makes verifiers for what is final, and has this block become final while it makes the first.
struct Moving(Arc<MockChain>, Header);

struct Beginning(H256);

impl WarpVerifier<Block> for Beginning {
    fn verify(
        &mut self,
        _: &EncodedProof,
    ) -> Result<VerificationResult<Block>, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is verified here".into())
    }

    fn next_proof_context(&self) -> H256 {
        self.0
    }

    fn status(&self) -> Option<String> {
        None
    }
}

impl WarpSyncProvider<Block> for Moving {
    fn generate(&self, _: H256) -> Result<EncodedProof, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is proved here".into())
    }

    fn create_verifier(&self) -> Box<dyn WarpVerifier<Block>> {
        self.0.set_finalised_with_state(self.1.clone(), EASY);
        Box::new(Beginning(Chain::<Block>::tips(&*self.0).finalised_hash))
    }
}

#[tokio::test]
async fn proofs_of_finality_are_verified_from_where_they_begin() {
    let node = Node::new();
    let block = node.grow(&node.chain.best()).await;
    let provider = Arc::new(Moving(node.chain.clone(), block.header.clone()));
    let source = NetworkFinality::new(H256::zero(), None, provider, node.engine.clone());
    let (from, verifier) = source.begin();
    assert_eq!(from, verifier.next_proof_context());
    assert_eq!(from, block.hash());
}

#[test]
fn a_proof_of_the_block_that_it_begins_with_proves_nothing_newer() {
    let blocks = chain_of(2);
    let (begin, other) = (&blocks[0].header, &blocks[1].header);
    // Fragments: a header, and the justification of it, whatever that is; then whether the end is reached.
    let proof = |headers: &[&Header]| {
        let fragments: Vec<_> = headers.iter().map(|header| (*header, [7u8; 40])).collect();
        EncodedProof((fragments, true).encode())
    };
    let proves = |proof: &EncodedProof| proves_beginning::<Block>(proof, begin.hash());
    assert!(proves(&proof(&[begin])));
    for newer in [proof(&[other]), proof(&[begin, other]), proof(&[])] {
        assert!(!proves(&newer));
    }
    assert!(!proves(&EncodedProof(vec![4, 1, 2])));
    assert!(proves_nothing(&proof(&[])) && !proves_nothing(&proof(&[begin])));
}
