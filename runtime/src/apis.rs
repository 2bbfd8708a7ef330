//! What the node may ask of the runtime.

use alloc::vec::Vec;

use frame_support::{
    genesis_builder_helper::{build_state, get_preset},
    traits::KeyOwnerProofSystem,
    view_functions::{ViewFunctionDispatchError, ViewFunctionId},
    weights::Weight,
};
use labora_consensus_api::SealRecord;
use pallet_grants::{Institution, InstitutionId};
use pallet_jobs::{
    Committee, Job, JobId, Record,
    api::{Page, Wanted},
};
use pallet_nomination_pools::PoolId;
use pallet_transaction_payment::{FeeDetails, RuntimeDispatchInfo};
use parity_scale_codec::Encode;
use sp_api::impl_runtime_apis;
use sp_consensus_grandpa::{
    AuthorityId, AuthorityList, EquivocationProof, OpaqueKeyOwnershipProof, SetId,
};
use sp_core::{OpaqueMetadata, U256, crypto::KeyTypeId};
use sp_genesis_builder::PresetId;
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode,
    traits::Block as BlockT,
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_session::OpaqueGeneratedSessionKeys;
use sp_staking::EraIndex;
use sp_version::RuntimeVersion;

use crate::{
    AccountId, Balance, Block, BlockNumber, Executive, Grandpa, Grants, Historical,
    InherentDataExt, Jobs, NominationPools, Nonce, Runtime, RuntimeCall, RuntimeGenesisConfig,
    Staking, System, TransactionPayment, UncheckedExtrinsic, VERSION, Work, genesis_config_presets,
    opaque::SessionKeys,
};

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }

        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block)
        }

        fn initialize_block(header: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }

        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }

        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl frame_support::view_functions::runtime_api::RuntimeViewFunction<Block> for Runtime {
        fn execute_view_function(
            id: ViewFunctionId,
            input: Vec<u8>,
        ) -> Result<Vec<u8>, ViewFunctionDispatchError> {
            Runtime::execute_view_function(id, input)
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }

        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }

        fn inherent_extrinsics(data: InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }

        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: InherentData,
        ) -> CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            tx: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            crate::reports::validate(source, tx, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &<Block as BlockT>::Header) {
            Executive::offchain_worker(header)
        }
    }

    impl labora_consensus_api::PouwApi<Block> for Runtime {
        fn difficulty() -> U256 {
            Work::difficulty()
        }

        fn accumulated_work() -> U256 {
            pallet_work::AccumulatedWork::<Runtime>::get()
        }

        fn target_block_time_ms() -> u64 {
            pallet_work::CurrentParameters::<Runtime>::get().target_block_time_ms()
        }

        fn seal_of(number: u32) -> Option<SealRecord> {
            Work::seal_of(number)
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(
            owner: Vec<u8>,
            seed: Option<Vec<u8>>,
        ) -> OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }

        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> AuthorityList {
            Grandpa::grandpa_authorities()
        }

        fn current_set_id() -> SetId {
            pallet_grandpa::CurrentSetId::<Runtime>::get()
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            proof: EquivocationProof<<Block as BlockT>::Hash, BlockNumber>,
            owner: OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            Grandpa::submit_unsigned_equivocation_report(proof, owner.decode()?)
        }

        fn generate_key_ownership_proof(
            _set_id: SetId,
            authority: AuthorityId,
        ) -> Option<OpaqueKeyOwnershipProof> {
            Historical::prove((sp_consensus_grandpa::KEY_TYPE, authority))
                .map(|proof| OpaqueKeyOwnershipProof::new(proof.encode()))
        }
    }

    impl pallet_staking_runtime_api::StakingApi<Block, Balance, AccountId> for Runtime {
        fn nominations_quota(balance: Balance) -> u32 {
            Staking::api_nominations_quota(balance)
        }

        fn eras_stakers_page_count(era: EraIndex, validator: AccountId) -> u32 {
            Staking::api_eras_stakers_page_count(era, validator)
        }

        fn pending_rewards(era: EraIndex, validator: AccountId) -> bool {
            Staking::api_pending_rewards(era, validator)
        }
    }

    impl pallet_nomination_pools_runtime_api::NominationPoolsApi<Block, AccountId, Balance>
        for Runtime
    {
        fn pending_rewards(member: AccountId) -> Balance {
            NominationPools::api_pending_rewards(member).unwrap_or_default()
        }

        fn points_to_balance(pool: PoolId, points: Balance) -> Balance {
            NominationPools::api_points_to_balance(pool, points)
        }

        fn balance_to_points(pool: PoolId, funds: Balance) -> Balance {
            NominationPools::api_balance_to_points(pool, funds)
        }

        fn pool_pending_slash(pool: PoolId) -> Balance {
            NominationPools::api_pool_pending_slash(pool)
        }

        fn member_pending_slash(member: AccountId) -> Balance {
            NominationPools::api_member_pending_slash(member)
        }

        fn pool_needs_delegate_migration(pool: PoolId) -> bool {
            NominationPools::api_pool_needs_delegate_migration(pool)
        }

        fn member_needs_delegate_migration(member: AccountId) -> bool {
            NominationPools::api_member_needs_delegate_migration(member)
        }

        fn member_total_balance(member: AccountId) -> Balance {
            NominationPools::api_member_total_balance(member)
        }

        fn pool_balance(pool: PoolId) -> Balance {
            NominationPools::api_pool_balance(pool)
        }

        fn pool_accounts(pool: PoolId) -> (AccountId, AccountId) {
            NominationPools::api_pool_accounts(pool)
        }
    }

    impl pallet_jobs::api::JobsApi<Block, AccountId> for Runtime {
        fn market() -> pallet_jobs::api::Market {
            Jobs::api_market()
        }

        fn job(job: JobId) -> Option<Job<AccountId>> {
            Jobs::api_job(job)
        }

        fn jobs(wanted: Wanted<AccountId>, below: Option<JobId>, most: u32) -> Page<AccountId> {
            Jobs::api_jobs(wanted, below, most)
        }

        fn auditors(job: JobId) -> Option<Committee<AccountId>> {
            Jobs::api_auditors(job)
        }

        fn accused(job: JobId) -> Vec<AccountId> {
            Jobs::api_accused(job)
        }

        fn worker(account: AccountId) -> Record {
            Jobs::api_worker(&account)
        }

        fn agent(auditor: AccountId) -> Option<AccountId> {
            Jobs::api_agent(&auditor)
        }
    }

    impl pallet_grants::api::GrantsApi<Block, AccountId> for Runtime {
        fn fund() -> pallet_grants::api::Fund<AccountId> {
            Grants::api_fund()
        }

        fn institution(id: InstitutionId) -> Option<Institution<AccountId>> {
            Grants::api_institution(id)
        }

        fn people(id: InstitutionId) -> pallet_grants::api::People<AccountId> {
            Grants::api_people(id)
        }

        fn institutions(
            below: Option<InstitutionId>,
            most: u32,
        ) -> pallet_grants::api::Page<AccountId> {
            Grants::api_institutions(below, most)
        }

        fn standing(account: AccountId) -> pallet_grants::api::Standing {
            Grants::api_standing(&account)
        }

        fn most_for(macs: u64) -> u128 {
            Grants::most_for(macs)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance>
        for Runtime
    {
        fn query_info(uxt: UncheckedExtrinsic, len: u32) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(uxt, len)
        }

        fn query_fee_details(uxt: UncheckedExtrinsic, len: u32) -> FeeDetails<Balance> {
            TransactionPayment::query_fee_details(uxt, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentCallApi<
        Block, Balance, RuntimeCall,
    > for Runtime {
        fn query_call_info(call: RuntimeCall, len: u32) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_call_info(call, len)
        }

        fn query_call_fee_details(call: RuntimeCall, len: u32) -> FeeDetails<Balance> {
            TransactionPayment::query_call_fee_details(call, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
            build_state::<RuntimeGenesisConfig>(config)
        }

        fn get_preset(id: &Option<PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, genesis_config_presets::get_preset)
        }

        fn preset_names() -> Vec<PresetId> {
            genesis_config_presets::preset_names()
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    impl frame_benchmarking::Benchmark<Block> for Runtime {
        fn benchmark_metadata(
            extra: bool,
        ) -> (Vec<frame_benchmarking::BenchmarkList>, Vec<frame_support::traits::StorageInfo>) {
            crate::benchmarks::metadata(extra)
        }

        #[allow(non_local_definitions)]
        fn dispatch_benchmark(
            config: frame_benchmarking::BenchmarkConfig,
        ) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
            crate::benchmarks::dispatch(config)
        }
    }

    #[cfg(feature = "try-runtime")]
    impl frame_try_runtime::TryRuntime<Block> for Runtime {
        fn on_runtime_upgrade(
            checks: frame_try_runtime::UpgradeCheckSelect,
        ) -> (Weight, Weight) {
            // A failed upgrade must be seen, and this API has no other way to say so.
            let weight = Executive::try_runtime_upgrade(checks)
                .unwrap_or_else(|error| panic!("upgrade: {error:?}"));
            (weight, crate::configs::RuntimeBlockWeights::get().max_block)
        }

        fn execute_block(
            block: <Block as BlockT>::LazyBlock,
            state_root_check: bool,
            signature_check: bool,
            select: frame_try_runtime::TryStateSelect,
        ) -> Weight {
            Executive::try_execute_block(block, state_root_check, signature_check, select)
                .unwrap_or_else(|error| panic!("block: {error:?}"))
        }
    }
}
