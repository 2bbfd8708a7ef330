//! The chain's state transition, as WASM that the chain itself can replace.
//!
//! Here the pallets are put together; their configuration is in [`configs`], what the node may ask in [`apis`], the
//! figures of each chain's genesis in [`genesis_config_presets`].

#![cfg_attr(not(feature = "std"), no_std)]
// What the macros for the WASM, the pallets and the APIs make is public, and documented nowhere.
#![allow(missing_docs)]
// `construct_runtime` recurses over every pallet's calls.
#![recursion_limit = "512"]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod genesis_config_presets;
mod migrations;
#[cfg(any(feature = "next", feature = "next-wasm"))]
pub mod next;
mod reports;
#[cfg(test)]
mod tests;
mod weights;

use alloc::{borrow::Cow, vec::Vec};

use sp_runtime::{
    MultiAddress, MultiSignature, generic,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
};
use sp_version::RuntimeVersion;

pub use frame_system::Call as SystemCall;
pub use pallet_balances::Call as BalancesCall;
pub use pallet_timestamp::Call as TimestampCall;
pub use pallet_work::Call as WorkCall;

/// Number of a block.
pub type BlockNumber = u32;
/// A signature by sr25519, ed25519 or ECDSA.
pub type Signature = MultiSignature;
/// An account: a public key, or a hash of one.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount in the token's smallest unit, 10^-12 LAB.
pub type Balance = u128;
/// Transactions that an account has sent.
pub type Nonce = u32;
/// A hash by BLAKE2b-256.
pub type Hash = sp_core::H256;
/// How a transaction names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// A block with its signature, as finality proofs carry it.
pub type SignedBlock = generic::SignedBlock<Block>;
/// Names a block by hash or number.
pub type BlockId = generic::BlockId<Block>;

/// What a transaction carries beside its call, and what is checked of it; in the order in which it is signed.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// A transaction or inherent as it stands in a block.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What a transaction's signature covers.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// Executes blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// Types for code that moves blocks without looking into their transactions, so that it outlives upgrades.
pub mod opaque {
    use super::{BlakeTwo256, BlockNumber, Vec, generic};
    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// A header.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// A block of opaque transactions.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
    /// Names a block by hash or number.
    pub type BlockId = generic::BlockId<Block>;
    /// Hash of a block.
    pub type Hash = sp_core::H256;

    sp_runtime::impl_opaque_keys! {
        /// Keys of a session: the one that a validator signs its votes with.
        pub struct SessionKeys {
            /// Votes of finality, ed25519.
            pub grandpa: crate::Grandpa,
        }
    }
}

/// The version, but for what rises with every change of behaviour.
macro_rules! version {
    (spec_version: $spec_version:tt) => {
        /// Version of this runtime. `spec_version` rises with every change of behaviour, `transaction_version` with every
        /// change of how a call is encoded.
        #[sp_version::runtime_version]
        pub const VERSION: RuntimeVersion = RuntimeVersion {
            spec_name: Cow::Borrowed("labora"),
            impl_name: Cow::Borrowed("labora"),
            authoring_version: 1,
            spec_version: $spec_version,
            impl_version: 1,
            apis: apis::RUNTIME_API_VERSIONS,
            transaction_version: 1,
            system_version: 1,
        };
    };
}

#[cfg(not(feature = "next"))]
version!(spec_version: 1);
// Always one more than that.
#[cfg(feature = "next")]
version!(spec_version: 2);

/// One LAB, in the token's smallest unit.
pub const LAB: Balance = 1_000_000_000_000;
/// A thousandth of a LAB.
pub const MILLI_LAB: Balance = LAB / 1_000;
/// A millionth of a LAB.
pub const MICRO_LAB: Balance = LAB / 1_000_000;

#[frame_support::runtime]
mod runtime {
    /// The state transition.
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(2)]
    pub type Work = pallet_work;

    #[runtime::pallet_index(3)]
    pub type Authorship = pallet_authorship;

    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;

    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment;

    // After balances: its genesis reads the issuance.
    #[runtime::pallet_index(6)]
    pub type Rewards = pallet_rewards;

    #[runtime::pallet_index(7)]
    pub type Utility = pallet_utility;

    #[runtime::pallet_index(8)]
    pub type Sudo = pallet_sudo;

    #[runtime::pallet_index(9)]
    pub type Eras = pallet_eras;

    // Before session: its genesis elects the first validators.
    #[runtime::pallet_index(10)]
    pub type Staking = pallet_staking;

    #[runtime::pallet_index(11)]
    pub type Session = pallet_session;

    #[runtime::pallet_index(12)]
    pub type Historical = pallet_session::historical;

    #[runtime::pallet_index(13)]
    pub type Offences = pallet_offences;

    #[runtime::pallet_index(14)]
    pub type Grandpa = pallet_grandpa;

    #[runtime::pallet_index(15)]
    pub type VoterList = pallet_bags_list;

    #[runtime::pallet_index(16)]
    pub type DelegatedStaking = pallet_delegated_staking;

    #[runtime::pallet_index(17)]
    pub type NominationPools = pallet_nomination_pools;

    #[runtime::pallet_index(18)]
    pub type Jobs = pallet_jobs;

    #[runtime::pallet_index(19)]
    pub type Grants = pallet_grants;
}
