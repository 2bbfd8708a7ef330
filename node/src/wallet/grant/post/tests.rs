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

fn fund(free: u128) -> FundInfo {
    FundInfo {
        account: Bob.to_account_id(),
        free: free.to_string(),
        max_rate: LAB.to_string(),
        open_blocks: 1_000,
        held_quotas: 4,
        era: 3,
        era_ends: 240,
        admitted: 3,
    }
}

fn bounds(left: u128, free: u128) -> Bounds {
    Bounds {
        it: it(left),
        fund: fund(free),
        most: 2 * LAB,
        room: 40 * LAB,
    }
}

#[tokio::test]
async fn what_the_fund_pays_is_said_and_costs_nothing_but_the_transaction() {
    let draft = Draft::example(2 * LAB).await;
    let plan = plan(&draft, &bounds(5 * LAB, 100 * LAB)).expect("it pays");
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
    let refused = |bounds: Bounds| {
        let refused = plan(&draft, &bounds);
        refused.expect_err("it does not pay").to_string()
    };
    let cheap = refused(Bounds {
        most: LAB / 50,
        ..bounds(5 * LAB, 100 * LAB)
    });
    assert!(
        cheap.contains("at most 0.02 LAB") && cheap.contains("--price"),
        "{cheap}"
    );
    let mut short = bounds(5 * LAB, 100 * LAB);
    short.fund.open_blocks = 999;
    let short = refused(short);
    assert!(
        short.contains("at most 999 blocks") && short.contains("--open-blocks"),
        "{short}"
    );
    let quota = refused(bounds(LAB, 100 * LAB));
    assert!(
        quota.contains("1 LAB left of its quota of 10 LAB") && quota.contains("block 240"),
        "{quota}"
    );
    let full = refused(Bounds {
        room: 2 * LAB,
        ..bounds(5 * LAB, 100 * LAB)
    });
    assert!(
        full.contains("takes 2.014 LAB") && full.contains("only 2 LAB more can be held"),
        "{full}"
    );
    let empty = refused(bounds(5 * LAB, 2 * LAB));
    assert!(
        empty.contains("has 2 LAB, and this takes 2.014 LAB"),
        "{empty}"
    );
}
