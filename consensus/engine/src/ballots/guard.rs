//! Between the network and GRANDPA's voter: precommits wait here until the voter can take them.

mod memory;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::{Either, select};
use futures_timer::Delay;
use parking_lot::Mutex;
use sc_network::{
    NotificationService, ProtocolName,
    error::Error as NetworkError,
    service::traits::{MessageSink, NotificationEvent},
};
use sc_network_types::PeerId;
use sp_consensus_grandpa::{AuthorityList, EquivocationProof};
use sp_core::H256;

use super::Blocks;
use memory::Memory;

/// How often it is looked whether what waits can pass, besides when something comes: a block may have been imported.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the guard asks, and whom it tells.
pub trait Surroundings: Blocks + Send + Sync {
    /// The number of the set of authorities that votes, and its members.
    fn authorities(&self) -> (u64, AuthorityList);
    /// A validator precommitted to two blocks in one round.
    fn report(&self, proof: EquivocationProof<H256, u32>);
    /// A vote waits for a block that is not known.
    fn want(&self, peer: PeerId, block: H256, number: u32);
}

/// GRANDPA's notifications, in which precommits come when the voter can take them. To be given to the voter in place of the
/// network's own.
pub struct Guard {
    inner: Box<dyn NotificationService>,
    memory: Arc<Mutex<Memory>>,
}

impl Guard {
    /// Guards `inner`.
    pub fn new(inner: Box<dyn NotificationService>, around: Arc<dyn Surroundings>) -> Self {
        Self {
            inner,
            memory: Arc::new(Mutex::new(Memory::new(around))),
        }
    }
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
        self.memory.lock().sent(&notification);
        self.inner.send_sync_notification(peer, notification);
    }

    async fn send_async_notification(
        &mut self,
        peer: &PeerId,
        notification: Vec<u8>,
    ) -> Result<(), NetworkError> {
        self.memory.lock().sent(&notification);
        self.inner.send_async_notification(peer, notification).await
    }

    async fn set_handshake(&mut self, handshake: Vec<u8>) -> Result<(), ()> {
        self.inner.set_handshake(handshake).await
    }

    fn try_set_handshake(&mut self, handshake: Vec<u8>) -> Result<(), ()> {
        self.inner.try_set_handshake(handshake)
    }

    async fn next_event(&mut self) -> Option<NotificationEvent> {
        loop {
            let (ready, waits) = self.memory.lock().next();
            if let Some((peer, notification)) = ready {
                return Some(NotificationEvent::NotificationReceived { peer, notification });
            }
            let event = if waits {
                match select(self.inner.next_event(), Delay::new(LOOK_AGAIN)).await {
                    Either::Left((event, _)) => event?,
                    Either::Right(_) => {
                        self.memory.lock().look_again();
                        continue;
                    }
                }
            } else {
                self.inner.next_event().await?
            };
            let NotificationEvent::NotificationReceived { peer, notification } = event else {
                return Some(event);
            };
            self.memory.lock().came(peer, notification);
        }
    }

    fn clone(&mut self) -> Result<Box<dyn NotificationService>, ()> {
        let (inner, memory) = (self.inner.clone()?, self.memory.clone());
        Ok(Box::new(Self { inner, memory }))
    }

    fn protocol(&self) -> &ProtocolName {
        self.inner.protocol()
    }

    fn message_sink(&self, peer: &PeerId) -> Option<Box<dyn MessageSink>> {
        self.inner.message_sink(peer)
    }
}
