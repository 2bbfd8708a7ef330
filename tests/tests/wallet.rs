//! The command line of an account: `labora balance`, `transfer`, `job`, `stake` and `pool`, against a node that mines.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use labora_tests::{
    Machine, Outcome,
    spec::VALIDATORS,
    terminal::{LIMIT, Terminal, amount, key, npy},
    wait_for,
};
use serde_json::Value;

/// A product of some megabytes, mined on the way, and its result in a block.
const WORK_LIMIT: Duration = Duration::from_secs(240);

const LAB: u128 = 1_000_000_000_000;

const DAVE: &str = VALIDATORS[3].account;
const ALICE: &str = VALIDATORS[0].account;

/// A·B, of m×k and k×n.
fn product(a: &[i8], b: &[i8], (m, n, k): (usize, usize, usize)) -> Vec<i32> {
    let entry = |row: usize, column: usize| -> i32 {
        (0..k)
            .map(|at| i32::from(a[row * k + at]) * i32::from(b[at * n + column]))
            .sum()
    };
    (0..m)
        .flat_map(|row| (0..n).map(move |column| entry(row, column)))
        .collect()
}

/// The entries of a .npy file of int32 with this shape.
fn result(path: &Path, (m, n): (usize, usize)) -> Outcome<Vec<i32>> {
    let bytes = fs::read(path)?;
    let shape = format!("'descr': '<i4', 'fortran_order': False, 'shape': ({m}, {n})");
    assert!(String::from_utf8_lossy(&bytes[..128]).contains(&shape));
    let body = &bytes[bytes.len() - 4 * m * n..];
    Ok(body
        .as_chunks::<4>()
        .0
        .iter()
        .map(|entry| i32::from_le_bytes(*entry))
        .collect())
}

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
async fn a_job_is_posted_followed_and_taken_back_to_the_unit() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let at = Terminal::new(&machine, data.path(), &[]).await?;
    let key = at.key.to_string_lossy().into_owned();
    let matrices = at.matrices()?;
    npy(&data.path().join("a.npy"), 40, 300, 7_919)?;
    npy(&data.path().join("b.npy"), 300, 20, 104_729)?;
    let post = [
        "job",
        "post",
        "--a",
        "a.npy",
        "--b",
        "b.npy",
        "--fee",
        "2",
        "--matrices",
        &matrices,
    ];
    let total = || {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(amount(
            &at.json(&["balance", DAVE])?["total"],
        ))
    };
    let before = total()?;

    let shown = at.read(&[&post[..], &["--key", &key, "--dry-run"]].concat())?;
    for word in [
        "1.7 LAB to the worker (85 %)",
        "deposit",
        "0.012",
        "times the work",
        "Nothing was sent",
    ] {
        assert!(shown.contains(word), "{word}");
    }
    assert_eq!(total()?, before);
    at.refused(&["job", "get", "0"], &["not there"])?;

    let posted = at.act(&post)?;
    let job = posted["job"].as_u64().ok_or("no number")?.to_string();
    let it = at.json(&["job", "get", &job])?;
    assert_eq!(
        (&it["stage"], &it["n"], &it["k"]),
        (&"open".into(), &32.into(), &320.into())
    );
    assert_eq!(
        (&it["products"][0]["m"], amount(&it["fee"])),
        (&48.into(), 2 * LAB)
    );
    let held = at.json(&["balance", DAVE])?["held"].clone();
    assert!(
        held.to_string().contains("fees of jobs")
            && held.to_string().contains(&(2 * LAB).to_string()),
        "{held}"
    );
    let record = fs::read_to_string(data.path().join("job-0.json"))?;
    let record: Value = serde_json::from_str(&record)?;
    assert_eq!(
        (&record["products"][0]["m"], &record["products"][0]["n"]),
        (&40.into(), &20.into())
    );

    assert!(
        at.read(&["job", "list", "--stage", "open", "--poster", DAVE])?
            .contains("1 of 48×32×320")
    );
    assert!(
        at.read(&["job", "list", "--worker", DAVE])?
            .contains("No such jobs")
    );
    let why = at.read(&["job", "explain", &job])?;
    assert!(
        why.contains("It waits for a worker.") && why.contains(&format!("labora job cancel {job}")),
        "{why}"
    );
    at.refused(
        &[
            "job",
            "result",
            &job,
            "--out",
            "c.npy",
            "--matrices",
            &matrices,
        ],
        &["no result yet, it is open"],
    )?;
    at.refused(
        &["job", "accept", &job, "--key", &key],
        &["only a result that was submitted"],
    )?;
    at.refused(&["job", "poke", &job, "--key", &key], &["nothing is due"])?;
    at.refused(
        &["job", "cancel", &job, "--dev", "//Eve"],
        &["only who posted it"],
    )?;

    let told = data.path().join("told");
    let watch = at
        .command(&["job", "watch", &job])?
        .stdin(Stdio::null())
        .stdout(File::create(&told)?)
        .spawn();
    let mut watch = Killed(watch?);
    wait_for("what is told of the job", LIMIT, || async {
        Ok(fs::read_to_string(&told)?
            .contains("It waits for a worker")
            .then_some(()))
    })
    .await?;
    let raised = at.act(&["job", "raise", &job, "0.5"])?;
    let cancelled = at.act(&["job", "cancel", &job])?;
    let paid = [&posted, &raised, &cancelled].map(|done| amount(&done["paidFee"]));
    assert_eq!(
        before - total()?,
        paid.iter().sum::<u128>(),
        "fee and deposit came back whole"
    );
    assert_eq!(
        at.json(&["balance", DAVE])?["held"],
        Value::Array(Vec::new())
    );
    let ended = wait_for("the end of what is told", LIMIT, || {
        let ended = watch.0.try_wait();
        async move { Ok(ended?) }
    });
    assert!(ended.await?.success());
    let told = fs::read_to_string(&told)?;
    assert!(
        told.contains("It pays 2.5 LAB now.") && told.contains("It was cancelled."),
        "{told}"
    );
    at.node.log().assert_no_panic()
}

/// A process that ends with the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_fetched_checked_cropped_and_accepted() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let worker = key(data.path(), "charlie", "//Charlie", 0o600)?;
    let more = ["--work", "--job-key", &worker.to_string_lossy()];
    let at = Terminal::new(&machine, data.path(), &more).await?;
    let matrices = at.matrices()?;
    let a = npy(&data.path().join("a.npy"), 40, 300, 7_919)?;
    let a2 = npy(&data.path().join("a2.npy"), 70, 300, 31)?;
    let b = npy(&data.path().join("b.npy"), 300, 20, 104_729)?;
    let posted = at.act(&[
        "job",
        "post",
        "--a",
        "a.npy",
        "a2.npy",
        "--b",
        "b.npy",
        "--price",
        "1",
        "--matrices",
        &matrices,
    ])?;
    let job = posted["job"].as_u64().ok_or("no number")?.to_string();
    wait_for("a result", WORK_LIMIT, || async {
        Ok((at.json(&["job", "get", &job])?["stage"] == "submitted").then_some(()))
    })
    .await?;

    let shown = at.read(&["job", "result", &job, "--out", "c", "--matrices", &matrices])?;
    assert!(
        shown.contains("40×20") && shown.contains("labora job accept"),
        "{shown}"
    );
    let file = |at: usize| data.path().join("c").join(format!("job-{job}-{at}.npy"));
    assert_eq!(result(&file(0), (40, 20))?, product(&a, &b, (40, 20, 300)));
    assert_eq!(result(&file(1), (70, 20))?, product(&a2, &b, (70, 20, 300)));
    let again = ["job", "result", &job, "--out", "c", "--matrices", &matrices];
    at.refused(&again, &["is there already", "--force"])?;
    at.json(&[&again[..], &["--force", "--shape", "1,1"]].concat())?;
    assert_eq!(
        result(&file(1), (1, 1))?,
        product(&a2, &b, (70, 20, 300))[..1]
    );

    at.act(&["job", "accept", &job])?;
    assert!(
        at.read(&["job", "explain", &job])?
            .contains("It is done and paid.")
    );
    let watched = at.read(&["job", "watch", &job])?;
    assert!(
        watched.contains("It is settled.") && watched.contains("labora job result"),
        "{watched}"
    );
    at.act(&["job", "forget", &job, "--unpin", "--matrices", &matrices])?;
    assert_eq!(
        at.json(&["balance", DAVE])?["held"],
        Value::Array(Vec::new())
    );
    at.node.log().assert_no_panic()
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
