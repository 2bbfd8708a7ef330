//! Which job is worth taking. Pure: everything that it depends on is given.

use labora_runtime::AccountId;
use pallet_jobs::JobId;

use crate::{
    types::{JobInfo, MarketInfo, StageInfo},
    words::{lab, rate},
};

/// Time beside the multiplication: for a transaction to be included, twice, and for what is slow.
const SPARE_S: f64 = 20.0;

/// How much longer a product may take than the rate of the last minute says.
const SLACK: f64 = 2.0;

/// Largest product that can be taken, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Of A and Bt together.
    pub operands: u64,
    /// Of C.
    pub product: u64,
}

impl Limits {
    /// Whether a product of m×k by k×n fits.
    pub fn fits(&self, m: u32, n: u32, k: u32) -> bool {
        bytes(m, k, 1).saturating_add(bytes(n, k, 1)) <= self.operands
            && bytes(m, n, 4) <= self.product
    }
}

/// What a worker has, and what it wants.
#[derive(Clone, Debug)]
pub struct Means {
    /// Who it is.
    pub account: AccountId,
    /// Least that it works for: for 10¹² multiply-accumulates, in the token's smallest unit.
    pub least_price: u128,
    /// Multiply-accumulates per second; none where nothing was measured yet.
    pub macs_per_s: Option<f64>,
    /// Bytes per second that are read and stored. What is multiplied is held before the claim: it is read again then.
    pub bytes_per_s: f64,
    /// What it can have held.
    pub free: u128,
    /// Claims that it may have beside those that it has.
    pub claims_left: u32,
    /// What fits.
    pub limits: Limits,
    /// Number of the best block.
    pub now: u32,
    /// Milliseconds between blocks.
    pub block_ms: u64,
}

/// Why a job is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum No {
    /// It is not open, or cannot be read.
    #[error("it is not open")]
    NotOpen,
    /// It is one's own: nothing is won by paying oneself.
    #[error("it is this worker's own")]
    Own,
    /// It pays too little.
    #[error("it pays {} for 10¹² multiply-accumulates, less than {}", lab(*.offered), lab(*.least))]
    Price {
        /// What it pays.
        offered: u128,
        /// What is wanted.
        least: u128,
    },
    /// A product is too large.
    #[error("a product of {m}×{n} with k = {k} is too large for this worker")]
    Size {
        /// Rows of A.
        m: u32,
        /// Rows of Bt.
        n: u32,
        /// Columns of both.
        k: u32,
    },
    /// It would take too long.
    #[error("it would take about {needs} s here, of {has} s that a claim lasts")]
    Time {
        /// What it would take.
        needs: u64,
        /// What there is.
        has: u64,
    },
    /// Its bond is too high.
    #[error("its bond is {}, and the account has {} free", lab(*.bond), lab(*.free))]
    Bond {
        /// The bond.
        bond: u128,
        /// What is there.
        free: u128,
    },
    /// As many claims are open as may be.
    #[error("the account has as many open claims as its settled jobs allow")]
    Claims,
    /// Its deadline is too near for a claim to be included.
    #[error("its deadline is block {0}")]
    Deadline(u32),
}

/// A job that is worth taking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Which.
    pub job: JobId,
    /// What it pays for 10¹² multiply-accumulates.
    pub rate: u128,
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, No> {
    // From a node of another version at worst.
    text.parse().map_err(|_| No::NotOpen)
}

/// Bytes of a matrix.
pub fn bytes(rows: u32, columns: u32, of_entry: u64) -> u64 {
    u64::from(rows)
        .saturating_mul(u64::from(columns))
        .saturating_mul(of_entry)
}

/// Whether a job is worth taking.
///
/// # Errors
///
/// Why not.
pub fn weigh(job: &JobInfo, market: &MarketInfo, means: &Means) -> Result<Offer, No> {
    if job.stage != StageInfo::Open {
        return Err(No::NotOpen);
    }
    if job.poster == means.account {
        return Err(No::Own);
    }
    let (fee, macs) = (number::<u128>(&job.fee)?, number::<u64>(&job.macs)?);
    let offered = rate(fee, macs);
    if offered < means.least_price {
        let least = means.least_price;
        return Err(No::Price { offered, least });
    }
    // A claim is included in the next block at the earliest.
    if means.now >= job.deadline {
        return Err(No::Deadline(job.deadline));
    }
    let mut all_bytes = bytes(job.n, job.k, 1);
    for product in &job.products {
        if !means.limits.fits(product.m, job.n, job.k) {
            return Err(No::Size {
                m: product.m,
                n: job.n,
                k: job.k,
            });
        }
        let (of_a, of_c) = (bytes(product.m, job.k, 1), bytes(product.m, job.n, 4));
        all_bytes = all_bytes.saturating_add(of_a).saturating_add(of_c);
    }
    let blocks = macs / number::<u64>(&market.macs_per_block)?.max(1);
    let blocks = blocks.saturating_add(market.least_claim_blocks.into());
    let has = blocks as f64 * means.block_ms as f64 / 1e3;
    if let Some(speed) = means.macs_per_s.filter(|speed| *speed > 0.0) {
        let needs = SPARE_S.min(has / 4.0)
            + all_bytes as f64 / means.bytes_per_s
            + SLACK * macs as f64 / speed;
        if needs > has {
            let (needs, has) = (needs as u64, has as u64);
            return Err(No::Time { needs, has });
        }
    }
    let bond = fee.saturating_mul(market.bond_factor.into());
    if bond > means.free {
        let free = means.free;
        return Err(No::Bond { bond, free });
    }
    if means.claims_left == 0 {
        return Err(No::Claims);
    }
    Ok(Offer {
        job: job.job,
        rate: offered,
    })
}

/// The best of several: what pays most, and of what pays the same another for each worker, so that not all want one.
pub fn best(offers: impl Iterator<Item = Offer>, account: &AccountId) -> Option<Offer> {
    let mine = |job: JobId| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(account.as_ref()).update(&job.to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    offers.max_by_key(|offer| (offer.rate, mine(offer.job)))
}

#[cfg(test)]
mod tests {
    use labora_runtime::LAB;
    use pallet_jobs::{Batch, Job, Left, Stage, Terms, api::Market};
    use sp_keyring::Sr25519Keyring::{Alice, Bob};

    use super::*;

    fn job(fee: u128, rows: u32) -> JobInfo {
        let left = vec![
            Left {
                root: [1; 32],
                m: rows
            };
            2
        ];
        let batch = Batch {
            root_b: [2; 32],
            n: 1_024,
            k: 1_024,
            left: left.try_into().expect("two"),
        };
        let job = Job {
            poster: Alice.to_account_id(),
            payer: None,
            batch,
            fee,
            deposit: 0,
            deadline: 100,
            failed: 0,
            last_failure: None,
            stage: Stage::Open,
        };
        JobInfo::new(7, &job)
    }

    fn market() -> MarketInfo {
        Market {
            terms: Terms::default(),
            challenge_window: 60,
            deposit_base: 0,
            deposit_per_product: 0,
            going_rate: 0,
            next_job: 8,
        }
        .into()
    }

    fn means() -> Means {
        Means {
            account: Bob.to_account_id(),
            least_price: LAB,
            macs_per_s: Some(1e10),
            bytes_per_s: 8e6,
            free: 100 * LAB,
            claims_left: 1,
            limits: Limits {
                operands: 1 << 28,
                product: 1 << 28,
            },
            now: 50,
            block_ms: 12_000,
        }
    }

    #[test]
    fn a_job_that_pays_and_fits_is_taken() {
        // 2·2^30 multiply-accumulates: 3 LAB are some 1,397 for 10^12.
        let offer = weigh(&job(3 * LAB, 1_024), &market(), &means()).expect("worth it");
        assert_eq!((offer.job, offer.rate / LAB), (7, 1_396));
    }

    #[test]
    fn each_reason_not_to_take_a_job_is_named() {
        let (pays, market) = (job(3 * LAB, 1_024), market());
        let but = |change: &dyn Fn(&mut Means)| {
            let mut means = means();
            change(&mut means);
            weigh(&pays, &market, &means).expect_err("not worth it")
        };
        assert_eq!(but(&|means| means.account = Alice.to_account_id()), No::Own);
        assert!(matches!(
            but(&|means| means.least_price = 2_000 * LAB),
            No::Price { .. }
        ));
        assert_eq!(but(&|means| means.now = 100), No::Deadline(100));
        assert!(matches!(
            but(&|means| means.limits.operands = 1 << 20),
            No::Size { .. }
        ));
        assert!(matches!(
            but(&|means| means.limits.product = 1 << 20),
            No::Size { .. }
        ));
        assert!(matches!(
            but(&|means| means.macs_per_s = Some(1e6)),
            No::Time { .. }
        ));
        let short = No::Bond {
            bond: 6 * LAB,
            free: 5 * LAB,
        };
        assert_eq!(but(&|means| means.free = 5 * LAB), short);
        assert_eq!(but(&|means| means.claims_left = 0), No::Claims);
        assert!(short.to_string().contains("its bond is 6 LAB"));
    }

    #[test]
    fn an_unknown_speed_or_a_strange_figure_is_no_panic() {
        let mut means = means();
        means.macs_per_s = None;
        assert!(weigh(&job(3 * LAB, 1_024), &market(), &means).is_ok());
        means.macs_per_s = Some(0.0);
        assert!(weigh(&job(3 * LAB, 1_024), &market(), &means).is_ok());
        let mut odd = job(3 * LAB, 1_024);
        odd.fee = "many".into();
        assert_eq!(weigh(&odd, &market(), &means), Err(No::NotOpen));
    }

    #[test]
    fn what_pays_most_is_taken_and_workers_part_at_equal_pay() {
        let offer = |job, rate| Offer { job, rate };
        let of = |account: &AccountId, offers: &[Offer]| best(offers.iter().copied(), account);
        let (alice, bob) = (Alice.to_account_id(), Bob.to_account_id());
        assert_eq!(of(&alice, &[]), None);
        let most = [offer(1, 5), offer(2, 9), offer(3, 7)];
        assert_eq!(of(&alice, &most).map(|offer| offer.job), Some(2));
        let equal: Vec<Offer> = (0..64).map(|job| offer(job, 5)).collect();
        assert_ne!(of(&alice, &equal), of(&bob, &equal));
    }
}
