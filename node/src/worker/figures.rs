//! What each device has done, and the handle by which it is held back from filler.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use serde::Serialize;

use super::{
    queue::{Purpose, Queue},
    stats::Stats,
};
use crate::{devices::Place, rig::Reading};

/// Why a device does no filler. Products that somebody asked for are computed all the same, but by one that stands by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It draws more power than it may.
    Power,
    /// It is hotter than it may be.
    Temperature,
    /// Another program uses it.
    InUse,
    /// A limit was set on what cannot be read.
    Unreadable,
    /// It stands by, for products too, while any other device is there.
    Standby,
}

impl Hold {
    /// Every reason.
    pub const ALL: [Hold; 5] = [
        Hold::Power,
        Hold::Temperature,
        Hold::InUse,
        Hold::Unreadable,
        Hold::Standby,
    ];

    /// As metrics and RPC call it.
    pub fn name(self) -> &'static str {
        match self {
            Hold::Power => "power",
            Hold::Temperature => "temperature",
            Hold::InUse => "in_use",
            Hold::Unreadable => "unreadable",
            Hold::Standby => "standby",
        }
    }
}

/// Figures of one device since the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceStats {
    /// What `--devices` calls it: `cpu`, `cuda:0`.
    pub id: String,
    /// What it is.
    pub name: String,
    /// Multiply-accumulates for products, padding included.
    pub macs_useful: u64,
    /// Multiply-accumulates for filler.
    pub macs_filler: u64,
    /// Those of both that took part in mining.
    pub macs_mined: u64,
    /// How often it went away in the middle of its work.
    pub lost: u64,
    /// Why it does no filler at the moment, if so.
    pub held: Option<Hold>,
    /// What was last measured on it; `None` before the first time and while it cannot be.
    pub reading: Option<Reading>,
}

/// The counters behind [`DeviceStats`].
pub(super) struct Figures {
    place: Place,
    name: String,
    macs_useful: AtomicU64,
    macs_filler: AtomicU64,
    macs_mined: AtomicU64,
    lost: AtomicU64,
    reading: Mutex<Option<Reading>>,
}

impl Figures {
    pub fn new(place: Place, name: String) -> Self {
        Self {
            place,
            name,
            macs_useful: AtomicU64::new(0),
            macs_filler: AtomicU64::new(0),
            macs_mined: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            reading: Mutex::new(None),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn macs(&self, purpose: Purpose, macs: u64, mined: bool) {
        let counter = match purpose {
            Purpose::Request => &self.macs_useful,
            Purpose::Filler => &self.macs_filler,
        };
        counter.fetch_add(macs, Relaxed);
        if mined {
            self.macs_mined.fetch_add(macs, Relaxed);
        }
    }

    pub fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self, held: Option<Hold>) -> DeviceStats {
        DeviceStats {
            id: self.place.to_string(),
            name: self.name.clone(),
            macs_useful: self.macs_useful.load(Relaxed),
            macs_filler: self.macs_filler.load(Relaxed),
            macs_mined: self.macs_mined.load(Relaxed),
            lost: self.lost.load(Relaxed),
            held,
            reading: self.reading.lock().clone(),
        }
    }
}

/// One device of a worker, for what measures it and holds it back.
pub struct DeviceHandle {
    pub(super) queue: Arc<Queue>,
    pub(super) stats: Arc<Stats>,
    pub(super) index: usize,
}

impl DeviceHandle {
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.figures().place
    }

    /// Keeps it from filler for a reason, at once: what runs is cancelled. `None` lets it go on.
    pub fn hold(&self, reason: Option<Hold>) {
        self.queue.hold(self.index, reason);
    }

    /// Tells what was measured on it, for statistics.
    pub fn report(&self, reading: Option<Reading>) {
        *self.figures().reading.lock() = reading;
    }

    fn figures(&self) -> &Figures {
        // Made from the same list as the handle.
        &self.stats.devices()[self.index]
    }
}
