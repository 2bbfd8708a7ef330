//! Downloads of blocks, as far as their proofs keep up.
//!
//! Sync asks nobody for more once some 2,048 blocks wait for import. A peer that makes blocks up and says nothing when it is
//! asked for their proofs could fill that by itself, so a peer of which a batch waits is asked for no more until it waits no
//! longer.

use std::{fmt, sync::Arc, time::Duration};

use futures::channel::oneshot;
use sc_network::{ProtocolName, request_responses::RequestFailure};
use sc_network_common::sync::message::{BlockData, BlockRequest};
use sc_network_sync::block_relay_protocol::{BlockDownloader, BlockResponseError};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::Lanes;

/// Between two looks at what waits.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A downloader that lets peers wait of which a batch waits.
pub struct InTurn<B: BlockT<Hash = H256>> {
    inner: Arc<dyn BlockDownloader<B>>,
    lanes: Arc<Lanes<B>>,
}

impl<B: BlockT<Hash = H256>> InTurn<B> {
    /// Wraps the SDK's downloader; `lanes` are those of the import queue.
    pub fn new(inner: Arc<dyn BlockDownloader<B>>, lanes: Arc<Lanes<B>>) -> Arc<Self> {
        Arc::new(Self { inner, lanes })
    }
}

impl<B: BlockT<Hash = H256>> fmt::Debug for InTurn<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InTurn")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> BlockDownloader<B> for InTurn<B> {
    fn protocol_name(&self) -> &ProtocolName {
        self.inner.protocol_name()
    }

    async fn download_blocks(
        &self,
        who: PeerId,
        request: BlockRequest<B>,
    ) -> Result<Result<(Vec<u8>, ProtocolName), RequestFailure>, oneshot::Canceled> {
        // A single block fills nothing: it was announced, or is asked for to find where chains part.
        let is_single = request.max.is_some_and(|blocks| blocks <= 1);
        while !is_single && self.lanes.has_enough_of(who) {
            self.lanes.sleep(LOOK_AGAIN).await;
        }
        self.inner.download_blocks(who, request).await
    }

    fn block_response_into_blocks(
        &self,
        request: &BlockRequest<B>,
        response: Vec<u8>,
    ) -> Result<Vec<BlockData<B>>, BlockResponseError> {
        self.inner.block_response_into_blocks(request, response)
    }
}
