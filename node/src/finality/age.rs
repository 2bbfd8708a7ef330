//! What is said of how old finality is: at a start after a long time away, and while it lags for days.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use labora_consensus_api::{author_and_time, split_seal};
use pallet_eras::Terms;
use parity_scale_codec::Decode;
use sc_client_api::StorageProvider;
use sp_blockchain::HeaderBackend;
use sp_core::storage::StorageKey;

use crate::service::{FullClient, Hash};

/// How often it is looked how far finality lags.
const LOOK_EVERY: Duration = Duration::from_secs(1_800);

/// A lag that is said in the log.
const LONG: Duration = Duration::from_secs(86_400);

/// When a block was mined, by its author's clock; none for genesis.
fn mined_at(client: &FullClient, block: Hash) -> Option<Duration> {
    let header = client.header(block).ok()??;
    let (unsealed, _) = split_seal(header).ok()?;
    let stated = author_and_time(&unsealed.digest).ok()?;
    Some(Duration::from_millis(stated.timestamp_ms))
}

/// For how long a node can be away, as the state of a block has it.
fn weak_subjectivity(client: &FullClient, block: Hash, block_time: Duration) -> Option<Duration> {
    let key = frame_support::storage::storage_prefix(b"Eras", b"CurrentTerms");
    let terms = client.storage(block, &StorageKey(key.to_vec())).ok()??;
    let terms = Terms::decode(&mut &terms.0[..]).ok()?;
    block_time.checked_mul(terms.weak_subjectivity_blocks)
}

fn in_days(time: Duration) -> String {
    format!("{:.1} days", time.as_secs_f64() / 86_400.0)
}

/// What is to be said of a node whose last final block is so old, at its start; nothing, if it was away for less than it can be.
fn said_at_start(age: Duration, allowed: Duration, has_checkpoint: bool) -> Option<String> {
    (age > allowed && !has_checkpoint).then(|| {
        format!(
            "The last block that is final here is {} old, and bonds last for less than this node was away: validators that have left since \
             could show it another history. Ask somebody whom you trust for a recent final block, and start with --checkpoint NUMBER:HASH",
            in_days(age)
        )
    })
}

/// Warns of a database that is older than bonds last. `block_time` is the time between blocks that the chain aims at.
pub(super) fn warn_of_age(client: &FullClient, block_time: Duration, has_checkpoint: bool) {
    let last = client.info().finalized_hash;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let age = mined_at(client, last).map(|mined| now.saturating_sub(mined));
    let allowed = weak_subjectivity(client, last, block_time);
    if let (Some(age), Some(allowed)) = (age, allowed)
        && let Some(words) = said_at_start(age, allowed, has_checkpoint)
    {
        tracing::warn!(target: "labora", "{words}");
    }
}

/// What is to be said of finality that lags.
fn said_of_lag(blocks: u32, lag: Duration) -> Option<String> {
    (lag >= LONG).then(|| {
        format!(
            "Finality lags by {blocks} blocks, {}: a third of the stake or more does not vote. Mining goes on; see 'Finality stalls' in \
             docs/runbook.md",
            in_days(lag)
        )
    })
}

/// Says in the log, every half hour, that finality lags by more than a day, for as long as it does.
pub(super) async fn watch(client: Arc<FullClient>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let chain = client.info();
        let times = (
            mined_at(&client, chain.best_hash),
            mined_at(&client, chain.finalized_hash),
        );
        if let (Some(best), Some(last)) = times {
            let blocks = chain.best_number.saturating_sub(chain.finalized_number);
            if let Some(words) = said_of_lag(blocks, best.saturating_sub(last)) {
                tracing::warn!(target: "labora", "{words}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_node_that_was_away_for_longer_than_bonds_last_is_told_what_to_do() {
        let words = said_at_start(15 * DAY, 14 * DAY, false).expect("it is too long");
        assert!(
            words.contains("15.0 days old") && words.contains("--checkpoint"),
            "{words}"
        );
        assert_eq!(said_at_start(15 * DAY, 14 * DAY, true), None);
        assert_eq!(said_at_start(13 * DAY, 14 * DAY, false), None);
    }

    #[test]
    fn a_lag_of_a_day_is_said() {
        assert_eq!(said_of_lag(7_199, DAY - Duration::from_secs(1)), None);
        let words = said_of_lag(7_200, DAY).expect("it is long");
        assert!(words.contains("7200 blocks, 1.0 days"), "{words}");
    }
}
