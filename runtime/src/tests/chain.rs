//! A chain of sealed blocks on a preset's genesis, held twice: by who builds a block, and by who executes it.

use frame_support::genesis_builder_helper::build_state;
use labora_consensus_api::{PreDigest, inherent::INHERENT_IDENTIFIER, pre_digest_item, seal_item};
use labora_pouw::{Seal, Shape};
use serde_json::Value;
use sp_inherents::InherentData;
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{Digest, traits::Header as _};

use crate::*;

/// Time of the first block, in milliseconds.
pub const START_MS: u64 = 1_700_000_000_000;

/// Who mines every block.
pub const AUTHOR: Sr25519Keyring = Sr25519Keyring::Ferdie;

/// Lays `patch` over `base`, as RFC 7386 says.
fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

/// The state of a preset's genesis, built as a node builds it.
pub fn genesis(preset: &str) -> TestExternalities {
    genesis_with(preset, Value::Object(Default::default()))
}

/// The same with some figures changed.
pub fn genesis_with(preset: &str, changes: Value) -> TestExternalities {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is JSON");
    let patch = genesis_config_presets::get_preset(&preset.into()).expect("the preset is known");
    merge(
        &mut config,
        serde_json::from_slice(&patch).expect("a preset is JSON"),
    );
    merge(&mut config, changes);
    let mut state = TestExternalities::new_empty();
    state.execute_with(|| {
        build_state::<RuntimeGenesisConfig>(config.to_string().into_bytes())
            .expect("the preset is a genesis");
    });
    state
        .commit_all()
        .expect("a state in memory can be written");
    state
}

/// A seal that differs from block to block.
pub fn seal(number: u32) -> Seal {
    let shape = Shape::new(2_048, 1_024, 4_096).expect("a valid shape");
    let mut root_a = [0xaa; 32];
    root_a[..4].copy_from_slice(&number.to_le_bytes());
    Seal::new(shape, root_a, [0xbb; 32], 100, 50).expect("a tile of the shape")
}

/// A chain.
pub struct Chain {
    /// The state of whoever builds.
    pub builder: TestExternalities,
    /// The state of whoever executes.
    pub executor: TestExternalities,
    /// Newest header, sealed.
    pub head: Header,
    /// Time of the newest block.
    pub now_ms: u64,
}

impl Chain {
    /// The development chain at genesis.
    pub fn new() -> Self {
        Self::of(genesis_config_presets::DEVELOPMENT)
    }

    /// The chain of a preset at genesis.
    pub fn of(preset: &str) -> Self {
        Self::with(preset, Value::Object(Default::default()))
    }

    /// The same with some figures changed.
    pub fn with(preset: &str, changes: Value) -> Self {
        let state = || genesis_with(preset, changes.clone());
        let (builder, executor) = (state(), state());
        let state_root = *builder.backend.root();
        let root = Default::default();
        let head = Header::new(0, root, state_root, root, Digest::default());
        Self {
            builder,
            executor,
            head,
            now_ms: START_MS - 3_000,
        }
    }

    /// Begins a block `after_ms` later in the builder's state.
    pub fn begin(&mut self, after_ms: u64) {
        self.now_ms += after_ms;
        let pre = PreDigest {
            author: AUTHOR.to_account_id(),
            timestamp_ms: self.now_ms,
        };
        let root = Default::default();
        let digest = Digest {
            logs: vec![pre_digest_item(&pre)],
        };
        let header = Header::new(self.head.number + 1, root, root, self.head.hash(), digest);
        self.builder
            .execute_with(|| Executive::initialize_block(&header));
    }

    /// What the node knows of a block in the making.
    pub fn inherent_data(&self) -> InherentData {
        let mut data = InherentData::new();
        data.put_data(*b"timstap0", &self.now_ms)
            .expect("the name is free");
        data.put_data(INHERENT_IDENTIFIER, &self.head)
            .expect("the name is free");
        data
    }

    /// The inherents that the runtime makes of it.
    pub fn inherents(&mut self) -> Vec<UncheckedExtrinsic> {
        let data = self.inherent_data();
        self.builder.execute_with(|| data.create_extrinsics())
    }

    /// Applies what must succeed in the builder's state, and gives the finished block, not yet sealed.
    pub fn finish(&mut self, extrinsics: Vec<UncheckedExtrinsic>) -> Block {
        let header = self.builder.execute_with(|| {
            for extrinsic in &extrinsics {
                Executive::apply_extrinsic(extrinsic.clone())
                    .expect("it is valid")
                    .expect("its call succeeds");
            }
            Executive::finalize_block()
        });
        self.builder
            .commit_all()
            .expect("a state in memory can be written");
        Block { header, extrinsics }
    }

    /// Executes a block in the other state, which must come to the same, and seals it as the new head.
    pub fn import(&mut self, block: Block) {
        let mut header = block.header.clone();
        self.executor.execute_with(|| {
            Executive::execute_block(block.into());
            Work::do_try_state().expect("the accounts of work add up");
            Rewards::do_try_state().expect("the accounts of rewards add up");
            Jobs::do_try_state().expect("what is held for jobs adds up");
            Grants::do_try_state().expect("what the fund pays adds up");
        });
        self.executor
            .commit_all()
            .expect("a state in memory can be written");
        header.digest.push(seal_item(&seal(header.number)));
        self.head = header;
    }

    /// A whole block with these transactions, `after_ms` later.
    pub fn block(&mut self, after_ms: u64, transactions: Vec<UncheckedExtrinsic>) {
        self.begin(after_ms);
        let mut extrinsics = self.inherents();
        extrinsics.extend(transactions);
        let block = self.finish(extrinsics);
        self.import(block);
    }
}
