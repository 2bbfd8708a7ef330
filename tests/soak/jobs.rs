//! Ten thousand open jobs: what they do to blocks and lists.

use std::time::Duration;

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, binary, http, js,
    spec::{self, QUICK},
};

/// A hundred transactions of a hundred jobs each, and some fifty of one.
const LIMIT: Duration = Duration::from_secs(1_800);

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_built_beside_ten_thousand_open_jobs_as_beside_ten() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let options = NodeOptions {
        author: "//Ferdie",
        ..NodeOptions::of_spec(&spec::write(folder.path(), QUICK)?)
    };
    let base = folder.path().join("node");
    let node = Node::start_with(&machine, &base, &options.arguments_with_metrics(&base)).await?;
    let mut script = js::script("open-jobs.mjs", &node)?;
    script.arg(format!(
        "http://{}/metrics",
        http::metrics_address(node.log())?
    ));
    println!("{}", binary::run(script, LIMIT).await?);
    node.log().assert_no_panic()?;
    node.stop_well().await
}
