//! Error codes of the `pouw_…`, `jobs_…` and `grants_…` methods: the one place where they stand.
//!
//! | code | name | meaning | what to do |
//! | --- | --- | --- | --- |
//! | -32050 | malformed | not hex, too long, not one seal and one proof, or a proof that breaks a rule | mend the miner; sending it again is useless |
//! | -32051 | stale | the work is not what is being mined now | take the newest work |
//! | -32052 | weak | the tile is proved, but its ticket misses the difficulty | check the hash and the difficulty that were mined on |
//! | -32053 | duplicate | this work has been solved already | take the newest work |
//! | -32054 | refused | the sealed block could not be imported | see the message; take the newest work |
//! | -32055 | not mining | the node was started without `--mine`, or mining has ended | start it with `--mine` |
//! | -32056 | unknown block | the node does not have the block, or no longer its proof | ask a node that keeps proofs |
//! | -32057 | internal | the node could not read its own state | see the message and the node's log |
//! | -32058 | shares off | the node counts no shares | start it with `--share-macs`, or submit blocks by pouw_submitSeal |
//! | -32059 | busy | too many shares wait, or too many of this connection were refused; or too many subscriptions | wait a moment; mine what pouw_info asks for |
//! | -32060 | unknown job | no job of this number was posted, or it was refunded or forgotten | list jobs with jobs_list |
//! | -32061 | unknown institution | no institution of this number was admitted | list institutions with grants_list |
//!
//! Parameters of the wrong JSON type get the usual -32602, and methods denied to the outside -32601.

use jsonrpsee::types::ErrorObjectOwned;
use labora_market::{grants::UNKNOWN_INSTITUTION, types::UNKNOWN_JOB};

/// Why a `pouw_…`, `jobs_…` or `grants_…` call was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parameters are no seal and no proof, or the proof breaks a rule.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The work is not what is being mined now.
    #[error(
        "stale: this work is no longer mined; subscribe with pouw_subscribeWork and mine the newest"
    )]
    Stale,
    /// The ticket does not reach the difficulty.
    #[error("weak: {0}")]
    Weak(String),
    /// The work has been solved already.
    #[error("duplicate: this work has been solved already; mine the newest")]
    Duplicate,
    /// The block could not be imported.
    #[error("refused: {0}")]
    Refused(String),
    /// The node does not mine.
    #[error("not mining: start the node with --mine and --author")]
    NotMining,
    /// No such block, or no proof of it.
    #[error("unknown block: {0}")]
    UnknownBlock(String),
    /// The node could not read its own state.
    #[error("internal: {0}")]
    Internal(String),
    /// The node counts no shares.
    #[error(
        "shares off: this node counts no shares; start it with --share-macs, or submit blocks by pouw_submitSeal"
    )]
    SharesOff,
    /// Too much to verify, or too much verified in vain; too many subscriptions.
    #[error("busy: {0}")]
    Busy(String),
    /// No such job in the state.
    #[error(
        "unknown job: {0} was never posted, or it was refunded or forgotten; list jobs with jobs_list"
    )]
    UnknownJob(u64),
    /// No such institution in the state.
    #[error("unknown institution: {0} was never admitted; list institutions with grants_list")]
    UnknownInstitution(u32),
}

impl Error {
    /// The code, as the table above lists it.
    pub fn code(&self) -> i32 {
        match self {
            Error::Malformed(_) => -32050,
            Error::Stale => -32051,
            Error::Weak(_) => -32052,
            Error::Duplicate => -32053,
            Error::Refused(_) => -32054,
            Error::NotMining => -32055,
            Error::UnknownBlock(_) => -32056,
            Error::Internal(_) => -32057,
            Error::SharesOff => -32058,
            Error::Busy(_) => -32059,
            Error::UnknownJob(_) => UNKNOWN_JOB,
            Error::UnknownInstitution(_) => UNKNOWN_INSTITUTION,
        }
    }
}

impl From<Error> for ErrorObjectOwned {
    fn from(error: Error) -> Self {
        ErrorObjectOwned::owned(error.code(), error.to_string(), None::<()>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_its_own() {
        let all = [
            Error::Malformed(String::new()),
            Error::Stale,
            Error::Weak(String::new()),
            Error::Duplicate,
            Error::Refused(String::new()),
            Error::NotMining,
            Error::UnknownBlock(String::new()),
            Error::Internal(String::new()),
            Error::SharesOff,
            Error::Busy(String::new()),
            Error::UnknownJob(0),
            Error::UnknownInstitution(0),
        ];
        let codes: std::collections::BTreeSet<i32> = all.iter().map(Error::code).collect();
        assert_eq!(codes.len(), all.len());
        // The range that JSON-RPC leaves to servers.
        assert!(codes.iter().all(|code| (-32099..=-32000).contains(code)));
    }

    #[test]
    fn the_table_lists_each_code_beside_its_name() {
        let table = include_str!("error.rs");
        for error in [
            Error::Malformed("x".into()),
            Error::Stale,
            Error::Weak("x".into()),
            Error::Duplicate,
            Error::Refused("x".into()),
            Error::NotMining,
            Error::UnknownBlock("x".into()),
            Error::Internal("x".into()),
            Error::SharesOff,
            Error::Busy("x".into()),
            Error::UnknownJob(0),
            Error::UnknownInstitution(0),
        ] {
            let object = ErrorObjectOwned::from(error);
            let name = object
                .message()
                .split(':')
                .next()
                .expect("split gives at least one piece");
            assert!(
                table.contains(&format!("| {} | {name} |", object.code())),
                "{name}"
            );
        }
    }
}
