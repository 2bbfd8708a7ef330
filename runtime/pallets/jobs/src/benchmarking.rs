//! What the calls cost at their worst: jobs of as many products as there may be, the greatest committee, all validators.

use alloc::{boxed::Box, vec, vec::Vec};

use frame_benchmarking::v2::*;
use frame_support::traits::fungible::Balanced;
use frame_system::RawOrigin;
use labora_pouw::{
    Shape,
    fraud::{Data, TILE_ENTRIES, prove_entry},
    freivalds::sealed,
};

use crate::*;

/// Validators of whom auditors are drawn.
const VALIDATORS: u32 = 100;

/// The fee of every job.
const FEE: u128 = 1_000_000_000_000_000;

/// Blocks for which a job is open.
const OPEN_BLOCKS: u32 = 10;

/// A row of tiles, and a column: strips are as long in greater matrices, and paths of a few dozen hashes weigh nothing beside.
const SIDE: u32 = 32;

fn rich<T: Config>(name: &'static str) -> T::AccountId {
    let who = account(name, 0, 0);
    let credit = T::Currency::issue(1_000 * FEE);
    assert!(T::Currency::resolve(&who, credit).is_ok());
    who
}

fn signed<T: Config>(who: &T::AccountId) -> OriginFor<T> {
    RawOrigin::Signed(who.clone()).into()
}

fn hashes(count: u32) -> Hashes {
    let all: Vec<Hash> = (0..count).map(|at| [at as u8; 32]).collect();
    all.try_into().expect("as many as a job may have")
}

fn batch(products: u32) -> Batch {
    let left = hashes(products)
        .into_iter()
        .map(|root| Left { root, m: SIDE });
    Batch {
        root_b: [1; 32],
        n: SIDE,
        k: 256,
        left: left
            .collect::<Vec<_>>()
            .try_into()
            .expect("as many as a job may have"),
    }
}

fn pass<T: Config>(until: u32) {
    frame_system::Pallet::<T>::set_block_number(until.into());
}

/// A market with the greatest committees, at block 1.
fn begin<T: Config>() {
    CurrentTerms::<T>::put(Terms {
        committee: MAX_COMMITTEE,
        ..Terms::default()
    });
    pass::<T>(1);
}

fn posted_as<T: Config>(batch: Batch) -> (T::AccountId, JobId) {
    begin::<T>();
    let (poster, job) = (rich::<T>("poster"), NextJob::<T>::get());
    let posted = Pallet::<T>::post(signed::<T>(&poster), batch, FEE, OPEN_BLOCKS);
    assert!(posted.is_ok());
    (poster, job)
}

fn posted<T: Config>() -> (T::AccountId, JobId) {
    posted_as::<T>(batch(MAX_PRODUCTS))
}

/// A job with these products and results.
fn submitted_as<T: Config>(batch: Batch, roots: Hashes) -> (T::AccountId, JobId) {
    let (poster, job) = posted_as::<T>(batch);
    let worker = rich::<T>("worker");
    assert!(Pallet::<T>::claim(signed::<T>(&worker), job).is_ok());
    assert!(Pallet::<T>::submit(signed::<T>(&worker), job, roots).is_ok());
    (poster, job)
}

fn submitted<T: Config>(products: u32) -> (T::AccountId, JobId) {
    submitted_as::<T>(batch(products), hashes(products))
}

fn window<T: Config>(job: JobId) -> Window {
    match Jobs::<T>::get(job).map(|job| job.stage) {
        Some(Stage::Submitted(submitted)) => submitted.window,
        other => panic!("a job without a result: {other:?}"),
    }
}

/// The greatest committee, of which each has said this; its auditors.
fn committee<T: Config>(job: JobId, said: impl Fn(u32) -> Said) -> Vec<T::AccountId> {
    let seats = (0..MAX_COMMITTEE).map(|at| Seat {
        auditor: account::<T::AccountId>("auditor", at, 0),
        said: said(at),
    });
    let seats: Vec<_> = seats.collect();
    let auditors = seats.iter().map(|seat| seat.auditor.clone()).collect();
    let seats = seats.try_into().expect("as many as there may be");
    Committees::<T>::insert(job, Committee { session: 0, seats });
    auditors
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn post(p: Linear<1, MAX_PRODUCTS>) {
        begin::<T>();
        let poster = rich::<T>("poster");

        #[extrinsic_call]
        _(RawOrigin::Signed(poster), batch(p), FEE, OPEN_BLOCKS);

        assert_eq!(Jobs::<T>::iter_keys().count(), 1);
    }

    #[benchmark]
    fn raise() {
        let (poster, job) = posted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(poster), job, FEE);

        assert_eq!(Jobs::<T>::get(job).map(|job| job.fee), Some(2 * FEE));
    }

    #[benchmark]
    fn cancel() {
        let (poster, job) = posted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(poster), job);

        assert!(!Jobs::<T>::contains_key(job));
    }

    #[benchmark]
    fn claim() {
        let (_, job) = posted::<T>();
        let worker = rich::<T>("worker");

        #[extrinsic_call]
        _(RawOrigin::Signed(worker.clone()), job);

        assert_eq!(Workers::<T>::get(&worker).open, 1);
    }

    #[benchmark]
    fn submit(p: Linear<1, MAX_PRODUCTS>) {
        let (_, job) = posted_as::<T>(batch(p));
        let worker = rich::<T>("worker");
        assert!(Pallet::<T>::claim(signed::<T>(&worker), job).is_ok());

        #[extrinsic_call]
        _(RawOrigin::Signed(worker), job, hashes(p));

        assert_eq!(window::<T>(job).since, 1);
    }

    #[benchmark]
    fn accept() {
        let (poster, job) = submitted::<T>(MAX_PRODUCTS);
        committee::<T>(job, |_| Said::Opened);

        #[extrinsic_call]
        _(RawOrigin::Signed(poster), job);

        assert!(!Committees::<T>::contains_key(job));
    }

    #[benchmark]
    fn forget() {
        let (poster, job) = submitted::<T>(MAX_PRODUCTS);
        assert!(Pallet::<T>::accept(signed::<T>(&poster), job).is_ok());

        #[extrinsic_call]
        _(RawOrigin::Signed(poster), job);

        assert!(!Jobs::<T>::contains_key(job));
    }

    #[benchmark]
    fn attest_first() {
        let (_, job) = submitted::<T>(MAX_PRODUCTS);
        let sealed = window::<T>(job).drawn_by();
        pass::<T>(sealed + 1);
        let validators = (0..VALIDATORS).map(|at| account("validator", at, 0));
        T::BenchmarkHelper::prepare(validators.collect(), sealed);
        let drawn = Pallet::<T>::api_auditors(job).expect("the seal is known");
        let last = drawn.seats.last().expect("there are validators");
        let (auditor, agent) = (last.auditor.clone(), rich::<T>("agent"));
        Agents::<T>::insert(&auditor, agent.clone());

        #[extrinsic_call]
        attest(
            RawOrigin::Signed(agent),
            job,
            auditor,
            Attestation::Holds([1; 32]),
        );

        assert!(Committees::<T>::contains_key(job));
    }

    #[benchmark]
    fn attest_last() {
        let (_, job) = submitted::<T>(MAX_PRODUCTS);
        let auditors = committee::<T>(job, |at| match at < MAX_COMMITTEE / 2 {
            true => Said::Unavailable,
            false => Said::Nothing,
        });
        // So late that the poster has its money back; if the window is so short, while it can still be said.
        pass::<T>((OPEN_BLOCKS + 2).min(window::<T>(job).attest_until()));
        let last = auditors.last().expect("a committee").clone();
        let agent = rich::<T>("agent");
        Agents::<T>::insert(&last, agent.clone());

        #[extrinsic_call]
        attest(
            RawOrigin::Signed(agent),
            job,
            last,
            Attestation::Unavailable,
        );

        assert!(!Committees::<T>::contains_key(job));
    }

    #[benchmark]
    fn reveal(p: Linear<1, MAX_PRODUCTS>) {
        let (_, job) = submitted::<T>(p);
        let (secret, answers) = ([7; 32], hashes(p));
        let auditors = committee::<T>(job, |at| {
            let auditor: T::AccountId = account("auditor", at, 0);
            let seal = auditor.using_encoded(|auditor| sealed(auditor, &secret, &answers));
            Said::Sealed(seal)
        });
        pass::<T>(window::<T>(job).attest_until() + 1);
        let last = auditors.last().expect("a committee").clone();
        let agent = rich::<T>("agent");
        Agents::<T>::insert(&last, agent.clone());

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), job, last, secret, answers);

        let opened = Committees::<T>::get(job).map(|committee| committee.confirmed_by().len());
        assert_eq!(opened, Some(1));
    }

    #[benchmark]
    fn prove_fraud(s: Linear<4_096, 262_144>) {
        // Of the shapes that there are the next longer one.
        let k = s.div_ceil(16 * 64) * 64;
        let shape = Shape::new(SIDE, SIDE, k).expect("a valid shape");
        let side = SIDE as usize;
        let (a, bt) = (vec![1i8; side * k as usize], vec![-1i8; side * k as usize]);
        let mut c = vec![-(k as i32); side * side];
        c[TILE_ENTRIES - 1] += 1;
        let data = Data::new(shape, &a, &bt, &c).expect("they fit the shape");
        let claimed = data.claim();
        let mut batch = batch(MAX_PRODUCTS);
        (batch.k, batch.root_b) = (k, claimed.root_b);
        let last = MAX_PRODUCTS - 1;
        batch.left[last as usize].root = claimed.root_a;
        let mut roots = hashes(MAX_PRODUCTS);
        roots[last as usize] = claimed.root_c;
        let (_, job) = submitted_as::<T>(batch, roots);
        committee::<T>(job, |_| Said::Opened);
        let proof = prove_entry(&data, 0, 0, (TILE_ENTRIES - 1) as u8);
        let proof = Box::new(proof.expect("there is such a tile"));
        // Nobody has heard of who proves it: its account is made.
        let challenger = account("challenger", 0, 0);
        pass::<T>((OPEN_BLOCKS + 2).min(window::<T>(job).ends()));

        #[extrinsic_call]
        _(RawOrigin::Signed(challenger), job, last, proof);

        assert_eq!(
            Accused::<T>::iter_key_prefix(job).count() as u32,
            MAX_COMMITTEE
        );
    }

    #[benchmark]
    fn report_auditor() {
        let auditor: T::AccountId = account("auditor", 0, 0);
        let accusation = Accusation {
            session: 0,
            since: 1,
        };
        Accused::<T>::insert(0, &auditor, accusation);
        let reporter = rich::<T>("reporter");

        #[extrinsic_call]
        _(RawOrigin::Signed(reporter), 0, auditor.clone());

        assert!(!Accused::<T>::contains_key(0, &auditor));
    }

    #[benchmark]
    fn poke() {
        let (_, job) = submitted::<T>(MAX_PRODUCTS);
        committee::<T>(job, |_| Said::Opened);
        pass::<T>(window::<T>(job).ends() + 1);
        let anyone = rich::<T>("anyone");

        #[extrinsic_call]
        _(RawOrigin::Signed(anyone), job);

        let stage = Jobs::<T>::get(job).map(|job| job.stage);
        assert!(matches!(stage, Some(Stage::Settled { .. })));
    }

    #[benchmark]
    fn set_agent() {
        let validators = (0..VALIDATORS).map(|at| account("validator", at, 0));
        let validators: Vec<T::AccountId> = validators.collect();
        T::BenchmarkHelper::prepare(validators.clone(), 1);
        let last = validators.last().expect("there are validators").clone();

        #[extrinsic_call]
        _(
            RawOrigin::Signed(last.clone()),
            Some(account("agent", 0, 0)),
        );

        assert!(Agents::<T>::contains_key(&last));
    }

    #[benchmark]
    fn set_terms() {
        #[extrinsic_call]
        _(RawOrigin::Root, Terms::default());

        assert_eq!(CurrentTerms::<T>::get(), Terms::default());
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
