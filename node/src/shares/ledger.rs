//! Shares by rig: how many, worth how much, what was refused, and the rate of the last ten minutes.
//!
//! A rig is entered with its first accepted share, which has cost work: names alone fill nothing. Past [`MAX_RIGS`] the one
//! that was silent longest leaves the list, and its shares stay in the total.

use std::time::Instant;

use parking_lot::Mutex;
use schnellru::{ByLength, LruMap};

use super::RigName;

/// Rigs listed: a kilobyte each, so 4 MB.
pub const MAX_RIGS: u32 = 4096;

/// Seconds of one slot of the rate.
const SLOT_S: u64 = 10;
/// Slots of the rate: ten minutes.
const SLOTS: usize = 60;

/// Why a share was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// No seal, no proof, or one that breaks a rule.
    Malformed,
    /// Proved, but worth less than a share.
    Weak,
    /// For a template that is no longer mined on.
    Stale,
    /// Counted before.
    Duplicate,
    /// The node had too much to verify, or had verified too much in vain.
    Busy,
}

/// Refused shares, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rejected {
    /// No seal, no proof, or one that breaks a rule.
    pub malformed: u64,
    /// Proved, but worth less than a share.
    pub weak: u64,
    /// For a template that is no longer mined on.
    pub stale: u64,
    /// Counted before.
    pub duplicate: u64,
    /// The node had too much to verify, or had verified too much in vain.
    pub busy: u64,
}

impl Rejected {
    fn add(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Malformed => &mut self.malformed,
            Reason::Weak => &mut self.weak,
            Reason::Stale => &mut self.stale,
            Reason::Duplicate => &mut self.duplicate,
            Reason::Busy => &mut self.busy,
        };
        *count = count.saturating_add(1);
    }
}

/// Accepted shares.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// How many.
    pub shares: u64,
    /// What they were worth, in multiply-accumulates.
    pub macs: u128,
    /// How many of them won a block.
    pub blocks: u64,
}

/// One rig.
#[derive(Clone, Debug, PartialEq)]
pub struct RigReport {
    /// Its name.
    pub rig: RigName,
    /// What was accepted.
    pub accepted: Figures,
    /// What was refused.
    pub rejected: Rejected,
    /// Multiply-accumulates per second over the last ten minutes, or since its first share.
    pub macs_per_s: f64,
    /// Seconds since its last share, accepted or refused.
    pub seen_s_ago: u64,
}

/// All rigs.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was accepted since the node's start, of rigs that left the list too.
    pub total: Figures,
    /// What was refused of rigs that have no accepted share.
    pub strangers: Rejected,
    /// By name.
    pub rigs: Vec<RigReport>,
}

/// Counts shares since the node's start.
pub struct Ledger {
    started: Instant,
    books: Mutex<Books>,
}

struct Books {
    rigs: LruMap<RigName, Rig>,
    total: Figures,
    strangers: Rejected,
}

struct Rig {
    accepted: Figures,
    rejected: Rejected,
    recent: Recent,
    seen_s: u64,
}

impl Ledger {
    /// Empty.
    pub fn new() -> Self {
        Ledger {
            started: Instant::now(),
            books: Mutex::new(Books::new(MAX_RIGS)),
        }
    }

    /// A share was accepted.
    pub fn accept(&self, rig: &RigName, macs: u128) {
        let now_s = self.started.elapsed().as_secs();
        self.books.lock().accept(rig, macs, now_s);
    }

    /// A share that was accepted has won a block.
    pub fn block(&self, rig: &RigName) {
        self.books.lock().block(rig);
    }

    /// A share was refused.
    pub fn reject(&self, rig: &RigName, reason: Reason) {
        let now_s = self.started.elapsed().as_secs();
        self.books.lock().reject(rig, reason, now_s);
    }

    /// Figures of this moment.
    pub fn report(&self) -> Report {
        let now_s = self.started.elapsed().as_secs();
        self.books.lock().report(now_s)
    }
}

impl Books {
    fn new(max_rigs: u32) -> Self {
        Books {
            rigs: LruMap::new(ByLength::new(max_rigs)),
            total: Figures::default(),
            strangers: Rejected::default(),
        }
    }

    fn accept(&mut self, name: &RigName, macs: u128, now_s: u64) {
        self.total.count(macs);
        if self.rigs.peek(name).is_none() {
            self.rigs.insert(name.clone(), Rig::new(now_s));
        }
        if let Some(rig) = self.rigs.get(name) {
            rig.accepted.count(macs);
            rig.recent.add(macs, now_s);
            rig.seen_s = now_s;
        }
    }

    fn block(&mut self, name: &RigName) {
        self.total.blocks = self.total.blocks.saturating_add(1);
        if let Some(rig) = self.rigs.get(name) {
            rig.accepted.blocks = rig.accepted.blocks.saturating_add(1);
        }
    }

    fn reject(&mut self, name: &RigName, reason: Reason, now_s: u64) {
        // Does not move it to the front: refusals cost nothing, so they keep nobody on the list.
        match self.rigs.peek_mut(name) {
            Some(rig) => {
                rig.rejected.add(reason);
                rig.seen_s = now_s;
            }
            None => self.strangers.add(reason),
        }
    }

    fn report(&self, now_s: u64) -> Report {
        let mut rigs: Vec<RigReport> = self
            .rigs
            .iter()
            .map(|(name, rig)| RigReport {
                rig: name.clone(),
                accepted: rig.accepted,
                rejected: rig.rejected,
                macs_per_s: rig.recent.rate(now_s),
                seen_s_ago: now_s.saturating_sub(rig.seen_s),
            })
            .collect();
        rigs.sort_unstable_by(|one, other| one.rig.cmp(&other.rig));
        Report {
            total: self.total,
            strangers: self.strangers,
            rigs,
        }
    }
}

impl Figures {
    fn count(&mut self, macs: u128) {
        self.shares = self.shares.saturating_add(1);
        self.macs = self.macs.saturating_add(macs);
    }
}

impl Rig {
    fn new(now_s: u64) -> Self {
        Rig {
            accepted: Figures::default(),
            rejected: Rejected::default(),
            recent: Recent::new(now_s),
            seen_s: now_s,
        }
    }
}

/// Multiply-accumulates of each of the last slots, in a ring.
struct Recent {
    since_s: u64,
    newest: u64,
    slots: [u128; SLOTS],
}

impl Recent {
    fn new(now_s: u64) -> Self {
        Recent {
            since_s: now_s,
            newest: now_s / SLOT_S,
            slots: [0; SLOTS],
        }
    }

    fn add(&mut self, macs: u128, now_s: u64) {
        let now = (now_s / SLOT_S).max(self.newest);
        let passed = (now - self.newest).min(SLOTS as u64);
        for back in 0..passed {
            self.slots[index(now - back)] = 0;
        }
        self.newest = now;
        let slot = &mut self.slots[index(now)];
        *slot = slot.saturating_add(macs);
    }

    /// Over the slots that are left of the last ten minutes, the present one with what it has so far.
    fn rate(&self, now_s: u64) -> f64 {
        let now = (now_s / SLOT_S).max(self.newest);
        let oldest = now.saturating_sub(SLOTS as u64 - 1);
        let sum: u128 = (oldest..=self.newest)
            .rev()
            .take(SLOTS)
            .map(|slot| self.slots[index(slot)])
            .sum();
        let begun_s = (oldest * SLOT_S).max(self.since_s);
        // A first share stands for work done before it, of which the shortest rate takes one slot's time.
        let seconds = now_s.saturating_sub(begun_s).max(SLOT_S);
        sum as f64 / seconds as f64
    }
}

fn index(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig(name: &str) -> RigName {
        RigName::new(name).expect("a good name")
    }

    #[test]
    fn shares_of_all_rigs_add_up_to_the_total() {
        let mut books = Books::new(8);
        for at in 0..10 {
            books.accept(&rig("a"), 5, at);
        }
        books.accept(&rig("b"), 7, 3);
        books.block(&rig("b"));
        let report = books.report(12);
        let [a, b] = &report.rigs[..] else {
            panic!("two rigs: {report:?}");
        };
        assert_eq!((a.accepted.shares, a.accepted.macs), (10, 50));
        assert_eq!((b.accepted.shares, b.accepted.blocks), (1, 1));
        assert_eq!((a.seen_s_ago, b.seen_s_ago), (3, 9));
        assert_eq!(
            report.total,
            Figures {
                shares: 11,
                macs: 57,
                blocks: 1
            }
        );
    }

    #[test]
    fn refusals_are_kept_by_reason_and_enter_nobody() {
        let mut books = Books::new(8);
        books.reject(&rig("new"), Reason::Weak, 1);
        books.accept(&rig("a"), 5, 1);
        for reason in [
            Reason::Malformed,
            Reason::Weak,
            Reason::Stale,
            Reason::Stale,
            Reason::Duplicate,
            Reason::Busy,
        ] {
            books.reject(&rig("a"), reason, 2);
        }
        let report = books.report(2);
        assert_eq!(report.strangers.weak, 1);
        assert_eq!(report.rigs.len(), 1);
        assert_eq!(
            report.rigs[0].rejected,
            Rejected {
                malformed: 1,
                weak: 1,
                stale: 2,
                duplicate: 1,
                busy: 1
            }
        );
    }

    #[test]
    fn past_the_bound_the_rig_that_found_nothing_for_longest_leaves_and_its_shares_stay_in_the_total()
     {
        let mut books = Books::new(2);
        books.accept(&rig("a"), 1, 1);
        books.accept(&rig("b"), 1, 2);
        books.accept(&rig("a"), 1, 3);
        books.reject(&rig("b"), Reason::Stale, 4);
        books.accept(&rig("c"), 1, 5);
        let report = books.report(6);
        let names: Vec<&str> = report.rigs.iter().map(|rig| rig.rig.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(report.total.shares, 4);
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_minutes() {
        let mut recent = Recent::new(0);
        // A thousand a second for an hour, in shares of 5,000.
        for at in (0..3_600).step_by(5) {
            recent.add(5_000, at);
        }
        let rate = recent.rate(3_600);
        assert!((950.0..=1_050.0).contains(&rate), "{rate}");
        // Nothing since: the rate falls, and is nothing in the end.
        let later = recent.rate(3_900);
        assert!((450.0..=550.0).contains(&later), "{later}");
        assert_eq!(recent.rate(4_300), 0.0);
        recent.add(6_000, 100_000);
        assert_eq!(recent.rate(100_000), 6_000.0 / 590.0);
    }

    #[test]
    fn a_new_rig_has_a_rate_of_the_time_since_its_first_share() {
        let mut recent = Recent::new(1_000);
        recent.add(300, 1_000);
        assert_eq!(recent.rate(1_000), 30.0);
        recent.add(300, 1_060);
        assert_eq!(recent.rate(1_060), 10.0);
    }
}
