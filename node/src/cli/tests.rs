use sc_cli::SubstrateCli;
use sp_core::crypto::Ss58Codec;
use sp_keyring::Sr25519Keyring;

use super::{values::*, *};

fn parse(arguments: &[&str]) -> Result<Cli, String> {
    let all = ["labora"].iter().chain(arguments);
    Cli::try_from_iter(all).map_err(|error| error.to_string())
}

#[test]
fn an_author_is_an_address_or_a_secret_uri() {
    let alice = Sr25519Keyring::Alice.to_account_id();
    assert_eq!(
        parse_author(&alice.to_ss58check()),
        Ok(Author::Address(alice.clone()))
    );
    assert_eq!(
        parse_author("//Alice"),
        Ok(Author::FromSecret(alice.clone()))
    );
    let phrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk//Alice";
    assert_eq!(parse_author(phrase), Ok(Author::FromSecret(alice)));
}

#[test]
fn an_address_of_any_network_is_the_same_account() {
    let bob = Sr25519Keyring::Bob.to_account_id();
    let elsewhere = bob.to_ss58check_with_version(0u16.into());
    assert_eq!(parse_author(&elsewhere), Ok(Author::Address(bob)));
}

#[test]
fn what_is_no_author_is_refused_with_a_sentence() {
    let address = Sr25519Keyring::Alice.to_account_id().to_ss58check();
    let mistyped = format!("{}Q", &address[..address.len() - 1]);
    for value in ["", "alice", "0x12", mistyped.as_str(), "bottom drive obey"] {
        assert_eq!(parse_author(value), Err(ValueError::Author), "{value}");
    }
    assert_eq!(
        parse_author(&format!("0x{}", "ab".repeat(32))),
        Err(ValueError::AmbiguousHex)
    );
    assert!(
        parse(&["--mine", "--author", "alice"]).is_err_and(|error| error.contains("SS58 address"))
    );
}

#[test]
fn devices_default_to_all_when_mining_and_to_none_else() {
    let devices = |arguments: &[&str]| parse(arguments).map(|cli| cli.mining.devices());
    assert_eq!(devices(&[]), Ok(DevicesSpec::None));
    assert_eq!(devices(&["--mine"]), Ok(DevicesSpec::Auto));
    assert_eq!(
        devices(&["--mine", "--devices", "none"]),
        Ok(DevicesSpec::None)
    );
    assert_eq!(
        devices(&["--devices", "cpu"]),
        Ok(DevicesSpec::cpu(crate::devices::CpuChoice::AllCores))
    );
}

#[test]
fn the_endpoint_listens_on_an_address_with_a_port_or_not_at_all() {
    assert_eq!(parse_gemm_listen("none"), Ok(GemmListen::None));
    assert!(
        matches!(parse_gemm_listen("127.0.0.1:9955"), Ok(GemmListen::At(address)) if address.port() == 9955)
    );
    assert!(
        matches!(parse_gemm_listen("[::1]:1"), Ok(GemmListen::At(address)) if address.is_ipv6())
    );
    for value in [
        "",
        "localhost",
        "localhost:9955",
        "127.0.0.1",
        "9955",
        "127.0.0.1:65536",
    ] {
        assert_eq!(
            parse_gemm_listen(value),
            Err(ValueError::GemmListen),
            "{value}"
        );
    }
}

#[test]
fn room_for_artifacts_is_a_number_with_a_unit() {
    for (value, bytes) in [
        ("1048576", 1 << 20),
        ("1MiB", 1 << 20),
        ("2048KiB", 2 << 20),
        ("20GiB", 20 << 30),
        ("3TiB", 3 << 40),
    ] {
        assert_eq!(parse_size(value), Ok(bytes), "{value}");
    }
    for value in [
        "",
        "0",
        "1KiB",
        "GiB",
        "20GB",
        "20 GiB",
        "-1GiB",
        "1.5GiB",
        "16777216TiB",
        "99999999999999999999",
    ] {
        assert_eq!(parse_size(value), Err(ValueError::Size), "{value}");
    }
    let of = |flags: &[&str]| parse(flags).map(|cli| cli.gemm.artifacts);
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&["--artifacts", "1GiB"]), Ok(Some(1 << 30)));
    assert!(of(&["--artifacts-path", "x"]).is_err());
}

#[test]
fn proofs_are_kept_for_some_blocks_or_for_ever() {
    assert_eq!(parse_proofs("archive"), Ok(KeepProofs::Archive));
    assert_eq!(parse_proofs("0"), Ok(KeepProofs::Finalised(0)));
    assert_eq!(
        parse(&[]).map(|cli| cli.proofs.keep_proofs),
        Ok(KeepProofs::Finalised(256))
    );
    for value in ["", "all", "-1", "4294967296", "1.5"] {
        assert_eq!(parse_proofs(value), Err(ValueError::Proofs), "{value}");
    }
}

#[test]
fn an_author_without_mining_is_refused() {
    assert!(parse(&["--author", "//Alice"]).is_err());
}

#[test]
fn the_sdks_own_flags_are_there() {
    let cli = parse(&[
        "--dev",
        "--base-path",
        "x",
        "--rpc-port",
        "1",
        "--bob",
        "--mine",
    ])
    .expect("all of these exist");
    assert!(cli.run.shared_params.dev && cli.run.bob && cli.mining.mine);
    assert!(parse(&["chain-spec", "--raw", "--chain", "dev"]).is_ok());
    assert!(parse(&["key", "generate"]).is_ok());
    assert!(parse(&["pouw", "check", "a.json", "b.json"]).is_ok());
    assert!(parse(&["pouw", "check"]).is_err(), "no file is no check");
}

#[test]
fn limits_are_within_what_gpus_have() {
    let limits = |arguments: &[&str]| parse(arguments).map(|cli| cli.limits.limits());
    assert_eq!(limits(&[]), Ok(crate::rig::Limits::default()));
    assert_eq!(
        limits(&["--max-power", "300", "--max-temp", "80", "--idle-only"]),
        Ok(crate::rig::Limits {
            max_power_w: Some(300),
            max_temperature_c: Some(80),
            sharing: crate::rig::Sharing::IdleOnly,
        })
    );
    for wrong in [
        ["--max-power", "0"],
        ["--max-power", "5001"],
        ["--max-power", "-1"],
        ["--max-power", "300W"],
        ["--max-temp", "20"],
        ["--max-temp", "111"],
    ] {
        assert!(limits(&wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn devices_that_are_none_are_refused_with_a_sentence() {
    let refused = parse(&["--devices", "gpu"]).map(|_| ());
    assert!(refused.is_err_and(|error| error.contains("cuda:0+cpu:4")));
    assert!(parse(&["--devices", "cuda:0+cpu:2"]).is_ok());
    assert!(parse(&["devices", "--json"]).is_ok());
}

#[test]
fn shares_are_worth_enough_to_be_verified() {
    assert_eq!(
        parse_share_macs("20000000000").map(std::num::NonZeroU64::get),
        Ok(20_000_000_000)
    );
    for value in ["", "0", "-1", "99999999", "1e12", "18446744073709551616"] {
        assert_eq!(
            parse_share_macs(value),
            Err(ValueError::ShareMacs),
            "{value}"
        );
    }
    assert!(parse(&["--share-macs", "100000000"]).is_err_and(|error| error.contains("--mine")));
    assert_eq!(
        parse(&["--mine", "--share-macs", "100000000"]).map(|cli| cli.mining.share_macs),
        Ok(std::num::NonZeroU64::new(100_000_000))
    );
}

#[test]
fn a_miner_needs_a_node_and_takes_the_flags_of_the_endpoint() {
    assert!(parse(&["miner"]).is_err());
    let cli = parse(&[
        "miner",
        "--node",
        "ws://a:1",
        "--node",
        "ws://b:2",
        "--devices",
        "cpu:2",
        "--gemm-listen",
        "none",
        "--rig",
        "lab-3",
    ])
    .expect("all of these exist");
    let Some(Subcommand::Miner(command)) = cli.subcommand else {
        panic!("a miner was asked for");
    };
    assert_eq!(command.nodes, ["ws://a:1", "ws://b:2"]);
    assert_eq!(command.rig.as_deref(), Some("lab-3"));
    assert_eq!(command.gemm.gemm_listen, Some(GemmListen::None));
}

#[test]
fn a_checkpoint_is_a_number_and_a_hash() {
    let hash = format!("0x{}", "5f".repeat(32));
    let target = parse_checkpoint(&format!("120000:{hash}")).expect("a number and a hash");
    assert_eq!(target.number, 120_000);
    assert_eq!(format!("{:?}", target.hash), hash);
    let too_high = format!("4294967296:{hash}");
    let too_long = format!("1:{hash}00");
    for value in ["", "1", "1:", ":", "1:0x12", &hash, &too_high, &too_long] {
        assert_eq!(
            parse_checkpoint(value),
            Err(ValueError::Checkpoint),
            "{value}"
        );
    }
    assert!(parse(&["--checkpoint", "1"]).is_err_and(|error| error.contains("64 hexadecimal")));
}
