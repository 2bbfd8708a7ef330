//! Flags, founders, and what is typed.

use clap::Parser;
use sp_core::{Pair, crypto::Ss58Codec, ed25519, sr25519};

use super::super::{
    PresetName, TestnetCommand,
    console::{Order, Prompt, parse},
    founder::{Founder, FounderError, check_names, parse_founder},
};
use crate::cli::{Cli, Subcommand};

fn command(flags: &[&str]) -> Result<TestnetCommand, String> {
    let all = ["labora", "testnet"].iter().chain(flags);
    match Cli::try_parse_from(all)
        .map_err(|error| error.to_string())?
        .subcommand
    {
        Some(Subcommand::Testnet(command)) => Ok(command),
        other => Err(format!("{other:?}")),
    }
}

fn stash(seed: u8) -> String {
    sr25519::Pair::from_seed(&[seed; 32])
        .public()
        .to_ss58check()
}

fn vote(seed: u8) -> String {
    ed25519::Pair::from_seed(&[seed; 32])
        .public()
        .to_ss58check()
}

#[test]
fn counts_are_bounded() {
    let plain = command(&[]).expect("all has a default");
    assert_eq!(
        (plain.validators, plain.miners, plain.preset),
        (None, None, None)
    );
    let most = command(&[
        "--validators",
        "32",
        "--miners",
        "32",
        "--preset",
        "testnet",
    ]);
    assert_eq!(most.expect("in bounds").preset, Some(PresetName::Testnet));
    assert!(command(&["--miners", "0"]).is_ok());
    for flags in [
        ["--validators", "0"],
        ["--validators", "33"],
        ["--miners", "33"],
        ["--miners", "-1"],
        ["--blocks", "0"],
        ["--base-port", "65536"],
        ["--preset", "mainnet"],
        ["--devices", "gpu"],
    ] {
        assert!(command(&flags).is_err(), "{flags:?}");
    }
}

#[test]
fn what_is_written_is_not_started() {
    for flag in [
        ["--base-path", "x"],
        ["--blocks", "3"],
        ["--base-port", "9"],
    ] {
        assert!(
            command(&[&["--write", "dir"], &flag[..]].concat()).is_err(),
            "{flag:?}"
        );
    }
    let founder = format!("ann={},{}", stash(1), vote(1));
    assert!(
        command(&["--founder", &founder]).is_err(),
        "founders are for --write"
    );
    assert!(command(&["--write", "dir", "--founder", &founder, "--validators", "2"]).is_err());
    let two = format!("bob={},{}", stash(2), vote(2));
    let both = command(&["--write", "dir", "--founder", &founder, "--founder", &two]);
    assert_eq!(both.expect("two founders").founders.len(), 2);
}

#[test]
fn a_founder_is_a_name_and_two_addresses() {
    let Founder {
        name,
        account,
        grandpa,
    } = parse_founder(&format!("ann-1={},{}", stash(1), vote(1))).expect("it is one");
    assert_eq!(name, "ann-1");
    assert_eq!(account.to_ss58check(), stash(1));
    assert_eq!(ed25519::Public::from(grandpa).to_ss58check(), vote(1));
}

#[test]
fn what_is_no_founder_is_refused_with_what_would_do() {
    let of = |value: String| parse_founder(&value).expect_err("it is none");
    assert_eq!(of("ann".into()), FounderError::Parts);
    assert_eq!(of(format!("ann={}", stash(1))), FounderError::Parts);
    for name in ["", "Ann", "1ann", "../ann", "a b", "ann.x", &"a".repeat(33)] {
        let refused = of(format!("{name}={},{}", stash(1), vote(1)));
        assert_eq!(refused, FounderError::Name(name.into()));
    }
    let mistyped = format!("{}Q", &stash(1)[..stash(1).len() - 1]);
    for key in ["", "//Alice", mistyped.as_str(), "0x00"] {
        let refused = of(format!("ann={key},{}", vote(1)));
        assert_eq!(refused, FounderError::Address(key.into()));
        let refused = of(format!("ann={},{key}", stash(1)));
        assert_eq!(refused, FounderError::Address(key.into()));
    }
    assert_eq!(
        of(format!("ann={},{}", vote(1), vote(1))),
        FounderError::SameKey
    );
}

#[test]
fn two_founders_of_one_name_are_refused() {
    let of = |name: &str, seed| {
        parse_founder(&format!("{name}={},{}", stash(seed), vote(seed))).expect("it is one")
    };
    assert!(check_names(&[of("ann", 1), of("bob", 2)]).is_ok());
    let refused = check_names(&[of("ann", 1), of("ann", 2)])
        .expect_err("one name")
        .to_string();
    assert!(refused.contains("ann"), "{refused}");
}

#[test]
fn orders_are_a_verb_and_a_name() {
    assert_eq!(
        parse(" kill  miner-1 \r"),
        Ok(Some(Order::Kill("miner-1".into())))
    );
    assert_eq!(
        parse("stop validator-2"),
        Ok(Some(Order::Stop("validator-2".into())))
    );
    assert_eq!(parse("start x"), Ok(Some(Order::Start("x".into()))));
    assert_eq!(parse("quit"), Ok(Some(Order::Quit)));
    assert_eq!(parse("  "), Ok(None));
    for line in ["explode", "quit now", "kill", "kill a b"] {
        let sentence = parse(line).expect_err("it is no order");
        assert!(
            sentence.contains("NAME") || sentence.contains("whom"),
            "{sentence}"
        );
    }
}

#[test]
fn a_line_is_typed_key_by_key_and_is_bounded() {
    let mut prompt = Prompt::default();
    assert!(prompt.feed(b"kilx\x7fl mi").is_empty());
    assert_eq!(prompt.text(), "kill mi");
    assert_eq!(prompt.feed(b"ner-1\nquit\nsto"), ["kill miner-1", "quit"]);
    assert_eq!(prompt.text(), "sto");
    prompt.feed(b"\x15");
    assert_eq!(prompt.feed(b"\x04"), ["quit"], "Ctrl-D on an empty line");
    prompt.feed("é\x1b[A".as_bytes());
    assert_eq!(
        prompt.text(),
        "[A",
        "of an arrow key, nothing that is not text"
    );
    prompt.feed(&[b'x'; 1_000]);
    assert!(prompt.text().len() <= 80);
}
