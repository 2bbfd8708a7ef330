use labora_runtime::LAB;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie};

use super::*;

const CLOCK: Clock = Clock {
    now: 125,
    block_ms: 12_000,
    era: 2,
    era_since: 6,
    session: 6,
    session_blocks: 20,
    sessions_per_era: 3,
};

fn view() -> View {
    View {
        account: Alice.to_account_id(),
        era: 2,
        bonded: 1_000 * LAB,
        active: 900 * LAB,
        unlocking: Vec::new(),
        rewards_to: rewards_to(Some(&RewardDestination::Staked)),
        nominates: Vec::new(),
        validates: None,
    }
}

fn told(view: &View) -> String {
    view.sentences(&CLOCK).join("\n")
}

#[test]
fn stake_that_does_nothing_is_told_so() {
    let told = told(&view());
    assert!(
        told.contains("1000 LAB bonded, 900 LAB of it at stake"),
        "{told}"
    );
    assert!(
        told.contains("earns nothing") && told.contains("Rewards go to its stake"),
        "{told}"
    );
}

#[test]
fn what_unbonds_is_told_with_when_it_comes_free() {
    let chunk = |era| Unlocking {
        amount: 50 * LAB,
        era,
        blocks: CLOCK.blocks_until(era),
    };
    let view = View {
        unlocking: vec![chunk(2), chunk(4)],
        ..view()
    };
    let told = told(&view);
    assert!(
        told.contains("50 LAB have come free. → labora stake withdraw"),
        "{told}"
    );
    assert!(
        told.contains("unbonding until era 4, in 115 blocks, about 23 min"),
        "{told}"
    );
    let json = serde_json::to_value(&view).expect("JSON");
    assert_eq!(json["unlocking"][0]["blocks"], serde_json::Value::Null);
    assert_eq!(json["unlocking"][1]["amount"], "50000000000000");
}

#[test]
fn whom_it_backs_is_told_with_whether_they_are_elected() {
    let backed = |validator: AccountId, is_elected, amount| Backed {
        validator,
        stands: true,
        is_elected,
        amount,
        unpaid: if amount > 0 { vec![0, 1] } else { Vec::new() },
    };
    let mut view = View {
        nominates: vec![
            backed(Bob.to_account_id(), true, 0),
            backed(Charlie.to_account_id(), false, 0),
        ],
        ..view()
    };
    let idle = told(&view);
    assert!(idle.contains("not elected in this era"), "{idle}");
    assert!(idle.contains("a new era begins in 55 blocks"), "{idle}");
    view.nominates[0] = backed(Bob.to_account_id(), true, 300 * LAB);
    let busy = told(&view);
    assert!(
        busy.contains("with 300 LAB of this stake; rewards of 2 eras"),
        "{busy}"
    );
    assert!(
        busy.contains(&format!("labora stake payout {}", Bob.to_account_id())),
        "{busy}"
    );
    assert!(!busy.contains("None of its stake"), "{busy}");
}

#[test]
fn a_validator_is_told_what_keeps_it_from_voting() {
    let view = View {
        validates: Some(Validating {
            commission_ppb: Some(50_000_000),
            has_session_keys: false,
            votes: false,
            total: None,
            nominators: 0,
            unpaid: Vec::new(),
        }),
        ..view()
    };
    let told = told(&view);
    assert!(
        told.contains("commission of 5 %; it is not elected"),
        "{told}"
    );
    assert!(told.contains("session.setKeys"), "{told}");
}
