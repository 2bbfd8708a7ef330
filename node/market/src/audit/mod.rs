//! An auditor: checks results that it was drawn for, attests and opens what it found, and proves what is wrong. With `watch` it
//! checks all results, drawn or not, stake or not.
//!
//! Its secrets are derived from its key, so that a restart loses nothing that was attested.

mod check;
mod duty;
mod examine;
mod rounds;

pub use check::{Finding, check};
pub use duty::{Duty, Known, Seat, are_written, duty, seat};

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use labora_pouw::{Hash, fraud::FraudProof, freivalds};
use labora_runtime::{AccountId, RuntimeCall};
use pallet_jobs::{Attestation, Call, JobId};
use parity_scale_codec::Encode;
use tokio::task::JoinSet;

use crate::{
    LOOK_EVERY, PAUSE,
    account::Account,
    chain::{Chain, ChainError},
    matrices::{Matrices, MatrixError},
    types::{JobInfo, StageInfo, WantedInfo, WindowInfo},
    work::choose::Limits,
};
use examine::{Examination, Found};
use rounds::Rounds;

/// Most results that are looked at, the newest first.
const MAX_RESULTS: usize = 6_400;

/// Blocks over which those who would end an audit are spread.
const TURNS: u32 = 8;

/// What an auditor is told.
#[derive(Clone, Debug)]
pub struct AuditTerms {
    /// Who signs: the validator itself, or its agent, or whoever watches.
    pub account: Account,
    /// The validator that it attests for; none where it only watches.
    pub validator: Option<AccountId>,
    /// Whether results are checked that others were drawn for.
    pub watch: bool,
    /// What fits.
    pub limits: Limits,
}

/// What an auditor has done since its start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Results checked.
    pub checked: AtomicU64,
    /// Results that it attested to hold.
    pub attested: AtomicU64,
    /// Results whose matrices it could not fetch, and said so.
    pub unavailable: AtomicU64,
    /// Attestations opened.
    pub opened: AtomicU64,
    /// Wrong entries proved.
    pub proved: AtomicU64,
}

/// Names a result: a job has several, if earlier ones failed.
type ResultId = (JobId, u32);

/// A look at a result that has ended.
struct Looked {
    result: ResultId,
    /// Time that there was for saying what was found.
    time: Duration,
    took: Duration,
    found: Result<Found, MatrixError>,
}

/// An auditor; see the module.
pub struct Auditor {
    chain: Chain,
    matrices: Arc<dyn Matrices>,
    terms: AuditTerms,
    tally: Arc<Tally>,
    found: BTreeMap<ResultId, Found>,
    rounds: Rounds,
    looks: JoinSet<Looked>,
}

impl Auditor {
    /// An auditor that has not begun.
    pub fn new(
        chain: Chain,
        matrices: Arc<dyn Matrices>,
        terms: AuditTerms,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            chain,
            matrices,
            terms,
            tally,
            found: BTreeMap::new(),
            rounds: Rounds::default(),
            looks: JoinSet::new(),
        }
    }

    /// Audits for as long as it is polled.
    pub async fn run(mut self) {
        let account = self.terms.account.id();
        match &self.terms.validator {
            Some(validator) if validator != account => {
                tracing::info!(target: "labora", "audits results for {validator}, as its agent {account}");
            }
            Some(validator) => tracing::info!(target: "labora", "audits results as {validator}"),
            None => {}
        }
        if self.terms.watch {
            tracing::info!(target: "labora", "checks all results that are submitted, and proves wrong entries as {account}");
        }
        loop {
            let pause = match self.turn().await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(target: "labora", "no audits for {} s: {error}", PAUSE.as_secs());
                    PAUSE
                }
            };
            // What was found is said at once.
            let looked = async {
                match self.looks.join_next().await {
                    Some(looked) => looked,
                    None => std::future::pending().await,
                }
            };
            match tokio::time::timeout(pause, looked).await {
                Ok(Ok(looked)) => self.take(looked),
                Ok(Err(error)) => {
                    // A defect. Which look it was is not known: all may begin again.
                    tracing::error!(target: "labora", "a look at a result ended: {error}");
                    self.rounds = Rounds::default();
                }
                Err(_) => {}
            }
        }
    }

    /// Looks at all results once: says what is due, and begins to check as many as are checked at a time.
    async fn turn(&mut self) -> Result<(), ChainError> {
        if self.chain.is_behind().await? {
            return Ok(());
        }
        let submitted = WantedInfo::at(StageInfo::Submitted);
        let mut jobs = self.chain.jobs(&submitted, MAX_RESULTS).await?;
        let stands = |job: &JobInfo| Some((job.job, job.window.as_ref()?.since));
        let standing: Vec<ResultId> = jobs.iter().filter_map(stands).collect();
        self.found.retain(|result, _| standing.contains(result));
        self.rounds.keep(&standing);
        // What must be said soonest, first.
        jobs.sort_by_key(|job| job.window.as_ref().map(|window| window.attest_until));
        let mut failed = None;
        let mut now = self.chain.best().await?.number;
        for job in jobs {
            let Some(window) = job.window.clone() else {
                continue;
            };
            let result = (job.job, window.since);
            let known = self.known(&result);
            // Others were drawn; only its end matters.
            let job = match known {
                Known::Left => Some(job),
                _ => self.chain.job(job.job).await?,
            };
            let Some(job) = job else { continue };
            let seat = seat(&job, self.terms.validator.as_ref());
            let turn = self.turn_of(job.job);
            match duty(&window, seat, known, self.terms.watch, (now, turn)) {
                Duty::Check => self.examine(job, &window),
                Duty::Wait => {}
                Duty::Leave if are_written(&job) => drop(self.found.insert(result, Found::Left)),
                Duty::Leave => {}
                quick => match self.act(quick, &job, result).await {
                    // That took blocks.
                    Ok(()) => now = self.chain.best().await?.number,
                    // What cannot be said of one result, for want of money perhaps, keeps nothing from being said of others.
                    Err(error) => failed = failed.or(Some(error)),
                },
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn known(&self, result: &ResultId) -> Known {
        match self.found.get(result) {
            None => Known::Nothing,
            // Tried again; until then it stays as it is.
            Some(Found::Missing) if self.rounds.is_free(result, Instant::now()) => Known::Nothing,
            Some(Found::Missing) => Known::Missing,
            Some(Found::Holds { .. }) => Known::Holds,
            Some(Found::Wrong { .. }) => Known::Wrong,
            Some(Found::Left) => Known::Left,
        }
    }

    /// How many blocks this one lets others go first.
    fn turn_of(&self, job: JobId) -> u32 {
        let hash = blake3::hash(&(self.terms.account.id(), job).encode());
        u32::from(hash.as_bytes()[0]) % TURNS
    }

    /// The secret for a result: of the key, the chain and the result, so that no other result is checked with it.
    fn secret(&self, result: &ResultId) -> Hash {
        self.terms
            .account
            .secret(&(self.chain.genesis(), result.0, result.1))
    }

    async fn send(&self, call: Call<labora_runtime::Runtime>) -> Result<bool, ChainError> {
        let done = self
            .chain
            .call(&self.terms.account, RuntimeCall::Jobs(call))
            .await;
        match done {
            Ok(_) => Ok(true),
            Err(ChainError::Undone(why)) => {
                tracing::info!(target: "labora", "the chain refuses what an auditor sent: {why}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn act(&mut self, duty: Duty, job: &JobInfo, result: ResultId) -> Result<(), ChainError> {
        let number = job.job;
        // None is drawn for who only watches, so nothing of that kind is its duty.
        let auditor = self.terms.validator.clone();
        match (duty, self.found.get(&result).cloned(), auditor) {
            (Duty::Attest, Some(Found::Holds { answers }), Some(auditor)) => {
                let seal = freivalds::sealed(&auditor.encode(), &self.secret(&result), &answers);
                let attestation = Attestation::Holds(seal);
                let call = Call::attest {
                    job: number,
                    auditor,
                    attestation,
                };
                if self.send(call).await? {
                    self.tally.attested.fetch_add(1, Relaxed);
                    tracing::info!(target: "labora", "attested that the results of job {number} hold");
                }
            }
            (Duty::AttestMissing, _, Some(auditor)) => {
                let attestation = Attestation::Unavailable;
                let call = Call::attest {
                    job: number,
                    auditor,
                    attestation,
                };
                if self.send(call).await? {
                    self.tally.unavailable.fetch_add(1, Relaxed);
                    tracing::warn!(target: "labora", "attested that matrices of job {number} cannot be fetched");
                }
            }
            (Duty::Reveal, Some(Found::Holds { answers }), Some(auditor)) => {
                let secret = self.secret(&result);
                let call = Call::reveal {
                    job: number,
                    auditor,
                    secret,
                    answers,
                };
                if self.send(call).await? {
                    self.tally.opened.fetch_add(1, Relaxed);
                    tracing::info!(target: "labora", "opened what was attested of job {number}");
                }
            }
            (Duty::Prove, Some(Found::Wrong { product, proof }), _) => {
                self.prove(job, result, product, proof).await?;
            }
            (Duty::Poke, ..) => {
                let is_ended = self.send(Call::poke { job: number }).await?;
                if is_ended {
                    tracing::info!(target: "labora", "ended the audit of job {number}, which was over");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Proves a wrong entry, and reports who vouched for it.
    async fn prove(
        &mut self,
        job: &JobInfo,
        result: ResultId,
        product: u32,
        proof: Box<FraudProof>,
    ) -> Result<(), ChainError> {
        let number = job.job;
        let is_proved = self
            .send(Call::prove_fraud {
                job: number,
                product,
                proof,
            })
            .await?;
        // Refused, it will be refused again: another has proved it, most likely.
        self.found.insert(result, Found::Left);
        if !is_proved {
            return Ok(());
        }
        self.tally.proved.fetch_add(1, Relaxed);
        tracing::warn!(target: "labora", "proved that an entry of product {product} of job {number} is wrong");
        for auditor in job.vouched() {
            if self
                .send(Call::report_auditor {
                    job: number,
                    auditor: auditor.clone(),
                })
                .await?
            {
                tracing::warn!(target: "labora", "reported {auditor}, which had vouched for it");
            }
        }
        Ok(())
    }

    /// Begins to look at a result, unless as many are looked at as may be, or it is to wait.
    fn examine(&mut self, job: JobInfo, window: &WindowInfo) {
        let result = (job.job, window.since);
        let began = Instant::now();
        if !self.rounds.is_free(&result, began) {
            return;
        }
        self.rounds.begin(result);
        let blocks = window.attest_until.saturating_sub(window.since);
        let time = Duration::from_millis(self.chain.block_ms().saturating_mul(blocks.into()));
        let examination = Examination {
            matrices: Arc::clone(&self.matrices),
            limits: self.terms.limits,
            secret: self.secret(&result),
            job,
        };
        self.looks.spawn(async move {
            let found = examination.run().await;
            Looked {
                result,
                time,
                took: began.elapsed(),
                found,
            }
        });
    }

    /// Takes what was found.
    fn take(&mut self, looked: Looked) {
        let Looked {
            result,
            time,
            took,
            found,
        } = looked;
        let (job, now) = (result.0, Instant::now());
        self.rounds.end(&result);
        let found = match found {
            Ok(found) => found,
            Err(MatrixError::Unavailable { root, why }) => {
                tracing::info!(target: "labora", "matrix {} of job {job} cannot be fetched, and is tried again: {why}", hex::encode(root));
                self.rounds.wait(result, time, now);
                self.found.insert(result, Found::Missing);
                return;
            }
            Err(MatrixError::Here(error)) => {
                // What is in the way is this machine's: nothing is said of the worker.
                tracing::warn!(target: "labora", "job {job} is not audited for now: {error}");
                self.rounds.wait(result, time, now);
                return;
            }
        };
        self.tally.checked.fetch_add(1, Relaxed);
        let words = match &found {
            Found::Holds { .. } => "they hold",
            Found::Wrong { .. } => "an entry is WRONG",
            Found::Missing | Found::Left => "they cannot be checked here",
        };
        tracing::info!(target: "labora", "looked at the results of job {job} in {:.1} s: {words}", took.as_secs_f64());
        self.found.insert(result, found);
    }
}
