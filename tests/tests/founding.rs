//! The operators' guide (docs/testnet.md, "Five operators, from nothing to finality") with its own commands: each makes its keys, two write
//! the same network from the addresses alone, each inserts its key, and all five vote for the blocks of a miner.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use labora_tests::{
    Machine, Node, Outcome,
    binary::{self, Finished, REFUSAL_LIMIT},
    validators::wait_for_final_within,
    wait_for,
};
use serde_json::Value;

const NAMES: [&str; 5] = ["ann", "bob", "cid", "dot", "eve"];

/// For a few blocks more, on a machine that may have more to do.
const FEW_BLOCKS: Duration = Duration::from_secs(240);

/// Runs a command of the guide to its end.
fn labora(words: &[&str]) -> Outcome<Finished> {
    let ended = binary::finish(
        Command::new(binary::labora()?).args(words),
        2 * REFUSAL_LIMIT,
    )?;
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text());
    Ok(ended)
}

/// A key as its operator has it: on paper, say.
struct Key {
    phrase: String,
    address: String,
}

impl Key {
    fn generate(scheme: &str) -> Outcome<Self> {
        let arguments = ["key", "generate", "--scheme", scheme];
        let said = labora(&[&arguments[..], &["--output-type", "json"]].concat())?;
        let key: Value = serde_json::from_str(&said.stdout)?;
        let field = |name: &str| key[name].as_str().map(str::to_owned);
        Ok(Self {
            phrase: field("secretPhrase").ok_or_else(|| format!("no phrase in {key}"))?,
            address: field("ss58Address").ok_or_else(|| format!("no address in {key}"))?,
        })
    }
}

/// An operator, with the keys that nobody else sees.
struct Operator {
    name: &'static str,
    stash: Key,
    vote: Key,
    /// The machine's root.
    machine: PathBuf,
}

impl Operator {
    fn new(name: &'static str, folder: &Path) -> Outcome<Self> {
        Ok(Self {
            name,
            stash: Key::generate("sr25519")?,
            vote: Key::generate("ed25519")?,
            machine: folder.join(name),
        })
    }

    /// What the others are told.
    fn founder(&self) -> String {
        let Self {
            name, stash, vote, ..
        } = self;
        format!("{name}={},{}", stash.address, vote.address)
    }

    /// A path of the guide, on this machine.
    fn path(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        self.machine.join(path).to_string_lossy().into_owned()
    }

    fn place(&self) -> [String; 4] {
        let (chain, base) = (
            self.path("/etc/labora/chain.json"),
            self.path("/var/lib/labora"),
        );
        ["--chain".into(), chain, "--base-path".into(), base]
    }

    /// A command about this machine's chain and data.
    fn run(&self, words: &[&str], more: &[&str]) -> Outcome<Finished> {
        let place = self.place();
        let place: Vec<_> = place.iter().map(String::as_str).collect();
        labora(&[words, &place, more].concat())
    }

    /// Sets the machine up; gives the node's id among peers.
    fn set_up(&self, network: &Path) -> Outcome<String> {
        fs::create_dir_all(self.path("/etc/labora"))?;
        fs::create_dir_all(self.path("/var/lib/labora"))?;
        fs::copy(
            network.join("chain.json"),
            self.path("/etc/labora/chain.json"),
        )?;
        let phrase = self.path("/phrase");
        fs::write(&phrase, format!("{}\n", self.vote.phrase))?;
        let key = ["--key-type", "gran", "--scheme", "ed25519"];
        self.run(
            &["key", "insert"],
            &[&key[..], &["--suri", &phrase]].concat(),
        )?;
        fs::remove_file(&phrase)?;
        let said = self.run(&["key", "generate-node-key"], &[])?.text();
        self.keep_node_key()?;
        let id = said.lines().map(str::trim).find_map(|line| {
            let is_id = line.starts_with("12D3") && line.len() == 52;
            is_id.then(|| line.to_owned())
        });
        Ok(id.ok_or_else(|| format!("no peer id in {said}"))?)
    }

    /// `chmod 600 /var/lib/labora/chains/*/network/secret_ed25519`
    fn keep_node_key(&self) -> Outcome {
        for chain in fs::read_dir(self.path("/var/lib/labora/chains"))? {
            let key = chain?.path().join("network/secret_ed25519");
            fs::set_permissions(key, fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    /// The flags of a unit, on this machine, with free ports in place of those that a machine of its own has.
    fn flags(&self, unit: &Path, bootnodes: &str) -> Outcome<Vec<String>> {
        let text = fs::read_to_string(unit)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/labora "));
        let line = line.ok_or_else(|| format!("no command in {text}"))?;
        let line = line.replace("$LABORA_BOOTNODES", bootnodes);
        let line = line.replace("--port 30333", "--listen-addr /ip4/127.0.0.1/tcp/0");
        let here = |word: &str| match word.starts_with("/etc/") || word.starts_with("/var/") {
            true => self.path(word),
            false => word.to_owned(),
        };
        let mut flags: Vec<String> = line.split_whitespace().map(here).collect();
        let quiet = [
            "--rpc-port",
            "0",
            "--no-prometheus",
            "--no-mdns",
            "--no-telemetry",
        ];
        flags.extend(quiet.map(str::to_owned));
        Ok(flags)
    }
}

/// Writes the network into a new folder.
fn write(operators: &[Operator], into: &Path) -> Outcome<Vec<u8>> {
    let founders: Vec<_> = operators.iter().map(Operator::founder).collect();
    let into_text = into.to_string_lossy();
    // The preset for real machines begins with blocks that take ten of them.
    let mut words = vec!["testnet", "--preset", "dev", "--write", &into_text];
    for founder in &founders {
        words.extend(["--founder", founder]);
    }
    labora(&words)?;
    Ok(fs::read(into.join("chain.json"))?)
}

/// Everything in a folder, as text.
fn all_text(folder: &Path) -> Outcome<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        text += &match path.is_dir() {
            true => all_text(&path)?,
            false => String::from_utf8_lossy(&fs::read(path)?).into_owned(),
        };
    }
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_operators_come_from_keys_of_their_own_to_final_blocks() -> Outcome {
    let turn = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let operators: Result<Vec<_>, _> = NAMES
        .iter()
        .map(|name| Operator::new(name, folder.path()))
        .collect();
    let operators = operators?;

    let (network, again) = (
        folder.path().join("labora-net"),
        folder.path().join("labora-net-2"),
    );
    assert_eq!(
        write(&operators, &network)?,
        write(&operators, &again)?,
        "the same addresses in the same order make the same chain"
    );
    let written = all_text(&network)?;
    for operator in &operators {
        for key in [&operator.stash, &operator.vote] {
            assert!(!written.contains(&key.phrase), "a phrase was written");
        }
    }

    // The first is the boot node of all others.
    let mut nodes = Vec::new();
    let mut bootnodes = String::new();
    for operator in &operators {
        let id = operator.set_up(&network)?;
        let examined = operator.run(&["doctor"], &["--validator"])?.stdout;
        assert!(!examined.contains('✗'), "{examined}");
        let unit = network.join(operator.name).join("labora.service");
        let flags = operator.flags(&unit, &bootnodes)?;
        let node = Node::start_with(&turn, &operator.machine, &flags).await?;
        let address = node.address().await?;
        assert!(
            address.ends_with(&id),
            "{address} has another id than {id}, which was printed"
        );
        if bootnodes.is_empty() {
            bootnodes = format!("--bootnodes {address}");
        }
        nodes.push(node);
    }

    let miner = Operator::new("miner", folder.path())?;
    fs::create_dir_all(miner.path("/etc/labora"))?;
    fs::copy(
        network.join("chain.json"),
        miner.path("/etc/labora/chain.json"),
    )?;
    let flags = miner.flags(&network.join("miner.service"), &bootnodes)?;
    let flags = flags.into_iter().map(|word| match word.as_str() {
        "ADDRESS-OF-YOUR-ACCOUNT" => miner.stash.address.clone(),
        // A single thread: six nodes share this machine.
        "auto" => "cpu:1".into(),
        _ => word,
    });
    let flags: Vec<String> = flags
        .chain(["--gemm-listen".into(), "none".into()])
        .collect();
    let miner = Node::start_with(&turn, &miner.machine, &flags).await?;

    wait_for_final_within(miner.rpc(), 3, FEW_BLOCKS).await?;
    // Four of five would do: that the last one votes as well shows once a round waits for nobody.
    let ann = nodes.first().ok_or("nobody")?;
    wait_for("a round with all five votes", FEW_BLOCKS, || async {
        let rounds: Value = ann.rpc().call("grandpa_roundState", &[]).await?;
        let best = &rounds["best"];
        let voted = best["totalWeight"] == 5
            && best["prevotes"]["currentWeight"] == 5
            && best["prevotes"]["missing"]
                .as_array()
                .is_some_and(Vec::is_empty);
        Ok(voted.then_some(()))
    })
    .await?;
    for node in nodes.iter().chain([&miner]) {
        wait_for_final_within(node.rpc(), 3, FEW_BLOCKS).await?;
        node.log().assert_no_panic()?;
    }
    Ok(())
}
