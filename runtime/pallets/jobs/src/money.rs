//! Where the money of a job goes. Every way out pays exactly what was held: payouts, refund and what is burned add up to it.

use frame_support::{
    defensive,
    pallet_prelude::*,
    traits::{
        Imbalance, OnUnbalanced,
        fungible::{Balanced, BalancedHold, Credit, MutateHold},
        tokens::Precision,
    },
};
use sp_runtime::Perbill;

use crate::{Agreed, Config, Error, HoldReason, JobOf, Pallet};

type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// Who got how much of something that was held.
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
pub struct Paid {
    /// The worker, or the challenger.
    pub first: u128,
    /// The auditors together.
    pub auditors: u128,
    /// Nobody.
    pub burned: u128,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn hold(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
        T::Currency::hold(&reason.into(), who, amount)
    }

    /// Gives back what is held. Whatever else took of it, a job never hangs on that.
    pub(crate) fn release(
        reason: HoldReason,
        who: &T::AccountId,
        amount: u128,
    ) -> Result<(), DispatchError> {
        let released = T::Currency::release(&reason.into(), who, amount, Precision::BestEffort)?;
        if released != amount {
            defensive!("what a job holds is touched by the market alone");
        }
        Ok(())
    }

    fn take(reason: HoldReason, who: &T::AccountId, amount: u128) -> CreditOf<T> {
        let (credit, missing) = T::Currency::slash(&reason.into(), who, amount);
        if missing > 0 {
            defensive!("what a job holds is touched by the market alone");
        }
        credit
    }

    /// What of `credit` an account takes: all, or nothing where it is too little for an account to begin with.
    fn pay(credit: CreditOf<T>, to: &T::AccountId) -> (u128, CreditOf<T>) {
        let amount = credit.peek();
        match T::Currency::resolve(to, credit) {
            Ok(()) => (amount, CreditOf::<T>::zero()),
            Err(left) => (0, left),
        }
    }

    /// Divides the fee of a job between the worker and the auditors that opened; the rest is burned.
    pub(crate) fn pay_fee(
        job: &JobOf<T>,
        agreed: &Agreed,
        worker: &T::AccountId,
        auditors: &[T::AccountId],
    ) -> Paid {
        let whole = Self::take(HoldReason::Escrow, job.held_of(), job.fee);
        let fee = whole.peek();
        let (for_worker, mut rest) = whole.split(agreed.worker_share.mul_floor(fee));
        let (first, left) = Self::pay(for_worker, worker);
        rest = rest.merge(left);
        let each = match auditors.len() as u128 {
            0 => 0,
            count => agreed.auditor_share.mul_floor(fee) / count,
        };
        let mut paid = 0u128;
        for auditor in auditors {
            let (part, others) = rest.split(each);
            let (taken, left) = Self::pay(part, auditor);
            paid = paid.saturating_add(taken);
            rest = others.merge(left);
        }
        let burned = rest.peek();
        T::Burn::on_unbalanced(rest);
        Paid {
            first,
            auditors: paid,
            burned,
        }
    }

    /// Burns a share of a bond, and gives back the rest; how much was burned.
    pub(crate) fn fine(
        worker: &T::AccountId,
        bond: u128,
        share: Perbill,
    ) -> Result<u128, DispatchError> {
        let fine = share.mul_floor(bond);
        let burned = Self::take(HoldReason::Bond, worker, fine);
        let amount = burned.peek();
        T::Burn::on_unbalanced(burned);
        // What `fine` takes is at most the bond.
        Self::release(HoldReason::Bond, worker, bond.saturating_sub(fine))?;
        Ok(amount)
    }

    /// Takes a whole bond: half of it is the challenger's, the rest is burned.
    pub(crate) fn forfeit(worker: &T::AccountId, bond: u128, challenger: &T::AccountId) -> Paid {
        let whole = Self::take(HoldReason::Bond, worker, bond);
        let half = whole.peek() / 2;
        let (half, rest) = whole.split(half);
        let (first, left) = Self::pay(half, challenger);
        let rest = rest.merge(left);
        let burned = rest.peek();
        T::Burn::on_unbalanced(rest);
        Paid {
            first,
            auditors: 0,
            burned,
        }
    }

    /// Deposit for a job of so many products.
    ///
    /// # Errors
    ///
    /// [`Error::TooMuch`] if no amount is so high.
    pub fn deposit_for(products: usize) -> Result<u128, DispatchError> {
        let products = u128::try_from(products).unwrap_or(u128::MAX);
        let of_products = T::DepositPerProduct::get().checked_mul(products);
        let all = of_products.and_then(|amount| amount.checked_add(T::DepositBase::get()));
        all.ok_or(Error::<T>::TooMuch.into())
    }
}
