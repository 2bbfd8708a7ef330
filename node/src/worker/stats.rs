//! What a worker has done: counters since its start, and rates over the last ten and sixty seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use parking_lot::Mutex;
use serde::Serialize;

use super::{
    figures::{DeviceStats, Figures},
    queue::{MAX_QUEUED_REQUESTS, Observed, Purpose},
};

/// Seconds of the longer rate.
const LONG_WINDOW_S: u64 = 60;
/// Seconds of the shorter rate.
const SHORT_WINDOW_S: u64 = 10;

/// Multiply-accumulates per second over a window that ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// For products that were asked for, padding included.
    pub useful: f64,
    /// For filler.
    pub filler: f64,
}

/// Figures of a worker since its start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerStats {
    /// What each device is.
    pub devices: Vec<String>,
    /// What each device has done and how it fares, in the same order.
    pub per_device: Vec<DeviceStats>,
    /// Whether there is a template to mine on and a device that does.
    pub is_mining: bool,
    /// Products answered.
    pub products: u64,
    /// Products that failed on a device.
    pub failed: u64,
    /// Multiply-accumulates for products, padding included.
    pub macs_useful: u64,
    /// Multiply-accumulates for filler.
    pub macs_filler: u64,
    /// Those of both that took part in mining.
    pub macs_mined: u64,
    /// Over the last ten seconds.
    pub macs_per_s_10s: Rates,
    /// Over the last sixty seconds.
    pub macs_per_s_60s: Rates,
    /// Blocks mined on products that were asked for.
    pub blocks_useful: u64,
    /// Blocks mined on filler.
    pub blocks_filler: u64,
    /// Winning tiles for a block that another had settled.
    pub seals_too_late: u64,
    /// Winning tiles that reached no node, of a miner.
    pub seals_dropped: u64,
    /// Seals that the engine refused.
    pub seals_refused: u64,
    /// Products that wait.
    pub queue_length: usize,
    /// Products that may wait.
    pub queue_capacity: usize,
    /// Seconds since the start.
    pub uptime_s: u64,
}

pub(super) struct Stats {
    started: Instant,
    devices: Vec<Figures>,
    products: AtomicU64,
    failed: AtomicU64,
    macs_useful: AtomicU64,
    macs_filler: AtomicU64,
    macs_mined: AtomicU64,
    blocks_useful: AtomicU64,
    blocks_filler: AtomicU64,
    seals_too_late: AtomicU64,
    seals_dropped: AtomicU64,
    seals_refused: AtomicU64,
    seconds: Mutex<Seconds>,
}

/// Multiply-accumulates of each of the last seconds, in a ring.
struct Seconds {
    newest: u64,
    useful: [u64; LONG_WINDOW_S as usize],
    filler: [u64; LONG_WINDOW_S as usize],
}

impl Stats {
    pub fn new(devices: Vec<Figures>) -> Self {
        Self {
            started: Instant::now(),
            devices,
            products: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            macs_useful: AtomicU64::new(0),
            macs_filler: AtomicU64::new(0),
            macs_mined: AtomicU64::new(0),
            blocks_useful: AtomicU64::new(0),
            blocks_filler: AtomicU64::new(0),
            seals_too_late: AtomicU64::new(0),
            seals_dropped: AtomicU64::new(0),
            seals_refused: AtomicU64::new(0),
            seconds: Mutex::new(Seconds {
                newest: 0,
                useful: [0; LONG_WINDOW_S as usize],
                filler: [0; LONG_WINDOW_S as usize],
            }),
        }
    }

    /// What each device has done.
    pub fn devices(&self) -> &[Figures] {
        &self.devices
    }

    /// A device did this many multiply-accumulates.
    pub fn macs(&self, device: usize, purpose: Purpose, macs: u64, mined: bool) {
        if let Some(figures) = self.devices.get(device) {
            figures.macs(purpose, macs, mined);
        }
        let mut seconds = self.seconds.lock();
        let slot = seconds.advance(self.started.elapsed().as_secs());
        match purpose {
            Purpose::Request => {
                seconds.useful[slot] += macs;
                self.macs_useful.fetch_add(macs, Relaxed);
            }
            Purpose::Filler => {
                seconds.filler[slot] += macs;
                self.macs_filler.fetch_add(macs, Relaxed);
            }
        }
        if mined {
            self.macs_mined.fetch_add(macs, Relaxed);
        }
    }

    pub fn product(&self) {
        self.products.fetch_add(1, Relaxed);
    }

    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub fn block(&self, purpose: Purpose) {
        match purpose {
            Purpose::Request => self.blocks_useful.fetch_add(1, Relaxed),
            Purpose::Filler => self.blocks_filler.fetch_add(1, Relaxed),
        };
    }

    pub fn too_late(&self) {
        self.seals_too_late.fetch_add(1, Relaxed);
    }

    pub fn dropped(&self) {
        self.seals_dropped.fetch_add(1, Relaxed);
    }

    pub fn refused(&self) {
        self.seals_refused.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self, queue: Observed) -> WorkerStats {
        let uptime_s = self.started.elapsed().as_secs();
        let (short, long) = {
            let mut seconds = self.seconds.lock();
            seconds.advance(uptime_s);
            (seconds.rates(SHORT_WINDOW_S), seconds.rates(LONG_WINDOW_S))
        };
        WorkerStats {
            devices: self
                .devices
                .iter()
                .map(|device| device.name().to_owned())
                .collect(),
            per_device: self
                .devices
                .iter()
                .zip(&queue.held)
                .map(|(device, held)| device.snapshot(*held))
                .collect(),
            is_mining: queue.is_mining,
            products: self.products.load(Relaxed),
            failed: self.failed.load(Relaxed),
            macs_useful: self.macs_useful.load(Relaxed),
            macs_filler: self.macs_filler.load(Relaxed),
            macs_mined: self.macs_mined.load(Relaxed),
            macs_per_s_10s: short,
            macs_per_s_60s: long,
            blocks_useful: self.blocks_useful.load(Relaxed),
            blocks_filler: self.blocks_filler.load(Relaxed),
            seals_too_late: self.seals_too_late.load(Relaxed),
            seals_dropped: self.seals_dropped.load(Relaxed),
            seals_refused: self.seals_refused.load(Relaxed),
            queue_length: queue.length,
            queue_capacity: MAX_QUEUED_REQUESTS,
            uptime_s,
        }
    }
}

impl Seconds {
    /// Empties the slots of the seconds that passed, and gives that of `now` (seconds since the start).
    fn advance(&mut self, now: u64) -> usize {
        let passed = now.saturating_sub(self.newest).min(LONG_WINDOW_S);
        for back in 0..passed {
            let slot = ((now - back) % LONG_WINDOW_S) as usize;
            self.useful[slot] = 0;
            self.filler[slot] = 0;
        }
        self.newest = self.newest.max(now);
        (self.newest % LONG_WINDOW_S) as usize
    }

    /// Over the whole seconds before this one: `window` of them, less what the ring or the time since start lack.
    fn rates(&self, window: u64) -> Rates {
        let whole = window.min(LONG_WINDOW_S - 1).min(self.newest);
        if whole == 0 {
            return Rates::default();
        }
        let over = |ring: &[u64]| {
            let slot = |back| ((self.newest - back) % LONG_WINDOW_S) as usize;
            (1..=whole).map(|back| ring[slot(back)]).sum::<u64>() as f64 / whole as f64
        };
        Rates {
            useful: over(&self.useful),
            filler: over(&self.filler),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Seconds {
        Seconds {
            newest: 0,
            useful: [0; 60],
            filler: [0; 60],
        }
    }

    #[test]
    fn a_rate_is_the_mean_over_whole_seconds_of_its_window() {
        let mut seconds = ring();
        for second in 0..20 {
            let slot = seconds.advance(second);
            seconds.useful[slot] += second;
            seconds.filler[slot] += 1;
        }
        // Seconds 9 to 18: second 19 is not over yet.
        assert_eq!(
            seconds.rates(10),
            Rates {
                useful: 13.5,
                filler: 1.0
            }
        );
        assert_eq!(
            seconds.rates(60),
            Rates {
                useful: 9.0,
                filler: 1.0
            }
        );
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut seconds = ring();
        let slot = seconds.advance(5);
        seconds.useful[slot] += 1_000;
        seconds.advance(70);
        assert_eq!(seconds.rates(60), Rates::default());
        seconds.advance(1_000_000);
        assert_eq!(seconds.rates(60), Rates::default());
    }
}
