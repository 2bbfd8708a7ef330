//! What `pallet_jobs` asks a runtime to know of its costs. The figures stand where they were measured, in the runtime.

use frame_support::weights::Weight;

/// What the pallet's calls cost.
pub trait WeightInfo {
    /// Posting a job of `p` products.
    fn post(p: u32) -> Weight;
    /// Adding to a fee.
    fn raise() -> Weight;
    /// Taking a job back.
    fn cancel() -> Weight;
    /// Claiming a job.
    fn claim() -> Weight;
    /// Submitting the results of `p` products.
    fn submit(p: u32) -> Weight;
    /// Settling a job with a whole committee to pay.
    fn accept() -> Weight;
    /// Dropping a settled job.
    fn forget() -> Weight;
    /// Attesting as the first of a committee that is drawn of all validators.
    fn attest_first() -> Weight;
    /// Attesting as the one with whom a majority of the greatest committee misses data.
    fn attest_last() -> Weight;
    /// Opening the answers for `p` products.
    fn reveal(p: u32) -> Weight;
    /// Checking a fraud proof whose strips have `s` entries, of a result that the greatest committee has vouched for.
    fn prove_fraud(s: u32) -> Weight;
    /// Taking an auditor from those who are accused; the report itself comes on top.
    fn report_auditor() -> Weight;
    /// The dearest of what can be due: settling a job with a whole committee to pay.
    fn poke() -> Weight;
    /// Naming an agent.
    fn set_agent() -> Weight;
    /// Replacing the terms.
    fn set_terms() -> Weight;
}

/// For mocks, in which nothing is metered.
impl WeightInfo for () {
    fn post(_: u32) -> Weight {
        Weight::zero()
    }

    fn raise() -> Weight {
        Weight::zero()
    }

    fn cancel() -> Weight {
        Weight::zero()
    }

    fn claim() -> Weight {
        Weight::zero()
    }

    fn submit(_: u32) -> Weight {
        Weight::zero()
    }

    fn accept() -> Weight {
        Weight::zero()
    }

    fn forget() -> Weight {
        Weight::zero()
    }

    fn attest_first() -> Weight {
        Weight::zero()
    }

    fn attest_last() -> Weight {
        Weight::zero()
    }

    fn reveal(_: u32) -> Weight {
        Weight::zero()
    }

    fn prove_fraud(_: u32) -> Weight {
        Weight::zero()
    }

    fn report_auditor() -> Weight {
        Weight::zero()
    }

    fn poke() -> Weight {
        Weight::zero()
    }

    fn set_agent() -> Weight {
        Weight::zero()
    }

    fn set_terms() -> Weight {
        Weight::zero()
    }
}
