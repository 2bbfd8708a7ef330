//! Chain specs for tests: the node's own dev spec with other figures of work, which make blocks come sooner.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Outcome, binary};

/// From the start of `labora chain-spec` to its end.
const SPEC_LIMIT: Duration = Duration::from_secs(240);

/// Figures of a chain's work.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiply-accumulates that block 1 is expected to take.
    pub initial_difficulty: u64,
    /// Time between blocks, in milliseconds.
    pub target_block_time_ms: u64,
    /// A chain that is ahead by this has twice the difficulty, in milliseconds.
    pub half_life_ms: u64,
}

/// A block about every half second on whatever machine it is: the difficulty starts at what a core does in a tenth of a
/// second or less, and adapts within seconds.
pub const QUICK: Work = Work {
    initial_difficulty: 2_000_000_000,
    target_block_time_ms: 500,
    half_life_ms: 5_000,
};

/// A block every second: long against what it takes to cross a network of processes on one machine, so that its nodes
/// agree most of the time.
pub const NETWORK: Work = Work {
    initial_difficulty: 10_000_000_000,
    target_block_time_ms: 1_000,
    half_life_ms: 10_000,
};

/// Every product of the smallest shape is worth a block on average, and stays so: for miners that use the slow reference.
pub const LOWEST: Work = Work {
    initial_difficulty: 1 << 18,
    target_block_time_ms: 3_000,
    half_life_ms: 3_600_000,
};

/// How long sessions and eras are.
#[derive(Clone, Copy, Debug)]
pub enum Sessions {
    /// As on a development chain: minutes.
    Short,
    /// As on a public one. GRANDPA's votes go no further than the next change of authorities, which may come at the end of an era:
    /// on a development chain that is never far.
    Public,
}

/// What a well-known account stakes and votes with.
#[derive(Clone, Copy, Debug)]
pub struct Validator {
    /// Flag that makes a node it.
    pub flag: &'static str,
    /// Its account.
    pub account: &'static str,
    /// The key of its votes.
    pub grandpa: &'static str,
}

impl Validator {
    /// What makes a node it. A validator wants a network key that was made beforehand, unless it is told otherwise.
    pub fn arguments(&self) -> [String; 2] {
        [
            self.flag.into(),
            "--unsafe-force-node-key-generation".into(),
        ]
    }
}

/// Alice, Bob, Charlie and Dave.
pub const VALIDATORS: [Validator; 4] = [
    Validator {
        flag: "--alice",
        account: "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        grandpa: "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu",
    },
    Validator {
        flag: "--bob",
        account: "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
        grandpa: "5GoNkf6WdbxCFnPdAnYYQyCjAKPJgLNxXwPjwTh6DGg6gN3E",
    },
    Validator {
        flag: "--charlie",
        account: "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y",
        grandpa: "5DbKjhNLpqX3zqZdNBc9BGb4fHU1cRBaDhJUskrvkwfraDi6",
    },
    Validator {
        flag: "--dave",
        account: "5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy",
        grandpa: "5ECTwv6cZ5nJQPk6tWfaTrEk8YH2L7X1VT4EL5Tx2ikfFwb7",
    },
];

/// Writes the spec of a chain with [`VALIDATORS`] into `folder`, and gives its path.
///
/// It is a live chain: on a development chain nodes tell each other the loopback addresses of third ones, and would find a
/// way around a link that a test has cut.
pub fn write_with_validators(folder: &Path, work: Work, sessions: Sessions) -> Outcome<PathBuf> {
    let mut spec = dev()?;
    spec["chainType"] = json!("Live");
    let patch = &mut spec["genesis"]["runtimeGenesis"]["patch"];
    let stake = patch["staking"]["stakers"][0][2].clone();
    if !stake.is_number() {
        return Err(format!("the dev spec's genesis patch has no stake: {patch}").into());
    }
    let keys = VALIDATORS.map(|one| json!([one.account, one.account, { "grandpa": one.grandpa }]));
    let stakers = VALIDATORS.map(|one| json!([one.account, one.account, stake, "Validator"]));
    patch["session"]["keys"] = json!(keys);
    patch["staking"]["stakers"] = json!(stakers);
    write_spec(spec, folder, work, sessions)
}

/// Writes the dev chain's spec with other figures of work into `folder`, and gives its path.
pub fn write(folder: &Path, work: Work) -> Outcome<PathBuf> {
    write_spec(dev()?, folder, work, Sessions::Short)
}

/// The same with sessions and eras as long as on a public chain.
pub fn write_with_public_sessions(folder: &Path, work: Work) -> Outcome<PathBuf> {
    write_spec(dev()?, folder, work, Sessions::Public)
}

fn write_spec(mut spec: Value, folder: &Path, work: Work, sessions: Sessions) -> Outcome<PathBuf> {
    if let Sessions::Public = sessions {
        let terms = &mut spec["genesis"]["runtimeGenesis"]["patch"]["eras"]["terms"];
        if !terms["sessionBlocks"].is_u64() || !terms["sessionsPerEra"].is_u64() {
            return Err(format!("the dev spec's genesis patch has other terms: {terms}").into());
        }
        terms["sessionBlocks"] = json!(600);
        terms["sessionsPerEra"] = json!(6);
    }
    let genesis = work_of(&mut spec)?;
    genesis["initialDifficulty"] = json!(format!("{:#x}", work.initial_difficulty));
    genesis["targetBlockTimeMs"] = json!(work.target_block_time_ms);
    genesis["halfLifeMs"] = json!(work.half_life_ms);
    spec["id"] = json!("labora_test");
    let path = folder.join("spec.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&spec)?)?;
    make_raw(&path)?;
    Ok(path)
}

/// Where a spec's genesis says how the chain works.
pub fn work_of(spec: &mut Value) -> Outcome<&mut Value> {
    let work = &mut spec["genesis"]["runtimeGenesis"]["patch"]["work"];
    if work["initialDifficulty"].is_string() && work["targetBlockTimeMs"].is_u64() {
        return Ok(work);
    }
    Err(format!(
        "the dev spec's genesis patch has other figures of work than this test knows: {work}"
    )
    .into())
}

/// The dev chain's spec, as `labora chain-spec` prints it.
pub fn dev() -> Outcome<Value> {
    Ok(serde_json::from_slice(&printed("dev", &[])?)?)
}

/// Makes a spec a raw one: nodes then start without executing the chain's code for its genesis, which takes seconds each time.
fn make_raw(path: &Path) -> Outcome {
    let raw = printed(&path.to_string_lossy(), &["--raw"])?;
    Ok(std::fs::write(path, raw)?)
}

/// What `labora chain-spec` prints. It takes seconds, so what it said is kept beside the binary: once for each binary, and for
/// each spec.
fn printed(chain: &str, more: &[&str]) -> Outcome<Vec<u8>> {
    let labora = binary::labora()?;
    let binary = labora.metadata()?;
    let mut hasher = DefaultHasher::new();
    let which = (&labora, binary.len(), binary.modified()?);
    (which, std::fs::read(chain).ok(), more).hash(&mut hasher);
    let kept = labora.with_file_name("test-specs");
    let path = kept.join(format!("{:016x}.json", hasher.finish()));
    if let Ok(text) = std::fs::read(&path) {
        return Ok(text);
    }
    let mut command = Command::new(labora);
    command.args(["chain-spec", "--chain", chain]).args(more);
    let finished = binary::finish(&mut command, SPEC_LIMIT)?;
    if finished.code != Some(0) {
        return Err(format!("chain-spec failed: {}", finished.stderr).into());
    }
    std::fs::create_dir_all(&kept)?;
    // Tests that make the same at the same time write the same; a reader finds all of it or nothing.
    let mut draft = tempfile::NamedTempFile::new_in(&kept)?;
    draft.write_all(finished.stdout.as_bytes())?;
    draft.persist(&path)?;
    Ok(finished.stdout.into_bytes())
}
