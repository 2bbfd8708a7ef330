//! What `pallet_grants` asks a runtime to know of its costs. The figures stand in the runtime.

use frame_support::weights::Weight;

/// What the pallet's calls and hooks cost.
pub trait WeightInfo {
    /// Counting a block of an institution's rig.
    fn on_initialize() -> Weight;
    /// Admitting an institution.
    fn admit() -> Weight;
    /// Setting a quota.
    fn set_quota() -> Weight;
    /// Naming another admin.
    fn set_admin() -> Weight;
    /// Closing an institution whose account ends with it.
    fn close() -> Weight;
    /// Replacing the terms.
    fn set_terms() -> Weight;
    /// Inviting an account.
    fn invite() -> Weight;
    /// Joining.
    fn join() -> Weight;
    /// Removing a member.
    fn remove_member() -> Weight;
    /// Leaving.
    fn leave() -> Weight;
    /// Offering a rig.
    fn offer_rig() -> Weight;
    /// Accepting a rig.
    fn accept_rig() -> Weight;
    /// Ending a rig that was accepted.
    fn end_rig() -> Weight;
    /// Posting a job of `p` products, when something waits to go home to the fund.
    fn sponsor(p: u32) -> Weight;
    /// Sending home to the fund what lies on an institution's account.
    fn sweep() -> Weight;
    /// Taking back an open job of a closed institution, whose account ends with it.
    fn withdraw() -> Weight;
    /// The dearest end of a sponsored job: quota and money go back, and the account of a closed institution ends.
    fn refunded() -> Weight;
}

/// For mocks, in which nothing is metered.
impl WeightInfo for () {
    fn on_initialize() -> Weight {
        Weight::zero()
    }

    fn admit() -> Weight {
        Weight::zero()
    }

    fn set_quota() -> Weight {
        Weight::zero()
    }

    fn set_admin() -> Weight {
        Weight::zero()
    }

    fn close() -> Weight {
        Weight::zero()
    }

    fn set_terms() -> Weight {
        Weight::zero()
    }

    fn invite() -> Weight {
        Weight::zero()
    }

    fn join() -> Weight {
        Weight::zero()
    }

    fn remove_member() -> Weight {
        Weight::zero()
    }

    fn leave() -> Weight {
        Weight::zero()
    }

    fn offer_rig() -> Weight {
        Weight::zero()
    }

    fn accept_rig() -> Weight {
        Weight::zero()
    }

    fn end_rig() -> Weight {
        Weight::zero()
    }

    fn sponsor(_: u32) -> Weight {
        Weight::zero()
    }

    fn sweep() -> Weight {
        Weight::zero()
    }

    fn withdraw() -> Weight {
        Weight::zero()
    }

    fn refunded() -> Weight {
        Weight::zero()
    }
}
