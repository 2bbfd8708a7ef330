use clap::Parser as _;
use labora_market::words::lab;
use labora_runtime::LAB;

use super::*;
use crate::cli::{Cli, Subcommand};

fn options(flags: &[&str]) -> PostOptions {
    let all = ["labora", "job", "post"].iter().chain(flags);
    let cli = Cli::try_parse_from(all).expect("flags that there are");
    match cli.subcommand {
        Some(Subcommand::Job(super::super::JobCommand::Post(options))) => *options,
        other => panic!("a job was to be posted: {other:?}"),
    }
}

fn market() -> MarketInfo {
    let market = pallet_jobs::api::Market {
        terms: pallet_jobs::Terms {
            longest_open_blocks: 1_000,
            ..Default::default()
        },
        challenge_window: 60,
        deposit_base: LAB / 100,
        deposit_per_product: LAB / 500,
        going_rate: 3 * LAB,
        next_job: 8,
    };
    market.into()
}

#[test]
fn a_fee_is_given_or_follows_from_a_price_and_is_never_below_the_least() {
    let of = |flags: &[&str], macs: u64| {
        let flags = [&["--a", "A", "--b", "B"][..], flags].concat();
        offer(&options(&flags), macs, &market(), 12_000)
    };
    let tera = 1_000_000_000_000;
    assert_eq!(of(&["--fee", "2.5"], 1).expect("enough").0, 5 * LAB / 2);
    assert_eq!(
        of(&["--price", "2.5"], 2 * tera).expect("enough").0,
        5 * LAB
    );
    assert_eq!(of(&["--price", "2.5"], 1).expect("raised").0, LAB / 50);
    let refused = of(&["--fee", "0.01"], 1)
        .expect_err("too little")
        .to_string();
    assert!(refused.contains(&lab(LAB / 50)), "{refused}");
    // A day has 7,200 blocks, and the chain allows 1,000.
    assert_eq!(of(&["--fee", "1"], 1).expect("enough").1, 1_000);
    assert_eq!(
        of(&["--fee", "1", "--open-blocks", "7"], 1)
            .expect("enough")
            .1,
        7
    );
    for blocks in ["0", "1001"] {
        let refused = of(&["--fee", "1", "--open-blocks", blocks], 1).expect_err("no time");
        assert!(refused.to_string().contains("1 to 1000"), "{refused}");
    }
}

fn npy(folder: &std::path::Path, name: &str, rows: u32, columns: u32) -> String {
    let text =
        format!("{{'descr': '|i1', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend((0..rows * columns).map(|at| at as u8));
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    path.to_string_lossy().into_owned()
}

/// Two products of small files.
async fn drafted(folder: &std::path::Path, fee: u128) -> (Draft, PostOptions) {
    let (a, c) = (
        npy(folder, "a.npy", 100, 300),
        npy(folder, "c.npy", 10, 300),
    );
    let b = npy(folder, "b.npy", 300, 50);
    let options = options(&["--a", &a, &c, "--b", &b, "--fee", "2"]);
    let draft = Draft {
        files: Files::read(&options).await.expect("they fit"),
        market: market(),
        fee,
        open_blocks: 1_000,
        block_ms: 12_000,
    };
    (draft, options)
}

impl Draft {
    /// One for the tests of whoever else posts.
    pub(in crate::wallet) async fn example(fee: u128) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        drafted(folder.path(), fee).await.0
    }
}

#[tokio::test]
async fn what_a_job_costs_is_said_with_who_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (draft, options) = drafted(folder.path(), 2 * LAB).await;
    let files = &draft.files;
    assert_eq!((files.batch.n, files.batch.k), (64, 320));
    let rows: Vec<u32> = files.batch.left.iter().map(|left| left.m).collect();
    assert_eq!(rows, [112, 32]);
    assert_eq!(draft.macs(), (112 + 32) * 64 * 320);
    let plan = draft.own().expect("terms");
    let costs: Vec<u128> = plan.costs.iter().map(|cost| cost.amount).collect();
    assert_eq!(costs, [2 * LAB, 14 * LAB / 1_000]);
    let note = &plan.costs[0].note;
    assert!(note.contains("1.7 LAB to the worker (85 %)"), "{note}");
    assert!(
        note.contains("0.1 LAB to auditors (5 %), 0.2 LAB burned (10 %)"),
        "{note}"
    );
    let notes = plan.notes.join(" ");
    for word in [
        "1.79 times the work",
        "the going rate is 3 LAB",
        "1000 blocks, about 3 h",
    ] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
    assert_eq!(record_path(&options, 7), folder.path().join("job-7.json"));
}

#[tokio::test]
async fn matrices_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (
        npy(folder.path(), "a.npy", 40, 300),
        npy(folder.path(), "b.npy", 299, 50),
    );
    let read = |flags: Vec<&str>| {
        let options = options(&[&flags[..], &["--fee", "1"][..]].concat());
        async move {
            Files::read(&options)
                .await
                .err()
                .map(|error| error.to_string())
        }
    };
    let inner = read(vec!["--a", &a, "--b", &b]).await.expect("299 and 300");
    assert!(
        inner.contains("a.npy has 300 columns, and B has 299"),
        "{inner}"
    );
    let transposed = read(vec!["--a", &a, "--bt", &a]).await;
    assert_eq!(transposed, None);
    let rows = read(vec!["--a", &a, "--bt", &a, "--m", "41"])
        .await
        .expect("another m");
    assert!(rows.contains("40 rows, and --m says 41"), "{rows}");
    let raw = folder.path().join("raw");
    std::fs::write(&raw, [1; 600]).expect("written");
    let raw = raw.to_string_lossy().into_owned();
    assert_eq!(read(vec!["--a", &a, "--b", &raw, "--k", "300"]).await, None);
    assert_eq!(
        read(vec!["--a", &raw, "--bt", &a, "--k", "300", "--m", "2"]).await,
        None
    );
    let length = read(vec!["--a", &raw, "--bt", &a, "--k", "7"])
        .await
        .expect("no rows");
    assert!(length.contains("--k"), "{length}");
    let long = npy(folder.path(), "long.npy", 2, 16_385);
    let k = read(vec!["--a", &long, "--bt", &long])
        .await
        .expect("too long");
    assert!(
        k.contains("k is 16385") && k.contains("add the products up"),
        "{k}"
    );
    let many = vec![a.as_str(); 65];
    let products = read([&["--bt", &a, "--a"][..], &many[..]].concat())
        .await
        .expect("too many");
    assert!(products.contains("65 matrices"), "{products}");
}
