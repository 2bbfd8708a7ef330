//! The runtime as WASM, run as a node runs it.

use std::sync::LazyLock;

use frame_metadata::RuntimeMetadataPrefixed;
use merkleized_metadata::{ExtraInfo, generate_metadata_digest};
use parity_scale_codec::{Decode, Encode};
use sc_executor::WasmExecutor;
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{
    generic::Era,
    transaction_validity::{
        InvalidTransaction, TransactionSource, TransactionValidity, TransactionValidityError,
    },
};

use super::chain::genesis;
use crate::*;

/// One for all tests, since it keeps what it compiled: that takes seconds.
static EXECUTOR: LazyLock<WasmExecutor<sp_io::SubstrateHostFunctions>> =
    LazyLock::new(|| WasmExecutor::builder().build());

/// Calls the WASM over `state`.
fn call<R: Decode>(state: &mut TestExternalities, method: &str, data: &[u8]) -> R {
    let code = WASM_BINARY.expect("this test needs the WASM: build it without SKIP_WASM_BUILD");
    let runtime_code = RuntimeCode {
        code_fetcher: &WrappedRuntimeCode(code.into()),
        heap_pages: None,
        hash: vec![1],
    };
    let (answer, _) = EXECUTOR.call(
        &mut state.ext(),
        &runtime_code,
        method,
        data,
        CallContext::Offchain,
    );
    R::decode(&mut &answer.expect("the call succeeds")[..]).expect("the answer decodes")
}

fn metadata(state: &mut TestExternalities) -> Vec<u8> {
    call::<Option<Vec<u8>>>(state, "Metadata_metadata_at_version", &15u32.encode())
        .expect("version 15 is there")
}

/// A transaction of Alice whose signature covers `metadata_hash`, and which asks for it to be checked.
fn remark(state: &mut TestExternalities, metadata_hash: [u8; 32]) -> UncheckedExtrinsic {
    state.execute_with(|| {
        let extension: TxExtension = (
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            frame_system::CheckNonce::from(0),
            frame_system::CheckWeight::new(),
            pallet_transaction_payment::ChargeTransactionPayment::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::new_with_custom_hash(metadata_hash),
            frame_system::WeightReclaim::new(),
        );
        let call: RuntimeCall = SystemCall::remark {
            remark: vec![1, 2, 3],
        }
        .into();
        let payload = SignedPayload::new(call.clone(), extension.clone()).expect("all is known");
        let alice = Sr25519Keyring::Alice;
        let signature = payload.using_encoded(|bytes| alice.sign(bytes)).into();
        UncheckedExtrinsic::new_signed(call, alice.to_account_id().into(), signature, extension)
    })
}

fn validate(
    state: &mut TestExternalities,
    transaction: &UncheckedExtrinsic,
) -> TransactionValidity {
    let best = state.execute_with(|| System::block_hash(0));
    let data = (TransactionSource::External, transaction, best).encode();
    call(state, "TaggedTransactionQueue_validate_transaction", &data)
}

#[test]
fn the_wasm_knows_the_hash_of_its_metadata_and_holds_signers_to_it() {
    let mut state = genesis(genesis_config_presets::DEVELOPMENT);
    let encoded = metadata(&mut state);
    let metadata = RuntimeMetadataPrefixed::decode(&mut &encoded[..])
        .expect("metadata decode")
        .1;
    let shown = ExtraInfo {
        spec_version: VERSION.spec_version,
        spec_name: VERSION.spec_name.to_string(),
        base58_prefix: 42,
        decimals: 12,
        token_symbol: "LAB".into(),
    };
    let hash = generate_metadata_digest(&metadata, shown)
        .expect("metadata have a hash")
        .hash();
    let honest = remark(&mut state, hash);
    assert!(validate(&mut state, &honest).is_ok());
    // Signed over another hash: what the signer was shown is not what this runtime does.
    let mut other = hash;
    other[31] ^= 1;
    let deceived = remark(&mut state, other);
    let bad_proof = TransactionValidityError::Invalid(InvalidTransaction::BadProof);
    assert_eq!(validate(&mut state, &deceived), Err(bad_proof));
}

#[test]
fn the_wasm_has_the_version_and_metadata_of_this_source() {
    let mut state = genesis(genesis_config_presets::DEVELOPMENT);
    let version: sp_version::RuntimeVersion = call(&mut state, "Core_version", &[]);
    assert_eq!(version, VERSION);
    // Among its constants are the terms of stake, which the state has.
    let native = state
        .execute_with(|| Runtime::metadata_at_version(15))
        .expect("version 15 is there");
    assert_eq!(metadata(&mut state), *native);
}

#[test]
fn the_wasm_answers_what_the_engine_asks() {
    let mut state = genesis(genesis_config_presets::TESTNET);
    let difficulty: sp_core::U256 = call(&mut state, "PouwApi_difficulty", &[]);
    assert_eq!(difficulty, 12_000_000_000_000u64.into());
    let work: sp_core::U256 = call(&mut state, "PouwApi_accumulated_work", &[]);
    assert_eq!(work, 0.into());
    let block_time_ms: u64 = call(&mut state, "PouwApi_target_block_time_ms", &[]);
    assert_eq!(block_time_ms, 12_000);
    let seal: Option<labora_consensus_api::SealRecord> =
        call(&mut state, "PouwApi_seal_of", &7u32.encode());
    assert_eq!(seal, None);
}
