//! The research fund from a terminal: an institution from its admission to its end, against a node that mines, works and audits.

use std::time::Duration;

use labora_tests::{
    Machine, Outcome,
    spec::{self, QUICK, VALIDATORS},
    terminal::{LIMIT, Terminal, amount, key, npy},
    wait_for,
};
use serde_json::Value;

/// A small product, mined on the way, and its result in a block; or an audit of sixty blocks of half a second.
const WORK_LIMIT: Duration = Duration::from_secs(240);

const LAB: u128 = 1_000_000_000_000;

/// The least fee, which is the most that the fund pays for little work.
const FEE: u128 = LAB / 50;

/// What keeps an account alive.
const ALIVE: u128 = LAB / 1_000;

/// Governs, and is the only validator.
const ALICE: &str = VALIDATORS[0].account;
/// Works, and audits in Alice's name.
const CHARLIE: &str = VALIDATORS[2].account;
/// Administers the institution.
const BOB: &str = VALIDATORS[1].account;
/// Its member.
const DAVE: &str = VALIDATORS[3].account;
/// Who mines, and becomes its rig.
const FERDIE: &str = "5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL";

/// What a well-known account does, without being asked.
fn by(at: &Terminal, who: &str, arguments: &[&str]) -> Outcome<Value> {
    at.json(&[arguments, &["--yes", "--dev", who]].concat())
}

/// Institution 0, as programs read it.
fn institution(at: &Terminal) -> Outcome<Value> {
    at.json(&["grant", "show", "0"])
}

/// All that the institution's account has.
fn on_account(at: &Terminal) -> Outcome<u128> {
    let account = institution(at)?["people"]["account"].clone();
    let account = account.as_str().ok_or("no account")?;
    Ok(amount(&at.json(&["balance", account])?["total"]))
}

/// A chain whose eras last longer than the test, with a node that works on what is dear enough and audits results.
async fn start(machine: &Machine, folder: &std::path::Path) -> Outcome<Terminal> {
    let worker = key(folder, "charlie", "//Charlie", 0o600)?;
    let spec = spec::write_with_public_sessions(folder, QUICK)?;
    let worker = worker.to_string_lossy();
    let work = ["--work", "--min-price", "1000", "--job-key", &worker];
    let more = [&work[..], &["--audit", ALICE]].concat();
    let at = Terminal::of_spec(machine, folder, &spec, &more).await?;
    by(&at, "//Alice", &["job", "agent", CHARLIE])?;
    // Some blocks, a tenth of whose subsidy is the fund's.
    wait_for("the fund to have something", LIMIT, || async {
        let fund = at.json(&["grant", "list"])?["fund"].clone();
        Ok((amount(&fund["free"]) > 2 * LAB).then_some(()))
    })
    .await?;
    Ok(at)
}

/// Admits institution 0, which may have paid two jobs and a half in an era, and has Dave join it.
fn admit(at: &Terminal) -> Outcome {
    let list = at.read(&["grant", "list"])?;
    assert!(list.contains("No institution was admitted"), "{list}");
    let admit = [
        "grant",
        "admit",
        BOB,
        "--name",
        "Institute",
        "--quota",
        "0.05",
    ];
    at.refused(
        &[&admit[..], &["--dev", "//Bob", "--yes"]].concat(),
        &["only who governs", ALICE],
    )?;
    let shown = at.read(&[&admit[..], &["--dev", "//Alice", "--dry-run"]].concat())?;
    assert!(
        shown.contains("sudo") && shown.contains("Nothing was sent"),
        "{shown}"
    );
    assert_eq!(by(at, "//Alice", &admit)?["institution"], 0);
    assert_eq!(on_account(at)?, ALIVE);
    at.refused(
        &["grant", "invite", "0", DAVE, "--dev", "//Dave", "--yes"],
        &["only", BOB, "institution 0"],
    )?;
    at.refused(
        &["grant", "invite", "1", DAVE, "--dev", "//Bob", "--yes"],
        &["there is no institution 1"],
    )?;
    at.refused(
        &["grant", "join", "0", "--dev", "//Dave", "--yes"],
        &["has not invited", BOB],
    )?;
    by(at, "//Bob", &["grant", "invite", "0", DAVE])?;
    assert!(at.read(&["grant", "show", "0"])?.contains("invited"));
    at.act(&["grant", "join", "0"])?;
    let of = at.read(&["grant", "of", DAVE])?;
    assert!(
        of.contains("member of institution 0 (“Institute”)") && of.contains("0.05 LAB left"),
        "{of}"
    );
    Ok(())
}

/// Posts the products of these files for this fee, at the cost of the fund; the job.
fn post(at: &Terminal, a: &str, fee: &str) -> Outcome<u64> {
    let matrices = at.matrices()?;
    let posted = at.act(&[
        "grant",
        "post",
        "--a",
        a,
        "--bt",
        a,
        "--fee",
        fee,
        "--matrices",
        &matrices,
    ])?;
    Ok(posted["job"].as_u64().ok_or("no number")?)
}

/// What the fund does not pay for, or no more.
fn refused(at: &Terminal, fee: &str, words: &[&str]) -> Outcome {
    let (key, matrices) = (at.key.to_string_lossy().into_owned(), at.matrices()?);
    let post = [
        "grant",
        "post",
        "--a",
        "small.npy",
        "--bt",
        "small.npy",
        "--fee",
        fee,
    ];
    let how = ["--matrices", &matrices, "--key", &key, "--yes"];
    at.refused(&[&post[..], &how].concat(), words)
}

/// A job that nobody works on: told of, not raised, and taken back with money and quota.
fn take_back(at: &Terminal) -> Outcome {
    // 640·640·640: at the least fee under what the worker takes.
    let job = post(at, "large.npy", "0.02")?.to_string();
    let deposit = 12 * ALIVE;
    assert_eq!(on_account(at)?, ALIVE + FEE + deposit);
    assert_eq!(
        at.json(&["balance", DAVE])?["held"],
        Value::Array(Vec::new()),
        "nothing is held of who posts"
    );
    let told = at.read(&["job", "get", &job])?;
    assert!(told.contains("the research fund, from 5"), "{told}");
    let why = at.read(&["job", "explain", &job])?;
    assert!(why.contains("The research fund pays for it"), "{why}");
    let key = at.key.to_string_lossy().into_owned();
    at.refused(
        &["job", "raise", &job, "0.01", "--key", &key, "--yes"],
        &["cannot be raised"],
    )?;
    assert_eq!(amount(&institution(at)?["left"]), 3 * LAB / 100);
    at.act(&["job", "cancel", &job])?;
    assert_eq!(amount(&institution(at)?["left"]), 5 * LAB / 100);
    assert_eq!(on_account(at)?, ALIVE, "the fund has its money back");
    Ok(())
}

/// A job that the node's worker does: paid by the fund, and written down.
async fn have_done(at: &Terminal) -> Outcome {
    let (job, other) = (
        post(at, "small.npy", "0.02")?,
        post(at, "large.npy", "0.02")?,
    );
    refused(at, "0.02", &["0.01 LAB left of its quota of 0.05 LAB"])?;
    let other = other.to_string();
    at.refused(
        &["grant", "withdraw", &other, "--dev", "//Eve", "--yes"],
        &["only", BOB],
    )?;
    by(at, "//Bob", &["grant", "withdraw", &other])?;
    assert_eq!(amount(&institution(at)?["left"]), 3 * LAB / 100);
    let job = job.to_string();
    wait_for("a result", WORK_LIMIT, || async {
        Ok((at.json(&["job", "get", &job])?["stage"] == "submitted").then_some(()))
    })
    .await?;
    let key = at.key.to_string_lossy().into_owned();
    let accept = ["job", "accept", &job, "--key", &key, "--yes"];
    at.refused(&accept, &["its auditors have to confirm"])?;
    wait_for("an audit", WORK_LIMIT, || async {
        let it = at.json(&["job", "get", &job])?;
        let is_opened = it["auditors"][0]["said"] == "opened";
        Ok((is_opened || it["stage"] == "settled").then_some(()))
    })
    .await?;
    // On a busy machine the window may be over by now, and who audited has said so to the chain.
    at.type_in(&accept)?;
    wait_for("its settlement", WORK_LIMIT, || async {
        Ok((at.json(&["job", "get", &job])?["stage"] == "settled").then_some(()))
    })
    .await?;
    let it = at.json(&["job", "get", &job])?;
    assert!(it["payer"].is_string(), "{it}");
    let ledger = institution(at)?["ledger"].clone();
    assert_eq!(
        (&ledger["settled"], amount(&ledger["paid"])),
        (&1.into(), FEE)
    );
    assert_eq!(ledger["macsReceived"], it["macs"]);
    at.act(&["job", "forget", &job])?;
    assert_eq!(on_account(at)?, ALIVE, "the deposit went home");
    Ok(())
}

/// Whoever mines becomes a rig of the institution, which then has contributed.
async fn contribute(at: &Terminal) -> Outcome {
    at.refused(
        &["grant", "accept-rig", FERDIE, "--dev", "//Bob", "--yes"],
        &["offer-rig"],
    )?;
    by(at, "//Ferdie", &["grant", "offer-rig", "0"])?;
    at.refused(
        &["grant", "accept-rig", FERDIE, "--dev", "//Ferdie", "--yes"],
        &["only", BOB],
    )?;
    assert_eq!(institution(at)?["ledger"]["blocks"], 0);
    by(at, "//Bob", &["grant", "accept-rig", FERDIE])?;
    wait_for("blocks of the rig", LIMIT, || async {
        let ledger = institution(at)?["ledger"].clone();
        let is_counted = ledger["blocks"].as_u64() > Some(1);
        Ok((is_counted && amount(&ledger["macsContributed"]) > 0).then_some(()))
    })
    .await?;
    let shown = at.read(&["grant", "show", "0"])?;
    for word in ["Institute", "0.02 LAB", "member", "rig", DAVE, FERDIE] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    by(at, "//Ferdie", &["grant", "end-rig"])?;
    assert_eq!(institution(at)?["rigCount"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_institution_is_admitted_has_jobs_paid_contributes_and_ends() -> Outcome {
    let machine = Machine::take().await;
    let data = tempfile::tempdir()?;
    npy(&data.path().join("small.npy"), 32, 256, 7_919)?;
    npy(&data.path().join("large.npy"), 640, 640, 104_729)?;
    let at = start(&machine, data.path()).await?;
    admit(&at)?;
    refused(&at, "0.03", &["at most 0.02 LAB"])?;
    take_back(&at)?;
    have_done(&at).await?;
    contribute(&at).await?;

    let account = institution(&at)?["people"]["account"].clone();
    let account = account.as_str().ok_or("no account")?;
    at.refused(
        &["grant", "sweep", "0", "--dev", "//Eve", "--yes"],
        &["nothing lies"],
    )?;
    at.act(&["transfer", account, "1"])?;
    let swept = by(&at, "//Eve", &["grant", "sweep", "0"])?;
    assert_eq!(
        (amount(&swept["returned"]), amount(&swept["paidFee"])),
        (LAB, 0)
    );

    by(&at, "//Alice", &["grant", "quota", "0", "1"])?;
    assert_eq!(amount(&institution(&at)?["quota"]), LAB);
    by(&at, "//Alice", &["grant", "terms", "--held-quotas", "7"])?;
    let fund = at.json(&["grant", "list"])?["fund"].clone();
    assert_eq!(
        (
            &fund["heldQuotas"],
            &fund["openBlocks"],
            amount(&fund["maxRate"])
        ),
        (&7.into(), &14_400.into(), 3 * LAB)
    );
    by(&at, "//Alice", &["grant", "close", "0"])?;
    assert_eq!(on_account(&at)?, 0);
    refused(&at, "0.02", &["institution 0 is closed"])?;
    let list = at.read(&["grant", "list"])?;
    assert!(list.contains("closed"), "{list}");
    at.act(&["grant", "leave"])?;
    at.node.log().assert_no_panic()
}
