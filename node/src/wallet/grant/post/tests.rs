use labora_market::grants::LedgerInfo;
use labora_runtime::LAB;
use sp_keyring::Sr25519Keyring::{Alice, Bob};

use super::*;

fn it(left: u128) -> InstitutionInfo {
    InstitutionInfo {
        institution: 2,
        name: "Shelf".into(),
        admin: Alice.to_account_id(),
        closed: false,
        quota: (10 * LAB).to_string(),
        left: left.to_string(),
        member_count: 1,
        rig_count: 0,
        ledger: LedgerInfo {
            settled: 0,
            macs_received: "0".into(),
            paid: "0".into(),
            blocks: 0,
            macs_contributed: "0".into(),
        },
        people: None,
    }
}

fn fund(free: u128, max_rate: u128) -> FundInfo {
    FundInfo {
        account: Bob.to_account_id(),
        free: free.to_string(),
        max_rate: max_rate.to_string(),
        era: 3,
        era_ends: 240,
        admitted: 3,
    }
}

#[tokio::test]
async fn what_the_fund_pays_is_said_and_costs_nothing_but_the_transaction() {
    let draft = Draft::example(2 * LAB).await;
    let dear = 2_000_000 * LAB;
    let plan = plan(&draft, &it(5 * LAB), &fund(100 * LAB, dear)).expect("it pays");
    assert!(plan.costs.is_empty());
    assert!(matches!(
        &plan.call,
        RuntimeCall::Grants(Call::sponsor { fee, .. }) if *fee == 2 * LAB
    ));
    let notes = plan.notes.join(" ");
    for word in [
        "The fund pays the fee of 2 LAB",
        "1.7 LAB to the worker (85 %)",
        "deposit of 0.014 LAB",
        "leaves institution 2 (“Shelf”) 3 LAB until block 240",
        "can take it back",
    ] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
}

#[tokio::test]
async fn what_the_fund_does_not_pay_is_refused_with_what_to_do() {
    let draft = Draft::example(2 * LAB).await;
    let dear = 2_000_000 * LAB;
    let refused = |left, free, max_rate| {
        let refused = plan(&draft, &it(left), &fund(free, max_rate));
        refused.expect_err("it does not pay").to_string()
    };
    let cheap = refused(5 * LAB, 100 * LAB, LAB);
    assert!(
        cheap.contains("at most 0.02 LAB") && cheap.contains("--price"),
        "{cheap}"
    );
    let quota = refused(LAB, 100 * LAB, dear);
    assert!(
        quota.contains("1 LAB left of its quota of 10 LAB") && quota.contains("block 240"),
        "{quota}"
    );
    let empty = refused(5 * LAB, 2 * LAB, dear);
    assert!(
        empty.contains("has 2 LAB, and this takes 2.014 LAB"),
        "{empty}"
    );
}
