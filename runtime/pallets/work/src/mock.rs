//! A runtime of time and work, and a chain of sealed headers over it.

use frame_support::{
    derive_impl,
    traits::{ConstU32, ConstU64, OnFinalize, OnInitialize},
};
use labora_consensus_api::{PreDigest, pre_digest_item, seal_item};
use labora_pouw::{Seal, Shape};
use sp_core::{H256, crypto::AccountId32};
use sp_runtime::{
    BuildStorage, Digest, DigestItem, generic,
    traits::{BlakeTwo256, Header as _, IdentityLookup},
};

use crate as pallet_work;

#[frame_support::runtime]
mod runtime {
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
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(2)]
    pub type Work = pallet_work;
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;
pub type Header = generic::Header<u32, BlakeTwo256>;

pub const AUTHOR: AccountId32 = AccountId32::new([7; 32]);
pub const TARGET_MS: u64 = 10_000;
pub const HALF_LIFE_MS: u64 = 100_000;
pub const INITIAL_DIFFICULTY: u64 = 1_000_000_000_000;
/// Time of block 1 in every test, in milliseconds.
pub const START_MS: u64 = 1_700_000_000_000;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = Block;
}

impl pallet_timestamp::Config for Test {
    type Moment = u64;
    type OnTimestampSet = Work;
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

impl pallet_work::Config for Test {
    type SealHistory = ConstU32<4>;
    type WeightInfo = ();
}

pub fn work_genesis() -> WorkConfig {
    WorkConfig {
        initial_difficulty: INITIAL_DIFFICULTY.into(),
        target_block_time_ms: TARGET_MS,
        half_life_ms: HALF_LIFE_MS,
        ..Default::default()
    }
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let genesis = RuntimeGenesisConfig {
        work: work_genesis(),
        ..Default::default()
    };
    genesis.build_storage().expect("a valid genesis").into()
}

/// A header that stands for genesis.
pub fn genesis_header() -> Header {
    Header::new(
        0,
        H256::default(),
        H256::default(),
        H256::default(),
        Digest::default(),
    )
}

/// The author's item.
pub fn author_item(timestamp_ms: u64) -> DigestItem {
    pre_digest_item(&PreDigest {
        author: AUTHOR,
        timestamp_ms,
    })
}

/// A seal that differs from block to block.
pub fn seal(number: u32) -> Seal {
    let shape = Shape::new(64, 128, 256).expect("a valid shape");
    let mut root_a = [1; 32];
    root_a[..4].copy_from_slice(&number.to_le_bytes());
    Seal::new(shape, root_a, [2; 32], 3, 5).expect("a tile of the shape")
}

/// Begins a block on `parent` with these digest items.
pub fn begin(parent: &Header, logs: Vec<DigestItem>) {
    let number = parent.number() + 1;
    System::reset_events();
    System::initialize(&number, &parent.hash(), &Digest { logs });
    AllPalletsWithSystem::on_initialize(number);
}

/// Ends the block, and seals it.
pub fn end() -> Header {
    AllPalletsWithSystem::on_finalize(System::block_number());
    let mut header = System::finalize();
    header.digest.push(seal_item(&seal(header.number)));
    header
}

/// Applies the time's inherent.
pub fn set_time(now_ms: u64) {
    Timestamp::set(RuntimeOrigin::none(), now_ms).expect("the time may be set");
}

/// A whole valid block on `parent` at `now_ms`, checked when it ends.
pub fn block(parent: &Header, now_ms: u64) -> Header {
    begin(parent, vec![author_item(now_ms)]);
    set_time(now_ms);
    if *parent.number() > 0 {
        Work::note_parent(RuntimeOrigin::none(), Box::new(parent.clone()))
            .expect("the parent's header may be noted");
    }
    let header = end();
    Work::do_try_state().expect("the state is sound");
    header
}

/// Blocks from genesis to `blocks`, one every `every_ms`; the last header and its time.
pub fn chain(blocks: u32, every_ms: u64) -> (Header, u64) {
    let mut now_ms = START_MS;
    let mut head = block(&genesis_header(), now_ms);
    for _ in 1..blocks {
        now_ms += every_ms;
        head = block(&head, now_ms);
    }
    (head, now_ms)
}
