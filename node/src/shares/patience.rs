//! How much verification may be in vain. An accepted share has cost its rig far more than the node, so nothing limits
//! those; a refused one has cost its sender nothing, so each connection has a few of them, which grow back.
//!
//! Connections that have never had a share accepted draw on one allowance together: who connects anew for each share
//! (as over plain HTTP) gains nothing by it.

use std::time::Instant;

use jsonrpsee::core::server::ConnectionId;
use parking_lot::Mutex;
use schnellru::{ByLength, LruMap};

/// Refusals that a connection may cause at once, and how many grow back in a second.
const OWN: Allowance = Allowance {
    most: 32.0,
    per_s: 1.0,
};

/// The same for all connections together that have no accepted share: 16 ms of a core in each second.
const STRANGERS: Allowance = Allowance {
    most: 256.0,
    per_s: 16.0,
};

/// Connections remembered; an SDK node takes 100 unless told otherwise.
const MAX_CONNECTIONS: u32 = 1024;

#[derive(Clone, Copy)]
struct Allowance {
    most: f64,
    per_s: f64,
}

/// Keeps the accounts.
pub struct Patience {
    started: Instant,
    accounts: Mutex<Accounts>,
}

struct Accounts {
    own: LruMap<ConnectionId, Bucket>,
    strangers: Bucket,
}

struct Bucket {
    allowance: Allowance,
    left: f64,
    at_s: f64,
}

impl Patience {
    /// Nothing was refused yet.
    pub fn new() -> Self {
        Patience {
            started: Instant::now(),
            accounts: Mutex::new(Accounts {
                own: LruMap::new(ByLength::new(MAX_CONNECTIONS)),
                strangers: Bucket::full(STRANGERS, 0.0),
            }),
        }
    }

    /// Whether so much of this connection was verified in vain lately that nothing more is.
    pub fn is_exhausted(&self, connection: ConnectionId) -> bool {
        let now_s = self.now_s();
        self.accounts.lock().of(connection).is_empty(now_s)
    }

    /// A share was refused after work on it.
    pub fn in_vain(&self, connection: ConnectionId) {
        let now_s = self.now_s();
        self.accounts.lock().of(connection).draw(now_s);
    }

    /// A share was good: its connection is a stranger no longer.
    pub fn rewarded(&self, connection: ConnectionId) {
        let now_s = self.now_s();
        let own = &mut self.accounts.lock().own;
        if own.get(&connection).is_none() {
            own.insert(connection, Bucket::full(OWN, now_s));
        }
    }

    fn now_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Accounts {
    fn of(&mut self, connection: ConnectionId) -> &mut Bucket {
        match self.own.get(&connection) {
            Some(bucket) => bucket,
            None => &mut self.strangers,
        }
    }
}

impl Bucket {
    fn full(allowance: Allowance, now_s: f64) -> Self {
        Bucket {
            allowance,
            left: allowance.most,
            at_s: now_s,
        }
    }

    fn grow(&mut self, now_s: f64) {
        let grown = (now_s - self.at_s).max(0.0) * self.allowance.per_s;
        self.left = (self.left + grown).min(self.allowance.most);
        self.at_s = now_s;
    }

    fn is_empty(&mut self, now_s: f64) -> bool {
        self.grow(now_s);
        self.left < 1.0
    }

    /// Below zero where several were looked at together: that many more have to grow back.
    fn draw(&mut self, now_s: f64) {
        self.grow(now_s);
        self.left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn_until_empty(bucket: &mut Bucket, now_s: f64) -> usize {
        (0..)
            .take_while(|_| {
                let empty = bucket.is_empty(now_s);
                if !empty {
                    bucket.draw(now_s);
                }
                !empty
            })
            .count()
    }

    #[test]
    fn an_allowance_is_used_up_and_grows_back() {
        let mut bucket = Bucket::full(OWN, 0.0);
        assert_eq!(drawn_until_empty(&mut bucket, 0.0), 32);
        assert!(bucket.is_empty(0.9));
        assert_eq!(drawn_until_empty(&mut bucket, 2.5), 2);
        assert_eq!(drawn_until_empty(&mut bucket, 1_000.0), 32);
    }

    #[test]
    fn what_was_looked_at_together_has_to_grow_back_together() {
        let mut bucket = Bucket::full(OWN, 0.0);
        for _ in 0..64 {
            bucket.draw(0.0);
        }
        assert!(bucket.is_empty(32.0));
        assert!(!bucket.is_empty(34.0));
    }

    #[test]
    fn strangers_share_one_allowance_and_leave_the_others_alone() {
        let patience = Patience::new();
        let known = ConnectionId(7);
        patience.rewarded(known);
        // Each in vain, and each from a new connection: more than could grow back within a test.
        let refused = (100..100_000).map(ConnectionId).take_while(|stranger| {
            let exhausted = patience.is_exhausted(*stranger);
            if !exhausted {
                patience.in_vain(*stranger);
            }
            !exhausted
        });
        let refused = refused.count();
        assert!((256..10_000).contains(&refused), "{refused}");
        assert!(!patience.is_exhausted(known));
        for _ in 0..100 {
            patience.in_vain(known);
        }
        assert!(patience.is_exhausted(known));
    }
}
