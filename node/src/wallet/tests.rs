//! How the commands are typed.

use clap::Parser as _;
use labora_runtime::LAB;
use sp_keyring::Sr25519Keyring::{Alice, Bob};

use super::*;
use crate::cli::{Cli, Subcommand};

fn parse(arguments: &[&str]) -> Result<Subcommand, String> {
    let all = ["labora"].iter().chain(arguments);
    let cli = Cli::try_parse_from(all).map_err(|error| error.to_string())?;
    cli.subcommand.ok_or_else(|| "no command".into())
}

#[test]
fn every_command_is_there_and_takes_a_node_and_a_key() {
    let bob = Bob.to_account_id().to_string();
    let acts: [&[&str]; 41] = [
        &["job", "post", "--a", "A", "--b", "B", "--fee", "1"],
        &["job", "cancel", "7"],
        &["job", "raise", "7", "0.5"],
        &["job", "accept", "7"],
        &["job", "forget", "7", "--unpin"],
        &["job", "poke", "7"],
        &["job", "agent", "none"],
        &["job", "agent", &bob],
        &["transfer", &bob, "2.5"],
        &["stake", "bond", "1000", "--payee", "stash"],
        &["stake", "nominate", &bob],
        &["stake", "validate", "--commission", "2.5"],
        &["stake", "unbond", "all"],
        &["stake", "withdraw"],
        &["stake", "chill"],
        &["stake", "payout"],
        &["pool", "join", "1", "10"],
        &["pool", "bond-extra", "rewards"],
        &["pool", "bond-extra", "2"],
        &["pool", "unbond", "1"],
        &["pool", "withdraw"],
        &["pool", "claim"],
        &["pool", "create", "10", "--name", "shelf"],
        &["pool", "nominate", "1", &bob],
        &["grant", "post", "--a", "A", "--bt", "B", "--price", "1"],
        &["grant", "invite", "1", &bob],
        &["grant", "join", "1"],
        &["grant", "remove", "1", &bob],
        &["grant", "withdraw", "7"],
        &["grant", "leave"],
        &["grant", "offer-rig", "1"],
        &["grant", "accept-rig", &bob],
        &["grant", "end-rig"],
        &["grant", "end-rig", &bob],
        &["grant", "sweep", "1"],
        &["grant", "admit", &bob, "--name", "N", "--quota", "10"],
        &["grant", "quota", "1", "2.5"],
        &["grant", "admin", "1", &bob],
        &["grant", "close", "1"],
        &["grant", "terms", "--max-rate", "3", "--held-quotas", "4"],
        &["grant", "terms", "--open-blocks", "100"],
    ];
    let how = [
        "--node",
        "ws://a:1",
        "--key",
        "f",
        "--dry-run",
        "--yes",
        "--json",
    ];
    for act in acts {
        assert!(parse(&[act, &how[..]].concat()).is_ok(), "{act:?}");
        let two = [act, &["--key", "f", "--dev", "//Alice"][..]].concat();
        assert!(parse(&two).is_err(), "{act:?}: two keys");
    }
    let reads: [&[&str]; 11] = [
        &["job", "get", "7"],
        &["job", "explain", "7"],
        &["job", "result", "7", "--out", "x"],
        &[
            "job", "list", "--stage", "open", "--poster", &bob, "--worker", &bob, "--all",
        ],
        &["balance", &bob],
        &["stake", "show", &bob],
        &["pool", "list"],
        &["grant", "list"],
        &["grant", "show", "1"],
        &["grant", "of", &bob],
        &["pool", "show", &bob],
    ];
    for read in reads {
        let how = ["--node", "ws://a:1", "--json"];
        assert!(parse(&[read, &how[..]].concat()).is_ok(), "{read:?}");
    }
    assert!(parse(&["job", "watch", "7", "--dev", "//Alice"]).is_ok());
}

#[test]
fn what_is_no_command_is_refused() {
    let refused: [&[&str]; 16] = [
        &["job"],
        &["job", "post", "--a", "A", "--fee", "1"],
        &["job", "post", "--a", "A", "--b", "B"],
        &[
            "job", "post", "--a", "A", "--b", "B", "--bt", "B", "--fee", "1",
        ],
        &[
            "job", "post", "--a", "A", "--b", "B", "--fee", "1", "--price", "1",
        ],
        &["job", "get", "-1"],
        &["job", "result", "7"],
        &["job", "list", "--stage", "done"],
        &["transfer", "bob", "1"],
        &[
            "transfer",
            "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
            "1e3",
        ],
        &["stake", "nominate"],
        &["grant", "show"],
        &["grant", "admit", "--name", "N", "--quota", "1"],
        &["grant", "post", "--a", "A", "--b", "B"],
        &["grant", "terms"],
        &["stake", "validate", "--commission", "101"],
    ];
    for wrong in refused {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn amounts_are_read_exactly() {
    let bob = Bob.to_account_id();
    let command = parse(&["transfer", &bob.to_string(), "0.000000000001"]).expect("an amount");
    let Subcommand::Transfer(transfer) = command else {
        panic!("a transfer was asked for");
    };
    assert_eq!((transfer.to, transfer.amount), (bob, 1));
    let Subcommand::Job(JobCommand::Raise(raise)) =
        parse(&["job", "raise", "7", "2"]).expect("one")
    else {
        panic!("a raise was asked for");
    };
    assert_eq!((raise.job, raise.by), (7, 2 * LAB));
}

#[test]
fn who_signs_is_a_file_or_a_secret_and_who_is_looked_at_an_address_too() {
    let of = |flags: &[&str]| {
        let command = parse(&[&["balance"][..], flags].concat()).expect("flags that there are");
        let Subcommand::Balance(balance) = command else {
            panic!("a balance was asked for");
        };
        balance.key.who(balance.account.as_ref())
    };
    let alice = Alice.to_account_id();
    assert_eq!(of(&["--dev", "//Alice"]).expect("a key"), alice);
    assert_eq!(of(&[&alice.to_string()]).expect("an address"), alice);
    assert!(matches!(of(&[]), Err(WalletError::NoAccount)));
    assert!(matches!(
        of(&["--key", "/no/such/file"]),
        Err(WalletError::Key(_))
    ));
    assert!(matches!(
        of(&["--dev", "no phrase"]),
        Err(WalletError::Key(_))
    ));
    let ed25519 = of(&["--dev", "//Alice", "--key-scheme", "ed25519"]).expect("a key");
    assert_ne!(ed25519, alice);
}

#[test]
fn the_node_is_named_or_that_of_this_machine() {
    let of = |node: Option<&str>| {
        flags::NodeParams {
            node: node.map(String::from),
        }
        .url()
    };
    assert_eq!(of(Some("ws://a:1")), "ws://a:1");
    if std::env::var_os("LABORA_NODE").is_none() {
        assert_eq!(of(None), "ws://127.0.0.1:9944");
    }
}
