//! What `--write` leaves, and what it refuses.

use std::{fs, path::Path};

use clap::Parser;
use sp_core::{Pair, crypto::Ss58Codec, ed25519, sr25519};

use super::super::{TestnetCommand, folder::Folder, write};
use crate::cli::{Cli, Subcommand};

fn command(flags: &[&str]) -> TestnetCommand {
    let all = ["labora", "testnet"].iter().chain(flags);
    match Cli::try_parse_from(all)
        .expect("the flags are right")
        .subcommand
    {
        Some(Subcommand::Testnet(command)) => command,
        other => panic!("{other:?}"),
    }
}

fn founder(name: &str, seed: u8) -> String {
    let stash = sr25519::Pair::from_seed(&[seed; 32])
        .public()
        .to_ss58check();
    let vote = ed25519::Pair::from_seed(&[seed; 32])
        .public()
        .to_ss58check();
    format!("{name}={stash},{vote}")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below, by its path.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            out.extend(files(&entry.path()));
        } else {
            out.push(entry.path());
        }
    }
    out
}

#[test]
fn secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("network");
    let written = command(&["--validators", "2", "--miners", "1", "--write", "x"]);
    write::run(&written, &folder).expect("it can be written");
    let mut secrets = 0;
    for file in files(&folder) {
        let name = file.to_string_lossy().into_owned();
        if ["keystore", "secret_ed25519", "keys.json"]
            .iter()
            .any(|it| name.contains(it))
        {
            let mode = fs::metadata(&file)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            secrets += 1;
        }
    }
    // A vote key for each validator; a node key and an account for each of the three.
    assert_eq!(secrets, 2 + 3 + 3);
    let mode = fs::metadata(&folder)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let spec = read(&folder.join("chain.json"));
    assert!(spec.contains("\"chainType\": \"Live\"") && spec.contains("\"raw\""));
    let unit = read(&folder.join("validator-2/labora.service"));
    assert!(
        unit.contains("--name validator-2 --port 30333 --validator $LABORA_BOOTNODES"),
        "{unit}"
    );
    let unit = read(&folder.join("miner-1/labora.service"));
    assert!(
        unit.contains("--mine --author 5") && !unit.contains("--validator"),
        "{unit}"
    );
    assert!(!unit.contains("key insert"), "its keys are there: {unit}");
    let left = fs::read_dir(parent.path()).expect("a folder").count();
    assert_eq!(left, 1, "no draft is left beside it");
}

#[test]
fn founders_give_no_secrets_and_get_a_unit_that_says_where_theirs_go() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("network");
    let (ann, bob) = (founder("ann", 1), founder("bob", 2));
    let written = command(&[
        "--write",
        "x",
        "--founder",
        &ann,
        "--founder",
        &bob,
        "--preset",
        "testnet",
    ]);
    write::run(&written, &folder).expect("it can be written");
    let names: Vec<_> = files(&folder);
    assert!(
        names
            .iter()
            .all(|it| !it.ends_with("keys.json") && !it.to_string_lossy().contains("secret"))
    );
    for name in ["ann", "bob"] {
        let unit = read(&folder.join(name).join("labora.service"));
        assert!(
            unit.contains("labora key insert") && unit.contains("--key-type gran"),
            "{unit}"
        );
        assert!(unit.contains(&format!("--name {name} ")), "{unit}");
    }
    assert!(read(&folder.join("miner.service")).contains("--mine --author ADDRESS"));
    let stash = ann.split(['=', ',']).nth(1).expect("it has one");
    assert!(read(&folder.join("README.md")).contains(&format!("Root is {stash}")));
    // As told: the # away, and the value stands, for no later line takes it back.
    let filled_in = read(&folder.join("bootnodes.env")).replace("\n#LABORA_", "\nLABORA_");
    let values: Vec<_> = filled_in
        .lines()
        .filter_map(|line| line.strip_prefix("LABORA_BOOTNODES="))
        .collect();
    assert_eq!(values.len(), 1, "{filled_in}");
    assert!(values[0].contains("--bootnodes /dns/HOST-OF-bob/tcp/30333/p2p/PEER-ID-OF-bob"));
}

#[test]
fn nothing_is_written_over_and_nothing_half() {
    let parent = tempfile::tempdir().expect("a folder");
    fs::write(parent.path().join("mine"), "precious").expect("it can be written");
    let plain = command(&["--validators", "1", "--miners", "0", "--write", "x"]);
    let refused = write::run(&plain, parent.path())
        .expect_err("it is not empty")
        .to_string();
    assert!(refused.contains("is not empty"), "{refused}");
    let file = parent.path().join("mine");
    let refused = write::run(&plain, &file)
        .expect_err("it is a file")
        .to_string();
    assert!(refused.contains("not of a file"), "{refused}");
    let (ann, same) = (founder("ann", 1), founder("bob", 1));
    let twice = command(&["--write", "x", "--founder", &ann, "--founder", &same]);
    let folder = parent.path().join("network");
    let refused = write::run(&twice, &folder)
        .expect_err("one key twice")
        .to_string();
    assert!(refused.contains("named for two validators"), "{refused}");
    let left: Vec<_> = files(parent.path());
    assert_eq!(left, [file], "what could not be written whole is not there");
}

#[test]
fn a_full_disk_is_said_in_a_sentence() {
    let error = super::super::TestnetError::file("/data/x", "written")(
        std::io::ErrorKind::StorageFull.into(),
    );
    let words = error.to_string();
    assert!(
        words.starts_with("/data/x cannot be written") && words.ends_with("on another"),
        "{words}"
    );
}

#[test]
fn a_network_is_resumed_and_what_is_none_is_refused() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("net");
    let at = path.to_string_lossy().into_owned();
    let open =
        |flags: &[&str]| Folder::open(&command(&[&["--base-path", at.as_str()], flags].concat()));
    let refusal = |flags: &[&str]| {
        open(flags)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };

    let first = open(&["--validators", "2", "--miners", "1"]).expect("a new one");
    assert!(first.is_new);
    assert!(refusal(&[]).contains("another labora testnet runs"));
    let keys: Vec<_> = first
        .manifest
        .members
        .iter()
        .map(|it| it.account.clone())
        .collect();
    drop(first);

    let again = open(&[]).expect("the same one");
    assert!(!again.is_new);
    let same: Vec<_> = again
        .manifest
        .members
        .iter()
        .map(|it| it.account.clone())
        .collect();
    assert_eq!(same, keys);
    drop(again);

    assert!(refusal(&["--validators", "3"]).contains("has 2 validators, and 3 was asked for"));
    assert!(refusal(&["--miners", "2"]).contains("has 1 miner, and 2 was asked for"));
    assert!(refusal(&["--preset", "dev"]).contains("preset local"));
    let doubled = read(&path.join("network.json")).replace("validator-2", "validator-1");
    fs::write(path.join("network.json"), doubled).expect("it can be written");
    assert!(refusal(&[]).contains("two members are named validator-1"));
    fs::write(path.join("network.json"), "{}").expect("it can be written");
    assert!(refusal(&[]).contains("not one that this version wrote"));
    fs::remove_file(path.join("network.json")).expect("it is there");
    assert!(refusal(&[]).contains("no network of this command"));
}
