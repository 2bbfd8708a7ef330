//! What the hostile peer tells: real blocks with their proofs, which it takes from a miner over JSON-RPC; of
//! made-up ones only the headers. Everything here is honest about the bytes; what is left out or spoiled is the peer's choice.

use std::{collections::HashMap, sync::Arc};

use labora_consensus_api::{author_and_time, pre_digest_item, seal_item, split_seal};
use labora_tests::{
    Outcome,
    rpc::{Rpc, bytes_of},
};
use parity_scale_codec::{Compact, DecodeAll, Encode};
use prost::Message;
use sc_network_sync::{
    BlockData, BlockRequest, BlockResponse, Direction, block_request::FromBlock,
};
use serde_json::Value;
use sp_core::H256;
use sp_runtime::{
    Digest, generic,
    traits::{BlakeTwo256, Header as _},
};

/// A header of the chain.
pub type Header = generic::Header<u32, BlakeTwo256>;

/// Most blocks in one answer, as everywhere in the SDK.
const MAX_BLOCKS: usize = 64;

/// Bits of a block request's `fields` (the SDK's `BlockAttributes`, big-endian).
const WANTS_HEADER: u32 = 1 << 24;
const WANTS_BODY: u32 = 2 << 24;

/// A block, and its proof where there is one.
#[derive(Clone)]
pub struct Block {
    /// With its seal.
    pub header: Header,
    /// Encoded extrinsics; made-up blocks have one body among them.
    pub body: Arc<Vec<Vec<u8>>>,
    /// SCALE; nothing for genesis, and for what the node has not kept.
    pub proof: Option<Vec<u8>>,
}

impl Block {
    /// Its name.
    pub fn hash(&self) -> H256 {
        self.header.hash()
    }

    /// The header of a block that nobody mined: of the same number, parent and time, but with another state.
    pub fn forged_header(&self, variant: u64) -> Header {
        let mut header = self.header.clone();
        header.set_state_root(H256::from_low_u64_be(variant));
        header
    }

    /// The header of a child that nobody mined, otherwise as it should be: a millisecond later, with this block's author and
    /// seal.
    fn made_up_child(&self, variant: u64) -> Header {
        let (unsealed, seal) = split_seal(self.header.clone()).expect("a block of this chain");
        let mut pre = author_and_time(unsealed.digest()).expect("a block of this chain");
        pre.timestamp_ms += 1;
        Header::new(
            self.header.number + 1,
            self.header.extrinsics_root,
            H256::from_low_u64_be(variant),
            self.hash(),
            Digest {
                logs: vec![pre_digest_item(&pre), seal_item(&seal)],
            },
        )
    }
}

/// One branch, from genesis on.
#[derive(Clone, Default)]
pub struct Chain {
    blocks: Vec<Block>,
    places: HashMap<H256, usize>,
}

impl Chain {
    /// The best chain of a node, with all the proofs that it has.
    pub async fn of(rpc: &Rpc) -> Outcome<Self> {
        let mut chain = Self::default();
        chain.follow(rpc).await?;
        Ok(chain)
    }

    /// Takes over what the node has got since.
    pub async fn follow(&mut self, rpc: &Rpc) -> Outcome {
        for number in self.blocks.len() as u64..=rpc.best_number().await? {
            let block = fetch(rpc, number).await?;
            if let Some(parent) = self.blocks.last() {
                assert_eq!(*block.header.parent_hash(), parent.hash(), "block {number}");
            }
            self.push(block);
        }
        Ok(())
    }

    fn push(&mut self, block: Block) {
        self.places.insert(block.hash(), self.blocks.len());
        self.blocks.push(block);
    }

    /// The last block.
    pub fn best(&self) -> &Block {
        self.blocks.last().expect("a chain begins with genesis")
    }

    /// The hash by which protocols are named.
    pub fn genesis(&self) -> H256 {
        self.blocks[0].hash()
    }

    /// Number of the last block.
    pub fn height(&self) -> u32 {
        self.best().header.number
    }

    /// Names of the last blocks, so many of them.
    pub fn newest(&self, count: usize) -> Vec<H256> {
        self.blocks
            .iter()
            .rev()
            .take(count)
            .map(Block::hash)
            .collect()
    }

    /// The same branch up to this number.
    pub fn up_to(&self, number: u32) -> Self {
        let mut lower = Self::default();
        for block in &self.blocks[..=number as usize] {
            lower.push(block.clone());
        }
        lower
    }

    /// The same branch with so many blocks on top that nobody mined, and that have no proofs; `variant` tells one such from
    /// another, and `bytes` is what the body of each has, in extrinsics of a hundred bytes.
    pub fn with_made_up(&self, count: usize, variant: u64, bytes: usize) -> Self {
        let extrinsic = Encode::encode(&vec![0u8; 100]);
        let body = Arc::new(vec![extrinsic; bytes / 100]);
        let mut higher = self.clone();
        for _ in 0..count {
            let header = higher.best().made_up_child(variant);
            higher.push(Block {
                header,
                body: body.clone(),
                proof: None,
            });
        }
        higher
    }

    /// Answers a request of the SDK's sync for blocks, in protobuf.
    pub fn answer_blocks(&self, request: &[u8]) -> Vec<u8> {
        let request = BlockRequest::decode(request).expect("the node's requests are well formed");
        let start = match &request.from_block {
            Some(FromBlock::Hash(hash)) => self.places.get(&H256::from_slice(hash)).copied(),
            Some(FromBlock::Number(number)) => number
                .as_slice()
                .try_into()
                .ok()
                .map(|number| u32::from_le_bytes(number) as usize),
            None => None,
        };
        let most = match request.max_blocks as usize {
            0 => MAX_BLOCKS,
            some => some.min(MAX_BLOCKS),
        };
        let Some(start) = start.filter(|start| *start < self.blocks.len()) else {
            return BlockResponse::default().encode_to_vec();
        };
        let told: Vec<&Block> = match request.direction == Direction::Descending as i32 {
            true => self.blocks[..=start].iter().rev().take(most).collect(),
            false => self.blocks[start..].iter().take(most).collect(),
        };
        let blocks = told
            .into_iter()
            .map(|block| told_of(block, request.fields))
            .collect();
        BlockResponse { blocks }.encode_to_vec()
    }

    /// Answers a request for proofs with what there is.
    pub fn answer_proofs(&self, request: &[u8]) -> Vec<u8> {
        let asked = Vec::<H256>::decode_all(&mut &request[..])
            .expect("the node's requests are well formed");
        let mut answer = Compact(asked.len() as u32).encode();
        for hash in asked {
            let place = self.places.get(&hash);
            match place.and_then(|place| self.blocks[*place].proof.as_ref()) {
                Some(proof) => {
                    answer.push(1);
                    answer.extend(proof);
                }
                None => answer.push(0),
            }
        }
        answer
    }
}

fn told_of(block: &Block, fields: u32) -> BlockData {
    let mut told = BlockData {
        hash: block.hash().as_bytes().to_vec(),
        ..Default::default()
    };
    if fields & WANTS_HEADER != 0 {
        told.header = block.header.encode();
    }
    if fields & WANTS_BODY != 0 {
        told.body = block.body.to_vec();
    }
    told
}

async fn fetch(rpc: &Rpc, number: u64) -> Outcome<Block> {
    let hash = rpc
        .hash_at(number)
        .await?
        .ok_or_else(|| format!("no block {number}"))?;
    let mut answer: Value = rpc.call("chain_getBlock", &[hash.clone().into()]).await?;
    let block = answer["block"].take();
    let header: Header = serde_json::from_value(block["header"].clone())?;
    let body: Vec<String> = serde_json::from_value(block["extrinsics"].clone())?;
    let proof = match number {
        0 => None,
        _ => match rpc.call::<Value>("pouw_blockProof", &[hash.into()]).await {
            Ok(proof) => {
                let text = proof["proof"].as_str().ok_or("the answer has no proof")?;
                Some(bytes_of(text)?)
            }
            Err(refusal) if refusal.to_string().contains("does not keep") => None,
            Err(error) => return Err(error),
        },
    };
    Ok(Block {
        header,
        body: Arc::new(
            body.iter()
                .map(|hex| bytes_of(hex))
                .collect::<Outcome<_>>()?,
        ),
        proof,
    })
}
