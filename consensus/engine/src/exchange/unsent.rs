//! Answers that the network was given and has not sent. Who asks and does not read leaves them in memory, under as many
//! names as it likes, until the network gives up on it (15 s).

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, channel::oneshot, stream::FuturesUnordered};
use sc_network_types::PeerId;

use super::MAX_ANSWER_BYTES;

/// Bytes of all answers that are not sent: sixteen full ones.
const MAX_BYTES: usize = 16 * MAX_ANSWER_BYTES;

/// Of one peer: what it may take at once, so that it takes four names to have no other peer answered.
const MAX_BYTES_OF_PEER: usize = 4 * MAX_ANSWER_BYTES;

/// What an answer counts at least, since noting it takes memory too: so there are never more than 16,384.
const LEAST_BYTES: usize = 4096;

/// Answers on their way.
#[derive(Default)]
pub(super) struct Unsent {
    answers: FuturesUnordered<Answer>,
    bytes: usize,
    of_peers: HashMap<PeerId, usize>,
}

impl Unsent {
    /// Whether there is room for one more answer to this peer, however long.
    pub(super) fn has_room(&mut self, peer: PeerId) -> bool {
        self.settle();
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or(0);
        self.bytes + MAX_ANSWER_BYTES <= MAX_BYTES
            && of_peer + MAX_ANSWER_BYTES <= MAX_BYTES_OF_PEER
    }

    /// Notes an answer. It is on its way until its sender is used, or dropped since it could not be sent.
    pub(super) fn note(&mut self, peer: PeerId, bytes: usize) -> oneshot::Sender<()> {
        let bytes = bytes.max(LEAST_BYTES);
        let (sender, sent) = oneshot::channel();
        self.bytes += bytes;
        *self.of_peers.entry(peer).or_default() += bytes;
        self.answers.push(Answer { peer, bytes, sent });
        sender
    }

    /// Takes out what was sent meanwhile.
    fn settle(&mut self) {
        while let Some(Some((peer, bytes))) = self.answers.next().now_or_never() {
            self.bytes -= bytes;
            if let Entry::Occupied(mut of_peer) = self.of_peers.entry(peer) {
                *of_peer.get_mut() -= bytes;
                if *of_peer.get() == 0 {
                    of_peer.remove();
                }
            }
        }
    }
}

/// Resolves to whose answer of how many bytes is on its way no longer.
struct Answer {
    peer: PeerId,
    bytes: usize,
    sent: oneshot::Receiver<()>,
}

impl Future for Answer {
    type Output = (PeerId, usize);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.sent
            .poll_unpin(context)
            .map(|_sent_or_not| (this.peer, this.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_peers_together_and_each_by_itself_have_so_much_on_its_way_and_no_more() {
        let mut unsent = Unsent::default();
        let mut senders = Vec::new();
        for _ in 0..4 {
            let peer = PeerId::random();
            for _ in 0..4 {
                assert!(unsent.has_room(peer));
                senders.push(unsent.note(peer, MAX_ANSWER_BYTES));
            }
            assert!(!unsent.has_room(peer));
        }
        assert_eq!(unsent.bytes, MAX_BYTES);
        let stranger = PeerId::random();
        assert!(!unsent.has_room(stranger));

        drop(senders.pop());
        assert!(unsent.has_room(stranger), "one could not be sent");
        let last = unsent.note(stranger, MAX_ANSWER_BYTES);
        assert!(!unsent.has_room(stranger));
        last.send(()).unwrap();
        assert!(unsent.has_room(stranger), "it was sent");

        drop(senders);
        assert!(unsent.has_room(stranger));
        assert_eq!(unsent.bytes, 0);
        assert!(unsent.answers.is_empty() && unsent.of_peers.is_empty());
    }

    #[test]
    fn short_answers_are_bounded_in_number() {
        let mut unsent = Unsent::default();
        let mut senders = Vec::new();
        let mut peer = PeerId::random();
        loop {
            if !unsent.has_room(peer) {
                peer = PeerId::random();
                if !unsent.has_room(peer) {
                    break;
                }
            }
            senders.push(unsent.note(peer, 1));
        }
        assert_eq!(
            senders.len(),
            (MAX_BYTES - MAX_ANSWER_BYTES) / LEAST_BYTES + 1
        );
    }
}
