//! Telling the network's DHT which artifacts a node holds whole.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use sc_network::service::traits::NetworkService;
use sc_network_types::kad::Key;
use tokio::time::sleep;

use crate::{Info, Root, Store};

/// Artifacts that a node announces: a tenth of the keys that a node's store has room for. Beyond that those that are pinned, and then
/// those that were used last.
pub const MAX_ANNOUNCED: usize = 1_024;

/// Records that are sent at a time, each to 20 peers.
const AT_ONCE: usize = 32;

/// Between two looks at the store, and between two times that records are sent: a full list is out after 160 s.
const PAUSE: Duration = Duration::from_secs(5);

/// Artifacts of a look at the store's list, which is locked meanwhile.
const PAGE: usize = 1_000;

/// Where records go.
pub trait Records: Send + Sync {
    /// Whether there is anybody to take one.
    fn is_reachable(&self) -> bool;

    /// Tells that this node has what the key is of, from now on.
    fn start(&self, key: Key);

    /// Tells it no longer.
    fn stop(&self, key: Key);
}

impl Records for Arc<dyn NetworkService> {
    fn is_reachable(&self) -> bool {
        self.sync_num_connected() > 0
    }

    fn start(&self, key: Key) {
        self.start_providing(key);
    }

    fn stop(&self, key: Key) {
        self.stop_providing(key);
    }
}

/// The key of an artifact's records. It is not the root, so that no other use of the DHT has the same.
pub fn record_key(root: &Root) -> Key {
    let key = blake3::derive_key("labora 2026-11-30 artifacts: key of provider records", root);
    Key::new(&key)
}

/// Announces what the store holds, and follows its changes, until the task is dropped.
///
/// Numbers, as of sc-network 0.60 with libp2p: a record goes to the 20 peers that are closest to its key; it lasts 10 hours there and is
/// sent again every 3.5 by libp2p itself, as long as this node does not take it back. Taking it back is local: others keep theirs until
/// it expires, so who is named may no longer have it. Of one key at most 20 providers are kept, of a node's store 10,000 keys, its own
/// included.
///
/// Such nodes keep only their *own* records, though: the SDK asks libp2p to have records of others confirmed, and confirms none of
/// providers. So a search finds a provider that is itself among the 20 closest to the key: all of them on a network of up to 20
/// nodes, and fewer the larger it is. It costs little and finds more once that is mended; until then the peers that are connected are
/// what counts, and they are asked first.
pub async fn announce(store: Store, records: impl Records) {
    announce_every(PAUSE, store, records).await;
}

async fn announce_every(pause: Duration, store: Store, records: impl Records) {
    let mut changes = store.changes();
    let mut announced = BTreeSet::new();
    loop {
        sleep(pause).await;
        if !records.is_reachable() {
            // A record would reach nobody, and not be sent again for hours.
            continue;
        }
        changes.mark_unchanged();
        let wanted = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || wanted(&store, MAX_ANNOUNCED)).await
        };
        let Ok(wanted) = wanted else {
            continue;
        };
        let is_behind = step(&mut announced, &wanted, &records);
        if !is_behind && changes.changed().await.is_err() {
            return;
        }
    }
}

/// Takes back what is gone, and announces some of what is new; whether more of it is left.
fn step(announced: &mut BTreeSet<Root>, wanted: &BTreeSet<Root>, records: &impl Records) -> bool {
    announced.retain(|root| {
        let is_wanted = wanted.contains(root);
        if !is_wanted {
            records.stop(record_key(root));
        }
        is_wanted
    });
    let new: Vec<Root> = wanted.difference(announced).copied().collect();
    for root in new.iter().take(AT_ONCE) {
        records.start(record_key(root));
        announced.insert(*root);
    }
    new.len() > AT_ONCE
}

/// What should be announced: so many at most.
fn wanted(store: &Store, most: usize) -> BTreeSet<Root> {
    let mut first: Vec<Info> = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(after, PAGE);
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.root);
        first.extend(page);
        first.sort_by_key(|info| std::cmp::Reverse((info.is_pinned, info.used, info.root)));
        first.truncate(most);
    }
    first.into_iter().map(|info| info.root).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::*;
    use crate::{Holder, Limits};

    const PACE: Duration = Duration::from_millis(1);

    #[derive(Clone, Default)]
    struct Noted {
        provided: Arc<Mutex<BTreeSet<Vec<u8>>>>,
        is_alone: Arc<AtomicBool>,
        looks: Arc<AtomicUsize>,
    }

    impl Records for Noted {
        fn is_reachable(&self) -> bool {
            self.looks.fetch_add(1, Ordering::Relaxed);
            !self.is_alone.load(Ordering::Relaxed)
        }

        fn start(&self, key: Key) {
            assert!(self.provided.lock().insert(key.to_vec()), "twice");
        }

        fn stop(&self, key: Key) {
            assert!(self.provided.lock().remove(&key.to_vec()), "it was not");
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            bytes: 1 << 24,
            artifacts: 10_000,
        };
        let store = Store::open(folder.path(), limits).expect("an empty folder");
        (folder, store)
    }

    fn put(store: &Store, number: u32) -> Root {
        let bytes = number.to_le_bytes();
        store.put(&bytes[..], 4, None).expect("there is room")
    }

    /// Waits until just these are announced.
    async fn assert_comes_to(records: &Noted, roots: &[Root]) {
        let keys: BTreeSet<_> = roots.iter().map(|root| record_key(root).to_vec()).collect();
        let has_come = async {
            while *records.provided.lock() != keys {
                sleep(PACE).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), has_come).await;
        assert!(waited.is_ok(), "{:?}", records.provided.lock());
    }

    #[tokio::test]
    async fn what_is_stored_is_announced_and_what_is_removed_is_taken_back() {
        let (_folder, store) = store();
        let records = Noted::default();
        let first = put(&store, 1);
        let task = tokio::spawn(announce_every(PACE, store.clone(), records.clone()));
        assert_comes_to(&records, &[first]).await;
        let second = put(&store, 2);
        assert_comes_to(&records, &[first, second]).await;
        store.remove(&first).expect("it is there");
        assert_comes_to(&records, &[second]).await;
        task.abort();
    }

    #[tokio::test]
    async fn who_has_no_peer_announces_nothing_until_one_comes() {
        let (_folder, store) = store();
        let records = Noted::default();
        records.is_alone.store(true, Ordering::Relaxed);
        let root = put(&store, 1);
        let task = tokio::spawn(announce_every(PACE, store, records.clone()));
        while records.looks.load(Ordering::Relaxed) < 3 {
            sleep(PACE).await;
        }
        assert!(records.provided.lock().is_empty());
        records.is_alone.store(false, Ordering::Relaxed);
        assert_comes_to(&records, &[root]).await;
        task.abort();
    }

    #[test]
    fn where_there_are_too_many_those_that_are_pinned_come_before_those_that_were_used_last() {
        let (_folder, store) = store();
        let all: Vec<Root> = (0..5).map(|number| put(&store, number)).collect();
        store
            .hold(&all[0], &Holder::default())
            .expect("it is there");
        let wanted = wanted(&store, 3);
        assert_eq!(wanted, [all[0], all[3], all[4]].into());
    }

    #[test]
    fn a_few_are_announced_at_a_time() {
        let wanted: BTreeSet<Root> = (0..200).map(|number| [number; 32]).collect();
        let (records, mut announced) = (Noted::default(), BTreeSet::new());
        let mut steps = 1;
        while step(&mut announced, &wanted, &records) {
            steps += 1;
            assert!(records.provided.lock().len() < steps * AT_ONCE);
        }
        assert_eq!(steps, 200usize.div_ceil(AT_ONCE));
        assert_eq!(announced, wanted);
    }

    #[test]
    fn keys_differ_from_roots_and_from_each_other() {
        assert_ne!(record_key(&[1; 32]).to_vec(), [1; 32]);
        assert_ne!(record_key(&[1; 32]), record_key(&[2; 32]));
    }
}
