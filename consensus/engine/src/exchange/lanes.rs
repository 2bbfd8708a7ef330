//! In which of several import queues a batch of blocks waits.
//!
//! A block whose proof has to be asked for can take long: peers are slow, or say nothing on purpose. So blocks that need
//! nothing of peers have a queue of their own, in which nobody waits for the network, and the others share a few. What builds
//! on a block that waits goes behind it; nothing else is held up by it. Imports of all queues take turns in
//! [`PouwBlockImport`](crate::PouwBlockImport).

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sc_consensus::IncomingBlock;
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{
    VerifyBlocks,
    chain::number_of,
    engine::Engine,
    header::{is_ahead, time_of},
};

/// Queues for blocks whose proofs are asked for. Each may hold answers of a few peers (`docs/node.md` counts them).
const ASKING: usize = 4;

/// All queues.
pub(crate) const LANES: usize = 1 + ASKING;

/// The queue of blocks that need nothing of peers.
pub(crate) const AT_ONCE: usize = 0;

/// Blocks of one peer that may wait in the other queues before it is asked for more: a batch of sync. Of sync's 2,048 one
/// peer can thus take two batches.
const MAX_OF_PEER: usize = 64;

/// Bytes of them: as many as one answer of sync may have. One peer's blocks come to twice that at most, since the answer to
/// a question that was asked in time is taken.
const MAX_BYTES_OF_PEER: usize = 16 << 20;

/// Bytes of all blocks that may wait, in whichever queue, before those of which any waits are asked for more. Others still
/// are, once each, lest a few hold up everybody.
const MAX_BYTES: usize = 256 << 20;

/// Where each batch waits.
pub struct Lanes<B: BlockT<Hash = H256>> {
    engine: Arc<Engine<B>>,
    verify: VerifyBlocks,
    waiting: Mutex<Waiting>,
}

/// Blocks that sync has handed over and not heard of again: some 2,048, since it downloads no more until they are through.
#[derive(Default)]
struct Waiting {
    places: HashMap<H256, Place>,
}

struct Place {
    lane: usize,
    sender: Option<PeerId>,
    bytes: usize,
}

impl<B: BlockT<Hash = H256>> Lanes<B> {
    /// Nothing waits yet. `verify` must be what the queues' verifiers are told.
    pub fn new(engine: Arc<Engine<B>>, verify: VerifyBlocks) -> Arc<Self> {
        Arc::new(Self {
            engine,
            verify,
            waiting: Mutex::default(),
        })
    }

    /// The queue for blocks of which each is the next one's parent; they count as waiting there from here on.
    pub(crate) fn enter(&self, run: &[IncomingBlock<B>]) -> usize {
        let mut waiting = self.waiting.lock();
        let mut newest_first = run.iter().rev();
        let behind = newest_first.find_map(|block| self.behind(&waiting, block));
        let lane = match behind {
            Some(lane) if lane != AT_ONCE => lane,
            _ if self.need_nothing(run) => AT_ONCE,
            // Not behind its parent, where nobody may wait for the network: see `AfterParent`.
            Some(_) => waiting.lane_for(sender(run), Waiting::shortest),
            None if self.has_parent(run) => waiting.lane_for(sender(run), Waiting::shortest),
            None => waiting.lane_for(sender(run), Waiting::longest),
        };
        for block in run {
            waiting.places.entry(block.hash).or_insert_with(|| Place {
                lane,
                sender: block.origin,
                bytes: bytes_of(block),
            });
        }
        lane
    }

    /// These are through, imported or not.
    pub(crate) fn leave(&self, blocks: impl Iterator<Item = H256>) {
        let mut waiting = self.waiting.lock();
        for block in blocks {
            waiting.places.remove(&block);
        }
    }

    /// Whether so much of this peer waits that it should not be asked for more: a batch that needs proofs of peers, or its part
    /// of the memory for all.
    pub(crate) fn has_enough_of(&self, peer: PeerId) -> bool {
        let waiting = self.waiting.lock();
        let [mut of_peer, mut asking, mut in_all] = [Load::default(); 3];
        for place in waiting.places.values() {
            in_all.add(place);
            if place.sender == Some(peer) {
                of_peer.add(place);
                if place.lane != AT_ONCE {
                    asking.add(place);
                }
            }
        }
        asking.blocks >= MAX_OF_PEER
            || of_peer.bytes >= MAX_BYTES_OF_PEER
            || (of_peer.blocks > 0 && in_all.bytes >= MAX_BYTES)
    }

    /// Blocks that wait, and their bytes.
    #[cfg(test)]
    pub(crate) fn load(&self) -> (usize, usize) {
        let mut load = Load::default();
        let waiting = self.waiting.lock();
        waiting.places.values().for_each(|place| load.add(place));
        (load.blocks, load.bytes)
    }

    /// Whether this block is still to be imported, in the queue where nobody waits for long.
    pub(crate) fn waits_at_once(&self, block: H256) -> bool {
        let waiting = self.waiting.lock();
        let place = waiting.places.get(&block);
        place.is_some_and(|place| place.lane == AT_ONCE) && !self.is_imported(block)
    }

    /// Pauses by the engine's clock.
    pub(crate) fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.engine.sleep(pause)
    }

    /// Whether the parent of the first block is imported. While blocks wait, sync takes it on trust that it is; where that is
    /// wrong it begins anew, takes the same on trust, and gets as far. So such blocks wait until something has changed.
    fn has_parent(&self, run: &[IncomingBlock<B>]) -> bool {
        let first = run.first().and_then(|block| block.header.as_ref());
        first.is_some_and(|header| self.is_imported(*header.parent_hash()))
    }

    /// Where the database fails, import will say so.
    fn is_imported(&self, block: H256) -> bool {
        matches!(self.engine.chain().sealed_header(block), Ok(Some(_)))
    }

    /// Whether a block is not ahead of the clock: for such a one the verifier pauses. What has no time is refused at once.
    fn is_due(&self, header: &B::Header) -> bool {
        time_of(header).map_or(true, |time| !is_ahead(time, self.engine.now_ms()))
    }

    /// Whether another block of this number is final: for such a one the verifier pauses too.
    fn is_cut_off(&self, number: u32, block: H256) -> bool {
        let chain = self.engine.chain();
        number <= chain.tips().finalised
            && matches!(chain.hash_at(number), Ok(Some(here)) if here != block)
    }

    /// The queue in which the block itself waits, or its parent, unless that is imported already, as it may be while the rest
    /// of its batch is not.
    fn behind(&self, waiting: &Waiting, block: &IncomingBlock<B>) -> Option<usize> {
        let parent = *block.header.as_ref()?.parent_hash();
        let lane_of = |hash| waiting.places.get(&hash).map(|place| place.lane);
        lane_of(block.hash).or_else(|| lane_of(parent).filter(|_| !self.is_imported(parent)))
    }

    /// Whether none of these blocks needs a proof that is not here and verified. Of what is imported none is kept here, and none
    /// is needed: sync brings a block again whose import it had not heard of when it asked.
    fn need_nothing(&self, run: &[IncomingBlock<B>]) -> bool {
        let mut final_up_to = self.engine.chain().tips().finalised;
        if self.verify == VerifyBlocks::Unfinalised {
            let trusted = self.engine.trusted().map_or(0, |target| target.number);
            final_up_to = final_up_to.max(trusted);
        }
        run.iter().all(|block| match &block.header {
            // Refused at once.
            None => true,
            Some(header) => {
                let number = number_of(header);
                let is_final = number <= final_up_to
                    && self.is_due(header)
                    && !self.is_cut_off(number, block.hash);
                block.state.is_some()
                    || is_final
                    || self.engine.proofs.verified(block.hash).is_some()
                    || (!block.import_existing && self.is_imported(block.hash))
            }
        })
    }
}

/// How much waits.
#[derive(Clone, Copy, Default)]
struct Load {
    blocks: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, place: &Place) {
        self.blocks += 1;
        self.bytes += place.bytes;
    }
}

impl Waiting {
    /// Of the queues for blocks whose proofs are asked for, the one in which blocks of this sender wait already, so that
    /// nobody takes them all; else that which `otherwise` names.
    fn lane_for(&self, sender: Option<PeerId>, otherwise: fn(&Self) -> usize) -> usize {
        let places = self.places.values();
        let of_sender = places
            .filter(|place| place.lane != AT_ONCE && place.sender == sender && sender.is_some());
        let lane = of_sender.map(|place| place.lane).min();
        lane.unwrap_or_else(|| otherwise(self))
    }

    /// The first in which the fewest wait.
    fn shortest(&self) -> usize {
        let blocks = self.blocks();
        asking().min_by_key(|lane| blocks[*lane]).unwrap_or(AT_ONCE)
    }

    /// The one in which the most wait.
    fn longest(&self) -> usize {
        let blocks = self.blocks();
        asking().max_by_key(|lane| blocks[*lane]).unwrap_or(AT_ONCE)
    }

    /// How many wait in each queue.
    fn blocks(&self) -> [usize; LANES] {
        let mut blocks = [0; LANES];
        for place in self.places.values() {
            blocks[place.lane] += 1;
        }
        blocks
    }
}

/// Bytes that a block takes while it waits, about.
fn bytes_of<B: BlockT>(block: &IncomingBlock<B>) -> usize {
    let header = block.header.as_ref().map_or(0, Encode::encoded_size);
    let body = block.body.as_deref().map_or(0, bytes_in);
    let indexed = block.indexed_body.as_deref().map_or(0, bytes_in);
    let justifications = block
        .justifications
        .as_ref()
        .map_or(0, Encode::encoded_size);
    header + body + indexed + justifications
}

/// Beside its bytes an extrinsic takes its handle and an allocation, which is more if it is short.
const BESIDE_EXTRINSIC: usize = 64;

/// Bytes that a list of extrinsics takes in memory, about.
pub(super) fn bytes_in<E: Encode>(list: &[E]) -> usize {
    list.encoded_size() + BESIDE_EXTRINSIC * list.len()
}

fn asking() -> impl Iterator<Item = usize> {
    (0..LANES).filter(|lane| *lane != AT_ONCE)
}

fn sender<B: BlockT>(run: &[IncomingBlock<B>]) -> Option<PeerId> {
    run.first()?.origin
}
