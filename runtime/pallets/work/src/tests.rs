//! Difficulty, work and seals over chains of whole blocks.

use frame_support::{assert_noop, assert_ok, inherent::ProvideInherent, traits::FindAuthor};
use labora_consensus_api::ENGINE_ID;
use labora_pouw::asert;
use sp_inherents::InherentData;
use sp_runtime::{BuildStorage, DigestItem, DispatchError};

use super::*;
use crate::mock::*;

fn difficulty() -> u64 {
    Work::difficulty()
        .try_into()
        .expect("the tests stay within u64")
}

#[test]
fn the_first_block_has_the_difficulty_of_the_spec_and_needs_no_parent() {
    new_test_ext().execute_with(|| {
        assert_eq!(difficulty(), INITIAL_DIFFICULTY);
        chain(1, TARGET_MS);
        assert_eq!(AccumulatedWork::<Test>::get(), INITIAL_DIFFICULTY.into());
        assert_eq!(difficulty(), INITIAL_DIFFICULTY);
        assert_eq!(Work::seal_of(0), None);
        assert_eq!(Work::seal_of(1), None);
    });
}

#[test]
fn blocks_in_time_leave_the_difficulty_alone() {
    new_test_ext().execute_with(|| {
        chain(50, TARGET_MS);
        assert_eq!(difficulty(), INITIAL_DIFFICULTY);
        assert_eq!(
            AccumulatedWork::<Test>::get(),
            U256::from(INITIAL_DIFFICULTY) * 50
        );
    });
}

#[test]
fn a_chain_ahead_by_a_half_life_has_twice_the_difficulty_and_behind_half() {
    new_test_ext().execute_with(|| {
        // 20 blocks, each 5 s early: 100 s, one half-life.
        chain(21, TARGET_MS / 2);
        assert_eq!(difficulty(), 2 * INITIAL_DIFFICULTY);
    });
    new_test_ext().execute_with(|| {
        // Each 5 s late.
        chain(21, TARGET_MS * 3 / 2);
        assert_eq!(difficulty(), INITIAL_DIFFICULTY / 2);
    });
}

#[test]
fn difficulty_is_asert_from_the_first_block_and_work_is_its_sum() {
    new_test_ext().execute_with(|| {
        let initial = Difficulty::new(INITIAL_DIFFICULTY.into()).expect("not zero");
        let anchor = asert::Anchor::new(initial, START_MS, 1, TARGET_MS, HALF_LIFE_MS)
            .expect("within bounds");
        let (mut head, mut now_ms) = chain(1, 0);
        let mut work = U256::from(INITIAL_DIFFICULTY);
        // No two gaps alike, some late, some early, all under two half-lives.
        for gap_ms in [1, 7_919, 31_337, 150_000, 13, 99_999, 60_000, 2, 2, 2, 2] {
            now_ms += gap_ms;
            work += Work::difficulty();
            head = block(&head, now_ms);
            let expected = asert::next_difficulty(&anchor, now_ms, u64::from(head.number));
            assert_eq!(
                Work::difficulty(),
                expected.get(),
                "after block {}",
                head.number
            );
            assert_eq!(AccumulatedWork::<Test>::get(), work);
        }
    });
}

#[test]
fn the_state_knows_each_seal_but_the_newest() {
    new_test_ext().execute_with(|| {
        let (mut head, mut now_ms) = chain(1, 0);
        for _ in 0..3 {
            let (parent, had_to_meet) = (head.clone(), LastBlock::<Test>::get());
            now_ms += 5_000;
            head = block(&parent, now_ms);
            let record = SealRecord {
                block: parent.hash(),
                seal: seal(parent.number),
                difficulty: had_to_meet
                    .expect("the parent was executed")
                    .difficulty
                    .get(),
            };
            assert_eq!(Work::seal_of(parent.number), Some(record.clone()));
            assert_eq!(Work::seal_of(head.number), None);
            System::assert_has_event(
                Event::SealNoted {
                    number: parent.number,
                    record,
                }
                .into(),
            );
        }
    });
}

#[test]
fn seals_older_than_the_history_are_forgotten() {
    new_test_ext().execute_with(|| {
        chain(10, TARGET_MS);
        let known: Vec<bool> = (0..=10)
            .map(|number| Work::seal_of(number).is_some())
            .collect();
        assert_eq!(known, [&[false; 6][..], &[true; 4], &[false]].concat());
        assert_eq!(Seals::<Test>::iter().count(), 4);
    });
}

#[test]
fn another_header_than_the_parents_is_refused() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(2, TARGET_MS);
        begin(&head, vec![author_item(now_ms + 1)]);
        set_time(now_ms + 1);
        let note = |header| Work::note_parent(RuntimeOrigin::none(), Box::new(header));
        let mut other = head.clone();
        other.state_root.0[0] ^= 1;
        assert_noop!(note(other), Error::<Test>::NotTheParent);
        // The same header with another seal is another block.
        let mut resealed = head.clone();
        resealed.digest.logs.pop();
        resealed
            .digest
            .push(labora_consensus_api::seal_item(&seal(77)));
        assert_noop!(note(resealed), Error::<Test>::NotTheParent);
        let mut unsealed = head.clone();
        unsealed.digest.logs.pop();
        assert_noop!(note(unsealed), Error::<Test>::NotTheParent);
        assert_noop!(note(genesis_header()), Error::<Test>::NotTheParent);
        assert_ok!(note(head));
    });
}

#[test]
fn a_parent_without_a_seal_is_refused() {
    new_test_ext().execute_with(|| {
        begin(&genesis_header(), vec![author_item(START_MS)]);
        assert_noop!(
            Work::note_parent(RuntimeOrigin::none(), Box::new(genesis_header())),
            Error::<Test>::NoSeal
        );
    });
    new_test_ext().execute_with(|| {
        let (mut head, _) = chain(1, 0);
        head.digest.logs.pop();
        begin(&head, vec![author_item(START_MS + 1)]);
        assert_noop!(
            Work::note_parent(RuntimeOrigin::none(), Box::new(head)),
            Error::<Test>::NoSeal
        );
    });
}

#[test]
fn the_parent_is_noted_once_and_by_an_inherent_only() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(1, 0);
        begin(&head, vec![author_item(now_ms + 1)]);
        let note = |origin| Work::note_parent(origin, Box::new(head.clone()));
        assert_noop!(
            note(RuntimeOrigin::signed(AUTHOR)),
            DispatchError::BadOrigin
        );
        assert_noop!(note(RuntimeOrigin::root()), DispatchError::BadOrigin);
        assert_ok!(note(RuntimeOrigin::none()));
        assert_noop!(note(RuntimeOrigin::none()), Error::<Test>::AlreadyNoted);
    });
}

#[test]
#[should_panic(expected = "a block must bring its parent's header")]
fn a_block_without_its_parents_header_is_invalid() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(1, 0);
        begin(&head, vec![author_item(now_ms + 1)]);
        set_time(now_ms + 1);
        end();
    });
}

#[test]
#[should_panic(expected = "the timestamp must be the one in the header's digest")]
fn a_time_other_than_the_digests_is_invalid() {
    new_test_ext().execute_with(|| {
        begin(&genesis_header(), vec![author_item(START_MS)]);
        set_time(START_MS + 1);
    });
}

// With the benchmarks compiled in, a block without any digest is one of theirs.
#[cfg(not(feature = "runtime-benchmarks"))]
#[test]
#[should_panic(expected = "NoPreDigest")]
fn a_block_without_an_authors_item_is_invalid() {
    new_test_ext().execute_with(|| {
        begin(&genesis_header(), vec![]);
        set_time(START_MS);
    });
}

#[test]
#[should_panic(expected = "Stray(1)")]
fn a_block_with_two_authors_items_is_invalid() {
    new_test_ext().execute_with(|| {
        begin(
            &genesis_header(),
            vec![author_item(START_MS), author_item(START_MS)],
        );
        set_time(START_MS);
    });
}

#[test]
#[should_panic(expected = "add up to more than 2^256 - 1")]
fn work_that_would_overflow_makes_a_block_invalid() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(1, 0);
        AccumulatedWork::<Test>::put(U256::MAX - INITIAL_DIFFICULTY + 1);
        block(&head, now_ms + 1);
    });
}

#[test]
fn a_chain_that_stood_still_goes_on_from_a_quarter_and_does_not_catch_up() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(5, TARGET_MS);
        let night_ms = 12 * 3_600_000;
        let mut head = block(&head, now_ms + night_ms);
        // Late by two half-lives less the one block that was due.
        let (least, most) = (INITIAL_DIFFICULTY / 4, INITIAL_DIFFICULTY * 3 / 10);
        assert!((least..most).contains(&difficulty()), "{}", difficulty());
        // 20 blocks at half the time make up for one half-life; the rest of the night is not made up for.
        let mut now_ms = now_ms + night_ms;
        let before = difficulty();
        for _ in 0..20 {
            now_ms += TARGET_MS / 2;
            head = block(&head, now_ms);
        }
        let twice = 2 * before;
        assert!(
            difficulty().abs_diff(twice) < twice / 1_000,
            "{} not {twice}",
            difficulty()
        );
    });
}

#[test]
fn difficulty_goes_on_from_where_it_is_when_parameters_change() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(21, TARGET_MS / 2);
        assert_eq!(difficulty(), 2 * INITIAL_DIFFICULTY);
        // A block at the old pace, in which they change.
        let now_ms = now_ms + TARGET_MS;
        begin(&head, vec![author_item(now_ms)]);
        set_time(now_ms);
        assert_ok!(Work::note_parent(RuntimeOrigin::none(), Box::new(head)));
        assert_ok!(Work::set_parameters(RuntimeOrigin::root(), 2_000, 40_000));
        let parameters = Parameters::new(2_000, 40_000).expect("within bounds");
        System::assert_last_event(Event::ParametersChanged { parameters }.into());
        let mut head = end();
        assert_eq!(difficulty(), 2 * INITIAL_DIFFICULTY);
        // At the new pace it stays; 40 blocks, each a second early, double it.
        let mut now_ms = now_ms;
        for _ in 0..10 {
            now_ms += 2_000;
            head = block(&head, now_ms);
        }
        assert_eq!(difficulty(), 2 * INITIAL_DIFFICULTY);
        for _ in 0..40 {
            now_ms += 1_000;
            head = block(&head, now_ms);
        }
        assert_eq!(difficulty(), 4 * INITIAL_DIFFICULTY);
    });
}

#[test]
fn parameters_out_of_bounds_or_from_anyone_but_root_are_refused() {
    new_test_ext().execute_with(|| {
        chain(1, 0);
        let set =
            |target, half_life| Work::set_parameters(RuntimeOrigin::root(), target, half_life);
        assert_noop!(
            Work::set_parameters(RuntimeOrigin::signed(AUTHOR), 12_000, 3_600_000),
            DispatchError::BadOrigin
        );
        assert_noop!(set(99, 3_600_000), Error::<Test>::TargetBlockTime);
        assert_noop!(set(3_600_001, 3_600_001), Error::<Test>::TargetBlockTime);
        assert_noop!(set(12_000, 11_999), Error::<Test>::HalfLife);
        assert_noop!(set(12_000, 30 * 86_400_000 + 1), Error::<Test>::HalfLife);
        assert_ok!(set(100, 100));
        assert_ok!(set(3_600_000, 30 * 86_400_000));
    });
}

#[test]
fn the_inherent_brings_the_parents_header_in_every_block_but_the_first() {
    new_test_ext().execute_with(|| {
        let (head, now_ms) = chain(1, 0);
        let mut data = InherentData::new();
        data.put_data(INHERENT_IDENTIFIER, &head)
            .expect("the name is free");
        begin(&head, vec![author_item(now_ms + 1)]);
        let call = Work::create_inherent(&data).expect("block 2 needs it");
        assert!(Work::is_inherent(&call));
        assert_eq!(
            call,
            Call::note_parent {
                header: Box::new(head)
            }
        );
        assert_eq!(
            Work::is_inherent_required(&data),
            Ok(Some(InherentError::Missing))
        );
        // Without the data there is nothing to bring.
        assert_eq!(Work::create_inherent(&InherentData::new()), None);
    });
    new_test_ext().execute_with(|| {
        let mut data = InherentData::new();
        data.put_data(INHERENT_IDENTIFIER, &genesis_header())
            .expect("the name is free");
        begin(&genesis_header(), vec![author_item(START_MS)]);
        assert_eq!(Work::create_inherent(&data), None);
        assert_eq!(Work::is_inherent_required(&data), Ok(None));
    });
}

#[test]
fn the_author_is_the_one_in_the_digest() {
    let item = author_item(START_MS);
    let of = |items: &[DigestItem]| {
        Work::find_author(items.iter().filter_map(DigestItem::as_pre_runtime))
    };
    assert_eq!(of(core::slice::from_ref(&item)), Some(AUTHOR));
    let foreign = DigestItem::PreRuntime(*b"BABE", vec![1, 2, 3]);
    assert_eq!(of(&[foreign.clone(), item]), Some(AUTHOR));
    assert_eq!(of(&[foreign]), None);
    assert_eq!(of(&[DigestItem::PreRuntime(ENGINE_ID, vec![0; 39])]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn the_check_sees_a_seal_that_is_missing_or_strange_and_work_that_is_lost() {
    new_test_ext().execute_with(|| {
        chain(10, TARGET_MS);
        assert_ok!(Work::do_try_state());
        let record = Seals::<Test>::take(7).expect("within the history");
        assert_eq!(
            Work::do_try_state(),
            Err("the seal of a recent block is missing".into())
        );
        Seals::<Test>::insert(3, &record);
        assert_eq!(
            Work::do_try_state(),
            Err("a seal is not of a recent block".into())
        );
        Seals::<Test>::remove(3);
        Seals::<Test>::insert(7, &record);
        assert_ok!(Work::do_try_state());
        AccumulatedWork::<Test>::put(U256::from(INITIAL_DIFFICULTY) * 5 - 1);
        assert_eq!(
            Work::do_try_state(),
            Err("accumulated work is less than that of recent blocks".into())
        );
    });
}

#[test]
#[should_panic(expected = "work in the chain spec: TargetBlockTime")]
fn a_chain_without_a_block_time_does_not_start() {
    let work = WorkConfig {
        target_block_time_ms: 0,
        ..work_genesis()
    };
    let _ = RuntimeGenesisConfig {
        work,
        ..Default::default()
    }
    .build_storage();
}

#[test]
#[should_panic(expected = "initial difficulty 262143 is out of bounds")]
fn a_chain_below_the_lowest_difficulty_does_not_start() {
    let work = WorkConfig {
        initial_difficulty: 262_143.into(),
        ..work_genesis()
    };
    let _ = RuntimeGenesisConfig {
        work,
        ..Default::default()
    }
    .build_storage();
}
