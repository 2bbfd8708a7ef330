//! Transactions: who may sign, what they pay and to whom, and what nobody may call.

use parity_scale_codec::Encode;
use sp_core::{Pair, ecdsa, ed25519, sr25519};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{
    MultiSigner,
    generic::Era,
    traits::{IdentifyAccount, TransactionExtension},
    transaction_validity::{TransactionValidityError, UnknownTransaction},
};

use super::chain::{AUTHOR, Chain};
use crate::*;

fn extension(nonce: Nonce, tip: Balance, metadata_hash: bool) -> TxExtension {
    (
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(Era::Immortal),
        frame_system::CheckNonce::from(nonce),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(tip),
        frame_metadata_hash_extension::CheckMetadataHash::new(metadata_hash),
        frame_system::WeightReclaim::new(),
    )
}

/// A transaction as a wallet makes it: signed over the call, its extension, and what the chain knows.
pub(super) fn signed<P: Pair>(
    chain: &mut Chain,
    pair: &P,
    call: RuntimeCall,
    nonce: Nonce,
    tip: Balance,
) -> UncheckedExtrinsic
where
    P::Signature: Into<Signature>,
    P::Public: Into<MultiSigner>,
{
    chain.builder.execute_with(|| {
        let extension = extension(nonce, tip, false);
        let payload = SignedPayload::new(call.clone(), extension.clone()).expect("all is known");
        let signature = payload.using_encoded(|bytes| pair.sign(bytes)).into();
        UncheckedExtrinsic::new_signed(call, account(pair).into(), signature, extension)
    })
}

fn account<P: Pair>(pair: &P) -> AccountId
where
    P::Public: Into<MultiSigner>,
{
    pair.public().into().into_account()
}

fn pay(dest: AccountId, value: Balance) -> RuntimeCall {
    BalancesCall::transfer_keep_alive {
        dest: dest.into(),
        value,
    }
    .into()
}

#[test]
fn accounts_of_all_three_kinds_of_keys_send_what_they_have() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let rich = Sr25519Keyring::Alice.pair();
    let keys = (
        sr25519::Pair::from_seed(&[1; 32]),
        ed25519::Pair::from_seed(&[2; 32]),
        ecdsa::Pair::from_seed(&[3; 32]),
    );
    let accounts = [account(&keys.0), account(&keys.1), account(&keys.2)];
    let gifts: Vec<_> = (0..3)
        .map(|nonce| {
            signed(
                &mut chain,
                &rich,
                pay(accounts[nonce as usize].clone(), 10 * LAB),
                nonce,
                0,
            )
        })
        .collect();
    chain.block(3_000, gifts);

    let to = AccountId::new([9; 32]);
    let transfers = vec![
        signed(&mut chain, &keys.0, pay(to.clone(), LAB), 0, 0),
        signed(&mut chain, &keys.1, pay(to.clone(), LAB), 0, 0),
        signed(&mut chain, &keys.2, pay(to.clone(), LAB), 0, 0),
    ];
    chain.block(3_000, transfers);
    chain.executor.execute_with(|| {
        assert_eq!(Balances::free_balance(&to), 3 * LAB);
        for account in &accounts {
            let left = Balances::free_balance(account);
            assert!((8 * LAB..9 * LAB).contains(&left), "{left}");
        }
    });
}

#[test]
fn a_fee_is_burned_and_a_tip_goes_to_the_author() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let alice = Sr25519Keyring::Alice;
    let read = |chain: &mut Chain| {
        chain.executor.execute_with(|| {
            (
                Balances::free_balance(alice.to_account_id()),
                Balances::free_balance(AUTHOR.to_account_id()),
                pallet_rewards::Burned::<Runtime>::get(),
                System::block_number(),
            )
        })
    };
    let before = read(&mut chain);
    let tip = 3 * LAB;
    let transfer = signed(
        &mut chain,
        &alice.pair(),
        pay(Sr25519Keyring::Bob.to_account_id(), LAB),
        0,
        tip,
    );
    chain.block(3_000, vec![transfer]);
    let after = read(&mut chain);
    let burned = after.2 - before.2;
    assert!(
        burned > MILLI_LAB / 10 && burned < 10 * MILLI_LAB,
        "a transfer costs {burned}"
    );
    assert_eq!(before.0 - after.0, LAB + tip + burned);
    let share = chain
        .executor
        .execute_with(|| Rewards::subsidy(after.3) * 3 / 4);
    assert_eq!(after.1 - before.1, share + tip);
}

#[test]
fn what_would_change_the_issuance_unseen_cannot_be_called() {
    let mut chain = Chain::new();
    chain.begin(3_000);
    let alice = Sr25519Keyring::Alice.pair();
    let burn: RuntimeCall = BalancesCall::burn {
        value: LAB,
        keep_alive: true,
    }
    .into();
    let filtered = Err(frame_system::Error::<Runtime>::CallFiltered.into());
    let plain = signed(&mut chain, &alice, burn.clone(), 0, 0);
    let batched = pallet_utility::Call::batch_all { calls: vec![burn] }.into();
    let batched = signed(&mut chain, &alice, batched, 1, 0);
    chain.builder.execute_with(|| {
        let issuance = Balances::total_issuance();
        assert_eq!(Executive::apply_extrinsic(plain), Ok(filtered));
        assert_eq!(Executive::apply_extrinsic(batched), Ok(filtered));
        let burned = pallet_rewards::Burned::<Runtime>::get();
        assert_eq!(Balances::total_issuance(), issuance - burned);
    });
}

#[test]
fn root_sets_difficulty_and_rewards_through_sudo() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let alice = Sr25519Keyring::Alice.pair();
    let set = |call: RuntimeCall| -> RuntimeCall {
        pallet_sudo::Call::sudo {
            call: Box::new(call),
        }
        .into()
    };
    let work = set(WorkCall::set_parameters {
        target_block_time_ms: 6_000,
        half_life_ms: 60_000,
    }
    .into());
    let rewards = set(pallet_rewards::Call::set_parameters {
        initial_subsidy: 0,
        half_life_blocks: 1,
        tail_subsidy: LAB,
        author_share: sp_runtime::Perbill::one(),
        staking_share: sp_runtime::Perbill::zero(),
    }
    .into());
    let calls = vec![
        signed(&mut chain, &alice, work, 0, 0),
        signed(&mut chain, &alice, rewards, 1, 0),
    ];
    chain.block(3_000, calls);
    let before = chain.executor.execute_with(|| {
        let parameters = pallet_work::CurrentParameters::<Runtime>::get();
        assert_eq!(parameters.target_block_time_ms(), 6_000);
        Balances::free_balance(AUTHOR.to_account_id())
    });
    chain.block(6_000, vec![]);
    chain.executor.execute_with(|| {
        assert_eq!(Balances::free_balance(AUTHOR.to_account_id()), before + LAB);
    });
}

#[test]
fn a_signer_may_ask_that_the_metadata_be_the_ones_it_shows() {
    let metadata = <TxExtension as TransactionExtension<RuntimeCall>>::metadata();
    let names: Vec<_> = metadata.iter().map(|one| one.identifier).collect();
    assert!(names.contains(&"CheckMetadataHash"), "{names:?}");
    // Only the WASM has the hash: a native build must refuse, not pass.
    let mut chain = Chain::new();
    chain.begin(3_000);
    let implicit = chain
        .builder
        .execute_with(|| extension(0, 0, true).implicit());
    let unknown = TransactionValidityError::Unknown(UnknownTransaction::CannotLookup);
    assert_eq!(implicit.err(), Some(unknown));
}
