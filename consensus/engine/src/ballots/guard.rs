//! Between the network and GRANDPA's voter: precommits wait here until the voter can take them, and go on to peers meanwhile.

mod commits;
mod memory;
mod peers;
mod signatures;
#[cfg(test)]
mod tests;
mod votes;

use std::{fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use futures::future::{Either, select};
use futures_timer::Delay;
use parity_scale_codec::Decode;
use parking_lot::Mutex;
use sc_network::{
    NotificationService, ProtocolName,
    error::Error as NetworkError,
    service::traits::{MessageSink, NotificationEvent},
};
use sc_network_types::PeerId;
use sp_consensus_grandpa::{AuthorityId, AuthorityList, AuthoritySignature, EquivocationProof};
use sp_core::H256;
use tokio::sync::Notify;

use super::Blocks;
use memory::Memory;

/// How often it is looked whether what waits can pass, besides when something comes: a block may have been imported.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Messages after which the voter has its turn, whatever became of them: it shares a task with the network, which always has more of
/// a peer that floods.
const IN_A_ROW: usize = 64;

/// The votes that made a block final.
pub type FinalCommit = finality_grandpa::Commit<H256, u32, AuthoritySignature, AuthorityId>;

/// A round that is over, as the voter has it on disk.
#[derive(Clone, Debug, Decode)]
pub struct EndedRound {
    /// Its number.
    pub round: u64,
    /// Where it stood.
    pub state: finality_grandpa::round::State<H256, u32>,
    /// The block and height on which it began.
    pub base: (H256, u32),
    /// Its votes.
    pub votes: Vec<super::Vote<AuthorityId, AuthoritySignature>>,
}

/// What is asked of the database.
pub const ENDED_ROUNDS: &[u8] = b"grandpa_completed_round";

/// Reads the last round that is over, and the set that voted in it, out of the record under [`ENDED_ROUNDS`], which is
/// `sc_consensus_grandpa`'s own; nothing if it is another.
pub fn last_ended(record: &[u8]) -> Option<(u64, EndedRound)> {
    // Whether the voter runs or is paused: both begin with the same.
    let mut rest = record.get(1..).filter(|_| record[0] < 2)?;
    let rounds = Vec::<EndedRound>::decode(&mut rest).ok()?;
    let set = u64::decode(&mut rest).ok()?;
    Some((set, rounds.into_iter().max_by_key(|ended| ended.round)?))
}

/// What the guard asks, and whom it tells.
pub trait Surroundings: Blocks + Send + Sync {
    /// The number of the set of authorities that votes, and its members.
    fn authorities(&self) -> (u64, AuthorityList);
    /// Which of them is this node's own, if any.
    fn own(&self, authorities: &AuthorityList) -> Option<AuthorityId>;
    /// The last round that was over when the voter began, with the number of its set.
    fn last_ended(&self) -> Option<(u64, EndedRound)>;
    /// A validator precommitted to two blocks in one round.
    fn report(&self, proof: EquivocationProof<H256, u32>);
    /// Another process votes with this node's key.
    fn another_votes(&self);
    /// Height of the best block.
    fn best_number(&self) -> u32;
    /// So many precommits wait.
    fn waiting(&self, precommits: usize);
    /// A vote waits for a block that is not known; a peer has it, or should.
    fn want(&self, peer: PeerId, block: H256, number: u32);
    /// A peer says what no honest one says: a vote that its voter did not sign.
    fn blame(&self, peer: PeerId);
    /// A block is final by this commit, which the voter cannot take.
    fn import(&self, peer: PeerId, round: u64, commit: FinalCommit);
}

/// GRANDPA's notifications, in which precommits come when the voter can take them. To be given to the voter in place of the
/// network's own.
pub struct Guard {
    inner: Box<dyn NotificationService>,
    memory: Arc<Mutex<Memory>>,
    /// Something can go on.
    ready: Arc<Notify>,
    again: Delay,
    /// Messages since the voter had its turn. Kept here, since each that goes on ends a call.
    in_a_row: usize,
}

impl Guard {
    /// Guards `inner`.
    pub fn new(inner: Box<dyn NotificationService>, around: Arc<dyn Surroundings>) -> Self {
        Self {
            inner,
            memory: Arc::new(Mutex::new(Memory::new(around))),
            ready: Arc::new(Notify::new()),
            again: Delay::new(LOOK_AGAIN),
            in_a_row: 0,
        }
    }

    fn sent(&self, peer: &PeerId, notification: &[u8]) -> bool {
        let mut memory = self.memory.lock();
        let goes_on = memory.sent(peer, notification);
        if memory.is_ready() {
            self.ready.notify_one();
        }
        goes_on
    }

    /// Passes on to peers what the voter does not pass on yet.
    fn relay(&mut self) {
        let out = self.memory.lock().take_out();
        for (peer, notification) in out {
            self.inner.send_sync_notification(&peer, notification);
        }
    }
}

/// Has the task go on with what else it has to do, and come back.
async fn others_turn() {
    let mut had_it = false;
    poll_fn(|context| {
        if std::mem::replace(&mut had_it, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("inner", &self.inner).finish()
    }
}

#[async_trait::async_trait]
impl NotificationService for Guard {
    async fn open_substream(&mut self, peer: PeerId) -> Result<(), ()> {
        self.inner.open_substream(peer).await
    }

    async fn close_substream(&mut self, peer: PeerId) -> Result<(), ()> {
        self.inner.close_substream(peer).await
    }

    fn send_sync_notification(&mut self, peer: &PeerId, notification: Vec<u8>) {
        if self.sent(peer, &notification) {
            self.inner.send_sync_notification(peer, notification);
        }
    }

    async fn send_async_notification(
        &mut self,
        peer: &PeerId,
        notification: Vec<u8>,
    ) -> Result<(), NetworkError> {
        match self.sent(peer, &notification) {
            true => self.inner.send_async_notification(peer, notification).await,
            false => Ok(()),
        }
    }

    async fn set_handshake(&mut self, handshake: Vec<u8>) -> Result<(), ()> {
        self.inner.set_handshake(handshake).await
    }

    fn try_set_handshake(&mut self, handshake: Vec<u8>) -> Result<(), ()> {
        self.inner.try_set_handshake(handshake)
    }

    /// The SDK's gossip drops the future whenever there is nothing yet, so what it waits for is kept here.
    async fn next_event(&mut self) -> Option<NotificationEvent> {
        loop {
            self.in_a_row += 1;
            if self.in_a_row > IN_A_ROW {
                self.in_a_row = 0;
                others_turn().await;
            }
            self.relay();
            if let Some((peer, notification)) = self.memory.lock().next() {
                return Some(NotificationEvent::NotificationReceived { peer, notification });
            }
            let ready = self.ready.clone();
            let woken = std::pin::pin!(ready.notified());
            let other = select(woken, &mut self.again);
            // In this order: the network may have something at any time.
            let event = match select(other, self.inner.next_event()).await {
                Either::Right((event, _)) => event?,
                Either::Left((Either::Left(_), _)) => continue,
                Either::Left((Either::Right(_), _)) => {
                    self.again.reset(LOOK_AGAIN);
                    self.memory.lock().look_again();
                    continue;
                }
            };
            let mut memory = self.memory.lock();
            match event {
                NotificationEvent::NotificationReceived { peer, notification } => {
                    memory.came(peer, notification);
                    continue;
                }
                NotificationEvent::NotificationStreamOpened { peer, .. } => memory.opened(peer),
                NotificationEvent::NotificationStreamClosed { peer } => memory.closed(&peer),
                NotificationEvent::ValidateInboundSubstream { .. } => {}
            }
            return Some(event);
        }
    }

    /// There is one voter to guard.
    fn clone(&mut self) -> Result<Box<dyn NotificationService>, ()> {
        Err(())
    }

    fn protocol(&self) -> &ProtocolName {
        self.inner.protocol()
    }

    /// Whoever has one sends past the guard; the SDK's gossip asks for none.
    fn message_sink(&self, _: &PeerId) -> Option<Box<dyn MessageSink>> {
        None
    }
}
