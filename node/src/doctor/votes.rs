//! Whether a validator's keys are known to the chain: by the node that runs, or before one does by genesis.

use std::net::SocketAddr;

use jsonrpsee::{
    core::{ClientError, client::ClientT},
    http_client::HttpClient,
    rpc_params,
};
use parity_scale_codec::{Decode, Encode};
use sp_consensus_grandpa::KEY_TYPE;
use sp_core::Bytes;
use sp_io::hashing::{twox_64, twox_128};

use super::{
    Finding,
    genesis::Genesis,
    network::{self, Running},
};

/// A public key to vote with.
pub(super) type Key = [u8; 32];

/// Keys that are asked about: a validator has one, and for a while its last one.
const MAX_KEYS: usize = 16;

/// Who votes, is to vote, and may come to vote.
pub(super) struct Voters {
    source: Source,
    /// Of all that vote.
    now: Vec<Key>,
    /// Of all that vote in the next session.
    next: Vec<Key>,
    /// Of those that were asked about: some account has announced them.
    announced: Vec<Key>,
}

/// Who told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// A node that has the newest blocks.
    Node,
    /// One that may not have the block yet in which a key was announced.
    SyncingNode,
    /// Genesis, which does not know what came later.
    Genesis,
}

/// Asks the node of this chain that answers, or else genesis; `None` if neither can tell.
pub(super) async fn look(
    keys: &[Key],
    address: SocketAddr,
    node: Option<&Running>,
    genesis: Option<&Genesis>,
) -> Option<Voters> {
    if keys.is_empty() {
        return None;
    }
    let keys = &keys[..keys.len().min(MAX_KEYS)];
    if let Some(node) = node
        && let Some(voters) = Voters::of_node(address, node, keys).await
    {
        return Some(voters);
    }
    Voters::of_genesis(genesis?, keys)
}

impl Voters {
    async fn of_node(address: SocketAddr, node: &Running, keys: &[Key]) -> Option<Self> {
        let client = network::client(address)?;
        let source = match node.health.is_syncing {
            true => Source::SyncingNode,
            false => Source::Node,
        };
        let now = stored(&client, authorities()).await.ok()?;
        let next = stored(&client, queued()).await.ok()?;
        let mut announced = Vec::new();
        for key in keys {
            if stored(&client, owner(key)).await.ok()?.is_some() {
                announced.push(*key);
            }
        }
        Self::new(source, now, next, announced)
    }

    fn of_genesis(genesis: &Genesis, keys: &[Key]) -> Option<Self> {
        let is_announced = |key: &&Key| genesis.get(&owner(key)).is_some();
        Self::new(
            Source::Genesis,
            genesis.get(&authorities()),
            genesis.get(&queued()),
            keys.iter().filter(is_announced).copied().collect(),
        )
    }

    /// Reads what the chain has stored; what is not there is empty.
    pub(super) fn new(
        source: Source,
        now: Option<Vec<u8>>,
        next: Option<Vec<u8>>,
        announced: Vec<Key>,
    ) -> Option<Self> {
        let now = Vec::<(Key, u64)>::decode(&mut &*now.unwrap_or_else(nothing)).ok()?;
        // Accounts and their session keys, which are one.
        let next = Vec::<([u8; 32], Key)>::decode(&mut &*next.unwrap_or_else(nothing)).ok()?;
        Some(Voters {
            source,
            now: now.into_iter().map(|(key, _)| key).collect(),
            next: next.into_iter().map(|(_, key)| key).collect(),
            announced,
        })
    }

    /// What to say of a validator's keys; `count` says how many keys there are.
    pub(super) fn finding(&self, keys: &[Key], count: &str) -> Finding {
        let what = "keystore";
        let any = |known: &[Key]| keys.iter().any(|key| known.contains(key));
        let it = match count {
            "1 key" => "it",
            _ => "one of them",
        };
        let good = |does: &str| Finding::good(what, format!("{count}; {it} {does}"));
        if any(&self.now) {
            return good(match self.source {
                Source::Genesis => "votes from genesis on",
                Source::Node | Source::SyncingNode => "votes",
            });
        }
        if any(&self.next) {
            return good("votes from the next session on");
        }
        if any(&self.announced) {
            return good("is announced, and votes once its account is elected");
        }
        let announce = "announce it with session.setKeys from the validator's account, with the keys and the proof that the RPC method \
                        author_rotateKeysWithOwner answers (docs/staking.md)";
        match self.source {
            Source::Node => Finding::warning(
                what,
                format!("{count}; the chain knows none to vote with"),
                announce,
            ),
            Source::SyncingNode => Finding::warning(
                what,
                format!(
                    "{count}; the chain knows none to vote with, as far as this node has synced"
                ),
                format!("look again when it has synced; if it is new, {announce}"),
            ),
            Source::Genesis => Finding::warning(
                what,
                format!(
                    "{count}; none votes from genesis on, and no node that runs could be asked about later blocks"
                ),
                format!("look again while the node runs; if the key is new, {announce}"),
            ),
        }
    }
}

/// The SCALE code of no entries.
fn nothing() -> Vec<u8> {
    Vec::<u8>::new().encode()
}

async fn stored(client: &HttpClient, key: Vec<u8>) -> Result<Option<Vec<u8>>, ClientError> {
    let found: Option<Bytes> = client
        .request("state_getStorage", rpc_params![Bytes(key)])
        .await?;
    Ok(found.map(|bytes| bytes.0))
}

/// Where the chain keeps who votes.
fn authorities() -> Vec<u8> {
    place("Grandpa", "Authorities")
}

/// Where it keeps who votes in the next session.
fn queued() -> Vec<u8> {
    place("Session", "QueuedKeys")
}

/// Where it keeps whose a key is that was announced.
fn owner(key: &Key) -> Vec<u8> {
    let named = (KEY_TYPE, key.to_vec()).encode();
    let mut out = place("Session", "KeyOwner");
    out.extend(twox_64(&named));
    out.extend(named);
    out
}

fn place(pallet: &str, name: &str) -> Vec<u8> {
    [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Health;

    /// Key 1 votes, 2 is queued, 3 is announced.
    fn voters(source: Source) -> Voters {
        let now = vec![([1_u8; 32], 1_u64)].encode();
        let next = vec![([9_u8; 32], [2_u8; 32])].encode();
        Voters::new(source, Some(now), Some(next), vec![[3; 32]]).expect("both decode")
    }

    #[test]
    fn a_key_counts_by_how_far_it_has_come() {
        let of = |keys: &[Key]| voters(Source::Node).finding(keys, "2 keys");
        let votes = of(&[[7; 32], [1; 32]]);
        assert_eq!(
            (votes.health, votes.found.as_str()),
            (Health::Good, "2 keys; one of them votes")
        );
        for (key, word) in [(2, "next session"), (3, "elected")] {
            let comes = of(&[[7; 32], [key; 32]]);
            assert_eq!(comes.health, Health::Good, "{}", comes.found);
            assert!(comes.found.contains(word), "{}", comes.found);
        }
        // An account of that name is no key.
        let unknown = of(&[[7; 32], [9; 32]]);
        assert_eq!(unknown.health, Health::Warning, "{}", unknown.found);
        assert!(unknown.remedy.starts_with("announce it"));
        let one = voters(Source::Genesis).finding(&[[1; 32]], "1 key");
        assert_eq!(one.found, "1 key; it votes from genesis on");
    }

    #[test]
    fn who_cannot_know_all_says_so() {
        for (source, words) in [
            (Source::Genesis, "look again while the node runs"),
            (Source::SyncingNode, "look again when it has synced"),
        ] {
            let unknown = voters(source).finding(&[[7; 32]], "1 key");
            assert_eq!(unknown.health, Health::Warning);
            assert!(unknown.remedy.starts_with(words), "{}", unknown.remedy);
            assert!(unknown.remedy.contains("session.setKeys"));
        }
    }

    #[test]
    fn what_is_not_stored_is_empty_and_garbage_is_not_guessed_at() {
        let empty = Voters::new(Source::Node, None, None, Vec::new()).expect("nothing decodes");
        assert_eq!(empty.finding(&[[1; 32]], "1 key").health, Health::Warning);
        assert!(Voters::new(Source::Node, Some(vec![0xFF]), None, Vec::new()).is_none());
    }
}
