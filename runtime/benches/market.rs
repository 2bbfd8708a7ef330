//! What posting, claiming and settling cost beside ten thousand open jobs, and beside ten: the peer is the market itself.
//!
//! Each is one call on a state in memory, undone afterwards; figures are in docs/benchmarks.md as ratios.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use frame_support::{
    genesis_builder_helper::build_state,
    storage::{TransactionOutcome, with_transaction},
};
use labora_runtime::{
    Balance, Jobs, LAB, Runtime, RuntimeGenesisConfig, RuntimeOrigin, System,
    genesis_config_presets::{DEVELOPMENT, get_preset},
};
use pallet_jobs::{Batch, Left, NextJob, api::Wanted};
use serde_json::Value;
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{DispatchError, DispatchResult};

const FEE: Balance = LAB / 10;
const OPEN: [u64; 2] = [10, 10_000];

fn by(who: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.to_account_id())
}

fn batch() -> Batch {
    let left = vec![
        Left {
            root: [1; 32],
            m: 1_024
        };
        64
    ];
    Batch {
        root_b: [2; 32],
        n: 1_024,
        k: 1_024,
        left: left.try_into().expect("as many as a job may have"),
    }
}

fn post() -> DispatchResult {
    Jobs::post(by(Sr25519Keyring::Dave), batch(), FEE, 1_000)
}

/// The development chain with so many open jobs, and a submitted one after them.
fn market(open: u64) -> TestExternalities {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is JSON");
    let patch = get_preset(&DEVELOPMENT.into()).expect("the preset is known");
    let patch: Value = serde_json::from_slice(&patch).expect("a preset is JSON");
    merge(&mut config, patch);
    let mut state = TestExternalities::new_empty();
    state.execute_with(|| {
        build_state::<RuntimeGenesisConfig>(config.to_string().into_bytes())
            .expect("the preset is a genesis");
        System::set_block_number(1);
        for _ in 0..=open {
            post().expect("the poster is rich");
        }
        let worker = by(Sr25519Keyring::Charlie);
        Jobs::claim(worker.clone(), open).expect("it is open");
        let roots = vec![[3; 32]; 64];
        Jobs::submit(
            worker,
            open,
            roots.try_into().expect("one for each product"),
        )
        .expect("it is claimed");
        System::reset_events();
    });
    state
        .commit_all()
        .expect("a state in memory can be written");
    state
}

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

/// Does it, sees that it succeeds, and undoes it.
fn undone(call: impl FnOnce() -> DispatchResult) {
    with_transaction(|| {
        call().expect("it succeeds");
        TransactionOutcome::Rollback(Ok::<_, DispatchError>(()))
    })
    .expect("it is rolled back");
}

fn costs(criterion: &mut Criterion) {
    type Call = fn(u64) -> DispatchResult;
    let calls: [(&str, Call); 4] = [
        ("post", |_| post()),
        ("claim", |_| Jobs::claim(by(Sr25519Keyring::Eve), 5)),
        ("settle", |open| {
            Jobs::accept(by(Sr25519Keyring::Dave), open)
        }),
        ("list", |_| {
            black_box(Jobs::api_jobs(Wanted::default(), None, 20));
            Ok(())
        }),
    ];
    let mut group = criterion.benchmark_group("market");
    for open in OPEN {
        let mut state = market(open);
        state.execute_with(|| {
            assert_eq!(NextJob::<Runtime>::get(), open + 1);
            for (name, call) in calls {
                group.bench_function(format!("{name}, {open} open jobs"), |bencher| {
                    bencher.iter(|| undone(|| call(open)));
                });
            }
        });
    }
    group.finish();
}

criterion_group!(benches, costs);
criterion_main!(benches);
