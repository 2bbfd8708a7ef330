//! Mining from outside the node: work by subscription, seals by RPC, and a code of its own for each way to be wrong.

use std::time::Duration;

use labora_pouw::Seal;
use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    miner::{Found, Work, mine, mine_badly, mine_for_one_only, next_work, subscribe, verify_block},
    rpc::{Refusal, hex_of},
    seed::Random,
    spec, wait_for,
};
use parity_scale_codec::Encode;
use serde_json::{Value, json};
use tempfile::TempDir;

const MALFORMED: i32 = -32050;
const STALE: i32 = -32051;
const WEAK: i32 = -32052;
const DUPLICATE: i32 = -32053;
const NOT_MINING: i32 = -32055;
const UNKNOWN_BLOCK: i32 = -32056;
const INVALID_PARAMS: i32 = -32602;

const AT_ONCE: Duration = Duration::from_secs(20);

async fn node_without_devices(machine: &Machine) -> Outcome<(TempDir, Node)> {
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::LOWEST)?;
    let options = NodeOptions::of_spec(&spec).devices("none");
    let node = Node::start(machine, &folder.path().join("node"), &options).await?;
    Ok((folder, node))
}

/// Mines the node's newest work, and again if it is replaced or solved meanwhile, until a seal is taken.
async fn mine_a_block(node: &Node, label: &str) -> Outcome<(Work, Found, String)> {
    let mut news = subscribe(node.rpc()).await?;
    for attempt in 0..10 {
        let work = next_work(&mut news).await?;
        let found = mine(&work, &format!("{label}/{attempt}")).await?;
        match node
            .rpc()
            .attempt("pouw_submitSeal", &found.submission(&work))
            .await?
        {
            Ok(hash) => {
                let hash = hash.as_str().ok_or("a hash that is no text")?.to_owned();
                return Ok((work, found, hash));
            }
            // Right after a block the work is still that block's, until the next one is built.
            Err(refusal) if [STALE, DUPLICATE].contains(&refusal.code) => {}
            Err(refusal) => return Err(format!("an honest seal was refused: {refusal:?}").into()),
        }
    }
    Err("the work changed ten times before it was mined".into())
}

/// The work that follows the block at `number`.
async fn work_after(node: &Node, number: u64) -> Outcome<Work> {
    let mut news = subscribe(node.rpc()).await?;
    loop {
        let work = next_work(&mut news).await?;
        if work.number > number {
            return Ok(work);
        }
    }
}

async fn submit(node: &Node, parameters: [Value; 3]) -> Outcome<Refusal> {
    node.rpc().refused("pouw_submitSeal", &parameters).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_outside_the_node_mines_a_chain() -> Outcome {
    let machine = Machine::take().await;
    let (_folder, node) = node_without_devices(&machine).await?;
    for block in 1..=6u64 {
        let (work, _, hash) = mine_a_block(&node, &format!("block {block}")).await?;
        assert_eq!(work.number, block);
        let rpc = node.rpc();
        let hash = &hash;
        wait_for("the sealed block as the best", AT_ONCE, || async move {
            Ok((rpc.best_hash().await? == *hash).then_some(()))
        })
        .await?;
    }
    for number in 1..=5 {
        verify_block(node.rpc(), number).await?;
    }
    let stats: Value = node.rpc().call("pouw_stats", &[]).await?;
    assert_eq!(
        stats["rpcAccepted"]
            .as_u64()
            .or(stats["rpc_accepted"].as_u64()),
        Some(6),
        "{stats}"
    );
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_submission_has_a_code_of_its_own_and_changes_nothing() -> Outcome {
    let machine = Machine::take().await;
    let (_folder, node) = node_without_devices(&machine).await?;

    let (work, found, _) = mine_a_block(&node, "first").await?;
    let again = submit(&node, found.submission(&work)).await?;
    assert_eq!(again.code, DUPLICATE, "{again:?}");

    let best = node.rpc().best_hash().await?;
    let now = work_after(&node, work.number).await?;

    let weak = submit(&node, mine_badly(&now, "weak").await?.submission(&now)).await?;
    assert_eq!(weak.code, WEAK, "{weak:?}");

    let elsewhere = Work {
        pre_hash: [7; 32],
        ..now.clone()
    };
    let stale = submit(
        &node,
        mine(&elsewhere, "stale").await?.submission(&elsewhere),
    )
    .await?;
    assert_eq!(stale.code, STALE, "{stale:?}");

    // Moved to another header, a seal's tile makes another ticket: here one that does not win.
    let moved = mine_for_one_only(&elsewhere, &now, "moved").await?;
    let moved = submit(&node, moved.submission(&now)).await?;
    assert_eq!(moved.code, WEAK, "{moved:?}");

    let good = mine(&now, "good").await?;
    let (seal, proof) = (good.seal.encode(), good.proof.encode());
    let with = |seal: &[u8], proof: &[u8]| {
        [
            hex_of(&now.pre_hash).into(),
            hex_of(seal).into(),
            hex_of(proof).into(),
        ]
    };
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let malformed: [(&str, [Value; 3]); 8] = [
        (
            "no hex",
            [
                hex_of(&now.pre_hash).into(),
                "0xzz".into(),
                hex_of(&proof).into(),
            ],
        ),
        (
            "an odd digit",
            [
                hex_of(&now.pre_hash).into(),
                "0x0".into(),
                hex_of(&proof).into(),
            ],
        ),
        (
            "a short hash",
            ["0x1234".into(), hex_of(&seal).into(), hex_of(&proof).into()],
        ),
        ("an unfinished seal", with(&seal[..seal.len() - 1], &proof)),
        ("a seal with a byte too many", with(&longer(&seal), &proof)),
        (
            "an unfinished proof",
            with(&seal, &proof[..proof.len() - 1]),
        ),
        ("a proof with a byte too many", with(&seal, &longer(&proof))),
        (
            "a seal of a shape that is none",
            with(&[&17u32.to_le_bytes()[..], &seal[4..]].concat(), &proof),
        ),
    ];
    for (what, parameters) in malformed {
        let refusal = submit(&node, parameters).await?;
        assert_eq!(refusal.code, MALFORMED, "{what}: {refusal:?}");
    }
    for parameters in [
        json!([1, 2, 3]),
        json!([null, null, null]),
        json!(["0x00"]),
        json!([]),
    ] {
        let parameters = parameters.as_array().cloned().unwrap_or_default();
        let refusal = node.rpc().refused("pouw_submitSeal", &parameters).await?;
        assert_eq!(refusal.code, INVALID_PARAMS, "{refusal:?}");
    }

    // One flipped bit anywhere in the proof, or in what the seal commits to.
    let mut random = Random::of_test(0x464C_4950);
    for _ in 0..40 {
        let mut broken = proof.clone();
        let at = random.between(0, broken.len() as u64 - 1) as usize;
        broken[at] ^= 1 << random.between(0, 7);
        let refusal = submit(&node, with(&seal, &broken)).await?;
        assert!(
            [MALFORMED, WEAK].contains(&refusal.code),
            "byte {at} of the proof: {refusal:?}"
        );
    }
    for at in 0..Seal::ENCODED_LEN {
        let mut broken = seal.clone();
        broken[at] ^= 1 << random.between(0, 7);
        let refusal = submit(&node, with(&broken, &proof)).await?;
        assert!(
            [MALFORMED, WEAK].contains(&refusal.code),
            "byte {at} of the seal: {refusal:?}"
        );
    }

    assert_eq!(
        node.rpc().best_hash().await?,
        best,
        "a refused seal has changed the chain"
    );
    mine_a_block(&node, "last").await?;
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_mine_says_so() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = Node::start(
        &machine,
        &folder.path().join("node"),
        &NodeOptions::dev().following(),
    )
    .await?;
    let elsewhere = Work {
        pre_hash: [7; 32],
        difficulty: labora_tests::miner::difficulty_of("1")?,
        number: 1,
    };
    let refusal = submit(
        &node,
        mine(&elsewhere, "idle").await?.submission(&elsewhere),
    )
    .await?;
    assert_eq!(refusal.code, NOT_MINING, "{refusal:?}");

    let refusal = node
        .rpc()
        .refused("pouw_blockProof", &[hex_of(&[9; 32]).into()])
        .await?;
    assert_eq!(refusal.code, UNKNOWN_BLOCK, "{refusal:?}");
    let genesis = node.rpc().hash_at(0).await?.ok_or("no genesis block")?;
    let refusal = node
        .rpc()
        .refused("pouw_blockProof", &[genesis.into()])
        .await?;
    assert_eq!(
        refusal.code, UNKNOWN_BLOCK,
        "genesis was not mined: {refusal:?}"
    );
    node.log().assert_no_panic()
}
