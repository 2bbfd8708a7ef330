//! Answers that are being made, or that the network was given and has not sent. Who asks and does not read leaves them in memory,
//! under as many names as it likes, until the network gives up on it (15 s).

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, channel::oneshot, stream::FuturesUnordered};
use sc_network_types::PeerId;

use super::wire::MAX_ANSWER_BYTES;

/// Bytes of all answers that are not sent: 32 full ones.
const MAX_BYTES: usize = 32 * MAX_ANSWER_BYTES;

/// Of one peer, so that it takes four names to have no other peer answered.
const MAX_BYTES_OF_PEER: usize = 8 * MAX_ANSWER_BYTES;

/// What an answer counts at least, since noting it takes memory too: so there are never more than 8,252.
const LEAST_BYTES: usize = 4096;

/// Answers on their way.
#[derive(Default)]
pub(super) struct Unsent {
    answers: FuturesUnordered<Answer>,
    bytes: usize,
    of_peers: HashMap<PeerId, usize>,
}

impl Unsent {
    /// Takes room for an answer of at most `bytes` to this peer, if there is any. It is taken until the sender is used, or dropped
    /// since nothing was sent.
    pub(super) fn reserve(&mut self, peer: PeerId, bytes: usize) -> Option<oneshot::Sender<()>> {
        self.settle();
        let bytes = bytes.max(LEAST_BYTES);
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or(0);
        if self.bytes + bytes > MAX_BYTES || of_peer + bytes > MAX_BYTES_OF_PEER {
            return None;
        }
        let (sender, sent) = oneshot::channel();
        self.bytes += bytes;
        *self.of_peers.entry(peer).or_default() += bytes;
        self.answers.push(Answer { peer, bytes, sent });
        Some(sender)
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
            for _ in 0..8 {
                senders.push(
                    unsent
                        .reserve(peer, MAX_ANSWER_BYTES)
                        .expect("there is room"),
                );
            }
            assert!(unsent.reserve(peer, 1).is_none());
        }
        assert_eq!(unsent.bytes, MAX_BYTES);
        let stranger = PeerId::random();
        assert!(unsent.reserve(stranger, 1).is_none());

        drop(senders.pop());
        let last = unsent.reserve(stranger, MAX_ANSWER_BYTES);
        let last = last.expect("one could not be sent");
        assert!(unsent.reserve(stranger, 1).is_none());
        last.send(()).expect("it is noted");
        let last = unsent.reserve(stranger, 1).expect("it was sent");
        assert_eq!(unsent.of_peers[&stranger], LEAST_BYTES);

        drop((senders, last));
        unsent.settle();
        assert_eq!(unsent.bytes, 0);
        assert!(unsent.answers.is_empty() && unsent.of_peers.is_empty());
    }
}
