//! How a job goes from stage to stage; how it ends is in `ends.rs`.

use alloc::vec::Vec;

use frame_support::{ensure, pallet_prelude::*};
use labora_pouw::{
    Hash,
    fraud::{self, FraudProof},
};
use sp_runtime::traits::SaturatedConversion;

use crate::*;

impl<T: Config> Pallet<T> {
    /// Number of the block being executed; this chain numbers blocks by u32.
    pub(crate) fn now() -> u32 {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    pub(crate) fn job(job: JobId) -> Result<JobOf<T>, DispatchError> {
        Jobs::<T>::get(job).ok_or(Error::<T>::NoSuchJob.into())
    }

    /// A job of this poster's.
    pub(crate) fn own(job: JobId, poster: &T::AccountId) -> Result<JobOf<T>, DispatchError> {
        let it = Self::job(job)?;
        ensure!(it.poster == *poster, Error::<T>::NotThePoster);
        Ok(it)
    }

    /// Posts a job of `poster`'s that `payer` pays for: its fee and a deposit are held of it. For pallets, which answer for
    /// whether it may be taken from there.
    ///
    /// # Errors
    ///
    /// Those of [`Call::post`].
    pub fn post_for(
        poster: T::AccountId,
        payer: T::AccountId,
        order: Order,
    ) -> Result<JobId, DispatchError> {
        Self::do_post(poster, Some(payer), order)
    }

    /// Takes back an open job, whoever posted it: fee and deposit come back whole. For the pallet that has it paid, which
    /// answers for who may ask for that.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchJob`], or [`Error::WrongStage`] if it is not open.
    pub fn withdraw(job: JobId) -> DispatchResult {
        let it = Self::job(job)?;
        Self::take_back(job, it)
    }

    pub(crate) fn take_back(job: JobId, it: JobOf<T>) -> DispatchResult {
        ensure!(it.stage == Stage::Open, Error::<T>::WrongStage);
        Self::refund(job, it, Refund::Cancelled)
    }

    pub(crate) fn do_post(
        poster: T::AccountId,
        payer: Option<T::AccountId>,
        order: Order,
    ) -> Result<JobId, DispatchError> {
        let Order {
            batch,
            fee,
            open_blocks,
        } = order;
        let terms = CurrentTerms::<T>::get();
        let macs = batch.macs().ok_or(Error::<T>::NoShape)?;
        ensure!(fee >= terms.least_fee, Error::<T>::FeeTooLow);
        ensure!(
            (1..=terms.longest_open_blocks).contains(&open_blocks),
            Error::<T>::OpenBlocks
        );
        let deadline = Self::now()
            .checked_add(open_blocks)
            .ok_or(Error::<T>::OpenBlocks)?;
        let it = Job {
            poster: poster.clone(),
            payer,
            deposit: Self::deposit_for(batch.left.len())?,
            batch,
            fee,
            deadline,
            failed: 0,
            last_failure: None,
            stage: Stage::Open,
        };
        Self::hold(HoldReason::Escrow, it.held_of(), it.fee)?;
        Self::hold(HoldReason::Deposit, it.held_of(), it.deposit)?;
        let job = NextJob::<T>::get();
        NextJob::<T>::put(job.checked_add(1).ok_or(Error::<T>::TooMuch)?);
        Jobs::<T>::insert(job, it);
        Self::deposit_event(Event::Posted {
            job,
            poster,
            fee,
            macs,
            deadline,
        });
        Ok(job)
    }

    pub(crate) fn do_claim(job: JobId, worker: T::AccountId) -> DispatchResult {
        let mut it = Self::job(job)?;
        ensure!(it.stage == Stage::Open, Error::<T>::WrongStage);
        let now = Self::now();
        ensure!(now <= it.deadline, Error::<T>::TooLate);
        let terms = CurrentTerms::<T>::get();
        let mut record = Workers::<T>::get(&worker);
        ensure!(
            record.open < terms.claims(record.settled),
            Error::<T>::TooManyClaims
        );
        let bond = terms.bond(it.fee).ok_or(Error::<T>::TooMuch)?;
        Self::hold(HoldReason::Bond, &worker, bond)?;
        // Below the most that an account may have open.
        record.open = record.open.saturating_add(1);
        Workers::<T>::insert(&worker, record);
        // Has a shape, or could not have been posted.
        let macs = it.batch.macs().ok_or(Error::<T>::NoShape)?;
        let until = now.saturating_add(terms.claim_blocks(macs));
        it.stage = Stage::Claimed(Claimed {
            worker: worker.clone(),
            bond,
            since: now,
            until,
            agreed: terms.into(),
        });
        Jobs::<T>::insert(job, it);
        Self::deposit_event(Event::Claimed {
            job,
            worker,
            bond,
            until,
        });
        Ok(())
    }

    pub(crate) fn ensure_agent(who: &T::AccountId, auditor: &T::AccountId) -> DispatchResult {
        let is_agent = who == auditor || Agents::<T>::get(auditor).as_ref() == Some(who);
        ensure!(is_agent, Error::<T>::NotAnAuditor);
        Ok(())
    }

    /// Validators that are no party to a job.
    pub(crate) fn candidates(it: &JobOf<T>, worker: &T::AccountId) -> Vec<T::AccountId> {
        let mut all = T::Validators::get();
        all.retain(|validator| {
            *validator != it.poster && validator != it.held_of() && validator != worker
        });
        all
    }

    /// The auditors of a result, who are drawn now if they have not been.
    pub(crate) fn committee(
        job: JobId,
        it: &JobOf<T>,
        submitted: &Submitted<T::AccountId>,
    ) -> Result<CommitteeOf<T>, DispatchError> {
        if let Some(committee) = Committees::<T>::get(job) {
            return Ok(committee);
        }
        let seal = T::Seals::sealed(submitted.window.drawn_by()).ok_or(Error::<T>::TooEarly)?;
        let candidates = Self::candidates(it, &submitted.claimed.worker);
        Ok(Committee::draw(
            seal,
            job,
            T::Session::get(),
            candidates,
            submitted.claimed.agreed.committee,
        ))
    }

    /// A job with a result.
    fn submitted(job: JobId) -> Result<(JobOf<T>, Submitted<T::AccountId>), DispatchError> {
        let it = Self::job(job)?;
        let Stage::Submitted(submitted) = it.stage.clone() else {
            return Err(Error::<T>::WrongStage.into());
        };
        Ok((it, submitted))
    }

    pub(crate) fn do_attest(
        job: JobId,
        auditor: T::AccountId,
        attestation: Attestation,
    ) -> DispatchResult {
        let (it, submitted) = Self::submitted(job)?;
        ensure!(
            Self::now() <= submitted.window.attest_until(),
            Error::<T>::TooLate
        );
        let mut committee = Self::committee(job, &it, &submitted)?;
        let seat = committee
            .seats
            .iter_mut()
            .find(|seat| seat.auditor == auditor);
        let seat = seat.ok_or(Error::<T>::NotAnAuditor)?;
        seat.said = match (seat.said, attestation) {
            (Said::Nothing | Said::Unavailable, Attestation::Holds(sealed)) => Said::Sealed(sealed),
            (Said::Nothing, Attestation::Unavailable) => Said::Unavailable,
            _ => return Err(Error::<T>::AlreadyAttested.into()),
        };
        Self::deposit_event(Event::Attested {
            job,
            auditor,
            attestation,
        });
        if committee.misses_data() {
            return Self::fail(job, it, submitted.claimed, Failure::Unavailable);
        }
        Committees::<T>::insert(job, committee);
        Ok(())
    }

    pub(crate) fn do_reveal(
        job: JobId,
        auditor: T::AccountId,
        secret: Hash,
        answers: Hashes,
    ) -> DispatchResult {
        let (_, submitted) = Self::submitted(job)?;
        let (window, now) = (submitted.window, Self::now());
        ensure!(now > window.attest_until(), Error::<T>::TooEarly);
        ensure!(now <= window.reveal_until(), Error::<T>::TooLate);
        ensure!(
            answers.len() == submitted.roots.len(),
            Error::<T>::NumberOfResults
        );
        let mut committee = Committees::<T>::get(job).ok_or(Error::<T>::NothingSealed)?;
        let mut seats = committee.seats.iter_mut();
        let seat = seats
            .find(|seat| seat.auditor == auditor)
            .ok_or(Error::<T>::NotAnAuditor)?;
        let Said::Sealed(sealed) = seat.said else {
            return Err(Error::<T>::NothingSealed.into());
        };
        ensure!(
            audit::opens::<T>(&auditor, &secret, &answers, &sealed),
            Error::<T>::WrongOpening
        );
        seat.said = Said::Opened;
        Committees::<T>::insert(job, committee);
        Self::deposit_event(Event::Revealed {
            job,
            auditor,
            secret,
            answers,
        });
        Ok(())
    }

    pub(crate) fn do_prove_fraud(
        job: JobId,
        product: u32,
        proof: &FraudProof,
        challenger: T::AccountId,
    ) -> DispatchResult {
        let (it, submitted) = Self::submitted(job)?;
        ensure!(Self::now() <= submitted.window.ends(), Error::<T>::TooLate);
        let root = usize::try_from(product).ok();
        let root = root.and_then(|product| submitted.roots.get(product));
        let claim = root.and_then(|root| it.batch.claim(product, *root));
        let claim = claim.ok_or(Error::<T>::NoSuchProduct)?;
        let fault = fraud::verify(&claim, proof).map_err(Error::<T>::from)?;

        let Claimed { worker, bond, .. } = submitted.claimed;
        let paid = Self::forfeit(&worker, bond, &challenger);
        if let Some(committee) = Committees::<T>::get(job) {
            for auditor in committee.vouched_by() {
                let accusation = Accusation {
                    session: committee.session,
                    since: submitted.window.since,
                };
                Accused::<T>::insert(job, auditor, accusation);
            }
        }
        Self::deposit_event(Event::FraudProved {
            job,
            product,
            row: fault.row,
            column: fault.column,
            committed: fault.committed,
            exact: fault.exact,
            challenger,
            reward: paid.first,
            burned: paid.burned,
        });
        Self::failed(job, it, worker, Failure::Wrong, bond)
    }

    /// One at a time: a block could not bear the slashes of a whole committee and all who back it.
    pub(crate) fn do_report_auditor(
        job: JobId,
        auditor: T::AccountId,
        reporter: T::AccountId,
    ) -> DispatchResult {
        let accusation = Accused::<T>::take(job, &auditor).ok_or(Error::<T>::NotAccused)?;
        T::FalseAttestations::report(reporter, job, accusation, auditor.clone());
        Self::deposit_event(Event::AuditorReported { job, auditor });
        Ok(())
    }

    pub(crate) fn do_poke(job: JobId) -> DispatchResult {
        let (it, now) = (Self::job(job)?, Self::now());
        match it.stage.clone() {
            Stage::Open if now > it.deadline => Self::refund(job, it, Refund::Deadline),
            Stage::Claimed(claimed) if now > claimed.until => {
                Self::fail(job, it, claimed, Failure::Late)
            }
            Stage::Submitted(submitted) if now > submitted.window.ends() => {
                Self::conclude(job, it, submitted)
            }
            Stage::Settled { at, .. }
                if now > at.saturating_add(CurrentTerms::<T>::get().kept_blocks) =>
            {
                Self::do_forget(job, &it)
            }
            _ => Err(Error::<T>::NotDue.into()),
        }
    }
}
