//! Reports of double votes, on their way to who can put them into a block.
//!
//! The SDK takes them for those of block authors, which validators are elsewhere: it keeps a report where it was made. Here validators make
//! none, and miners, who do, may not have seen both votes. So reports go from node to node, as any transaction does, and since they pay
//! nothing, all is looked at before that the chain looks at when it carries one out, and one for a validator and an era is enough.

use alloc::{vec, vec::Vec};

use frame_support::traits::KeyOwnerProofSystem;
use pallet_grandpa::Call;
use parity_scale_codec::Encode;
use sp_consensus_grandpa::{EquivocationProof, KEY_TYPE, check_equivocation_proof};
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidity, ValidTransaction,
};
use sp_session::{GetSessionNumber, MembershipProof};
use sp_staking::{EraIndex, SessionIndex};

use crate::{BlockNumber, Executive, Hash, Historical, Runtime, RuntimeCall, UncheckedExtrinsic};

/// Whether a transaction can be carried out, of a peer's or of this node's own, as the pool asks; and whether it goes on to peers.
pub fn validate(
    source: TransactionSource,
    transaction: UncheckedExtrinsic,
    at: Hash,
) -> TransactionValidity {
    let evidence = match &transaction.function {
        RuntimeCall::Grandpa(Call::report_equivocation_unsigned {
            equivocation_proof,
            key_owner_proof,
        }) => (equivocation_proof.clone(), key_owner_proof.clone()),
        _ => return Executive::validate_transaction(source, transaction, at),
    };
    // The SDK's own checks, which are those of a report of this node's.
    let valid = Executive::validate_transaction(TransactionSource::Local, transaction, at)?;
    let (proof, owner) = evidence;
    let once = provided_by(&proof, &owner)?;
    Ok(ValidTransaction {
        propagate: true,
        provides: vec![once],
        ..valid
    })
}

/// What only one such report may provide at a time; an error for one that would come to nothing.
fn provided_by(
    proof: &EquivocationProof<Hash, BlockNumber>,
    owner: &MembershipProof,
) -> Result<Vec<u8>, InvalidTransaction> {
    if !is_of_set(proof.set_id(), owner.session()) {
        return Err(InvalidTransaction::BadProof);
    }
    let key = (KEY_TYPE, proof.offender().clone());
    let offender = <Historical as KeyOwnerProofSystem<_>>::check_proof(key, owner.clone());
    let (stash, ()) = offender.ok_or(InvalidTransaction::BadProof)?;
    let era = era_of(owner.session()).ok_or(InvalidTransaction::Stale)?;
    if pallet_staking::ValidatorSlashInEra::<Runtime>::contains_key(era, &stash) {
        return Err(InvalidTransaction::Stale);
    }
    // Last, since it is the dearest.
    match check_equivocation_proof(proof.clone()) {
        true => Ok(("double vote", era, stash).encode()),
        false => Err(InvalidTransaction::BadProof),
    }
}

/// Whether a set of authorities voted in a session.
fn is_of_set(set: u64, session: SessionIndex) -> bool {
    let last = |set| pallet_grandpa::SetIdSession::<Runtime>::get(set);
    let is_after_others = match set.checked_sub(1) {
        Some(before) => last(before).is_some_and(|last| session > last),
        None => true,
    };
    is_after_others && last(set).is_some_and(|last| session <= last)
}

/// The era of a session, while bonds of it are locked.
fn era_of(session: SessionIndex) -> Option<EraIndex> {
    let eras = pallet_staking::BondedEras::<Runtime>::get();
    let mut eras = eras.iter().rev();
    eras.find(|(_, first)| *first <= session)
        .map(|(era, _)| *era)
}
