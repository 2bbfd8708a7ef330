//! What a node does about a hostile peer: one that withholds proofs, sends too much, floods, asks for too much.
//!
//! The peer links the SDK's network layer, which the rest of this crate does without: see `rogue/peer.rs`. Each test begins
//! with the same peer's blocks being taken while it is honest (`Scene::control`).

mod rogue {
    pub mod chain;
    mod double_votes;
    pub mod peer;
    pub mod scene;
    pub mod voter;
}

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use labora_pouw::Proof;
use labora_tests::{
    Node, NodeOptions, Outcome,
    node::Freeze,
    proxy::{Link, Proxy},
    rpc::Rpc,
    seed::Random,
    validators::{Network, SOON, wait_for_final, wait_to_be_alone, wait_to_catch_up},
    wait_for,
};
use parity_scale_codec::Encode;
use rogue::{
    chain::Chain,
    peer::{Manners, Peer, Seen},
    scene::{NOTICE_LIMIT, Scene},
};
use serde_json::Value;
use sp_core::U256;

/// Within which an honest block must be on the node's best chain after the miner had it, whatever the peer does. Nodes
/// share two cores with a miner here; undisturbed it takes a twentieth of a second.
const IN_TIME: Duration = Duration::from_secs(10);

/// Honest blocks that a test waits for.
const BLOCKS: usize = 8;

/// Above any answer or announcement that a node takes.
const TOO_MUCH: usize = 48 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_a_hostile_peer_only_takes_nothing_from_it_and_follows_a_miner_once_it_meets_one()
-> Outcome {
    let mut scene = Scene::new(0x524F_4701).await?;
    let memory = scene.memory()?;
    too_much_is_dropped(&mut scene).await?;
    let _silent = nothing_is_taken_without_proof(&mut scene).await?;
    // The proofs of those very blocks come from somebody else, while the silent peer is still waited for.
    scene.meet_miner().await?;
    scene.honest_blocks(BLOCKS, IN_TIME).await?;
    memory.assert_bounded()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_hostile_peers_every_block_of_a_miner_comes_in_time() -> Outcome {
    let mut scene = Scene::new(0x524F_4702).await?;
    scene.meet_miner().await?;
    scene.honest_blocks(1, IN_TIME).await?;
    let memory = scene.memory()?;
    wrong_proofs_are_met(&scene).await?;
    made_up_blocks_are_met(&mut scene).await?;
    requests_are_rationed(&mut scene).await?;
    memory.assert_bounded()
}

/// An announcement with more than a proof, one with more than the network takes, and such an answer.
async fn too_much_is_dropped(scene: &mut Scene) -> Outcome {
    let known = scene.node.rpc().best_number().await?;
    let chain = scene.unknown_blocks().await?;
    for bytes in [Proof::MAX_ENCODED_LEN + 1, TOO_MUCH] {
        let peer = scene.peer(chain.clone(), Manners::Denial).await?;
        assert!(peer.announce(&chain.best().header, vec![0; bytes]).await);
        peer.until_hung_up_on(NOTICE_LIMIT).await?;
    }
    let peer = scene.peer(chain, Manners::Bytes(vec![0; TOO_MUCH])).await?;
    scene
        .blamed(&peer, "Malformed answer to a request for proofs")
        .await?;
    peer.until_hung_up_on(NOTICE_LIMIT).await?;
    assert_eq!(scene.node.rpc().best_number().await?, known);
    Ok(())
}

/// Real blocks of peers that say that they have no proofs, or say nothing; gives the one that says nothing.
async fn nothing_is_taken_without_proof(scene: &mut Scene) -> Outcome<Peer> {
    let known = scene.node.rpc().best_number().await?;
    let chain = scene.unknown_blocks().await?;
    let denying = scene.peer(chain.clone(), Manners::Denial).await?;
    denying
        .until(
            "requests for proofs, again and again",
            NOTICE_LIMIT,
            |seen| seen.proofs > 2,
        )
        .await?;
    assert_eq!(scene.node.rpc().best_number().await?, known);
    drop(denying);

    let silent = scene.peer(chain.clone(), Manners::Silence).await?;
    // A block that is announced without its proof is asked about as well.
    assert!(silent.announce(&chain.best().header, Vec::new()).await);
    silent
        .until("a request for proofs", NOTICE_LIMIT, |seen| seen.proofs > 0)
        .await?;
    assert_eq!(scene.node.rpc().best_number().await?, known);
    Ok(silent)
}

/// Hostile peers at a time in a flood; each comes back under another name once the node has hung up.
const LANES: usize = 6;

/// Announcements that each sends at once.
const BURST: u64 = 64;

/// Announces made-up blocks beside the newest real one with proofs that are real ones of other blocks, or spoiled ones,
/// under one name after the other, for ever; counts how often the node has hung up.
async fn flood(scene: &Scene, mut random: Random, hung_up: &AtomicUsize) -> Outcome {
    let mut chain = Chain::of(scene.miner.rpc()).await?;
    loop {
        chain.follow(scene.miner.rpc()).await?;
        let mut key = [0; 32];
        key.copy_from_slice(&random.bytes(32));
        let peer = Peer::welcome(key, &scene.address, chain.clone(), Manners::Honest).await?;
        for at in 0..BURST {
            let block = chain.best();
            let mut proof = block.proof.clone().ok_or("a mined block without proof")?;
            if at % 2 == 1 {
                let place = random.between(0, proof.len() as u64 - 1) as usize;
                proof[place] ^= 1;
            }
            if !peer
                .announce(&block.forged_header(random.bits()), proof)
                .await
            {
                break;
            }
        }
        peer.until_hung_up_on(NOTICE_LIMIT).await?;
        hung_up.fetch_add(1, Ordering::Relaxed);
        if hung_up.load(Ordering::Relaxed) == 1 {
            scene.blamed(&peer, "Bad block announcement").await?;
        }
    }
}

async fn wrong_proofs_are_met(scene: &Scene) -> Outcome {
    let hung_up = AtomicUsize::new(0);
    let random = Random::of_test(0x524F_4714);
    let lanes = (0..LANES).map(|lane| flood(scene, random.part(&format!("lane {lane}")), &hung_up));
    tokio::select! {
        ended = join_all(lanes) => return Err(format!("the flood ended: {ended:?}").into()),
        honest = scene.honest_blocks(3 * BLOCKS, IN_TIME) => honest?,
    }
    let hung_up = hung_up.into_inner();
    println!("{hung_up} peers were hung up on");
    assert!(hung_up > LANES, "the flood must have been met: {hung_up}");
    Ok(())
}

/// Peers with short branches of made-up blocks at a time, of each kind.
const LIARS: usize = 2;

/// Above the number of blocks that sync keeps waiting before it asks nobody for more.
const MANY: usize = 3_000;

/// Bytes of each body of a long branch: 64 of them make an answer that a node just takes.
const BODY: usize = 200_000;

/// Branches of made-up blocks, each higher than the last, of peers that say nothing when they are asked for proofs, for which
/// the node waits as long as it waits for any, or that they have none, and do not answer what is final. The last two are so
/// high that their headers alone would fill the queue, and of those with bodies the bodies the memory.
async fn made_up_blocks_are_met(scene: &mut Scene) -> Outcome {
    // By the median of what its peers say a node tells whether it is behind, and then hears no announcement; so most are
    // honest here.
    let mut honest = Vec::new();
    for _ in 0..LIARS + 1 {
        let chain = Chain::of(scene.node.rpc()).await?;
        honest.push(scene.peer(chain, Manners::Honest).await?);
    }
    let mut liars = Vec::new();
    for made_up in (2..).take(LIARS).chain([MANY]) {
        for manners in [Manners::Silence, Manners::Denial] {
            let chain = Chain::of(scene.node.rpc()).await?;
            let bodies = if made_up == MANY { BODY } else { 0 };
            let chain = chain.with_made_up(made_up, liars.len() as u64, bodies);
            let blame = match manners {
                Manners::Silence => "No proof of a block that it sent",
                _ => "Neither proof nor finality of a block that it sent",
            };
            liars.push((scene.peer(chain, manners).await?, blame));
            scene.honest_blocks(1, IN_TIME).await?;
        }
    }
    // Until the node has gone through all of it: the proofs of each are asked for, given up, and asked for once more.
    let begin = Instant::now();
    let is_hung_up_on = |seen: &Seen| seen.door.is_none() || seen.welcomes > 1;
    while !liars.iter().all(|(liar, _)| is_hung_up_on(&liar.seen())) {
        assert!(begin.elapsed() < 4 * NOTICE_LIMIT, "a liar is still heard");
        scene.honest_blocks(BLOCKS, IN_TIME).await?;
    }
    for (liar, blame) in &liars {
        let seen = liar.seen();
        assert!(seen.blocks > 0 && seen.proofs > 0, "it was not asked");
        scene.blamed(liar, blame).await?;
    }
    scene.honest_blocks(2 * BLOCKS, IN_TIME).await?;
    for seen in liars.iter().map(|(liar, _)| liar.seen()) {
        println!(
            "{} requests for blocks, {} for proofs",
            seen.blocks, seen.proofs
        );
    }
    println!("made-up blocks were met for {:?}", begin.elapsed());
    Ok(())
}

/// What the server's limits come to: four full answers at once, eight MiB a second, and one answer beyond.
fn most_bytes_in(time: Duration) -> usize {
    (20 << 20) + (8 << 20) * (time.as_millis() as usize + 1_000) / 1_000
}

/// Garbage, and then as many requests for proofs as the connection carries.
async fn requests_are_rationed(scene: &mut Scene) -> Outcome {
    let chain = Chain::of(scene.node.rpc()).await?;
    let hashes = chain.newest(16);
    let peer = scene.peer(chain, Manners::Honest).await?;

    let mut random = Random::of_test(0x524F_4715);
    for _ in 0..200 {
        let garbage = random.string(2_048);
        assert!(peer.ask_for_proofs(garbage).await.is_err());
    }
    scene.blamed(&peer, "Malformed request for proofs").await?;

    let (begin, taken, refused) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
    let lanes = (0..2 * LANES).map(|_| async {
        // Until the node hangs up: whoever asks for too much at such a pace is not heard for long.
        while peer.seen().door.is_some() {
            match peer.ask_for_proofs(hashes.encode()).await {
                Ok(bytes) => taken.fetch_add(bytes.len(), Ordering::Relaxed),
                Err(_) => refused.fetch_add(1, Ordering::Relaxed),
            };
        }
    });
    tokio::select! {
        _ = join_all(lanes) => scene.honest_blocks(BLOCKS, IN_TIME).await?,
        honest = scene.honest_blocks(BLOCKS, IN_TIME) => honest?,
    }
    scene.blamed(&peer, "Too many requests for proofs").await?;
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    println!(
        "{taken} bytes in {:?}, and {refused} refusals",
        begin.elapsed()
    );
    assert!(taken > 0 && refused > 0);
    assert!(taken < most_bytes_in(begin.elapsed()));
    Ok(())
}

/// Work up to a node's best block.
async fn work(node: &Node) -> Outcome<U256> {
    let info: Value = node.rpc().call("pouw_info", &[]).await?;
    let work = info["accumulatedWork"].as_str().ok_or("no work is named")?;
    Ok(U256::from_dec_str(work)?)
}

/// The lowest number at which two nodes have different blocks, given one at which they do.
async fn parted_at(one: &Rpc, other: &Rpc, mut number: u64) -> Outcome<u64> {
    assert_ne!(one.hash_at(number).await?, other.hash_at(number).await?);
    while one.hash_at(number - 1).await? != other.hash_at(number - 1).await? {
        number -= 1;
    }
    Ok(number)
}

/// The lowest block of `other`'s chain, from this number on, that `one` has not: it may have taken the first of a fork before
/// the two were cut off from each other.
async fn first_unknown(one: &Rpc, other: &Rpc, mut number: u64) -> Outcome<(u64, String)> {
    loop {
        let hash = other.hash_at(number).await?.ok_or("no fork")?;
        if one.header(&hash).await?.is_none() {
            return Ok((number, hash));
        }
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_fork_with_more_work_from_below_the_final_block_is_refused() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    // That a node that does not mine keeps its best block, while the public miner rests, is its own decision.
    let honest = &validators[0];
    let (link, through) = Proxy::to_node(&honest.address().await?).await?;
    let options = NodeOptions {
        author: "//Ferdie",
        ..network.only_through(through)
    };
    let private = network.start("private", &options).await?;
    wait_to_catch_up(private.rpc(), miner.rpc()).await?;
    link.set(Link::Cut);
    let cut_at = wait_to_be_alone(private.rpc()).await?;
    wait_for_final(miner.rpc(), cut_at + 5).await?;
    wait_for_final(honest.rpc(), cut_at + 5).await?;

    // The public miner rests, and the private chain gets ahead.
    miner.freeze(Freeze::Stop)?;
    wait_for("a private chain of more work", SOON, || async {
        let ahead = private.rpc().best_number().await?;
        let is_longer = ahead >= honest.rpc().best_number().await? + 10;
        Ok((is_longer && work(&private).await? > work(honest).await?).then_some(()))
    })
    .await?;
    let parted = parted_at(honest.rpc(), private.rpc(), cut_at + 5).await?;
    let (refused, fork) = first_unknown(honest.rpc(), private.rpc(), parted).await?;
    assert!(refused <= honest.rpc().finalised_number().await?);
    let kept = honest.rpc().hash_at(cut_at + 5).await?;
    let best = honest.rpc().best_hash().await?;

    // A peer that does not hear what is final holds to the fork, and has all its proofs.
    let chain = Chain::of(private.rpc()).await?;
    let address = honest.address().await?;
    let peer = Peer::welcome([7; 32], &address, chain, Manners::Honest).await?;
    let mark = format!("Error importing block {fork}");
    // The SDK asks a peer whose connection broke while it was asked for nothing for a minute, and then for two.
    let reason = wait_for("the fork to be offered and refused", 2 * SOON, || {
        let said = honest.log().after_last(&mark, &[]);
        async move { said }
    })
    .await?;
    // Where the fork begins with a block that changes the authorities, the SDK sees that first.
    let is_too_old = [
        "finality has cut its fork off",
        "an old block with authority set change",
    ];
    assert!(
        is_too_old.iter().any(|said| reason.contains(said)),
        "refused, but for {reason}"
    );
    assert_eq!(honest.rpc().best_hash().await?, best);
    drop(peer);
    miner.freeze(Freeze::GoOn)?;

    // The private miner learns what is final, and gives in.
    link.set(Link::Up);
    wait_for("the private miner to follow", SOON, || async {
        Ok((private.rpc().hash_at(cut_at + 5).await? == kept).then_some(()))
    })
    .await?;
    let next = miner.rpc().best_number().await? + 3;
    wait_for_final(private.rpc(), next).await?;
    // The private miner knows the honest node alone, so what that one refused came to nobody.
    for node in validators.iter().chain([&miner]) {
        assert_eq!(node.rpc().hash_at(cut_at + 5).await?, kept);
        assert_eq!(
            node.rpc().header(&fork).await?,
            None,
            "a node has a block of the fork"
        );
        node.log().assert_no_panic()?;
    }
    Ok(())
}
