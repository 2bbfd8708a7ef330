//! `labora job`: as posters type it, and whoever finds a result wrong.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use labora_tests::{
    Machine, Outcome, binary, js,
    terminal::{LIMIT, Terminal, amount, key, npy},
    wait_for,
};
use serde_json::Value;

use crate::{DAVE, LAB, WORK_LIMIT};

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
    let total = || total(&at);
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

/// What Dave has, free and held.
fn total(at: &Terminal) -> Outcome<u128> {
    Ok(amount(&at.json(&["balance", DAVE])?["total"]))
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
async fn a_wrong_result_is_proved_for_half_of_the_bond() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    let at = Terminal::new(&machine, data.path(), &[]).await?;
    let matrices = at.matrices()?;
    npy(&data.path().join("a.npy"), 40, 300, 7_919)?;
    npy(&data.path().join("b.npy"), 300, 20, 104_729)?;
    let of = ["--fee", "2", "--matrices", &matrices];
    let posted = at.act(&[&["job", "post", "--a", "a.npy", "--b", "b.npy"], &of[..]].concat())?;
    let job = posted["job"].as_u64().ok_or("no number")?.to_string();
    let key = at.key.to_string_lossy().into_owned();
    let prove = ["job", "prove", &job, "--matrices", &matrices];
    at.refused(
        &[&prove[..], &["--key", &key]].concat(),
        &["from when it is submitted until it is paid"],
    )?;

    let mut cheat = js::script("cheat.mjs", &at.node)?;
    cheat.args([&matrices, &job]);
    binary::run(cheat, LIMIT).await?;
    let result = ["job", "result", &job, "--out", "c.npy"];
    at.refused(
        &[&result[..], &["--matrices", &matrices]].concat(),
        &["it is not the product", &format!("labora job prove {job}")],
    )?;
    let total = || total(&at);
    let before = total()?;
    let shown = at.read(&[&prove[..], &["--key", &key, "--dry-run"]].concat())?;
    assert!(
        shown.contains("loses the bond of 4 LAB") && shown.contains("Nothing was sent"),
        "{shown}"
    );
    let proved = at.act(&prove)?;
    assert_eq!(amount(&proved["paidFee"]), 0, "{proved}");
    assert_eq!(total()? - before, 2 * LAB, "half of a bond of two fees");
    let it = at.json(&["job", "get", &job])?;
    assert_eq!(
        (&it["stage"], &it["failed"], &it["lastFailure"]),
        (&"open".into(), &1.into(), &"wrong".into())
    );
    at.node.log().assert_no_panic()
}
