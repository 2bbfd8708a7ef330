//! The market of jobs, as a wallet and a library of other people see it.

use std::time::Duration;

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, binary, js,
    spec::{self, QUICK},
};

/// Some thirty transactions, and a claim that runs out, on a chain with a block about every half second.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_posted_claimed_paid_and_told_of_through_polkadot_js() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let spec = spec::write(data.path(), QUICK)?;
    let options = NodeOptions {
        author: "//Ferdie",
        ..NodeOptions::of_spec(&spec)
    };
    let node = Node::start(&machine, &data.path().join("node"), &options).await?;
    let script = js::script("market.mjs", &node)?;
    println!("{}", binary::run(script, LIMIT).await?);
    node.log().assert_no_panic()
}
