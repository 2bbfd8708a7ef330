//! `labora testnet --write DIR`: a network for real machines, in files. Nothing is started.
//!
//! All is written into a folder beside DIR that becomes DIR at the end: there is a whole network or none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use labora_chain_spec::Preset;
use sc_service::ChainType;

use super::{
    DEFAULT_MINERS, DEFAULT_VALIDATORS, PresetName, TestnetCommand, TestnetError, founder,
    members::{self, Home, Member, Role},
    units::{Peer, SOMEBODY, Story, Unit, bootnodes},
};

/// Name of the unit in a member's folder.
const UNIT: &str = "labora.service";

/// Writes the network and says where it is.
pub(super) fn run(command: &TestnetCommand, folder: &Path) -> Result<(), TestnetError> {
    let is_used = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(TestnetError::file(folder, "read")(error)),
    };
    if is_used {
        return Err(TestnetError::NotEmpty(folder.to_owned()));
    }
    let beside = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&beside).map_err(TestnetError::file(&beside, "made"))?;
    // Gone again if anything below fails.
    let draft = members::private_folder(".labora-testnet-", &beside);
    let draft = draft.map_err(TestnetError::file(&beside, "written to"))?;
    if command.founders.is_empty() {
        own_keys(command, draft.path())?;
    } else {
        founded(command, draft.path())?;
    }
    fs::rename(draft.path(), folder).map_err(TestnetError::file(folder, "written"))?;
    // It has another name now.
    let _ = draft.keep();
    println!(
        "the network is in {}; its README.md says what to do with it",
        folder.display()
    );
    Ok(())
}

/// A network whose keys are all made here.
fn own_keys(command: &TestnetCommand, folder: &Path) -> Result<(), TestnetError> {
    let preset = Preset::from(command.preset.unwrap_or(PresetName::Local));
    let validators = command.validators.unwrap_or(DEFAULT_VALIDATORS);
    let miners = command.miners.unwrap_or(DEFAULT_MINERS);
    let all = members::make_all(folder, preset.chain_id(), validators, miners)?;
    for member in &all {
        let unit = Unit {
            name: &member.name,
            role: member.role,
            author: &member.account.to_string(),
            devices: command.devices.as_deref(),
            needs_key: false,
        };
        let home = Home::new(folder, &member.name);
        write(&home.path().join(UNIT), &unit.text())?;
    }
    let voters: Vec<_> = all.iter().filter(|it| it.role == Role::Validator).collect();
    let peers: Vec<_> = voters
        .iter()
        .map(|member| Peer {
            name: &member.name,
            id: Some(&member.peer_id),
        })
        .collect();
    let names = |role| -> Vec<String> {
        let of = all.iter().filter(|it: &&Member| it.role == role);
        of.map(|member| member.name.clone()).collect()
    };
    let shared = Shared {
        command,
        preset,
        voters: members::voters(&all),
        peers: &peers,
        validators: names(Role::Validator),
        miners: names(Role::Miner),
    };
    shared.write(folder)
}

/// A network of validators whose secrets are elsewhere.
fn founded(command: &TestnetCommand, folder: &Path) -> Result<(), TestnetError> {
    let founders = &command.founders;
    founder::check_names(founders)?;
    for founder in founders {
        let home = Home::new(folder, &founder.name);
        fs::create_dir_all(home.path()).map_err(TestnetError::file(home.path(), "made"))?;
        let unit = Unit {
            name: &founder.name,
            role: Role::Validator,
            author: SOMEBODY,
            devices: command.devices.as_deref(),
            needs_key: true,
        };
        write(&home.path().join(UNIT), &unit.text())?;
    }
    let miner = Unit {
        name: "miner",
        role: Role::Miner,
        author: SOMEBODY,
        devices: command.devices.as_deref(),
        needs_key: false,
    };
    write(&folder.join("miner.service"), &miner.text())?;
    let peers: Vec<_> = founders
        .iter()
        .map(|founder| Peer {
            name: &founder.name,
            id: None,
        })
        .collect();
    let keys = founders
        .iter()
        .map(|it| (it.account.clone(), it.grandpa.clone()));
    let shared = Shared {
        command,
        preset: command.preset.unwrap_or(PresetName::Local).into(),
        voters: keys.collect(),
        peers: &peers,
        validators: founders.iter().map(|it| it.name.clone()).collect(),
        miners: Vec::new(),
    };
    shared.write(folder)
}

/// What every machine of a network gets.
struct Shared<'a> {
    command: &'a TestnetCommand,
    preset: Preset,
    voters: Vec<(sp_core::crypto::AccountId32, labora_chain_spec::GrandpaId)>,
    peers: &'a [Peer<'a>],
    validators: Vec<String>,
    miners: Vec<String>,
}

impl Shared<'_> {
    fn write(self, folder: &Path) -> Result<(), TestnetError> {
        // Live, whatever the figures: it is for machines that reach each other over a network.
        let with_root = !self.command.no_root;
        let founding = members::founding(self.preset, ChainType::Live, self.voters, with_root);
        write(&folder.join("chain.json"), &members::raw_spec(&founding)?)?;
        write(&folder.join("bootnodes.env"), &bootnodes(self.peers))?;
        let story = Story {
            chain_id: self.preset.chain_id(),
            validators: &self.validators,
            miners: &self.miners,
            root: founding.root.map(|root| root.to_string()),
            founded: !self.command.founders.is_empty(),
        };
        write(&folder.join("README.md"), &story.text())
    }
}

fn write(path: &Path, text: &str) -> Result<(), TestnetError> {
    fs::write(path, text).map_err(TestnetError::file(path, "written"))
}
