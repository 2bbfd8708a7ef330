//! A miner of its own: takes work over RPC, multiplies with the slow reference, submits. And the checks that anyone can
//! make on a mined block.

use std::time::Duration;

use jsonrpsee::core::client::Subscription;
use labora_pouw::{Difficulty, Proof, Seal, Shape, U256, reference, verify};
use parity_scale_codec::{DecodeAll, Encode};
use serde_json::Value;

use crate::{
    Outcome,
    rpc::{Rpc, bytes_of, hex_of},
    wait_for,
};

/// How the engine's items in a digest begin, in hex: the kind of item (6: before execution, 5: the seal), then `pouw`.
const PRE_DIGEST: &str = "0x06706f7577";
const SEAL: &str = "0x05706f7577";

/// Until a block is built upon, so that the state knows what it was mined on.
const CHILD_LIMIT: Duration = Duration::from_secs(60);

/// Until the node has something to mine.
const WORK_LIMIT: Duration = Duration::from_secs(30);

/// Products that a miner tries before it gives up: at the difficulties of the tests every second one wins.
const MAX_PRODUCTS: u64 = 10_000;

/// What a node wants to be mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// What tickets are made for.
    pub pre_hash: [u8; 32],
    /// Expected multiply-accumulates of a block.
    pub difficulty: Difficulty,
    /// Number of the block.
    pub number: u64,
}

/// A product that wins, or would at another difficulty.
#[derive(Clone, Debug)]
pub struct Found {
    /// For the header.
    pub seal: Seal,
    /// For the peers.
    pub proof: Proof,
}

impl Found {
    /// The parameters of `pouw_submitSeal`.
    pub fn submission(&self, work: &Work) -> [Value; 3] {
        [
            hex_of(&work.pre_hash).into(),
            hex_of(&self.seal.encode()).into(),
            hex_of(&self.proof.encode()).into(),
        ]
    }
}

/// Subscribes to a node's work.
pub async fn subscribe(rpc: &Rpc) -> Outcome<Subscription<Value>> {
    rpc.subscribe("pouw_subscribeWork", "pouw_unsubscribeWork")
        .await
}

/// The next work that the node wants mined; waits through "stop".
pub async fn next_work(news: &mut Subscription<Value>) -> Outcome<Work> {
    loop {
        let message = tokio::time::timeout(WORK_LIMIT, news.next())
            .await
            .map_err(|_| format!("no work in {WORK_LIMIT:?}"))?
            .ok_or("the subscription to work ended")??;
        if message["kind"] == "work" {
            return work_of(&message);
        }
    }
}

fn work_of(message: &Value) -> Outcome<Work> {
    let text = |name: &str| {
        message[name]
            .as_str()
            .ok_or_else(|| format!("no {name} in {message}"))
    };
    Ok(Work {
        pre_hash: bytes_of(text("preHash")?)?
            .try_into()
            .map_err(|_| "a hash that is not of 32 bytes")?,
        difficulty: difficulty_of(text("difficulty")?)?,
        number: message["number"]
            .as_u64()
            .ok_or_else(|| format!("no number in {message}"))?,
    })
}

/// A difficulty from decimal digits.
pub fn difficulty_of(text: &str) -> Outcome<Difficulty> {
    let macs =
        U256::from_dec_str(text).map_err(|error| format!("not a difficulty: {text}: {error:?}"))?;
    Ok(Difficulty::new(macs)?)
}

/// Multiplies products of the smallest shape, rebuilt from `label`, until one wins.
pub async fn mine(work: &Work, label: &str) -> Outcome<Found> {
    search(work, label, work.difficulty, |_, _| true).await
}

/// A proof that holds in everything but its ticket, which misses the difficulty.
pub async fn mine_badly(work: &Work, label: &str) -> Outcome<Found> {
    let easiest = Difficulty::new(U256::one())?;
    let hash = work.pre_hash;
    let aim = work.difficulty;
    search(work, label, easiest, move |seal, proof| {
        verify(&hash, seal, proof, aim).is_err()
    })
    .await
}

/// A seal and proof that win for one work's header and not for the other's.
pub async fn mine_for_one_only(work: &Work, other: &Work, label: &str) -> Outcome<Found> {
    let (hash, aim) = (other.pre_hash, other.difficulty);
    search(work, label, work.difficulty, move |seal, proof| {
        verify(&hash, seal, proof, aim).is_err()
    })
    .await
}

async fn search(
    work: &Work,
    label: &str,
    difficulty: Difficulty,
    wanted: impl Fn(&Seal, &Proof) -> bool + Send + 'static,
) -> Outcome<Found> {
    let (pre_hash, label) = (work.pre_hash, label.to_owned());
    tokio::task::spawn_blocking(move || {
        let shape = Shape::new(Shape::MIN_SIDE, Shape::MIN_SIDE, Shape::MIN_K)?;
        for product in 0..MAX_PRODUCTS {
            let (a, bt) = reference::matrices(&format!("{label}/{product}"), shape);
            let proved = reference::prove(&pre_hash, &a, &bt, shape, difficulty)?;
            if let Some(winner) = proved
                .winners
                .into_iter()
                .find(|winner| wanted(&winner.seal, &winner.proof))
            {
                return Ok(Found {
                    seal: winner.seal,
                    proof: winner.proof,
                });
            }
        }
        Err(format!("none of {MAX_PRODUCTS} products won").into())
    })
    .await?
}

/// Fails unless the node gives, for its best chain's block at `number`, a proof that verifies at the difficulty that the
/// state of its child states, and the seal that stands in its header.
pub async fn verify_block(rpc: &Rpc, number: u64) -> Outcome {
    let hash = rpc
        .hash_at(number)
        .await?
        .ok_or_else(|| format!("no block {number}"))?;
    let header = rpc
        .header(&hash)
        .await?
        .ok_or_else(|| format!("no header of block {number}"))?;
    let answer: Value = rpc.call("pouw_blockProof", &[hash.clone().into()]).await?;
    let bytes = |name: &str| bytes_of(answer[name].as_str().unwrap_or_default());

    let pre_hash: [u8; 32] = bytes("preHash")?
        .try_into()
        .map_err(|_| format!("no preHash in {answer}"))?;
    let seal_bytes = bytes("seal")?;
    let seal = Seal::decode_all(&mut &seal_bytes[..])?;
    let proof = Proof::decode_all(&mut &bytes("proof")?[..])?;

    let last = logs_of(&header)
        .next_back()
        .ok_or("a header without digest items")?;
    if !(last.starts_with(SEAL) && last.ends_with(&hex::encode(&seal_bytes))) {
        return Err(format!(
            "the last digest item of block {number} is {last}, its seal {}",
            hex_of(&seal_bytes)
        )
        .into());
    }
    let record = wait_for(
        &format!("a child of block {number}"),
        CHILD_LIMIT,
        || async move {
            let record: Value = rpc.call("pouw_sealOf", &[number.into()]).await?;
            Ok((!record.is_null()).then_some(record))
        },
    )
    .await?;
    if record["block"] != hash.as_str() {
        return Err(format!(
            "the state says that block {number} is {}, the chain says {hash}",
            record["block"]
        )
        .into());
    }
    let difficulty = difficulty_of(record["difficulty"].as_str().unwrap_or_default())?;
    verify(&pre_hash, &seal, &proof, difficulty)
        .map_err(|error| format!("block {number}: {error}").into())
}

/// Public key, in hex, of a header's author.
pub fn author_of(header: &Value) -> Outcome<String> {
    let item = logs_of(header).find_map(|log| log.strip_prefix(PRE_DIGEST));
    // One byte of length (40 = 0xa0 as SCALE writes it), 32 of the key, 8 of time.
    match item {
        Some(rest) if rest.len() == 2 * (1 + 32 + 8) => Ok(rest[2..66].to_owned()),
        _ => Err(format!("no author in the header {header}").into()),
    }
}

fn logs_of(header: &Value) -> impl DoubleEndedIterator<Item = &str> {
    header["digest"]["logs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
