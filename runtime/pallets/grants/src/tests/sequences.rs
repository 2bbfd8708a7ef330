//! Random calls: every unit of the fund is accounted for after each, and in the end all of it that was not paid is home.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use frame_support::{
    storage::with_storage_layer,
    traits::{Hooks, fungible::InspectHold},
};
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
    SetTerms(u128, u32, u32),
    /// Who audits from now on: all, or nobody.
    Elect(bool),
    Close(InstitutionId),
    Invite(usize, InstitutionId, usize),
    Join(usize, InstitutionId),
    RemoveMember(usize, InstitutionId, usize),
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
    Withdraw(usize, JobId),
    Raise(JobId),
    Work(JobId),
    /// All auditors do what they should, which chance alone seldom brings about.
    Audit(JobId),
    Accept(JobId),
    Forget(JobId),
    Poke(JobId),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, id, job) = (0..5usize, 0..3u32, 0..4u64);
    let quota = prop_oneof![0..1_000u128, 5_000..400_000u128];
    let fee = prop_oneof![0..2_000u128, 1_000..12_000u128];
    let step = prop_oneof![
        3 => prop_oneof![0..4u32, 20..60u32].prop_map(Step::Pass),
        1 => Just(Step::NextEra),
        3 => (who.clone(), quota.clone()).prop_map(|(who, quota)| Step::Admit(who, quota)),
        1 => (id.clone(), quota).prop_map(|(id, quota)| Step::SetQuota(id, quota)),
        1 => (id.clone(), who.clone()).prop_map(|(id, who)| Step::SetAdmin(id, who)),
        1 => (0..2 * MAX_RATE, 20..60u32, 0..6u32).prop_map(|(rate, blocks, quotas)| Step::SetTerms(rate, blocks, quotas)),
        1 => any::<bool>().prop_map(Step::Elect),
        1 => id.clone().prop_map(Step::Close),
        6 => (who.clone(), id.clone(), who.clone()).prop_map(|(by, id, who)| Step::Invite(by, id, who)),
        8 => (who.clone(), id.clone()).prop_map(|(who, id)| Step::Join(who, id)),
        1 => (who.clone(), id.clone(), who.clone()).prop_map(|(by, id, who)| Step::RemoveMember(by, id, who)),
        1 => who.clone().prop_map(Step::Leave),
        2 => (who.clone(), id.clone()).prop_map(|(who, id)| Step::OfferRig(who, id)),
        2 => (who.clone(), who.clone()).prop_map(|(by, who)| Step::AcceptRig(by, who)),
        1 => (who.clone(), who.clone()).prop_map(|(by, who)| Step::EndRig(by, who)),
        2 => who.clone().prop_map(Step::Mine),
        10 => (who.clone(), fee.clone()).prop_map(|(who, fee)| Step::Sponsor(who, fee)),
        1 => (who.clone(), fee).prop_map(|(who, fee)| Step::PostOwn(who, fee)),
        2 => id.clone().prop_map(Step::Sweep),
        1 => (id, 0..500u128).prop_map(|(id, amount)| Step::Donate(id, amount)),
        3 => job.clone().prop_map(Step::Cancel),
        2 => (who, job.clone()).prop_map(|(by, job)| Step::Withdraw(by, job)),
        1 => job.clone().prop_map(Step::Raise),
        5 => job.clone().prop_map(Step::Work),
        8 => job.clone().prop_map(Step::Audit),
        8 => job.clone().prop_map(Step::Accept),
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

/// Somebody whom an institution has invited, every other time; else anyone.
fn invited(who: usize, id: InstitutionId) -> RuntimeOrigin {
    let all = Members::<Test>::iter_prefix(id);
    let mut invited = all.filter(|(_, membership)| *membership == Membership::Invited);
    let its = who.is_multiple_of(2).then(|| invited.next()).flatten();
    by(&its.map_or_else(|| ACCOUNTS[who].clone(), |(who, _)| who))
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
        Step::SetTerms(max_rate, open_blocks, held_quotas) => {
            let terms = Terms {
                max_rate,
                open_blocks,
                held_quotas,
            };
            return Grants::set_terms(root(), terms);
        }
        Step::Elect(all) => Elected::set(if all { AUDITORS.to_vec() } else { Vec::new() }),
        Step::Close(id) => return Grants::close(root(), id),
        Step::Invite(by, id, who) => {
            return Grants::invite(admin(by, Some(id)), id, ACCOUNTS[who].clone());
        }
        Step::Join(who, id) => return Grants::join(invited(who, id), id),
        Step::RemoveMember(by, id, who) => {
            return Grants::remove_member(admin(by, Some(id)), id, ACCOUNTS[who].clone());
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
        Step::Sponsor(who, fee) => {
            Grants::sponsor(of(who), batch(), 30, fee)?;
            let terms = CurrentTerms::<Test>::get();
            assert!(terms.open_blocks >= 30);
            let id = MemberOf::<Test>::get(&ACCOUNTS[who]).expect("it is a member");
            let held = Balances::total_balance_on_hold(&Grants::account_of(id));
            let most = institution(id).quota * u128::from(terms.held_quotas);
            assert!(held <= most, "more is held than may be");
        }
        Step::PostOwn(who, fee) => return Market::post(of(who), batch(), fee, 30),
        Step::Sweep(id) => return done(Grants::sweep(by(&OTHER), id)),
        Step::Donate(id, amount) => {
            let account = Grants::account_of(id);
            return Balances::transfer_allow_death(by(&OTHER), account, amount).map(drop);
        }
        Step::Cancel(job) => return Market::cancel(poster(job), job),
        Step::Withdraw(by, job) => {
            let its = Granted::<Test>::get(job).map(|grant| grant.institution);
            let who = if by == 0 { root() } else { admin(by, its) };
            return Grants::withdraw(who, job);
        }
        Step::Raise(job) => return Market::raise(poster(job), job, 1),
        Step::Work(job) => {
            Market::claim(by(&WORKER), job)?;
            let roots = vec![[3; 32]].try_into().expect("one product");
            return Market::submit(by(&WORKER), job, roots);
        }
        Step::Audit(job) => return audit(job),
        Step::Accept(job) => {
            let it = pallet_jobs::Jobs::<Test>::get(job);
            let its = pallet_jobs::Committees::<Test>::get(job);
            let is_confirmed = its.is_some_and(|committee| committee.confirms());
            Market::accept(poster(job), job)?;
            let is_of_fund = it.is_some_and(|it| it.payer.is_some());
            assert!(is_confirmed || !is_of_fund, "the fund paid for nothing");
        }
        Step::Forget(job) => return Market::forget(poster(job), job),
        Step::Poke(job) => return done(Market::poke(by(&OTHER), job)),
    }
    Ok(())
}

/// Every account of an institution that was admitted, or could be.
fn institutions() -> impl Iterator<Item = (InstitutionId, AccountId32)> {
    let all = 0..NextInstitution::<Test>::get().max(3);
    all.map(|id| (id, Grants::account_of(id)))
}

fn on_accounts() -> u128 {
    institutions().map(|(_, account)| total(&account)).sum()
}

/// What the fund has, lent to accounts of institutions, or paid; with what was sent to those, less.
fn fund(donated: u128) -> u128 {
    let paid: u128 = Institutions::<Test>::iter_values()
        .map(|it| it.ledger.paid)
        .sum();
    total(&FUND) + on_accounts() + paid - donated
}

fn all_money() -> u128 {
    let everyone = ACCOUNTS.iter().chain(&AUDITORS).map(total).sum::<u128>();
    everyone + total(&FUND) + on_accounts() + Burned::get()
}

/// What keeps an institution's account alive: while it is open, or something is held of it.
fn alive(id: InstitutionId, account: &AccountId32) -> u128 {
    let is_open = Institutions::<Test>::get(id).is_some_and(|it| !it.is_closed);
    match is_open || Balances::total_balance_on_hold(account) > 0 {
        true => EXISTENTIAL_DEPOSIT,
        false => 0,
    }
}

/// Institutions from whose accounts money went home since there were so many events.
fn returned(since: usize) -> impl Iterator<Item = InstitutionId> {
    let events = System::events().into_iter().skip(since);
    events.filter_map(|record| match record.event {
        RuntimeEvent::Grants(Event::Returned { institution, .. }) => Some(institution),
        _ => None,
    })
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
            Event::Invited { .. } => "invited",
            Event::MemberJoined { .. } => "member joined",
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
        let mut reached_too = BTreeSet::new();
        // What was sent to each institution's account in all, and what of that lies there.
        let (mut donated, mut lies) = (0, BTreeMap::<InstitutionId, u128>::new());
        for step in steps {
            let (said, since) = (format!("{step:?}"), System::events().len());
            let sent = match step {
                Step::Donate(id, amount) => Some((id, amount)),
                _ => None,
            };
            let what = match step {
                Step::Withdraw(..) => Some("withdrawn"),
                Step::Audit(_) if !Elected::get().is_empty() => Some("audited"),
                _ => None,
            };
            if with_storage_layer(|| call(step)).is_ok() {
                reached_too.extend(what);
                if let Some((id, amount)) = sent {
                    donated += amount;
                    *lies.entry(id).or_default() += amount;
                }
            }
            for id in returned(since) {
                lies.remove(&id);
            }
            prop_assert_eq!(all_money(), money, "{}", said);
            prop_assert_eq!(fund(donated), FILLED, "{}", said);
            let sound = Grants::do_try_state().and_then(|()| Market::do_try_state());
            prop_assert!(sound.is_ok(), "{said}: {sound:?}");
            // Nothing lies on an account but what keeps it alive and what was sent there since it last went home.
            for (id, account) in institutions() {
                let expected = alive(id, &account) + lies.get(&id).copied().unwrap_or_default();
                prop_assert_eq!(Balances::free_balance(&account), expected, "{}", said);
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
        for id in 0..NextInstitution::<Test>::get() {
            prop_assert_eq!(total(&Grants::account_of(id)), 0, "money is stuck");
        }
        prop_assert_eq!(fund(donated), FILLED);
        reached_too.extend(reached());
        Ok(reached_too)
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
    let all: Vec<&str> = all.into_inner().into_iter().collect();
    let expected = [
        "admin",
        "admitted",
        "audited",
        "closed",
        "invited",
        "member joined",
        "member removed",
        "paid",
        "quota",
        "returned",
        "rig accepted",
        "rig ended",
        "rig offered",
        "sponsored",
        "terms",
        "withdrawn",
    ];
    assert_eq!(all, expected);
}
