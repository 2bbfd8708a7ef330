//! The command line of an account: `labora balance`, `transfer`, `job`, `stake` and `pool`, against a node that mines.

mod wallet {
    mod jobs;
}

use std::{path::Path, time::Duration};

use labora_tests::{
    Machine, Outcome,
    spec::VALIDATORS,
    terminal::{Terminal, amount, key},
    wait_for,
};

/// A product of some megabytes, mined on the way, and its result in a block.
const WORK_LIMIT: Duration = Duration::from_secs(240);

const LAB: u128 = 1_000_000_000_000;

const DAVE: &str = VALIDATORS[3].account;
const ALICE: &str = VALIDATORS[0].account;

#[tokio::test(flavor = "multi_thread")]
async fn money_is_sent_once_somebody_says_yes() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let at = Terminal::new(&machine, data.path(), &[]).await?;
    let key = at.key.to_string_lossy().into_owned();
    let eve = "5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw";
    let send = ["transfer", eve, "2.5", "--key", &key];
    let free = |who: &str| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(amount(
            &at.json(&["balance", who])?["free"],
        ))
    };
    let before = (free(DAVE)?, free(eve)?);

    let shown = at.read(&[&send[..], &["--dry-run"]].concat())?;
    for word in [
        "Send 2.5 LAB to 5HGj",
        "signed by 5DAAnrj7",
        "transaction",
        "Nothing was sent",
    ] {
        assert!(shown.contains(word), "{word}");
    }
    at.refused(&send, &["--yes"])?;
    assert_eq!((free(DAVE)?, free(eve)?), before, "nothing was sent");

    let sent = at.act(&["transfer", eve, "2.5"])?;
    assert_eq!(free(eve)? - before.1, 5 * LAB / 2);
    assert_eq!(
        before.0 - free(DAVE)?,
        5 * LAB / 2 + amount(&sent["paidFee"])
    );
    assert!(sent["block"].is_u64() && amount(&sent["fee"]) > 0);
    assert!(at.read(&["balance", eve])?.contains("can be sent"));

    let much = ["transfer", eve, "99999999999", "--key", &key, "--yes"];
    at.refused(&much, &["free, and this takes 99999999999"])?;
    let open = open_key(data.path())?;
    at.refused(
        &["transfer", eve, "1", "--yes", "--key", &open],
        &["chmod 600"],
    )?;
    at.refused(
        &["transfer", eve, "1", "--yes"],
        &["--key", "labora key generate"],
    )?;
    at.refused(&["balance"], &["SS58"])?;
    at.refused(
        &["balance", eve, "--node", "ws://127.0.0.1:1"],
        &["ws://127.0.0.1:1", "check that it runs"],
    )?;
    at.refused(
        &["balance", eve, "--node", "http://127.0.0.1:9944"],
        &["ws://HOST:PORT"],
    )?;
    at.refused(
        &["job", "get", "99"],
        &["job 99 is not there", "labora job list"],
    )?;
    at.node.log().assert_no_panic()
}

/// A key that others can read.
fn open_key(folder: &Path) -> Outcome<String> {
    let path = key(folder, "open", "//Dave", 0o644)?;
    Ok(path.to_string_lossy().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn stake_is_bonded_put_behind_a_validator_and_asked_back() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let at = Terminal::new(&machine, data.path(), &[]).await?;
    let key = at.key.to_string_lossy().into_owned();
    assert!(
        at.read(&["stake", "show", DAVE])?
            .contains("nothing bonded")
    );
    at.refused(
        &["stake", "nominate", ALICE, "--key", &key],
        &["stake bond"],
    )?;
    at.act(&["stake", "bond", "100"])?;
    at.refused(
        &["stake", "nominate", DAVE, "--key", &key],
        &["is no validator"],
    )?;
    at.act(&["stake", "nominate", ALICE])?;
    at.refused(
        &["stake", "withdraw", "--key", &key],
        &["nothing is unbonding"],
    )?;
    at.act(&["stake", "unbond", "40"])?;
    let told = at.read(&["stake", "show", DAVE])?;
    for word in [
        "100 LAB bonded, 60 LAB of it at stake",
        "40 LAB are unbonding until era",
        "Rewards go to its stake",
        &format!("It backs {ALICE}: elected"),
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let validator = at.read(&["stake", "show", ALICE])?;
    assert!(validator.contains("votes on finality"), "{validator}");
    at.act(&["stake", "chill"])?;
    at.refused(
        &["stake", "withdraw", "--key", &key],
        &["nothing has come free yet"],
    )?;
    // A behind of 60 LAB could be elected by now; what an era owes is paid once it is over.
    wait_for("rewards of an era", WORK_LIMIT, || async {
        let view = at.json(&["stake", "show", ALICE])?;
        Ok(view["validates"]["unpaid"]
            .as_array()
            .is_some_and(|eras| !eras.is_empty())
            .then_some(()))
    })
    .await?;
    at.act(&["stake", "payout", ALICE])?;

    let eve = ["--dev", "//Eve", "--yes"];
    assert!(at.read(&["pool", "list"])?.contains("no pools"));
    let made = at.json(&[&["pool", "create", "20", "--name", "shelf"], &eve[..]].concat())?;
    assert_eq!(made["pool"], 1);
    at.json(&[&["pool", "nominate", "1", ALICE], &eve[..]].concat())?;
    at.json(&["pool", "join", "1", "3", "--dev", "//Bob", "--yes"])?;
    let list = at.read(&["pool", "list"])?;
    assert!(list.contains("shelf") && list.contains("23 LAB"), "{list}");
    at.json(&["pool", "unbond", "all", "--dev", "//Bob", "--yes"])?;
    let told = at.read(&["pool", "show", "--dev", "//Bob"])?;
    assert!(
        told.contains("0 LAB at stake in pool 1 (shelf)") && told.contains("3 LAB are unbonding"),
        "{told}"
    );
    at.refused(
        &["pool", "join", "2", "3", "--dev", "//Charlie"],
        &["there is no pool 2"],
    )?;
    at.refused(&["pool", "claim", "--dev", "//Bob"], &["no rewards wait"])?;
    at.node.log().assert_no_panic()
}
