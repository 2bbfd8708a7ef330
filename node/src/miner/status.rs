//! What a miner has done so far: counters, a line in the log every ten seconds, and a live line on a terminal.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::{table::rate, worker::WorkerHandle};

/// Between two lines in the log.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Between two looks of the live line.
const LIVE_EVERY: Duration = Duration::from_millis(500);

/// Counters since the start, and what is mined now.
#[derive(Default)]
pub(super) struct Tally {
    blocks: AtomicU64,
    shares: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
    dropped: AtomicU64,
    connections: AtomicU64,
    work: Mutex<Option<Work>>,
}

#[derive(Clone, Copy)]
struct Work {
    number: u32,
    since: Instant,
}

/// One more of something; the count with it.
fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Relaxed) + 1
}

impl Tally {
    /// A winning tile became a block.
    pub(super) fn block(&self) {
        count(&self.blocks);
    }

    /// A tile was counted as a share.
    pub(super) fn share(&self) {
        count(&self.shares);
    }

    /// A node refused a tile for another reason than being late.
    pub(super) fn refused(&self) {
        count(&self.refused);
    }

    /// A tile came when its work was no longer mined.
    pub(super) fn late(&self) {
        count(&self.late);
    }

    /// A tile could not be sent; how many there were.
    pub(super) fn dropped(&self) -> u64 {
        count(&self.dropped)
    }

    /// How many times a node was connected.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// A node was connected; how many times that was before.
    pub(super) fn connected(&self) -> u64 {
        count(&self.connections) - 1
    }

    /// What is mined from now on: the number of the block.
    pub(super) fn set_work(&self, number: Option<u32>) {
        let since = Instant::now();
        *self.work.lock() = number.map(|number| Work { number, since });
    }

    /// In words, with the rate of the devices.
    fn line(&self, macs_per_s: f64) -> String {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let work = match *self.work.lock() {
            Some(Work { number, since }) => {
                format!(
                    "block {number}, work {:.1} s old",
                    since.elapsed().as_secs_f64()
                )
            }
            None => "no work".to_owned(),
        };
        format!(
            "{work} · {} · blocks {}, refused {} · shares {} · late {}, dropped {} · reconnects {}",
            rate(macs_per_s),
            get(&self.blocks),
            get(&self.refused),
            get(&self.shares),
            get(&self.late),
            get(&self.dropped),
            get(&self.connections).saturating_sub(1),
        )
    }

    #[cfg(test)]
    pub(super) fn figures(&self) -> [u64; 5] {
        [
            &self.blocks,
            &self.shares,
            &self.refused,
            &self.late,
            &self.dropped,
        ]
        .map(|counter| counter.load(Relaxed))
    }
}

/// Logs the figures of this moment.
pub(super) fn log(tally: &Tally, worker: &WorkerHandle) {
    tracing::info!(target: "labora", "{}", line(tally, worker));
}

fn line(tally: &Tally, worker: &WorkerHandle) -> String {
    let rates = worker.stats().macs_per_s_10s;
    tally.line(rates.useful + rates.filler)
}

/// Reports for ever.
pub(super) async fn report(tally: &Tally, worker: &WorkerHandle, live: &Live) {
    let start = tokio::time::Instant::now();
    let mut looks = tokio::time::interval_at(start + LIVE_EVERY, LIVE_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_line = start + LINE_EVERY;
    loop {
        let now = looks.tick().await;
        if now >= next_line {
            log(tally, worker);
            next_line = now + LINE_EVERY;
        }
        if live.is_seen() {
            live.show(line(tally, worker));
        }
    }
}

/// A line at the foot of a terminal; nothing where standard error is none.
#[derive(Clone)]
pub(super) struct Live(ProgressBar);

impl Live {
    /// Empty.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Live(bar.with_style(message_only()))
    }

    fn is_seen(&self) -> bool {
        !self.0.is_hidden()
    }

    fn show(&self, line: String) {
        self.0.set_message(line);
    }

    /// Takes the line away while something else is written.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the line away for good.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// The message alone, cut at the terminal's edge.
fn message_only() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_everything_that_was_counted() {
        let tally = Tally::default();
        assert!(
            tally
                .line(0.0)
                .starts_with("no work · 0.0 MMAC/s · blocks 0")
        );
        tally.set_work(Some(7));
        tally.block();
        tally.share();
        tally.share();
        tally.refused();
        tally.late();
        assert_eq!(tally.dropped(), 1);
        assert_eq!((tally.connected(), tally.connected()), (0, 1));
        assert_eq!(
            tally.line(2e9),
            "block 7, work 0.0 s old · 2.0 GMAC/s · blocks 1, refused 1 · shares 2 · late 1, dropped 1 · reconnects 1"
        );
    }
}
