//! The request protocol's encodings and its server.

use std::sync::Arc;

use labora_pouw::Proof;
use parity_scale_codec::Encode;
use sc_network::{config::IncomingRequest, request_responses::OutgoingResponse};
use sc_network_types::PeerId;
use sp_core::H256;

use super::mock::*;
use crate::{
    ProofRequestHandler,
    exchange::{
        MAX_ANSWER_BYTES, MAX_HASHES, MAX_REQUEST_BYTES, decode_answer, decode_request,
        encode_answer, protocol_name,
    },
    store::{proof_key, record},
};

/// Bytes from a fixed seed.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        // Knuth's constants for a 64-bit linear congruential generator (MMIX).
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

#[test]
fn requests_hold_one_to_sixteen_hashes_and_nothing_else() {
    let hashes = |count: usize| vec![H256::repeat_byte(3); count];
    for count in [1, 2, MAX_HASHES] {
        let bytes = hashes(count).encode();
        assert!(bytes.len() <= MAX_REQUEST_BYTES);
        assert_eq!(decode_request(&bytes).unwrap(), hashes(count));
    }
    for wrong in [
        hashes(0).encode(),
        hashes(MAX_HASHES + 1).encode(),
        vec![],
        vec![0xff; 4],
    ] {
        assert!(decode_request(&wrong).is_err());
    }
    let mut trailing = hashes(2).encode();
    trailing.push(0);
    assert!(decode_request(&trailing).is_err());
}

#[test]
fn an_answer_is_cut_off_where_it_no_longer_fits() {
    let longest = vec![7; Proof::MAX_ENCODED_LEN];
    let answer = encode_answer(std::iter::repeat_n(Some(longest), MAX_HASHES));
    assert!(answer.len() <= MAX_ANSWER_BYTES);
    // The list's length is its first byte, times four.
    assert_eq!(
        usize::from(answer[0] >> 2),
        MAX_ANSWER_BYTES / Proof::MAX_ENCODED_LEN
    );
}

#[test]
fn answers_decode_to_what_was_encoded_and_never_to_more_than_was_asked() {
    let block = Node::new().child(&MockChain::new().best());
    let answer = encode_answer([None, Some(block.proof.encode())].into_iter());
    assert_eq!(
        decode_answer(&answer, 2).unwrap(),
        [None, Some(block.proof.clone())]
    );
    assert_eq!(decode_answer(&answer, 16).unwrap().len(), 2);
    assert!(decode_answer(&answer, 1).is_err());
    let mut trailing = answer.clone();
    trailing.push(0);
    assert!(decode_answer(&trailing, 2).is_err());
    assert!(decode_answer(&answer[..answer.len() - 1], 2).is_err());
    assert_eq!(
        decode_answer(&encode_answer(std::iter::empty()), 1).unwrap(),
        []
    );
}

#[test]
fn ten_thousand_random_strings_decode_to_nothing_and_harm_nothing() {
    let mut noise = Noise(1);
    for _ in 0..10_000 {
        let len = usize::from(noise.byte()) * 3;
        let bytes = noise.bytes(len);
        let _ = decode_request(&bytes);
        if let Ok(proofs) = decode_answer(&bytes, MAX_HASHES) {
            assert!(
                proofs.iter().all(Option::is_none),
                "no string of 765 bytes holds a proof"
            );
        }
    }
}

#[test]
fn the_protocol_is_named_after_the_chain() {
    let genesis = H256::repeat_byte(0xab);
    let hex = "ab".repeat(32);
    assert_eq!(
        &*protocol_name(genesis, None),
        format!("/{hex}/pouw/proofs/1")
    );
    assert_eq!(
        &*protocol_name(genesis, Some("f")),
        format!("/{hex}/f/pouw/proofs/1")
    );
}

/// Sends payloads to a server and gives its answers back; `None` where it refused.
async fn serve(chain: Arc<MockChain>, payloads: Vec<Vec<u8>>) -> Vec<Option<OutgoingResponse>> {
    let peer = PeerId::random();
    let of_one = payloads.into_iter().map(|payload| (peer, payload));
    serve_all(chain, of_one.collect()).await
}

/// The same for several peers, none of which reads an answer before the last is given.
async fn serve_all(
    chain: Arc<MockChain>,
    asked: Vec<(PeerId, Vec<u8>)>,
) -> Vec<Option<OutgoingResponse>> {
    let (sender, requests) = async_channel::bounded(asked.len());
    let mut answers = Vec::new();
    for (peer, payload) in asked {
        let (pending_response, answer) = futures::channel::oneshot::channel();
        sender
            .send(IncomingRequest {
                peer,
                payload,
                pending_response,
            })
            .await
            .unwrap();
        answers.push(answer);
    }
    drop(sender);
    ProofRequestHandler::over(chain, requests).run().await;
    futures::future::join_all(answers)
        .await
        .into_iter()
        .map(Result::ok)
        .collect()
}

#[tokio::test]
async fn the_server_gives_stored_proofs_in_the_order_asked() {
    let node = Node::new();
    let first = node.grow(&node.chain.best()).await;
    let second = node.grow(&first.header).await;
    let unknown = H256::repeat_byte(1);
    let request = vec![second.hash(), unknown, first.hash()].encode();
    let answers = serve(node.chain.clone(), vec![request]).await;
    let bytes = answers[0].as_ref().unwrap().result.as_ref().unwrap();
    assert_eq!(
        decode_answer(bytes, 3).unwrap(),
        [Some(second.proof.clone()), None, Some(first.proof.clone())]
    );
}

#[tokio::test]
async fn a_malformed_request_costs_reputation() {
    let answers = serve(
        MockChain::new(),
        vec![vec![1, 2, 3], vec![0; MAX_REQUEST_BYTES + 1]],
    )
    .await;
    for answer in answers {
        let answer = answer.unwrap();
        assert!(answer.result.is_err());
        assert_eq!(answer.reputation_changes.len(), 1);
        assert!(answer.reputation_changes[0].value < 0);
    }
}

#[tokio::test]
async fn a_peer_that_asks_without_end_is_refused() {
    let request = vec![H256::zero()].encode();
    // At 64 KiB each the burst of 16 MiB is gone after some 260 requests, and 2,000 take far less than the time that would
    // refill it.
    let answers = serve(MockChain::new(), vec![request; 2_000]).await;
    let answers: Vec<_> = answers.into_iter().map(Option::unwrap).collect();
    assert!(answers[..250].iter().all(|answer| answer.result.is_ok()));
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.result.is_err())
        .collect();
    assert!(!refused.is_empty());
    let costs = |answer: &&OutgoingResponse| answer.reputation_changes[0].reason;
    assert!(
        refused
            .iter()
            .map(costs)
            .all(|why| why.contains("Too many"))
    );
}

#[tokio::test]
async fn malformed_requests_count_too() {
    let answers = serve(MockChain::new(), vec![vec![1, 2, 3]; 2_000]).await;
    let last = answers.last().unwrap().as_ref().unwrap();
    assert!(last.reputation_changes[0].reason.contains("Too many"));
}

/// A chain, and a request to which its answer is about as long as any may be: seven of the largest proofs.
fn chain_with_long_answer() -> (Arc<MockChain>, Vec<u8>) {
    let (chain, block) = (MockChain::new(), H256::repeat_byte(1));
    // The bytes are no proof, which the server does not look at; their length takes four more.
    let longest = vec![0u8; Proof::MAX_ENCODED_LEN - 4];
    chain.put_record(proof_key(block), record(&longest));
    (chain, vec![block; MAX_HASHES].encode())
}

#[tokio::test]
async fn peers_that_do_not_read_hold_so_many_bytes_of_answers_and_are_not_blamed() {
    let (chain, request) = chain_with_long_answer();
    let peers: Vec<_> = (0..6).map(|_| PeerId::random()).collect();
    let each_five_times = peers.iter().flat_map(|peer| [*peer; 5]);
    let asked = each_five_times.map(|peer| (peer, request.clone()));
    let answers = serve_all(chain, asked.collect()).await;
    let answers: Vec<_> = answers.into_iter().map(Option::unwrap).collect();
    let given = |of_peer: &[OutgoingResponse]| {
        let given = of_peer.iter().filter(|answer| answer.result.is_ok());
        given.count()
    };
    let counts: Vec<_> = answers.chunks(5).map(given).collect();
    assert_eq!(counts, [4, 4, 4, 4, 2, 0]);
    let bytes: usize = answers
        .iter()
        .filter_map(|answer| answer.result.as_ref().ok())
        .map(Vec::len)
        .sum();
    assert!(bytes <= 64 << 20, "{bytes}");
    assert!(
        answers
            .iter()
            .all(|answer| answer.reputation_changes.is_empty())
    );
}

#[tokio::test]
async fn answers_that_are_sent_or_cannot_be_make_room_for_others() {
    let (chain, request) = chain_with_long_answer();
    let (sender, requests) = async_channel::bounded(1);
    let serving = tokio::spawn(ProofRequestHandler::over(chain, requests).run());
    // Twice as many as there is room for.
    for turn in 0..40 {
        let (pending_response, answer) = futures::channel::oneshot::channel();
        let request = IncomingRequest {
            peer: PeerId::random(),
            payload: request.clone(),
            pending_response,
        };
        sender.send(request).await.unwrap();
        let answer = answer.await.unwrap();
        assert!(answer.result.is_ok(), "answer {turn}");
        let feedback = answer.sent_feedback.unwrap();
        if turn % 2 == 0 {
            feedback.send(()).unwrap();
        }
    }
    drop(sender);
    serving.await.unwrap();
}
