//! What work goes for.

use frame_support::pallet_prelude::*;
use sp_core::U256;

/// 10^12 multiply-accumulates: what prices are for.
const TERA: u64 = 1_000_000_000_000;

/// What settled jobs paid, by their work: fees and multiply-accumulates, of which older ones fade as work is done, not as jobs
/// are counted. So a tiny job moves it by little, whatever it pays, and many of them by no more than their work.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Going {
    /// In the token's smallest unit.
    pub fees: u128,
    /// Multiply-accumulates that these were paid for.
    pub macs: u64,
}

impl Going {
    /// Multiply-accumulates after which what was before counts for e times less.
    pub const MEMORY: u64 = 100 * TERA;

    /// A job counts for no more than this.
    pub const MOST: u64 = Self::MEMORY / 8;

    /// Adds a job. None has no multiply-accumulates, and one that had would be left out.
    pub fn add(&mut self, fee: u128, macs: u64) {
        let counted = macs.min(Self::MOST);
        let fade = |sum: u128| scaled(sum, Self::MEMORY, Self::MEMORY.saturating_add(counted));
        self.fees = fade(self.fees).saturating_add(scaled(fee, counted, macs));
        // Faded, it is at most the memory and what a job counts for, which is below 2^64.
        let faded = u64::try_from(fade(self.macs.into())).unwrap_or(u64::MAX);
        self.macs = faded.saturating_add(counted);
    }

    /// In the token's smallest unit for 10^12 multiply-accumulates; zero before the first job.
    pub fn rate(&self) -> u128 {
        scaled(self.fees, TERA, self.macs)
    }
}

/// amount · by / of, rounded down; zero of nothing.
fn scaled(amount: u128, by: u64, of: u64) -> u128 {
    let scaled = (U256::from(amount) * U256::from(by)).checked_div(of.into());
    u128::try_from(scaled.unwrap_or_default()).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAB: u128 = 1_000_000_000_000;

    #[test]
    fn the_first_job_sets_it_and_a_tiny_one_hardly_moves_it() {
        let mut going = Going::default();
        assert_eq!(going.rate(), 0);
        going.add(2 * LAB, TERA);
        assert_eq!(going.rate(), 2 * LAB);
        // A thousand times the price, for a thousandth of the work.
        going.add(2 * LAB, TERA / 1_000);
        assert!(going.rate() < 4 * LAB, "{}", going.rate());
        // A tiny one that came first is soon forgotten.
        let mut going = Going::default();
        going.add(2 * LAB, TERA / 1_000);
        assert_eq!(going.rate(), 2_000 * LAB);
        for _ in 0..100 {
            going.add(2 * LAB, TERA);
        }
        assert!(going.rate() < 3 * LAB, "{}", going.rate());
    }

    #[test]
    fn no_job_alone_moves_it_by_more_than_an_eighth() {
        let mut going = Going::default();
        for _ in 0..2_000 {
            going.add(9 * LAB, TERA);
        }
        let before = going.rate();
        going.add(1, 1 << 60);
        assert!(going.rate() >= before / 8 * 7, "{}", going.rate());
        going.add(u128::MAX, 1 << 60);
        assert!(going.rate() > before);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..ProptestConfig::default() })]
        #[test]
        fn it_is_never_outside_of_what_was_paid(jobs in proptest::collection::vec((1..1u128 << 80, 1u64 << 17..1 << 60), 1..200)) {
            let mut going = Going::default();
            let paid = |(fee, macs): &(u128, u64)| scaled(*fee, TERA, *macs);
            for job in &jobs {
                going.add(job.0, job.1);
                prop_assert!(going.macs <= Going::MEMORY + Going::MOST);
            }
            let least = jobs.iter().map(paid).min().unwrap_or_default();
            let most = jobs.iter().map(paid).max().unwrap_or_default();
            // Each division rounds by less than one of what is added up.
            let slack = scaled(jobs.len() as u128 * 2 + 1, TERA, going.macs) + most / 500 + 1;
            prop_assert!(going.rate() + slack >= least && going.rate() <= most + slack, "{least} {} {most}", going.rate());
        }
    }
}
