//! What becomes of a device's work when it fails or goes away.

use std::time::{Duration, Instant};

use labora_kernels::DeviceError;

use super::Feeder;
use crate::{gemm::Piece, worker::MultiplyError};

/// How long a device rests after filler failed on it, and after it was lost.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Whether the device is there.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Presence {
    Here,
    /// It failed by itself since it was last tried.
    JustLost,
    /// It is being tried again.
    Missed,
}

impl Feeder {
    /// After a loss: gives all that was begun to whichever device is free, and waits before the device is tried again.
    pub(super) fn sit_out(&mut self) {
        // What is in flight fails too, or was done before.
        while let Some(flight) = self.in_flight.pop_front() {
            self.settle(flight);
        }
        self.current = None;
        for (_, mut active) in self.active.drain() {
            if active.survives_loss() {
                self.queue.give_back(Box::new(active));
            } else {
                self.stats.failed();
                active.fail(MultiplyError::DevicesLost);
            }
        }
        self.presence = Presence::Missed;
        self.queue.missed(self.index);
        self.queue.wait_until(Instant::now() + REST_AFTER_FAILURE);
        // What it would fail at is left to those that stand by. One that does not know whether it is there tries.
        while self.queue.is_covered(self.index) && self.device.lost().is_some() {
            self.queue.wait_until(Instant::now() + REST_AFTER_FAILURE);
        }
    }

    /// Notes that the device went away, and says so the first time.
    fn is_lost(&mut self, error: &DeviceError) {
        if self.presence == Presence::Here {
            tracing::error!(target: "labora", device = %self.name, %error, "a device is lost; what it was doing goes to another, or waits for it");
            if let Some(figures) = self.stats.devices().get(self.index) {
                figures.lost();
            }
        }
        self.presence = Presence::JustLost;
    }

    pub(super) fn is_here(&mut self) {
        if self.presence == Presence::Missed {
            tracing::info!(target: "labora", device = %self.name, "the device is back");
            self.presence = Presence::Here;
            self.queue.is_back(self.index);
        }
    }

    pub(super) fn filler_failed(&mut self, error: &DeviceError) {
        if error.is_loss() {
            return self.is_lost(error);
        }
        tracing::warn!(target: "labora", device = %self.name, %error, "filler failed; resting for a moment");
        self.queue.rest_until(Instant::now() + REST_AFTER_FAILURE);
    }

    pub(super) fn piece_failed(&mut self, key: u64, piece: Piece, error: DeviceError) {
        match self.active.get_mut(&key) {
            Some(active) if error.is_loss() => {
                active.put_back(piece);
                self.is_lost(&error);
            }
            _ => self.give_up(key, error.into()),
        }
    }
}
