//! What `labora testnet` is held to.

use std::time::Duration;

use labora_tests::{Machine, Outcome, Testnet};

use crate::blocks;

/// For one block of 6 s, and for the first blocks to be final.
const BLOCK: Duration = Duration::from_secs(12);

/// The goal, on two cores that have nothing else to do.
const SECONDS_TO_FIRST_FINALISED: f64 = 60.0;

/// The goal for the median over 200 blocks. The first thirty or so come faster than they can be voted on, until the difficulty
/// has adapted.
const MEDIAN_FINALITY_LAG: f64 = 3.0;

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_and_two_miners_finalise_soon_and_keep_up() -> Outcome {
    let blocks = blocks(200)?;
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let mut network = Testnet::of_four_and_two(&machine, folder.path(), blocks)?;
    let limit = BLOCK * (u32::try_from(blocks)? + 20);
    let status = network.end(limit).await?;
    assert!(status.success(), "{status}");
    let summary = network.summary()?;
    let figure = |name: &str| summary.figure(name);
    assert!(figure("finalised_blocks")? >= blocks as f64);
    assert!(figure("seconds_to_first_finalised")? <= SECONDS_TO_FIRST_FINALISED);
    // A vote is at least a block behind the best one.
    let median = figure("median_finality_lag")?;
    assert!(median >= 1.0);
    assert!(blocks < 200 || median <= MEDIAN_FINALITY_LAG, "{median}");
    Ok(())
}
