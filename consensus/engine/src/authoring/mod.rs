//! Authoring: templates for whoever mines, and blocks from what they find.
//!
//! The loop ([`start_authoring`]) owns the template: it builds a new one on a new best block at once, for new
//! transactions at most once a second, and every few seconds for the clock's sake. Miners watch
//! [`MiningHandle::templates`] and give seals and proofs to [`MiningHandle::submit`]; neither waits for the other. While
//! the node syncs, or has no peers on a chain that needs them, the template is `None`: stop mining.

mod build;
mod handle;
mod proposals;
mod schedule;

pub use handle::{MiningHandle, Share, SubmitError};

use std::{future::Future, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use sc_client_api::BlockchainEvents;
use sc_consensus::{BoxBlockImport, JustificationSyncLink};
use sp_consensus::{Environment, SyncOracle};
use sp_core::{H256, U256, crypto::AccountId32};
use sp_runtime::traits::Block as BlockT;
use tokio::time::{Instant, MissedTickBehavior};

use crate::engine::Engine;
use build::{BuildError, Builder};
use schedule::Schedule;

/// How often sync state and best block are looked at, beside the events that tell of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What miners mine on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// Hash of the header without its seal.
    pub pre_hash: H256,
    /// Multiply-accumulates that a block is expected to take.
    pub difficulty: U256,
    /// The block below.
    pub parent: H256,
    /// The block's number.
    pub number: u32,
}

/// Whether a node without peers mines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peers {
    /// Only with peers: alone it would build a branch that loses.
    Required,
    /// Also alone: the only miner of a development chain, or `--force-authoring`.
    NotRequired,
}

/// What the loop needs.
pub struct AuthoringParams<B: BlockT<Hash = H256>, C, E, T, S> {
    /// The client, for its import notifications.
    pub client: Arc<C>,
    /// The engine's shared state.
    pub engine: Arc<Engine<B>>,
    /// Where own blocks are imported: a clone of the node's one `PouwBlockImport`.
    pub block_import: BoxBlockImport<B>,
    /// Makes proposers, as `sc-basic-authorship` does.
    pub proposers: E,
    /// Yields whenever a transaction enters the pool; the pool's import notifications.
    pub transactions: T,
    /// The sync service.
    pub sync: S,
    /// Where justifications are asked for that an own block needs: the sync service again.
    pub justifications: Arc<dyn JustificationSyncLink<B>>,
    /// Who is paid.
    pub author: AccountId32,
    /// Whether to mine without peers.
    pub peers: Peers,
}

/// The authoring loop: a handle for miners, and the future that keeps its template fresh.
pub fn start_authoring<B, C, E, T, S>(
    params: AuthoringParams<B, C, E, T, S>,
) -> (MiningHandle<B>, impl Future<Output = ()> + Send)
where
    B: BlockT<Hash = H256>,
    C: BlockchainEvents<B> + Send + Sync + 'static,
    E: Environment<B> + Send + Sync + 'static,
    T: Stream + Send + Unpin + 'static,
    S: SyncOracle + Send + Sync + 'static,
{
    let AuthoringParams {
        client,
        engine,
        block_import,
        proposers,
        transactions,
        sync,
        justifications,
        author,
        peers,
    } = params;
    let handle = MiningHandle::new(engine.clone(), block_import, justifications);
    let imports = client.import_notification_stream();
    let builder = Builder {
        engine,
        proposers,
        author,
    };
    let run = run(
        handle.clone(),
        builder,
        imports,
        transactions.fuse(),
        sync,
        peers,
    );
    (handle, run)
}

async fn run<B, E, I, T, S>(
    handle: MiningHandle<B>,
    mut builder: Builder<B, E>,
    mut imports: I,
    mut transactions: futures::stream::Fuse<T>,
    sync: S,
    peers: Peers,
) where
    B: BlockT<Hash = H256>,
    E: Environment<B>,
    I: Stream + Unpin,
    T: Stream + Unpin,
    S: SyncOracle,
{
    let mut schedule = Schedule::new(Instant::now());
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut mining = false;
    loop {
        tokio::select! {
            import = imports.next() => if import.is_none() {
                handle.publish(None);
                return;
            },
            Some(_) = transactions.next() => schedule.transaction(),
            () = handle.rebuild_wanted() => schedule.at_once(Instant::now()),
            _ = look.tick() => {}
            () = tokio::time::sleep_until(schedule.due()), if mining => {}
        }
        match why_not(&sync, peers) {
            None if !mining => {
                mining = true;
                schedule.at_once(Instant::now());
            }
            None => {}
            Some(why) => {
                if mining {
                    tracing::info!(why, "Mining pauses");
                }
                mining = false;
                handle.stop();
                continue;
            }
        }
        if !handle.is_on_best() {
            schedule.at_once(Instant::now());
        }
        if Instant::now() < schedule.due() {
            continue;
        }
        match builder.build().await {
            Ok(proposal) => {
                handle.offer(proposal);
                schedule.built(Instant::now());
            }
            Err(error) => {
                schedule.failed(Instant::now());
                // What was mined on an older best block would come too late.
                if !handle.is_on_best() {
                    handle.stop();
                }
                report(&error, schedule.due());
            }
        }
    }
}

fn report(error: &BuildError, due: Instant) {
    let retry_ms = due.saturating_duration_since(Instant::now()).as_millis() as u64;
    tracing::warn!(%error, retry_ms, "No template could be built");
}

/// Why this node must not mine now, if so.
fn why_not(sync: &impl SyncOracle, peers: Peers) -> Option<&'static str> {
    if sync.is_major_syncing() {
        Some("the node is syncing")
    } else if peers == Peers::Required && sync.is_offline() {
        Some("the node has no peers; --force-authoring mines nevertheless")
    } else {
        None
    }
}

/// The loop over plain parts, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) struct Loop<B: BlockT<Hash = H256>, E, I, T, S> {
        pub(crate) engine: Arc<Engine<B>>,
        pub(crate) block_import: BoxBlockImport<B>,
        pub(crate) proposers: E,
        pub(crate) imports: I,
        pub(crate) transactions: T,
        pub(crate) sync: S,
        pub(crate) justifications: Arc<dyn JustificationSyncLink<B>>,
        pub(crate) author: AccountId32,
        pub(crate) peers: Peers,
    }

    pub(crate) fn spawn_loop<B, E, I, T, S>(parts: Loop<B, E, I, T, S>) -> MiningHandle<B>
    where
        B: BlockT<Hash = H256>,
        E: Environment<B> + Send + Sync + 'static,
        I: Stream + Unpin + Send + 'static,
        T: Stream + Unpin + Send + 'static,
        S: SyncOracle + Send + Sync + 'static,
    {
        let Loop {
            engine,
            block_import,
            proposers,
            imports,
            transactions,
            sync,
            justifications,
            author,
            peers,
        } = parts;
        let handle = MiningHandle::new(engine.clone(), block_import, justifications);
        let builder = Builder {
            engine,
            proposers,
            author,
        };
        tokio::spawn(run(
            handle.clone(),
            builder,
            imports,
            transactions.fuse(),
            sync,
            peers,
        ));
        handle
    }
}
