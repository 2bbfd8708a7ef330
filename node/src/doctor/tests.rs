//! Each finding, on what it is about.

use std::{fs, io, net::TcpListener, path::Path};

use labora_consensus_api::PreDigest;
use labora_runtime::opaque::Header;
use sp_runtime::{Digest, traits::Header as _};

use clap::Parser as _;

use super::{
    database::{Database, Place},
    genesis::Stranger,
    keys::{author_of, keystore, network_key, voting_key},
    machine::{Clock, chrony, clock_of, disk_at, unwritable, writable},
    network::{Need, NodeHealth, Running, finality, peers, port, progress, silent},
    *,
};
use crate::rpc::types::{Info, Limits};

#[test]
fn a_clock_that_nothing_keeps_is_told_of() {
    assert_eq!(clock_of(Clock::Kept).health, Health::Good);
    assert_eq!(clock_of(Clock::Free).health, Health::Warning);
    let kept = "A29FC87B,162.159.200.123,4,1764062400.1,0.000012,-0.000003,0.00002,-9.1,0.0,0.05,0.01,0.002,1032.4,Normal";
    assert_eq!(chrony(kept), Clock::Kept);
    assert_eq!(
        chrony("7F7F0101,,0,0,0,0,0,0,0,0,1,1,0,Not synchronised\n"),
        Clock::Free
    );
    assert_eq!(chrony("506 Cannot talk to daemon"), Clock::Unknown);
    assert!(clock_of(Clock::Unknown).remedy.contains("chrony"));
}

#[test]
fn a_disk_is_judged_by_what_is_free_and_by_whether_it_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = |gib: u64| disk_at(folder.path(), Ok(gib << 30)).health;
    assert_eq!(
        [with(0), with(1), with(9), with(10)],
        [Health::Bad, Health::Warning, Health::Warning, Health::Good]
    );
    let unknown = disk_at(folder.path(), Err(io::Error::other("no such thing")));
    assert_eq!(unknown.health, Health::Warning);
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
    let missing = disk_at(&folder.path().join("missing"), Ok(1 << 40));
    assert_eq!(missing.health, Health::Bad);
    assert!(missing.remedy.contains("--base-path"));
}

#[test]
fn a_full_disk_wants_room_and_keeps_nothing_of_the_doctors() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = || Err(io::ErrorKind::StorageFull.into());
    let error = writable(folder.path(), |_| full()).expect_err("it is full");
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
    let found = unwritable(folder.path(), &error);
    assert_eq!(found.health, Health::Bad);
    assert!(found.remedy.starts_with("make room"), "{}", found.remedy);
    let denied = unwritable(folder.path(), &io::ErrorKind::PermissionDenied.into());
    assert!(denied.remedy.contains("this user's"), "{}", denied.remedy);
}

#[test]
fn a_port_in_use_matters_where_no_node_runs_and_no_other_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let health = |need, runs| port("port", address, "--port", need, runs).health;
    assert_eq!(health(Need::Asked, false), Health::Bad);
    assert_eq!(health(Need::Default, false), Health::Warning);
    assert_eq!(health(Need::Asked, true), Health::Good);
    drop(listener);
    assert_eq!(health(Need::Asked, false), Health::Good);
}

#[test]
fn a_node_that_should_have_peers_and_has_none_is_bad() {
    let of = |count, should_have_peers| {
        peers(&NodeHealth {
            peers: count,
            is_syncing: false,
            should_have_peers,
        })
        .health
    };
    assert_eq!(of(0, true), Health::Bad);
    assert_eq!(of(0, false), Health::Good);
    assert_eq!(of(1, true), Health::Good);
}

/// A node whose newest block states this time.
fn node(timestamp_ms: u64) -> Running {
    let author = [1; 32].into();
    let pre = PreDigest {
        author,
        timestamp_ms,
    };
    let shape = labora_pouw::Shape::new(32, 32, 256).expect("a shape");
    let seal = labora_pouw::Seal::new(shape, [2; 32], [3; 32], 0, 0).expect("a seal");
    let digest = Digest {
        logs: vec![
            labora_consensus_api::pre_digest_item(&pre),
            labora_consensus_api::seal_item(&seal),
        ],
    };
    let [a, b, c] = [[4; 32], [5; 32], [6; 32]].map(sp_core::H256);
    Running {
        health: NodeHealth {
            peers: 1,
            is_syncing: false,
            should_have_peers: true,
        },
        answered_ms: 0,
        info: Info {
            protocol: String::new(),
            genesis: a,
            best: b,
            best_number: 7,
            accumulated_work: "1".into(),
            difficulty: "1".into(),
            target_block_time_ms: 12_000,
            mining: true,
            author: None,
            devices: Vec::new(),
            share_macs: None,
            limits: Limits::of_protocol(),
        },
        finalised: 5,
        best: Header::new(7, a, b, c, digest),
    }
}

#[test]
fn blocks_that_are_late_or_of_the_future_are_told_of() {
    let now = 1_700_000_000_000;
    let of = |stated| {
        let node = Running {
            answered_ms: now,
            ..node(stated)
        };
        progress(&node).health
    };
    assert_eq!(of(now - 200_000), Health::Good);
    assert_eq!(of(now - 241_000), Health::Warning);
    assert_eq!(of(now + 500), Health::Good);
    assert_eq!(of(now + 1_500), Health::Warning);
    assert_eq!(of(now + 15_001), Health::Bad);
    assert_eq!(of(u64::MAX), Health::Bad);
}

#[test]
fn a_node_that_cannot_be_asked_is_worth_a_word() {
    let found = silent(([127, 0, 0, 1], 9944).into());
    assert_eq!(found.health, Health::Warning);
    assert!(found.remedy.contains("--rpc-port"), "{}", found.remedy);
}

#[test]
fn a_node_of_another_chain_is_told_from_this_chains() {
    let stranger = Stranger {
        address: ([127, 0, 0, 1], 9944).into(),
        theirs: sp_core::H256([1; 32]),
        ours: sp_core::H256([2; 32]),
    };
    let asked = stranger.finding(Need::Asked, &Database::None);
    assert_eq!(asked.health, Health::Bad);
    assert!(
        asked
            .found
            .contains("127.0.0.1:9944 is answered by a node of another chain"),
        "{}",
        asked.found
    );
    assert!(
        asked.remedy.contains("choose another --rpc-port"),
        "{}",
        asked.remedy
    );
    // It starts all the same: on another port, or it runs already.
    let default = stranger.finding(Need::Default, &Database::None);
    assert_eq!(default.health, Health::Warning);
    let runs = stranger.finding(Need::Asked, &Database::InUse);
    assert_eq!(runs.health, Health::Warning);
    assert!(runs.remedy.contains("--chain"), "{}", runs.remedy);
}

#[test]
fn a_network_key_must_be_one_and_be_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret_ed25519");
    assert_eq!(network_key(&file, false).health, Health::Good);
    let needed = network_key(&file, true);
    assert_eq!(needed.health, Health::Bad);
    assert!(needed.remedy.contains("generate-node-key"));

    fs::write(&file, [7; 31]).expect("written");
    let garbage = network_key(&file, false);
    assert!(garbage.found.contains("holds no key"), "{}", garbage.found);
    assert_moved_away(&garbage);
    fs::write(&file, hex::encode([7; 32])).expect("written");
    permit(&file, 0o600);
    assert_eq!(network_key(&file, false).health, Health::Good);
    permit(&file, 0o644);
    assert!(network_key(&file, false).remedy.contains("chmod 600"));

    // The SDK's node does not start on it.
    fs::write(&file, hex::encode([7; 32]) + "\n").expect("written");
    let more = network_key(&file, false);
    assert!(more.found.contains("a line break"), "{}", more.found);
    assert!(more.remedy.contains("the 64 digits"), "{}", more.remedy);

    let place = folder.path().join("folder");
    fs::create_dir(&place).expect("made");
    let no_file = network_key(&place, true);
    assert!(no_file.found.contains("is a folder"), "{}", no_file.found);
    assert_moved_away(&no_file);
}

/// What is in a key's place is not written over or deleted before it is safe.
fn assert_moved_away(finding: &Finding) {
    assert_eq!(finding.health, Health::Bad);
    let remedy = &finding.remedy;
    assert!(remedy.starts_with("move it "), "{remedy}");
    assert!(remedy.contains("`labora key "), "{remedy}");
    assert!(!remedy.contains("delete"), "{remedy}");
}

#[test]
fn a_development_chain_alone_names_nobody_to_mine_for() {
    let cli = Cli::try_parse_from(["labora", "--mine"]).expect("flags that there are");
    let of = |seed| author_of(&cli.mining, seed, &sc_service::ChainType::Local);
    assert_eq!(of(Some("//Alice")).health, Health::Good);
    let nobody = of(None);
    assert_eq!(nobody.health, Health::Bad);
    assert!(nobody.remedy.contains("--author"), "{}", nobody.remedy);
}

#[test]
fn a_file_of_a_voting_key_is_told_by_its_name() {
    let key = [7; 32];
    assert_eq!(voting_key(&[&b"gran"[..], &key[..]].concat()), Some(key));
    assert_eq!(voting_key(&[&b"aura"[..], &key[..]].concat()), None);
    assert_eq!(voting_key(b"gran"), None);
}

#[test]
fn keys_are_counted_and_must_be_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(
        keystore(folder.path(), false, false)
            .found
            .starts_with("no keys")
    );
    fs::write(folder.path().join("README"), "not a key").expect("written");
    let other = folder.path().join(format!("61757261{}", "ab".repeat(32)));
    fs::write(&other, "\"//Alice\"").expect("written");
    permit(&other, 0o600);
    let mute = keystore(folder.path(), true, false);
    assert_eq!(mute.health, Health::Bad);
    assert!(mute.remedy.contains("author_rotateKeysWithOwner"));
    let alice = sp_keyring::Ed25519Keyring::Alice.public();
    let key = folder
        .path()
        .join(format!("6772616e{}", hex::encode(alice)));
    for wrong in ["\"//Bob\"", "\"bad phrase\"", "//Alice"] {
        fs::write(&key, wrong).expect("written");
        permit(&key, 0o600);
        assert_moved_away(&keystore(folder.path(), true, false));
    }
    fs::write(&key, "\"bad phrase\"").expect("written");
    assert_eq!(
        keystore(folder.path(), true, true).health,
        Health::Good,
        "not to be known"
    );
    fs::write(&key, "\"//Alice\"").expect("written");
    assert_eq!(keystore(folder.path(), true, false).found, "2 keys");
    permit(&key, 0o640);
    assert_eq!(keystore(folder.path(), true, false).health, Health::Bad);
}

#[test]
fn what_is_no_key_in_a_keystore_is_found_with_a_password_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join(format!("61757261{}", "ab".repeat(32)));
    fs::write(&key, [0xFF; 40]).expect("written");
    permit(&key, 0o600);
    let garbage = keystore(folder.path(), false, true);
    assert!(garbage.found.contains("holds no key"), "{}", garbage.found);
    assert_moved_away(&garbage);

    fs::remove_file(&key).expect("it is there");
    fs::create_dir(&key).expect("made");
    let no_file = keystore(folder.path(), false, true);
    assert!(no_file.found.contains("is a folder"), "{}", no_file.found);
    assert_moved_away(&no_file);

    let file = folder.path().join("keystore");
    fs::write(&file, "").expect("written");
    let no_folder = keystore(&file, false, false);
    assert!(no_folder.found.contains("is a file"), "{}", no_folder.found);
    assert_moved_away(&no_folder);
}

#[test]
fn finality_that_is_far_behind_is_worth_a_word() {
    let mut node = node(0);
    assert_eq!(finality(&node).health, Health::Good);
    node.best.number = node.finalised + 31;
    assert_eq!(finality(&node).health, Health::Warning);
}

#[test]
fn a_database_that_a_node_has_is_no_fault_and_a_broken_one_is() {
    let path = &Place::rocksdb(Path::new("/data/db/full"));
    let locked = Database::InUse.finding(path, true);
    assert_eq!(locked.health, Health::Good);
    let broken = Database::Closed("Corruption: CURRENT file does not end with newline".into());
    assert_eq!(broken.finding(path, true).health, Health::Bad);
    assert!(broken.finding(path, true).found.contains("/data/db/full"));
    let full = broken.finding(path, false);
    assert_eq!(full.health, Health::Warning);
    assert!(full.remedy.contains("delete nothing"));
}

#[test]
fn a_database_without_the_file_that_names_the_others_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let look = |path: &Path| {
        let place = Place::rocksdb(path);
        Database::look(&place, &Told::default()).finding(&place, true)
    };
    let missing = look(&folder.path().join("missing"));
    assert_eq!(
        (missing.health, missing.found.as_str()),
        (Health::Good, "none yet: the first start makes it")
    );
    assert_eq!(look(folder.path()).found, missing.found);
    // What is there before a database is: no start that was cut short is a fault.
    for name in ["LOCK", "LOG", "IDENTITY"] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    assert_eq!(look(folder.path()).found, missing.found);
    for name in ["000004.log", "000011.sst", "MANIFEST-000005"] {
        let file = folder.path().join(name);
        fs::write(&file, "").expect("written");
        let damaged = look(folder.path());
        assert_eq!(damaged.health, Health::Bad, "{name}");
        assert!(damaged.found.contains("CURRENT is gone"), "{name}");
        assert!(damaged.remedy.contains("purge-chain"), "{name}");
        fs::remove_file(file).expect("it is there");
    }
    let file = folder.path().join("LOCK");
    assert_eq!(look(&file).health, Health::Bad, "it is no folder");
}

#[test]
fn a_database_of_another_user_is_left_as_it_is() {
    use std::os::unix::fs::{chown, symlink};

    let folder = tempfile::tempdir().expect("a folder");
    let head = folder.path().join("CURRENT");
    let owner = if rustix::process::geteuid().is_root() {
        fs::write(&head, "MANIFEST-000005\n").expect("written");
        chown(&head, Some(65_534), None).expect("root can give files away");
        65_534
    } else {
        symlink("/etc/passwd", &head).expect("linked");
        0
    };
    let place = Place::rocksdb(folder.path());
    let found = Database::look(&place, &Told::default()).finding(&place, true);
    assert_eq!(found.health, Health::Warning);
    assert!(found.remedy.contains(&format!("sudo -u '#{owner}'")));
    let log = folder.path().join("LOG");
    assert!(!log.exists(), "RocksDB was not opened");
}

#[test]
fn a_parity_db_is_looked_at_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::paritydb(folder.path());
    let look = || Database::look(&place, &Told::default()).finding(&place, true);
    for name in ["lock", "CURRENT"] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    assert_eq!(look().found, "none yet: the first start makes it");
    for name in ["index_00_16", "table_03_00", "log0"] {
        let file = folder.path().join(name);
        fs::write(&file, "").expect("written");
        let damaged = look();
        assert_eq!(damaged.health, Health::Bad, "{name}");
        assert!(damaged.found.contains("metadata is gone"), "{name}");
        fs::remove_file(file).expect("it is there");
    }
    fs::write(folder.path().join("metadata"), "garbage").expect("written");
    assert!(look().found.contains("cannot be opened"));
}

#[test]
fn what_is_to_be_done_stands_below_the_table() {
    let findings = [
        Finding::good("clock", "kept"),
        Finding::bad("disk", "full", "make room"),
    ];
    let mut out = Vec::new();
    print(&findings, &mut out).expect("memory takes all");
    let text = String::from_utf8(out).expect("text");
    assert!(text.contains("✗  disk"), "{text}");
    assert!(text.ends_with("disk: make room.\n"), "{text}");
    let mut out = Vec::new();
    print(&findings[..1], &mut out).expect("memory takes all");
    assert!(String::from_utf8_lossy(&out).contains("Nothing is to be done."));
}

#[cfg(unix)]
fn permit(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
}
