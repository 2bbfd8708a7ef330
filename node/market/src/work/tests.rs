use pallet_jobs::{Batch, Claimed, Job, Left, Stage, Submitted, Terms, Window};
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie};

use super::{
    done::{inputs, results_on_disk, roots},
    paid::{Fate, fate},
    *,
};
use crate::words::share;

fn at(stage: Stage<labora_runtime::AccountId>) -> JobInfo {
    let left = vec![
        Left {
            root: [1; 32],
            m: 32,
        },
        Left {
            root: [3; 32],
            m: 64,
        },
    ];
    let batch = Batch {
        root_b: [2; 32],
        n: 48,
        k: 256,
        left: left.try_into().expect("two"),
    };
    let job = Job {
        poster: Alice.to_account_id(),
        payer: None,
        batch,
        fee: 7,
        deposit: 1,
        deadline: 900,
        failed: 0,
        last_failure: None,
        stage,
    };
    JobInfo::new(7, &job)
}

fn claimed(by: sp_keyring::Sr25519Keyring) -> Claimed<labora_runtime::AccountId> {
    Claimed {
        worker: by.to_account_id(),
        bond: 14,
        since: 30,
        until: 50,
        agreed: Terms::default().into(),
    }
}

fn submitted(by: sp_keyring::Sr25519Keyring) -> JobInfo {
    at(Stage::Submitted(Submitted {
        claimed: claimed(by),
        roots: vec![[8; 32], [9; 32]].try_into().expect("two"),
        window: Window::new(40, 60),
        unheard: 0,
    }))
}

#[test]
fn what_becomes_of_a_result_is_read_off_its_job() {
    let mine = submitted(Bob);
    let of = |now: Option<JobInfo>, best| fate(&mine, now.as_ref(), best);
    assert_eq!(of(Some(submitted(Bob)), 100), Fate::Audited);
    assert_eq!(of(Some(submitted(Bob)), 101), Fate::Due);
    assert_eq!(of(Some(submitted(Charlie)), 101), Fate::Failed);
    let settled = |by: sp_keyring::Sr25519Keyring| {
        at(Stage::Settled {
            worker: by.to_account_id(),
            roots: Default::default(),
            since: 30,
            until: 50,
            at: 101,
        })
    };
    assert_eq!(of(Some(settled(Bob)), 101), Fate::Paid);
    assert_eq!(of(Some(settled(Charlie)), 500), Fate::Failed);
    assert_eq!(of(Some(at(Stage::Open)), 90), Fate::Failed);
    assert_eq!(
        of(Some(at(Stage::Claimed(claimed(Charlie)))), 90),
        Fate::Failed
    );
    assert_eq!(of(None, 90), Fate::Gone);
}

#[test]
fn a_worker_is_paid_by_the_shares_of_its_claim() {
    assert_eq!(at(Stage::Open).agreed, None);
    let agreed = submitted(Bob).agreed.expect("it was claimed");
    let by_terms = Terms::default().worker_share;
    assert_eq!(agreed.worker_share_ppb, by_terms.deconstruct());
    for fee in [0, 7, 1_999_999_999_999, u128::MAX] {
        assert_eq!(share(fee, agreed.worker_share_ppb), by_terms.mul_floor(fee));
    }
}

#[test]
fn all_that_a_job_names_is_kept_for_it() {
    let open = at(Stage::Open);
    assert_eq!(
        inputs(&open),
        [
            ([2; 32], 48 * 256),
            ([1; 32], 32 * 256),
            ([3; 32], 64 * 256)
        ]
    );
    assert_eq!(roots(&open).len(), 3);
    assert_eq!(roots(&submitted(Bob))[3..], [[8; 32], [9; 32]]);
    // Its results are looked for room for before anything is at stake; each is a file, with the tree of its hashes beside it.
    let files = [32 * 48 * 4, 64 * 48 * 4].map(labora_artifacts::bytes_on_disk);
    assert_eq!(results_on_disk(&open), files[0] + files[1]);
}
