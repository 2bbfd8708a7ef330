use labora_runtime::LAB;
use pallet_jobs::{Batch, Left, Seat, Terms, Window};

use super::*;

const BLOCK_MS: u64 = 12_000;

fn market(going_rate: u128) -> Market {
    Market {
        terms: Terms::default(),
        challenge_window: 7_200,
        deposit_base: 0,
        deposit_per_product: 0,
        going_rate,
        next_job: 8,
    }
}

/// 10¹² multiply-accumulates and a little for 2 LAB, open until block 100.
fn job(stage: Stage<AccountId>) -> Job<AccountId> {
    let left = Left {
        root: [1; 32],
        m: 8_192,
    };
    Job {
        poster: AccountId::new([1; 32]),
        payer: None,
        batch: Batch {
            root_b: [2; 32],
            n: 8_192,
            k: 16_384,
            left: vec![left].try_into().expect("one product"),
        },
        fee: 2 * LAB,
        deposit: LAB / 100,
        deadline: 100,
        failed: 0,
        last_failure: None,
        stage,
    }
}

fn claimed() -> Claimed<AccountId> {
    Claimed {
        worker: AccountId::new([3; 32]),
        bond: 4 * LAB,
        since: 30,
        until: 60,
        agreed: Terms::default().into(),
    }
}

fn submitted() -> Submitted<AccountId> {
    Submitted {
        claimed: claimed(),
        roots: vec![[4; 32]].try_into().expect("one product"),
        window: Window::new(50, 40),
        unheard: 0,
    }
}

/// Auditors who have said this.
fn committee(said: &[Said]) -> Committee<AccountId> {
    let seats = said.iter().map(|said| Seat {
        auditor: AccountId::new([9; 32]),
        said: *said,
    });
    Committee {
        session: 0,
        seats: seats.collect::<Vec<_>>().try_into().expect("few"),
    }
}

fn told(stage: Stage<AccountId>, now: u32, going_rate: u128, said: &[Said]) -> Explanation {
    let committee = committee(said);
    let market = market(going_rate);
    let known = Known {
        market: &market,
        committee: (!said.is_empty()).then_some(&committee),
        accused: 0,
        now,
        block_ms: BLOCK_MS,
        kept: None,
    };
    explain(7, &job(stage), &known)
}

#[test]
fn who_asks_a_node_that_keeps_matrices_is_told_whether_it_has_those_of_an_open_job() {
    let (market, job) = (market(LAB), job(Stage::Open));
    let told = |kept: &[labora_pouw::Hash]| {
        let kept = Kept::of(&job.batch, |root| kept.contains(root));
        let known = Known {
            market: &market,
            committee: None,
            accused: 0,
            now: 40,
            block_ms: BLOCK_MS,
            kept: Some(kept),
        };
        explain(7, &job, &known)
    };
    let half = told(&[[1; 32], [7; 32]]);
    assert!(says(&half.because, "Of its 2 matrices this node has 1"));
    assert!(says(&half.next, "the poster has to store them"));
    let all = told(&[[1; 32], [2; 32]]);
    assert!(says(&all.because, "This node has all of its 2 matrices."));
    assert!(!says(&all.next, "store"), "{all:?}");
}

/// Whether one of these sentences has this in it.
fn says(sentences: &[String], what: &str) -> bool {
    sentences.iter().any(|sentence| sentence.contains(what))
}

#[test]
fn an_open_job_under_the_going_rate_is_told_how_much_is_missing() {
    let explained = told(Stage::Open, 40, 3 * LAB, &[]);
    assert_eq!(explained.stage, StageInfo::Open);
    // 2 LAB for 1.0995·10¹².
    assert!(
        says(&explained.because, "1.818989 LAB per 10¹²"),
        "{explained:?}"
    );
    assert!(says(
        &explained.because,
        "less than the going rate of 3 LAB"
    ));
    // 3 · 1.0995 − 2.
    assert!(says(&explained.next, "1.298534 LAB more"), "{explained:?}");
    assert!(
        says(&explained.next, "60 blocks, about 12 min"),
        "{explained:?}"
    );
    assert!(
        says(&explained.because, "puts 4 LAB at stake"),
        "{explained:?}"
    );
}

#[test]
fn an_open_job_at_the_going_rate_or_without_one_is_not_told_to_pay_more() {
    for going in [0, LAB] {
        let explained = told(Stage::Open, 40, going, &[]);
        assert!(!says(&explained.next, "raise"), "{explained:?}");
    }
    assert!(says(
        &told(Stage::Open, 40, 0, &[]).because,
        "no going rate"
    ));
}

#[test]
fn that_the_fund_pays_is_said_and_nobody_is_told_to_raise_what_was_granted() {
    let mut job = job(Stage::Open);
    job.payer = Some(AccountId::new([5; 32]));
    let market = market(3 * LAB);
    let known = |now| Known {
        market: &market,
        committee: None,
        accused: 0,
        now,
        block_ms: BLOCK_MS,
        kept: None,
    };
    let explained = explain(7, &job, &known(40));
    assert!(
        says(&explained.because, "The research fund pays for it"),
        "{explained:?}"
    );
    assert!(
        !says(&explained.next, "jobs.raise") && says(&explained.next, "post it anew"),
        "{explained:?}"
    );
    let over = explain(7, &job, &known(101));
    assert!(says(&over.next, "the fund's money"), "{over:?}");
}

#[test]
fn what_the_fund_pays_for_can_be_accepted_once_auditors_have_confirmed_it() {
    let of = |payer: Option<AccountId>, said: &[Said]| {
        let mut job = job(Stage::Submitted(submitted()));
        job.payer = payer;
        let (market, committee) = (market(0), committee(said));
        let known = Known {
            market: &market,
            committee: Some(&committee),
            accused: 0,
            now: 71,
            block_ms: BLOCK_MS,
            kept: None,
        };
        says(&explain(7, &job, &known).next, "jobs.accept(7)")
    };
    let fund = || Some(AccountId::new([5; 32]));
    let (one, both) = ([Said::Opened, Said::Nothing], [Said::Opened, Said::Opened]);
    assert!(of(None, &one) && of(fund(), &both) && !of(fund(), &one));
}

#[test]
fn that_earlier_claims_failed_is_told_and_how_the_last_did() {
    let (market, mut job) = (market(0), job(Stage::Open));
    let mut told = |failed, last_failure| {
        (job.failed, job.last_failure) = (failed, last_failure);
        let known = Known {
            market: &market,
            committee: None,
            accused: 0,
            now: 40,
            block_ms: BLOCK_MS,
            kept: None,
        };
        explain(7, &job, &known).because
    };
    assert!(!says(&told(0, None), "failed"));
    let late = told(1, Some(Failure::Late));
    assert!(
        says(&late, "One claim of it failed: its worker was late."),
        "{late:?}"
    );
    let wrong = told(3, Some(Failure::Wrong));
    assert!(
        says(&wrong, "3 claims of it failed; of the last one an entry"),
        "{wrong:?}"
    );
}

#[test]
fn what_is_over_tells_of_the_poke_that_is_due() {
    let cases = [
        (Stage::Open, 101, "before its deadline"),
        (Stage::Claimed(claimed()), 61, "late"),
        (Stage::Submitted(submitted()), 91, "over"),
    ];
    for (stage, now, summary) in cases {
        let explained = told(stage.clone(), now, 0, &[]);
        assert!(explained.summary.contains(summary), "{explained:?}");
        assert!(says(&explained.next, "jobs.poke(7)"), "{explained:?}");
        // A block earlier nothing is due.
        let earlier = told(stage, now - 1, 0, &[]);
        assert!(!says(&earlier.next, "jobs.poke"), "{earlier:?}");
    }
    let late = told(Stage::Claimed(claimed()), 101, 0, &[]);
    assert!(says(&late.next, "money back"), "{late:?}");
}

#[test]
fn an_audit_is_told_by_its_times_and_by_what_was_said() {
    let said = [
        Said::Opened,
        Said::Sealed([0; 32]),
        Said::Sealed([1; 32]),
        Said::Unavailable,
        Said::Nothing,
    ];
    let at = |now| told(Stage::Submitted(submitted()), now, 0, &said);
    assert!(at(70).summary.contains("audited"));
    assert!(says(&at(70).next, "0 blocks, about 0 s"));
    assert!(at(71).summary.contains("open what they have found"));
    assert!(at(80).summary.contains("open what they have found"));
    assert!(at(81).summary.contains("challenged"));
    let counts = "Of 5 auditors 1 opened that it holds, 2 say so and have not opened it, 1 could not get the data, and 1 have said nothing; 3 must";
    assert!(says(&at(70).because, counts), "{:?}", at(70));
    let early = told(Stage::Submitted(submitted()), 51, 0, &[]);
    assert!(says(&early.because, "seal of block 51"), "{early:?}");
}

#[test]
fn times_are_readable() {
    let of = |seconds| in_words(Duration::from_secs(seconds));
    assert_eq!(
        [of(119), of(120), of(7_200), of(172_800)],
        ["119 s", "2 min", "2 h", "2 days"]
    );
}
