//! What a node is told of jobs, and how much at a time.

use frame_support::assert_ok;

use crate::{
    api::{MAX_LOOKED_AT, MAX_PAGE, StageName, Wanted},
    mock::*,
    *,
};

const FEE: u128 = 10_000;

fn numbers(
    wanted: Wanted<sp_core::crypto::AccountId32>,
    below: Option<JobId>,
    most: u32,
) -> (Vec<JobId>, Option<JobId>) {
    let page = Market::api_jobs(wanted, below, most);
    (
        page.jobs.iter().map(|(number, _)| *number).collect(),
        page.below,
    )
}

#[test]
fn pages_go_down_from_the_newest_and_skip_what_is_gone() {
    new_test_ext().execute_with(|| {
        for _ in 0..5 {
            post(FEE);
        }
        assert_ok!(Market::cancel(by(&POSTER), 3));
        let all = |below, most| numbers(Wanted::default(), below, most);
        assert_eq!(all(None, 2), (vec![4, 2], Some(2)));
        assert_eq!(all(Some(2), 2), (vec![1, 0], None));
        assert_eq!(all(Some(0), 2), (vec![], None));
        // Numbers that were never given, and no job at all.
        assert_eq!(all(Some(99), 1), (vec![4], Some(4)));
        assert_eq!(all(None, 0), (vec![], Some(5)));
    });
}

#[test]
fn who_wants_some_jobs_gets_those_that_are_all_of_it() {
    new_test_ext().execute_with(|| {
        post(FEE);
        let claimed = post(FEE);
        assert_ok!(Market::claim(by(&WORKER), claimed));
        let done = submitted(FEE, &Products::new());
        assert_ok!(Market::accept(by(&POSTER), done));
        let of = |stage, poster, worker| {
            let wanted = Wanted {
                stage,
                poster,
                worker,
            };
            numbers(wanted, None, 10).0
        };
        assert_eq!(of(Some(StageName::Open), None, None), [0]);
        assert_eq!(of(Some(StageName::Settled), None, None), [done]);
        assert_eq!(of(None, Some(POSTER), None), [done, claimed, 0]);
        assert_eq!(of(None, None, Some(WORKER)), [done, claimed]);
        let none: [JobId; 0] = [];
        assert_eq!(of(Some(StageName::Open), None, Some(WORKER)), none);
        assert_eq!(of(None, Some(WORKER), None), none);
    });
}

#[test]
fn a_page_ends_though_nothing_in_it_is_wanted() {
    new_test_ext().execute_with(|| {
        let first = post(FEE);
        NextJob::<Test>::put(u64::from(MAX_LOOKED_AT) + 10);
        let (found, below) = numbers(Wanted::default(), None, MAX_PAGE);
        assert_eq!((found, below), (vec![], Some(10)));
        let (found, below) = numbers(Wanted::default(), below, u32::MAX);
        assert_eq!((found, below), (vec![first], None));
    });
}

#[test]
fn auditors_are_known_once_their_seal_is_and_stay_whom_the_chain_takes() {
    new_test_ext().execute_with(|| {
        let job = submitted(FEE, &Products::new());
        assert_eq!(Market::api_auditors(job), None);
        pass(2);
        let drawn = Market::api_auditors(job).expect("their seal is known");
        assert_eq!(drawn.session, Session::get());
        attest(job, &drawn.seats[0].auditor);
        let kept = Market::api_auditors(job).expect("they were drawn");
        assert!(matches!(kept.seats[0].said, Said::Sealed(_)));
        let who = |committee: &CommitteeOf<Test>| {
            let seats = committee.seats.iter();
            seats.map(|seat| seat.auditor.clone()).collect::<Vec<_>>()
        };
        assert_eq!(who(&kept), who(&drawn));
        assert_eq!(Market::api_auditors(job + 1), None);
    });
}
