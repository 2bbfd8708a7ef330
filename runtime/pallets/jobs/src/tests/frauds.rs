//! A wrong entry, proved with the matrices themselves.

use frame_support::{assert_noop, assert_ok};
use sp_core::crypto::AccountId32;

use crate::{mock::*, *};

const FEE: u128 = 10_000;

#[test]
fn a_wrong_entry_costs_the_bond_and_the_job_is_completed_by_another() {
    new_test_ext().execute_with(|| {
        let wrong = Products::spoiled();
        let job = submitted(FEE, &wrong);
        let proof = wrong.proof(1).expect("an entry is wrong");
        pass(5);
        let proved = Market::prove_fraud(by(&CHALLENGER), job, 1, proof);
        assert_eq!(proved.expect("it is wrong").pays_fee, Pays::No);
        assert_eq!(total(&WORKER), RICH - 2 * FEE);
        assert_eq!(total(&CHALLENGER), RICH + FEE);
        assert_eq!(Burned::get(), FEE);
        assert_eq!(Workers::<Test>::get(&WORKER), Record::default());
        pass(0);

        let right = Products::new();
        assert_ok!(Market::claim(by(&OTHER_WORKER), job));
        assert_ok!(Market::submit(by(&OTHER_WORKER), job, right.roots()));
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&OTHER_WORKER), RICH + 8_500);
        pass(0);
    });
}

#[test]
fn the_event_names_the_entry() {
    new_test_ext().execute_with(|| {
        let wrong = Products::spoiled();
        let job = submitted(FEE, &wrong);
        let proof = wrong.proof(1).expect("an entry is wrong");
        assert_ok!(Market::prove_fraud(by(&CHALLENGER), job, 1, proof));
        // Entry 5 of the second tile: row 0, column 16 + 5.
        let proved = System::events()
            .into_iter()
            .find_map(|record| match record.event {
                RuntimeEvent::Market(Event::FraudProved {
                    row,
                    column,
                    committed,
                    exact,
                    ..
                }) => Some((row, column, committed - exact)),
                _ => None,
            });
        assert_eq!(proved, Some((0, 21, 1)));
    });
}

#[test]
fn a_proof_that_shows_nothing_changes_nothing() {
    new_test_ext().execute_with(|| {
        let (right, wrong) = (Products::new(), Products::spoiled());
        let job = submitted(FEE, &right);
        let prove = |product, proof| Market::prove_fraud(by(&CHALLENGER), job, product, proof);
        assert_noop!(prove(0, right.proof_of_nothing(0)), Error::<Test>::NoFault);
        // Another result's, another product's, and of none.
        let other = wrong.proof(1).expect("an entry is wrong");
        assert_noop!(prove(1, other), Error::<Test>::ProofDoesNotOpen);
        assert_noop!(
            prove(1, right.proof_of_nothing(0)),
            Error::<Test>::ProofDoesNotOpen
        );
        assert_noop!(
            prove(2, right.proof_of_nothing(0)),
            Error::<Test>::NoSuchProduct
        );
    });
}

#[test]
fn nothing_is_proved_before_there_is_a_result_or_after_its_window() {
    new_test_ext().execute_with(|| {
        let wrong = Products::spoiled();
        let proof = || wrong.proof(1).expect("an entry is wrong");
        let job = post(FEE);
        assert_noop!(
            Market::prove_fraud(by(&CHALLENGER), job, 1, proof()),
            Error::<Test>::WrongStage
        );
        assert_ok!(Market::claim(by(&WORKER), job));
        assert_ok!(Market::submit(by(&WORKER), job, wrong.roots()));
        pass(WINDOW + 1);
        assert_noop!(
            Market::prove_fraud(by(&CHALLENGER), job, 1, proof()),
            Error::<Test>::TooLate
        );
    });
}

#[test]
fn auditors_that_vouched_for_a_wrong_result_are_reported() {
    new_test_ext().execute_with(|| {
        let wrong = Products::spoiled();
        let job = submitted(FEE, &wrong);
        pass(2);
        let auditors = drawn(job);
        attest(job, &auditors[0]);
        attest(job, &auditors[2]);
        assert_ok!(Market::attest(
            by(&auditors[1]),
            job,
            auditors[1].clone(),
            Attestation::Unavailable
        ));
        // One opens, the other does not: both have said it.
        pass(WINDOW / 2);
        reveal(job, &auditors[0]);
        let proof = wrong.proof(1).expect("an entry is wrong");
        assert_ok!(Market::prove_fraud(by(&CHALLENGER), job, 1, proof));
        assert!(!Committees::<Test>::contains_key(job));
        assert_eq!(Accused::<Test>::iter().count(), 2);
        pass(0);

        let report =
            |auditor: &AccountId32| Market::report_auditor(by(&CHALLENGER), job, auditor.clone());
        for auditor in [&auditors[0], &auditors[2]] {
            let reported = report(auditor).expect("it vouched for the result");
            assert_eq!(reported.pays_fee, Pays::No);
            assert_noop!(report(auditor), Error::<Test>::NotAccused);
        }
        assert_noop!(report(&auditors[1]), Error::<Test>::NotAccused);
        let accusation = Accusation {
            session: Session::get(),
            since: 1,
        };
        let of = |auditor: &AccountId32| (CHALLENGER, job, accusation, auditor.clone());
        assert_eq!(Reported::get(), [of(&auditors[0]), of(&auditors[2])]);
        assert_eq!(Accused::<Test>::iter().count(), 0);
        pass(0);
    });
}
