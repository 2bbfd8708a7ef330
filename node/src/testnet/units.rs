//! The text of what is written for real machines: systemd units, the file of boot nodes, and a README.

use super::members::Role;

/// Where the units expect things on a machine.
const BINARY: &str = "/usr/local/bin/labora";
const SETTINGS: &str = "/etc/labora";
const DATA: &str = "/var/lib/labora";

/// The port of peers, which has to be reached from other machines.
const PORT: u16 = 30_333;

/// Stands in a miner's unit where nobody's account is known.
pub(super) const SOMEBODY: &str = "ADDRESS-OF-YOUR-ACCOUNT";

/// One member as its unit needs it.
pub(super) struct Unit<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does.
    pub role: Role,
    /// Whom it mines for.
    pub author: &'a str,
    /// What it mines on, if that was said.
    pub devices: Option<&'a str>,
    /// Whether the operator has to insert the key that it votes with.
    pub needs_key: bool,
}

impl Unit<'_> {
    /// A systemd unit.
    pub(super) fn text(&self) -> String {
        let (name, role) = (self.name, self.word());
        let key = if self.needs_key { KEY_HINT } else { "" };
        let devices = match self.role {
            Role::Validator => "",
            Role::Miner => DEVICES_HINT,
        };
        format!(
            "\
# {name}: a {role} of the network whose chain spec lies beside this file's folder.
# Expects: {BINARY}; {SETTINGS}/chain.json and {SETTINGS}/bootnodes.env; the user labora, who owns {DATA}.
{devices}{key}
[Unit]
Description=Labora {role} {name}
Wants=network-online.target
After=network-online.target

[Service]
User=labora
Group=labora
StateDirectory=labora
StateDirectoryMode=0700
EnvironmentFile={SETTINGS}/bootnodes.env
ExecStart={BINARY} {flags} $LABORA_BOOTNODES
Restart=on-failure
RestartSec=5
# As Ctrl-C: the node finishes what it took and closes its database.
KillSignal=SIGINT
TimeoutStopSec=60
LimitNOFILE=65536
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict

[Install]
WantedBy=multi-user.target
",
            flags = self.flags(),
        )
    }

    fn word(&self) -> &'static str {
        match self.role {
            Role::Validator => "validator",
            Role::Miner => "miner",
        }
    }

    fn flags(&self) -> String {
        let (name, author) = (self.name, self.author);
        let devices = self.devices.unwrap_or("auto");
        let all =
            format!("--chain {SETTINGS}/chain.json --base-path {DATA} --name {name} --port {PORT}");
        match self.role {
            Role::Validator => format!("{all} --validator"),
            Role::Miner => format!("{all} --mine --author {author} --devices {devices}"),
        }
    }
}

const KEY_HINT: &str = "\
# Before the first start, as the user labora, put in the key that it votes with (the file holds its phrase):
#   labora key insert --chain /etc/labora/chain.json --base-path /var/lib/labora \\
#       --key-type gran --scheme ed25519 --suri FILE
# and make the key that names it to its peers:
#   labora key generate-node-key --chain /etc/labora/chain.json --base-path /var/lib/labora
#   sudo sh -c 'chmod 600 /var/lib/labora/chains/*/network/secret_ed25519'
";

const DEVICES_HINT: &str = "\
# It mines on what --devices says below. `auto` is every NVIDIA GPU that can be used, and the CPU only where there is none;
# `cuda:0,2`, `cuda+cpu:4` or `cpu:THREADS` choose. `labora devices` shows what the machine has.
";

/// A member's name, and its id among peers where that is known.
pub(super) struct Peer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: Option<&'a str>,
}

/// The file of nodes to begin with. It names hosts that only the operators know.
pub(super) fn bootnodes(peers: &[Peer]) -> String {
    let mut out = String::from(
        "\
# Nodes that each machine begins with; two or three that are always there will do. Fill in hosts (/dns/… or /ip4/…), take
# the # away, and give every operator the same file as /etc/labora/bootnodes.env.
",
    );
    let words: Vec<_> = peers
        .iter()
        .map(|Peer { name, id }| {
            let id = id.map_or_else(|| format!("PEER-ID-OF-{name}"), str::to_owned);
            format!("--bootnodes /dns/HOST-OF-{name}/tcp/{PORT}/p2p/{id}")
        })
        .collect();
    // Once only: systemd takes the last of several, and none for nothing.
    out.push_str(&format!("#LABORA_BOOTNODES={}\n", words.join(" ")));
    out
}

/// What the README tells of a network.
pub(super) struct Story<'a> {
    /// The chain's id, which names folders.
    pub chain_id: &'a str,
    /// Names of the validators.
    pub validators: &'a [String],
    /// Names of the miners.
    pub miners: &'a [String],
    /// Address of who is root.
    pub root: Option<String>,
    /// Whether each validator's operator has its own keys.
    pub founded: bool,
}

impl Story<'_> {
    /// README.md.
    pub(super) fn text(&self) -> String {
        let id = self.chain_id;
        let root = match &self.root {
            Some(root) => format!("Root is {root}: it can upgrade the runtime and note a stall of finality."),
            None => "Nobody is root: the runtime cannot be upgraded, and a stall of finality has no way out but a new chain."
                .to_owned(),
        };
        let keys = if self.founded { FOUNDED } else { OWN_KEYS };
        let miners = if self.miners.is_empty() {
            NO_MINERS.to_owned()
        } else {
            format!(
                "Miners: {}. A miner needs no key on its machine: its account only receives.",
                self.miners.join(", ")
            )
        };
        format!(
            "\
# A Labora network

Chain `{id}`; all nodes start from the same `chain.json`. Validators: {validators}. {root}
{miners}

Finality needs more than two thirds of the validators at work: {needed} of {count}. Blocks need a miner, and a miner a peer.

## Before anybody starts
1. Copy `chain.json` to `/etc/labora/chain.json` on every machine, byte for byte (`sha256sum` it).
2. Fill the hosts into `bootnodes.env`, and copy it to `/etc/labora/bootnodes.env` on every machine.
3. Open TCP port {PORT} of every machine to all the others. RPC (9944) and metrics (9615) stay on loopback.

## On each machine
1. `useradd --system --home-dir {DATA} --shell /usr/sbin/nologin labora && install -d -o labora -g labora -m 700 {DATA}`
2. {keys}
3. `sudo -u labora labora doctor --chain /etc/labora/chain.json --base-path {DATA}`, on a validator's with `--validator`: nothing may be marked ✗.
4. Copy `NAME/labora.service` to `/etc/systemd/system/`, then `systemctl daemon-reload && systemctl enable --now labora`; `journalctl -u labora -f`
   shows what it does, and the same doctor whether all is well.

One validator's keys are on one machine, ever: two that vote with one key are slashed. Do not copy `data/` of a validator that
has run.
",
            validators = self.validators.join(", "),
            count = self.validators.len(),
            // GRANDPA: n - (n - 1) / 3.
            needed = self.validators.len() - self.validators.len().saturating_sub(1) / 3,
        )
    }
}

const OWN_KEYS: &str = "Copy what is in `NAME/data` there: `cp -r NAME/data/. /var/lib/labora && chown -R labora: /var/lib/labora`. \
It holds the keys that the node needs. `NAME/keys.json` holds the phrases of its account, and of its vote key: it goes into a safe \
place and on no machine.";

const FOUNDED: &str = "The operator of `NAME` inserts the key that it made itself, and makes a node key, with the commands at the head of \
`NAME/labora.service`; `generate-node-key` prints the id that the others need in `bootnodes.env`. The stash's phrase goes on no \
machine.";

const NO_MINERS: &str = "No miners are named. Whoever mines copies `miner.service` to `/etc/systemd/system/labora.service` on a machine of \
its own, with the address of its account in it; without a single miner there are no blocks.";

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(role: Role, devices: Option<&str>) -> String {
        Unit {
            name: "ann",
            role,
            author: SOMEBODY,
            devices,
            needs_key: false,
        }
        .text()
    }

    #[test]
    fn a_miner_takes_the_gpus_of_its_machine_unless_told_otherwise() {
        let unit_by_default = unit(Role::Miner, None);
        assert!(
            unit_by_default.contains(" --devices auto $LABORA_BOOTNODES\n"),
            "{unit_by_default}"
        );
        let chosen = unit(Role::Miner, Some("cuda:0,2"));
        assert!(
            chosen.contains(" --devices cuda:0,2 $LABORA_BOOTNODES\n"),
            "{chosen}"
        );
    }

    #[test]
    fn a_miners_unit_says_how_to_choose_its_devices_and_a_validators_does_not() {
        for devices in ["auto", "cuda:0,2", "cuda+cpu:4"] {
            crate::cli::devices::parse_devices(devices).expect("what the unit names is understood");
            assert!(unit(Role::Miner, None).contains(devices));
        }
        let validator = unit(Role::Validator, None);
        assert!(!validator.contains("devices"), "{validator}");
        // The comments end before the first section: systemd takes no other lines there.
        for unit in [unit(Role::Miner, Some("auto")), validator] {
            let head = unit.split("[Unit]").next().expect("there is one");
            assert!(
                head.lines()
                    .all(|line| line.is_empty() || line.starts_with('#')),
                "{head}"
            );
        }
    }
}
