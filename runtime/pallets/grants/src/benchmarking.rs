//! What the calls cost at their worst: jobs of as many products as there may be, and money that waits on the way.

use alloc::vec::Vec;

use frame_benchmarking::v2::*;
use frame_support::traits::{Hooks, fungible::Inspect};
use frame_system::RawOrigin;
use pallet_jobs::{Left, MAX_PRODUCTS, Sponsor};

use crate::*;

/// The fee of every job.
const FEE: u128 = 1_000_000_000_000_000;

fn rich<T: Config>(name: &'static str) -> T::AccountId {
    let who = account(name, 0, 0);
    assert!(CurrencyOf::<T>::mint_into(&who, 1_000 * FEE).is_ok());
    who
}

fn batch(products: u32) -> Batch {
    let left = (0..products).map(|at| Left {
        root: [at as u8; 32],
        m: 32,
    });
    Batch {
        root_b: [1; 32],
        n: 32,
        k: 256,
        left: left
            .collect::<Vec<_>>()
            .try_into()
            .expect("as many as a job may have"),
    }
}

fn name() -> Name {
    let bytes = alloc::vec![b'x'; MAX_NAME as usize];
    bytes.try_into().expect("as long as a name may be")
}

fn governance<T: Config>() -> T::RuntimeOrigin {
    T::AdmitOrigin::try_successful_origin().expect("somebody governs")
}

/// An institution with a member and a rig, a rich fund that pays any price, and money that waits on the institution's account.
fn admitted<T: Config>() -> (T::AccountId, T::AccountId, InstitutionId) {
    frame_system::Pallet::<T>::set_block_number(1u32.into());
    assert!(CurrencyOf::<T>::mint_into(&T::Fund::get(), 1_000 * FEE).is_ok());
    CurrentTerms::<T>::put(Terms {
        max_rate: u128::MAX,
        ..Terms::default()
    });
    let (admin, member) = (rich::<T>("admin"), rich::<T>("member"));
    let id = NextInstitution::<T>::get();
    let admitted = Pallet::<T>::admit(governance::<T>(), admin.clone(), name(), 100 * FEE);
    assert!(admitted.is_ok());
    assert!(Pallet::<T>::do_invite(&admin, id, member.clone()).is_ok());
    assert!(Pallet::<T>::do_join(id, member.clone()).is_ok());
    wait::<T>(id);
    (admin, member, id)
}

/// Money waits to go home.
fn wait<T: Config>(id: InstitutionId) {
    assert!(CurrencyOf::<T>::mint_into(&Pallet::<T>::account_of(id), FEE).is_ok());
}

fn alone<T: Config>(id: InstitutionId) -> u128 {
    CurrencyOf::<T>::total_balance(&Pallet::<T>::account_of(id))
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn on_initialize() {
        let (admin, _, id) = admitted::<T>();
        let rig = <T as Config>::BenchmarkHelper::author();
        assert!(CurrencyOf::<T>::mint_into(&rig, 1_000 * FEE).is_ok());
        assert!(Pallet::<T>::do_offer_rig(id, rig.clone()).is_ok());
        assert!(Pallet::<T>::do_accept_rig(&admin, rig).is_ok());

        #[block]
        {
            Pallet::<T>::on_initialize(1u32.into());
        }

        assert_eq!(
            Institutions::<T>::get(id).map(|it| it.ledger.blocks),
            Some(1)
        );
    }

    #[benchmark]
    fn admit() {
        let (admin, _, id) = admitted::<T>();
        let origin = governance::<T>();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, admin, name(), FEE);

        assert!(Institutions::<T>::contains_key(id + 1));
    }

    #[benchmark]
    fn set_quota() {
        let (_, _, id) = admitted::<T>();
        let origin = governance::<T>();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id, 7);

        assert_eq!(Institutions::<T>::get(id).map(|it| it.quota), Some(7));
    }

    #[benchmark]
    fn set_admin() {
        let (_, member, id) = admitted::<T>();
        let origin = governance::<T>();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id, member.clone());

        assert_eq!(Institutions::<T>::get(id).map(|it| it.admin), Some(member));
    }

    #[benchmark]
    fn close() {
        let (_, _, id) = admitted::<T>();
        let origin = governance::<T>();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id);

        assert_eq!(alone::<T>(id), 0);
    }

    #[benchmark]
    fn set_terms() {
        let origin = governance::<T>();
        let terms = Terms {
            max_rate: 7,
            ..Terms::default()
        };

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, terms);

        assert_eq!(CurrentTerms::<T>::get(), terms);
    }

    #[benchmark]
    fn invite() {
        let (admin, _, id) = admitted::<T>();
        let who: T::AccountId = account("other", 0, 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(admin), id, who.clone());

        assert_eq!(Members::<T>::get(id, who), Some(Membership::Invited));
    }

    #[benchmark]
    fn join() {
        let (admin, _, id) = admitted::<T>();
        let who: T::AccountId = account("other", 0, 0);
        assert!(Pallet::<T>::do_invite(&admin, id, who.clone()).is_ok());

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), id);

        assert_eq!(MemberOf::<T>::get(who), Some(id));
    }

    #[benchmark]
    fn remove_member() {
        let (admin, member, id) = admitted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(admin), id, member.clone());

        assert_eq!(MemberOf::<T>::get(member), None);
    }

    #[benchmark]
    fn leave() {
        let (_, member, _) = admitted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(member.clone()));

        assert_eq!(MemberOf::<T>::get(member), None);
    }

    #[benchmark]
    fn offer_rig() {
        let (_, member, id) = admitted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(member.clone()), id);

        assert!(Rigs::<T>::contains_key(member));
    }

    #[benchmark]
    fn accept_rig() {
        let (admin, member, id) = admitted::<T>();
        assert!(Pallet::<T>::do_offer_rig(id, member.clone()).is_ok());

        #[extrinsic_call]
        _(RawOrigin::Signed(admin), member.clone());

        assert!(Rigs::<T>::get(member).is_some_and(|rig| rig.is_accepted));
    }

    #[benchmark]
    fn end_rig() {
        let (admin, member, id) = admitted::<T>();
        assert!(Pallet::<T>::do_offer_rig(id, member.clone()).is_ok());
        assert!(Pallet::<T>::do_accept_rig(&admin, member.clone()).is_ok());

        #[extrinsic_call]
        _(RawOrigin::Signed(admin), member.clone());

        assert!(!Rigs::<T>::contains_key(member));
    }

    #[benchmark]
    fn sponsor(p: Linear<1, MAX_PRODUCTS>) {
        let (_, member, id) = admitted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(member), batch(p), 10, FEE);

        assert!(alone::<T>(id) < 2 * FEE);
        assert_eq!(Granted::<T>::iter().count(), 1);
    }

    #[benchmark]
    fn sweep() {
        let (_, member, id) = admitted::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(member), id);

        assert!(alone::<T>(id) < FEE);
    }

    #[benchmark]
    fn withdraw() {
        let (admin, member, id) = admitted::<T>();
        let order = Order {
            batch: batch(MAX_PRODUCTS),
            fee: FEE,
            open_blocks: 10,
        };
        let job = Pallet::<T>::do_sponsor(member, order).expect("all is well");
        assert!(Pallet::<T>::close(governance::<T>(), id).is_ok());
        wait::<T>(id);

        #[extrinsic_call]
        _(RawOrigin::Signed(admin), job);

        assert_eq!(alone::<T>(id), 0);
    }

    #[benchmark]
    fn refunded() {
        let (_, _, id) = admitted::<T>();
        let era = T::Era::get();
        Institutions::<T>::mutate_extant(id, |it| {
            assert!(it.charge(era, FEE).is_some());
            it.is_closed = true;
        });
        Granted::<T>::insert(
            0,
            Grant {
                institution: id,
                era,
            },
        );
        let account = Pallet::<T>::account_of(id);

        #[block]
        {
            Pallet::<T>::refunded(&account, 0, FEE);
        }

        assert_eq!(alone::<T>(id), 0);
        assert_eq!(
            Institutions::<T>::get(id).map(|it| it.spent.amount),
            Some(0)
        );
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
