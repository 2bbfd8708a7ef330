//! What the runbook says, done: validators that are gone for good, and an upgrade of the runtime.

use labora_tests::{
    Outcome, binary, js,
    spec::VALIDATORS,
    validators::{Network, SOON, assert_one_final_chain, wait_for_best, wait_for_final},
    wait_for,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_lost_half_of_its_validators_for_ever_recovers_by_a_forced_change() -> Outcome
{
    let mut network = Network::new().await?;
    // A forced change is in no proof of finality, so whoever comes later wants the proof of each block from somebody.
    let mut options = network.options();
    options.author = "//Eve";
    options
        .more
        .retain(|flag| flag != "--proofs" && flag != "0");
    options.more.extend(["--proofs".into(), "archive".into()]);
    let miner = network.start("miner", &options).await?;
    let mut validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 3).await?;
    validators.pop().ok_or("a fourth")?.kill()?;
    validators.pop().ok_or("a third")?.kill()?;
    let at = miner.rpc().best_number().await?;
    wait_for_best(miner.rpc(), at + 15).await?;
    let stalled = miner.rpc().finalised_number().await?;
    assert!(stalled <= at + 1, "finality went on with two of four");

    let mut script = js::script("govern.mjs", &miner)?;
    script.args(["recover", VALIDATORS[2].account, VALIDATORS[3].account]);
    println!("{}", js::run(script, 4 * SOON).await?);
    let next = miner.rpc().best_number().await? + 3;
    wait_for("finality by the two that are left", 2 * SOON, || async {
        Ok((miner.rpc().finalised_number().await? >= next).then_some(()))
    })
    .await?;
    for node in &validators {
        wait_for_final(node.rpc(), next).await?;
    }
    assert_one_final_chain(&[miner.rpc(), validators[0].rpc(), validators[1].rpc()]).await?;
    // Whoever comes later follows too, and bans nobody for proofs of finality that cannot show the change.
    let mut options = network.options().following();
    options
        .more
        .extend(["--log".into(), "peerset=trace".into()]);
    let late = network.start("late", &options).await?;
    wait_for_best(late.rpc(), next).await?;
    assert_eq!(
        late.rpc().hash_at(next).await?,
        miner.rpc().hash_at(next).await?
    );
    let blame = late.log().text()?;
    let blamed = blame.matches("Reason: Wrong proof of finality").count();
    assert!(
        blamed <= 3,
        "three peers are blamed once, not {blamed} times"
    );
    assert!(!blame.contains("Banned, disconnecting"));
    miner.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_upgrade_passes_while_mining_and_becomes_final() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 2).await?;
    let mut script = js::script("govern.mjs", &miner)?;
    script.arg("upgrade").arg(binary::runtime()?);
    let printed = js::run(script, SOON).await?;
    let upgraded: u64 = printed
        .trim()
        .rsplit(':')
        .next()
        .and_then(|rest| rest.trim_end_matches('}').parse().ok())
        .ok_or_else(|| format!("no block of the upgrade in {printed}"))?;
    for node in validators.iter().chain([&miner]) {
        wait_for_final(node.rpc(), upgraded + 3).await?;
    }
    // Who comes after the upgrade syncs through it.
    let late = network
        .start("late", &network.options().following())
        .await?;
    wait_for_final(late.rpc(), upgraded + 3).await?;
    assert_one_final_chain(&[miner.rpc(), validators[3].rpc(), late.rpc()]).await?;
    late.log().assert_no_panic()
}
