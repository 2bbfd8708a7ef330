//! What staking pays comes out of the purse, and total issuance stays what the subsidy's schedule says.

use core::marker::PhantomData;

use frame_support::{
    defensive,
    traits::{
        Get, Imbalance, OnUnbalanced,
        fungible::{Balanced, Credit, Debt, Inspect, Mutate},
        tokens::{Fortitude, Precision, Preservation},
    },
};

use crate::{Config, Event, Pallet};

type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;
type DebtOf<T> = Debt<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// What an era pays: all that the purse holds when it ends.
pub struct Payout<T>(PhantomData<T>);

impl<T: Config> sp_staking::EraPayout<u128> for Payout<T> {
    fn era_payout(_staked: u128, _issuance: u128, _duration_ms: u64) -> (u128, u128) {
        let purse = T::Purse::get();
        let amount = T::Currency::balance(&purse);
        let moved = T::Currency::transfer(
            &purse,
            &Pallet::<T>::promised_account(),
            amount,
            Preservation::Expendable,
        );
        match moved {
            Ok(amount) => {
                Pallet::<T>::deposit_event(Event::Promised { amount });
                (amount, 0)
            }
            // Less than an account can hold, on a chain that has just begun: the next era has it.
            Err(_) => (0, 0),
        }
    }
}

/// Takes what staking minted for a reward out of what was promised.
pub struct Settle<T>(PhantomData<T>);

impl<T: Config> OnUnbalanced<DebtOf<T>> for Settle<T> {
    fn on_nonzero_unbalanced(paid: DebtOf<T>) {
        let promised = Pallet::<T>::promised_account();
        if T::Currency::settle(&promised, paid, Preservation::Expendable).is_err() {
            defensive!("an era never pays more than it was promised");
        }
    }
}

/// Gives back to the purse what an era keeps of the promise: only where governance capped the share of stakers.
pub struct Return<T>(PhantomData<T>);

impl<T: Config> OnUnbalanced<CreditOf<T>> for Return<T> {
    fn on_nonzero_unbalanced(minted: CreditOf<T>) {
        let amount = minted.peek();
        let taken = T::Currency::withdraw(
            &Pallet::<T>::promised_account(),
            amount,
            Precision::Exact,
            Preservation::Expendable,
            Fortitude::Polite,
        );
        // What staking minted is unmade, and the purse gets what had been promised.
        drop(minted);
        match taken {
            Ok(taken) => {
                if let Err(credit) = T::Currency::resolve(&T::Purse::get(), taken) {
                    // Below the least that an account holds: back to where it came from.
                    let back = T::Currency::resolve(&Pallet::<T>::promised_account(), credit);
                    if back.is_err() {
                        defensive!("what was just taken can be put back");
                    }
                }
            }
            Err(_) => {
                defensive!("an era keeps no more than it was promised");
            }
        }
    }
}
