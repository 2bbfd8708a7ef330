//! When an era begins, as far as the clock of stake says: sessions end at multiples of their length, and an era has so many. Pure.

use sp_staking::{EraIndex, SessionIndex};

use crate::wallet::show::{count, time_of};

/// Where the clock of stake stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clock {
    /// Number of the best block.
    pub now: u32,
    /// Milliseconds between blocks that the chain aims at.
    pub block_ms: u64,
    /// The era that is rewarded now.
    pub era: EraIndex,
    /// The session in which it began.
    pub era_since: SessionIndex,
    /// The session.
    pub session: SessionIndex,
    /// Blocks of a session.
    pub session_blocks: u32,
    /// Sessions of an era.
    pub sessions_per_era: u32,
}

impl Clock {
    /// Blocks until an era begins; none if it has.
    pub(crate) fn blocks_until(&self, era: EraIndex) -> Option<u32> {
        let eras = era.checked_sub(self.era).filter(|eras| *eras > 0)?;
        let length = self.session_blocks.max(1);
        let of_session = length - self.now % length;
        let gone = self
            .session
            .saturating_sub(self.era_since)
            .saturating_add(1);
        let sessions = eras
            .saturating_mul(self.sessions_per_era)
            // An era that is late ends with its session.
            .saturating_sub(gone.min(self.sessions_per_era));
        Some(of_session.saturating_add(sessions.saturating_mul(length)))
    }

    /// The same in words.
    pub(crate) fn until(&self, era: EraIndex) -> String {
        match self.blocks_until(era) {
            None => "now".into(),
            Some(blocks) => format!(
                "in {}, about {}",
                count(blocks.into(), "block"),
                time_of(blocks, self.block_ms)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock {
        now: 125,
        block_ms: 12_000,
        era: 2,
        era_since: 6,
        session: 6,
        session_blocks: 20,
        sessions_per_era: 3,
    };

    #[test]
    fn an_era_begins_at_the_end_of_its_predecessors_last_session() {
        // 15 blocks of this session, and two sessions more.
        assert_eq!(CLOCK.blocks_until(3), Some(55));
        assert_eq!(CLOCK.blocks_until(4), Some(115));
        assert_eq!(CLOCK.blocks_until(2), None);
        assert_eq!(CLOCK.blocks_until(0), None);
        let last = Clock {
            session: 8,
            ..CLOCK
        };
        assert_eq!(last.blocks_until(3), Some(15));
        let late = Clock {
            session: 9,
            ..CLOCK
        };
        assert_eq!(late.blocks_until(3), Some(15));
        assert_eq!(CLOCK.until(3), "in 55 blocks, about 11 min");
        assert_eq!(CLOCK.until(1), "now");
    }

    #[test]
    fn no_figures_are_a_panic() {
        let odd = Clock {
            now: u32::MAX,
            block_ms: u64::MAX,
            era: 0,
            era_since: u32::MAX,
            session: 0,
            session_blocks: 0,
            sessions_per_era: 0,
        };
        assert_eq!(odd.blocks_until(u32::MAX), Some(1));
        assert!(!odd.until(u32::MAX).is_empty());
    }
}
