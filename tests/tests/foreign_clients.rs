//! Programs of other people, and the Python client, against a real node.

use std::time::Duration;

use labora_tests::{Machine, Node, NodeOptions, Outcome, binary::finish, js, python};

/// Six transfers on a chain with a block about every three seconds.
const TRANSFERS_LIMIT: Duration = Duration::from_secs(240);

/// The Python client's tests; some start nodes of their own.
const PYTEST_LIMIT: Duration = Duration::from_secs(900);

#[tokio::test(flavor = "multi_thread")]
async fn polkadot_js_reads_balances_and_sends_transfers_of_all_three_signature_schemes() -> Outcome
{
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    // An account that neither sends nor receives has the subsidies and tips.
    let options = NodeOptions {
        author: "//Ferdie",
        ..NodeOptions::dev()
    };
    let node = Node::start(&machine, &data.path().join("node"), &options).await?;
    let mut script = js::script("transfers.mjs", &node)?;
    let finished =
        tokio::task::spawn_blocking(move || finish(&mut script, TRANSFERS_LIMIT)).await??;
    println!("{}", finished.text());
    assert_eq!(
        finished.code,
        Some(0),
        "transfers.mjs failed:\n{}",
        finished.text()
    );
    for scheme in ["sr25519", "ed25519", "ecdsa"] {
        assert!(
            finished.stdout.contains(&format!("\"type\":\"{scheme}\"")),
            "no transfer signed with {scheme}"
        );
    }
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_passes_its_tests_against_a_real_node() -> Outcome {
    let _machine = Machine::take().await;
    let mut pytest = python::command("clients/python")?;
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    let finished = tokio::task::spawn_blocking(move || finish(&mut pytest, PYTEST_LIMIT)).await??;
    println!("{}", finished.text());
    assert_eq!(
        finished.code,
        Some(0),
        "pytest failed:\n{}",
        finished.text()
    );
    let passed = finished.stdout.lines().any(|line| line.contains(" passed"));
    assert!(passed, "pytest ran no test:\n{}", finished.stdout);
    Ok(())
}
