//! Downloads of blocks, as far as their proofs keep up.
//!
//! Sync asks nobody for more once some 2,048 blocks wait for import. A peer that makes blocks up and says nothing when it is
//! asked for their proofs could fill that by itself, so a peer of which a batch waits is asked for no more until it waits no
//! longer. Nor may the blocks of one answer take more memory than honest ones do.

use std::{fmt, sync::Arc, time::Duration};

use futures::channel::oneshot;
use sc_network::{ProtocolName, request_responses::RequestFailure};
use sc_network_common::sync::message::{BlockData, BlockRequest};
use sc_network_sync::block_relay_protocol::{BlockDownloader, BlockResponseError};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{Lanes, lanes::bytes_in};

/// Bytes that the blocks of one answer may take here. The SDK's server gives 16 MiB at most, in which signed extrinsics, of 100
/// bytes and more, unfold to 27; but nothing but shortest extrinsics would unfold to a quarter of a gigabyte.
const MAX_UNFOLDED: usize = 40 << 20;

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
        let blocks = self.inner.block_response_into_blocks(request, response)?;
        bounded::<B>(blocks)
    }
}

fn bounded<B: BlockT<Hash = H256>>(
    blocks: Vec<BlockData<B>>,
) -> Result<Vec<BlockData<B>>, BlockResponseError> {
    let bodies = blocks.iter().filter_map(|block| block.body.as_deref());
    let indexed = blocks
        .iter()
        .filter_map(|block| block.indexed_body.as_deref());
    let bytes = bodies.map(bytes_in).sum::<usize>() + indexed.map(bytes_in).sum::<usize>();
    match bytes > MAX_UNFOLDED {
        true => Err(BlockResponseError::ExtractionFailed(format!(
            "these blocks take {bytes} bytes, of at most {MAX_UNFOLDED}"
        ))),
        false => Ok(blocks),
    }
}

#[cfg(test)]
mod tests {
    use sp_runtime::{OpaqueExtrinsic, generic, traits::BlakeTwo256};

    use super::*;

    type Block = generic::Block<generic::Header<u32, BlakeTwo256>, OpaqueExtrinsic>;

    fn answer(extrinsics: usize, length: usize) -> Vec<BlockData<Block>> {
        let extrinsic = OpaqueExtrinsic::from_blob(vec![0; length]);
        vec![BlockData::<Block> {
            hash: H256::zero(),
            header: None,
            body: Some(vec![extrinsic; extrinsics]),
            indexed_body: None,
            receipt: None,
            message_queue: None,
            justification: None,
            justifications: None,
        }]
    }

    #[test]
    fn an_answer_is_refused_for_what_it_takes_in_memory_and_not_for_its_length() {
        // As much as the SDK's server gives at most.
        assert!(bounded::<Block>(answer((16 << 20) / 100, 100)).is_ok());
        assert!(bounded::<Block>(answer(16, 1 << 20)).is_ok());
        assert!(bounded::<Block>(answer(1_000_000, 1)).is_err());
    }
}
