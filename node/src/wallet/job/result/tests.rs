use clap::Parser as _;
use labora_market::types::ProductInfo;
use labora_pouw::{fraud::tile_major, reference::multiply};
use sp_core::H256;
use sp_keyring::Sr25519Keyring;

use super::{super::record::Product, *};
use crate::cli::{Cli, Subcommand};

fn options(flags: &[&str]) -> ResultOptions {
    let all = ["labora", "job", "result", "7"].iter().chain(flags);
    let cli = Cli::try_parse_from(all).expect("flags that there are");
    match cli.subcommand {
        Some(Subcommand::Job(super::super::JobCommand::Result(options))) => *options,
        other => panic!("a result was to be fetched: {other:?}"),
    }
}

fn job(products: usize, stage: StageInfo) -> JobInfo {
    let product = |at: usize| ProductInfo {
        a: H256::repeat_byte(at as u8),
        m: 48,
        c: (stage == StageInfo::Settled).then_some(H256::repeat_byte(100)),
    };
    JobInfo {
        job: 7,
        poster: Sr25519Keyring::Alice.to_account_id(),
        payer: None,
        stage,
        fee: "1".into(),
        deposit: "1".into(),
        deadline: 100,
        failed: 0,
        last_failure: None,
        macs: "1".into(),
        b: H256::repeat_byte(200),
        n: 32,
        k: 256,
        products: (0..products).map(product).collect(),
        worker: None,
        bond: None,
        agreed: None,
        claimed_until: None,
        window: None,
        auditors: None,
        settled_at: None,
        mined: None,
    }
}

#[test]
fn results_go_to_a_file_or_to_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.npy");
    assert_eq!(paths(&file, 7, 1), std::slice::from_ref(&file));
    assert_eq!(
        paths(folder.path(), 7, 1),
        [folder.path().join("job-7-0.npy")]
    );
    assert_eq!(
        paths(Path::new("new/"), 7, 1),
        [Path::new("new/job-7-0.npy")]
    );
    assert_eq!(
        paths(&file, 7, 2),
        [file.join("job-7-0.npy"), file.join("job-7-1.npy")]
    );
}

#[test]
fn shapes_are_given_recorded_or_those_of_the_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("results");
    let out = out.to_string_lossy();
    let (genesis, it) = (H256::repeat_byte(9), job(2, StageInfo::Settled));
    let of = |flags: &[&str]| {
        crops(
            &options(&[&["--out", &out][..], flags].concat()),
            genesis,
            &it,
        )
    };
    assert_eq!(of(&[]).expect("no record"), None);
    let sides = Sides { m: 40, n: 20 };
    assert_eq!(
        of(&["--shape", "40,20"]).expect("for both"),
        Some(vec![sides; 2])
    );
    let three = ["--shape", "1,1", "--shape", "2,2", "--shape", "3,3"];
    assert!(
        of(&three)
            .expect_err("of two")
            .to_string()
            .contains("3 times")
    );
    let record = Record {
        genesis,
        job: 7,
        b: it.b,
        products: it
            .products
            .iter()
            .map(|product| Product {
                a: product.a,
                sides,
            })
            .collect(),
    };
    let path = folder.path().join("job-7.json");
    record.write(&path).expect("written");
    assert_eq!(of(&[]).expect("beside"), Some(vec![sides; 2]));
    let elsewhere = Record {
        genesis: H256::zero(),
        ..record
    };
    elsewhere.write(&path).expect("written");
    let refused = of(&[]).expect_err("another chain's").to_string();
    assert!(refused.contains("another job"), "{refused}");
    std::fs::write(&path, "{").expect("written");
    assert!(of(&["--record", &path.to_string_lossy()]).is_err());
}

#[test]
fn nothing_is_fetched_where_something_is_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.npy");
    let name = file.to_string_lossy().into_owned();
    let of = |flags: &[&str], stage, crop: Option<Sides>| {
        let options = options(&[&["--out", &name][..], flags].concat());
        let crop = crop.map(|crop| vec![crop]);
        wanted(&options, &job(1, stage), crop.as_deref())
    };
    let fine = of(&[], StageInfo::Settled, None).expect("nothing is in the way");
    assert_eq!(fine[0].sides, Sides { m: 48, n: 32 });
    let open = of(&[], StageInfo::Open, None)
        .expect_err("no result")
        .to_string();
    assert!(open.contains("no result yet, it is open"), "{open}");
    let large = Some(Sides { m: 49, n: 32 });
    assert!(
        of(&[], StageInfo::Settled, large)
            .expect_err("49 of 48")
            .to_string()
            .contains("48×32")
    );
    std::fs::write(&file, "").expect("written");
    assert!(
        of(&[], StageInfo::Settled, None)
            .expect_err("there")
            .to_string()
            .contains("--force")
    );
    assert!(of(&["--force"], StageInfo::Settled, None).is_ok());
}

#[tokio::test]
async fn a_written_result_is_the_corner_of_the_product() {
    let folder = tempfile::tempdir().expect("a folder");
    let shape = Shape::new(48, 32, 256).expect("a shape");
    let entries = |seed: i32, count: u64| -> Vec<i8> {
        (0..count as i32)
            .map(|at| at.wrapping_mul(seed) as i8)
            .collect()
    };
    let exact = multiply(
        &entries(7_919, shape.a_len()),
        &entries(104_729, shape.b_len()),
        shape,
    );
    let c: Vec<u8> = tile_major(shape, &exact)
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    let wanted = Wanted {
        at: 0,
        shape,
        a: [1; 32],
        c: [2; 32],
        sides: Sides { m: 35, n: 19 },
        path: folder.path().join("new").join("c.npy"),
    };
    let file = write(&wanted, &c).await.expect("written");
    let bytes = std::fs::read(file.path()).expect("there");
    let (header, body) = bytes.split_at(Header::int32(35, 19).len());
    assert_eq!(header, Header::int32(35, 19));
    let expected: Vec<u8> = exact
        .chunks_exact(32)
        .take(35)
        .flat_map(|row| row[..19].iter().flat_map(|entry| entry.to_le_bytes()))
        .collect();
    assert_eq!(body, expected);
    drop(file);
    let left = std::fs::read_dir(folder.path().join("new"))
        .expect("made")
        .count();
    assert_eq!(left, 0, "what is not persisted is removed");
}
