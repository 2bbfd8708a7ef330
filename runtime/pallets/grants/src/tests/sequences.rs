//! Random calls: every unit of the fund is accounted for after each, and in the end all of it that was not paid is home.

use std::{cell::RefCell, collections::BTreeSet};

use frame_support::{storage::with_storage_layer, traits::Hooks};
use pallet_jobs::Stage;
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use sp_core::crypto::AccountId32;

use crate::{mock::*, *};

const ACCOUNTS: [AccountId32; 5] = [ADMIN, MEMBER, OTHER, WORKER, RIG];

#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    NextEra,
    Admit(usize, u128),
    SetQuota(InstitutionId, u128),
    SetAdmin(InstitutionId, usize),
    SetRate(u128),
    Close(InstitutionId),
    AddMember(usize, InstitutionId, usize),
    RemoveMember(usize, usize),
    Leave(usize),
    OfferRig(usize, InstitutionId),
    AcceptRig(usize, usize),
    EndRig(usize, usize),
    Mine(usize),
    Sponsor(usize, u128),
    PostOwn(usize, u128),
    Sweep(InstitutionId),
    Donate(InstitutionId, u128),
    Cancel(JobId),
    Raise(JobId),
    Work(JobId),
    Accept(JobId),
    Forget(JobId),
    Poke(JobId),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, id, job) = (0..5usize, 0..3u32, 0..8u64);
    let quota = prop_oneof![0..1_000u128, 5_000..400_000u128];
    let fee = prop_oneof![0..2_000u128, 1_000..12_000u128];
    let step = prop_oneof![
        3 => prop_oneof![0..4u32, 20..60u32].prop_map(Step::Pass),
        1 => Just(Step::NextEra),
        3 => (who.clone(), quota.clone()).prop_map(|(who, quota)| Step::Admit(who, quota)),
        1 => (id.clone(), quota).prop_map(|(id, quota)| Step::SetQuota(id, quota)),
        1 => (id.clone(), who.clone()).prop_map(|(id, who)| Step::SetAdmin(id, who)),
        1 => (0..2 * MAX_RATE).prop_map(Step::SetRate),
        1 => id.clone().prop_map(Step::Close),
        6 => (who.clone(), id.clone(), who.clone()).prop_map(|(by, id, who)| Step::AddMember(by, id, who)),
        1 => (who.clone(), who.clone()).prop_map(|(by, who)| Step::RemoveMember(by, who)),
        1 => who.clone().prop_map(Step::Leave),
        2 => (who.clone(), id.clone()).prop_map(|(who, id)| Step::OfferRig(who, id)),
        2 => (who.clone(), who.clone()).prop_map(|(by, who)| Step::AcceptRig(by, who)),
        1 => (who.clone(), who.clone()).prop_map(|(by, who)| Step::EndRig(by, who)),
        2 => who.clone().prop_map(Step::Mine),
        10 => (who.clone(), fee.clone()).prop_map(|(who, fee)| Step::Sponsor(who, fee)),
        1 => (who, fee).prop_map(|(who, fee)| Step::PostOwn(who, fee)),
        2 => id.clone().prop_map(Step::Sweep),
        1 => (id, 0..500u128).prop_map(|(id, amount)| Step::Donate(id, amount)),
        3 => job.clone().prop_map(Step::Cancel),
        1 => job.clone().prop_map(Step::Raise),
        5 => job.clone().prop_map(Step::Work),
        4 => job.clone().prop_map(Step::Accept),
        2 => job.clone().prop_map(Step::Forget),
        4 => job.prop_map(Step::Poke),
    ];
    proptest::collection::vec(step, 1..140)
}

/// Whoever administers an institution, every other time; else anyone.
fn admin(by: usize, id: Option<InstitutionId>) -> RuntimeOrigin {
    let its = || Some(Institutions::<Test>::get(id?)?.admin);
    let who = if by.is_multiple_of(2) { its() } else { None };
    self::by(&who.unwrap_or(ACCOUNTS[by].clone()))
}

fn poster(job: JobId) -> RuntimeOrigin {
    let poster = pallet_jobs::Jobs::<Test>::get(job).map(|job| job.poster);
    by(&poster.unwrap_or(MEMBER))
}

fn call(step: Step) -> DispatchResult {
    let (of, root) = (|who: usize| by(&ACCOUNTS[who]), RuntimeOrigin::root);
    let done = |post: DispatchResultWithPostInfo| post.map(drop).map_err(|refused| refused.error);
    match step {
        Step::Pass(blocks) => pass(blocks),
        Step::NextEra => Era::mutate(|era| *era += 1),
        Step::Mine(who) => {
            Author::set(Some(ACCOUNTS[who].clone()));
            Grants::on_initialize(System::block_number());
        }
        Step::Admit(who, quota) => {
            return Grants::admit(root(), ACCOUNTS[who].clone(), name("x"), quota);
        }
        Step::SetQuota(id, quota) => return Grants::set_quota(root(), id, quota),
        Step::SetAdmin(id, who) => return Grants::set_admin(root(), id, ACCOUNTS[who].clone()),
        Step::SetRate(max_rate) => return Grants::set_terms(root(), Terms { max_rate }),
        Step::Close(id) => return Grants::close(root(), id),
        Step::AddMember(by, id, who) => {
            return Grants::add_member(admin(by, Some(id)), id, ACCOUNTS[who].clone());
        }
        Step::RemoveMember(by, who) => {
            let who = ACCOUNTS[who].clone();
            return Grants::remove_member(admin(by, MemberOf::<Test>::get(&who)), who);
        }
        Step::Leave(who) => return Grants::leave(of(who)),
        Step::OfferRig(who, id) => return Grants::offer_rig(of(who), id),
        Step::AcceptRig(by, who) => {
            let its = Rigs::<Test>::get(&ACCOUNTS[who]).map(|rig| rig.institution);
            return Grants::accept_rig(admin(by, its), ACCOUNTS[who].clone());
        }
        Step::EndRig(by, who) => {
            let its = Rigs::<Test>::get(&ACCOUNTS[who]).map(|rig| rig.institution);
            return Grants::end_rig(admin(by, its), ACCOUNTS[who].clone());
        }
        Step::Sponsor(who, fee) => return Grants::sponsor(of(who), batch(), 30, fee),
        Step::PostOwn(who, fee) => return Market::post(of(who), batch(), fee, 30),
        Step::Sweep(id) => return done(Grants::sweep(by(&OTHER), id)),
        Step::Donate(id, amount) => {
            let account = Grants::account_of(id);
            return Balances::transfer_allow_death(by(&OTHER), account, amount).map(drop);
        }
        Step::Cancel(job) => return Market::cancel(poster(job), job),
        Step::Raise(job) => return Market::raise(poster(job), job, 1),
        Step::Work(job) => {
            Market::claim(by(&WORKER), job)?;
            let roots = vec![[3; 32]].try_into().expect("one product");
            return Market::submit(by(&WORKER), job, roots);
        }
        Step::Accept(job) => return Market::accept(poster(job), job),
        Step::Forget(job) => return Market::forget(poster(job), job),
        Step::Poke(job) => return done(Market::poke(by(&OTHER), job)),
    }
    Ok(())
}

/// Every account of an institution that was admitted, or could be.
fn institutions() -> impl Iterator<Item = AccountId32> {
    (0..NextInstitution::<Test>::get().max(3)).map(Grants::account_of)
}

/// What the fund has, lent to accounts of institutions, or paid; with what was sent to those, less.
fn fund(donated: u128) -> u128 {
    let paid: u128 = Institutions::<Test>::iter_values()
        .map(|it| it.ledger.paid)
        .sum();
    let lent: u128 = institutions().map(|account| total(&account)).sum();
    total(&FUND) + lent + paid - donated
}

fn all_money() -> u128 {
    let everyone = ACCOUNTS.iter().map(total).sum::<u128>();
    let lent: u128 = institutions().map(|account| total(&account)).sum();
    everyone + total(&FUND) + lent + Burned::get()
}

/// What came about, by name.
fn reached() -> BTreeSet<&'static str> {
    let name = |event| match event {
        RuntimeEvent::Grants(event) => Some(match event {
            Event::Admitted { .. } => "admitted",
            Event::QuotaSet { .. } => "quota",
            Event::AdminSet { .. } => "admin",
            Event::Closed { .. } => "closed",
            Event::TermsChanged { .. } => "terms",
            Event::MemberAdded { .. } => "member added",
            Event::MemberRemoved { .. } => "member removed",
            Event::RigOffered { .. } => "rig offered",
            Event::RigAccepted { .. } => "rig accepted",
            Event::RigEnded { .. } => "rig ended",
            Event::Sponsored { .. } => "sponsored",
            Event::Paid { .. } => "paid",
            Event::Returned { .. } => "returned",
            Event::__Ignore(..) => return None,
        }),
        _ => None,
    };
    let events = System::events().into_iter();
    events.filter_map(|record| name(record.event)).collect()
}

/// Somebody who has no part in anything brings all to its end, and governance closes what is open.
fn end() {
    for id in 0..NextInstitution::<Test>::get() {
        let _ = Grants::close(RuntimeOrigin::root(), id);
    }
    for _ in 0..4 {
        pass(70);
        for job in pallet_jobs::Jobs::<Test>::iter_keys().collect::<Vec<_>>() {
            let _ = Market::poke(by(&OTHER), job);
        }
    }
    for id in 0..NextInstitution::<Test>::get() {
        let _ = Grants::sweep(by(&OTHER), id);
    }
}

fn check(steps: Vec<Step>) -> Result<BTreeSet<&'static str>, TestCaseError> {
    new_test_ext().execute_with(|| {
        let money = all_money();
        let mut donated = 0;
        for step in steps {
            let said = format!("{step:?}");
            let sent = match step {
                Step::Donate(_, amount) => amount,
                _ => 0,
            };
            if with_storage_layer(|| call(step)).is_ok() {
                donated += sent;
            }
            prop_assert_eq!(all_money(), money, "{}", said);
            prop_assert_eq!(fund(donated), FILLED, "{}", said);
            let sound = Grants::do_try_state().and_then(|()| Market::do_try_state());
            prop_assert!(sound.is_ok(), "{said}: {sound:?}");
            // Nothing lies on an account but what keeps it alive and what was sent there.
            for account in institutions() {
                let free = Balances::free_balance(&account);
                prop_assert!(free <= EXISTENTIAL_DEPOSIT + donated, "{}: {}", said, free);
            }
            let posted = pallet_jobs::Jobs::<Test>::iter_values();
            let settled = posted.filter(|job| matches!(job.stage, Stage::Settled { .. }));
            let of_fund = settled.filter(|job| job.payer.is_some()).count() as u64;
            let written: u64 = Institutions::<Test>::iter_values()
                .map(|it| it.ledger.settled)
                .sum();
            prop_assert!(of_fund <= written, "{}", said);
        }
        end();
        prop_assert_eq!(
            pallet_jobs::Jobs::<Test>::iter_keys().count(),
            0,
            "a job is stuck"
        );
        let admitted = (0..NextInstitution::<Test>::get()).map(Grants::account_of);
        for account in admitted {
            prop_assert_eq!(total(&account), 0, "money is stuck");
        }
        prop_assert_eq!(fund(donated), FILLED);
        Ok(reached())
    })
}

#[test]
fn every_unit_of_the_fund_is_accounted_for_and_none_is_stuck() {
    // From the same seed each time, so that it is known that all is reached.
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    });
    let all = RefCell::new(BTreeSet::new());
    let run = runner.run(&steps(), |steps| {
        all.borrow_mut().extend(check(steps)?);
        Ok(())
    });
    run.unwrap();
    assert_eq!(all.into_inner().len(), 13);
}
