//! Where fees, tips and dust go.

use core::marker::PhantomData;

use frame_support::traits::{Get, OnUnbalanced, fungible::Balanced};

use crate::{Config, CreditOf, Pallet};

/// For transaction payment: burns and counts the fee, which comes first, and pays the tip to the block's author.
pub struct FeesAndTips<T>(PhantomData<T>);

impl<T: Config> OnUnbalanced<CreditOf<T>> for FeesAndTips<T> {
    fn on_unbalanceds(mut fee_then_tip: impl Iterator<Item = CreditOf<T>>) {
        if let Some(fee) = fee_then_tip.next() {
            Pallet::<T>::burn(fee);
        }
        for tip in fee_then_tip {
            // A new account cannot take less than the existential deposit.
            let nobodys = match T::BlockAuthor::get() {
                Some(author) => T::Currency::resolve(&author, tip).err(),
                None => Some(tip),
            };
            if let Some(tip) = nobodys {
                Pallet::<T>::burn(tip);
            }
        }
    }

    fn on_nonzero_unbalanced(fee: CreditOf<T>) {
        Pallet::<T>::burn(fee);
    }
}

/// For balances: burns and counts what is left on accounts that fall below the existential deposit.
pub struct Dust<T>(PhantomData<T>);

impl<T: Config> OnUnbalanced<CreditOf<T>> for Dust<T> {
    fn on_nonzero_unbalanced(dust: CreditOf<T>) {
        Pallet::<T>::burn(dust);
    }
}
