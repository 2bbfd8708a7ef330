//! Why a command ends without having done what it was asked for; each a sentence that says what to do.

use std::{io, path::PathBuf};

use labora_market::{
    account::KeyError,
    chain::ChainError,
    matrices::{MatrixError, UrlError},
    words::lab,
};
use pallet_jobs::JobId;

use super::matrix::{MatrixFileError, ProductError};
use crate::http::TokenError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The chain.
    #[error("{0}")]
    Chain(#[from] ChainError),
    /// A transaction that the chain undid, or did not take.
    #[error("it was not done: {0}")]
    Refused(ChainError),
    /// The key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Nobody to sign.
    #[error(
        "this has to be signed: add --key and a file with the account's secret (`labora key generate` makes one; chmod 600)"
    )]
    NoKey,
    /// Nobody to look at.
    #[error("whose? Give an SS58 address, or --key and a file with the account's secret")]
    NoAccount,
    /// The address of an endpoint.
    #[error("--matrices: {0}")]
    Url(#[from] UrlError),
    /// A token.
    #[error("--matrices-token: {0}")]
    Token(TokenError),
    /// The endpoint.
    #[error(
        "{0}; `labora job` keeps and fetches matrices by a node with --artifacts (--matrices names it)"
    )]
    Matrix(#[from] MatrixError),
    /// A matrix in a file.
    #[error("{0}")]
    File(#[from] Box<MatrixFileError>),
    /// A file is not what it was when the job was priced.
    #[error("{0} has changed meanwhile; nothing was posted, start again")]
    Changed(PathBuf),
    /// Two matrices that do not fit.
    #[error("{path} has {got} columns, and B has {expected} rows: the two must be the same, k")]
    Inner {
        /// The file of A.
        path: PathBuf,
        /// Its columns.
        got: u32,
        /// Rows of B.
        expected: u32,
    },
    /// A matrix that is not what was said of it.
    #[error("{path} has {got} {what}, and --{flag} says {expected}")]
    Said {
        /// The file.
        path: PathBuf,
        /// Rows or columns.
        what: &'static str,
        /// How many.
        got: u32,
        /// Which flag.
        flag: &'static str,
        /// What it says.
        expected: u32,
    },
    /// Beyond what can be proved.
    #[error("{side} is {got}, and at most {most} can be proved; {remedy}")]
    Shape {
        /// m, n or k.
        side: &'static str,
        /// How long.
        got: u32,
        /// How long it can be.
        most: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// Too many factors.
    #[error("{0} matrices A are given, and a job has 1 to {most}; post several jobs", most = pallet_jobs::MAX_PRODUCTS)]
    Products(usize),
    /// A fee that is refused.
    #[error("the fee is {}, and the least one is {}; give --fee or --price accordingly", lab(*.fee), lab(*.least))]
    Fee {
        /// What was offered.
        fee: u128,
        /// What must be.
        least: u128,
    },
    /// A time that is refused.
    #[error("--open-blocks is 1 to {0} on this chain")]
    OpenBlocks(u32),
    /// Too little money.
    #[error(
        "{who} has {} free, and this takes {}; send it more first (`labora balance {who}` tells what is held of it)",
        lab(*.free), lab(*.needs)
    )]
    Short {
        /// Whose.
        who: String,
        /// What it has.
        free: u128,
        /// What is taken.
        needs: u128,
    },
    /// Nobody to ask.
    #[error(
        "nobody can be asked, since standard input is no terminal: add --yes to do it, or --dry-run to see what it would do"
    )]
    NeedsYes,
    /// The answer was no.
    #[error("nothing was sent")]
    Declined,
    /// No such job.
    #[error(
        "job {0} is not there: no job of this number was posted, or it was refunded or forgotten; `labora job list` shows those that are"
    )]
    NoJob(JobId),
    /// No result yet.
    #[error(
        "job {job} has no result yet, it is {stage}; `labora job watch {job}` tells when it has"
    )]
    NoResult {
        /// The job.
        job: JobId,
        /// Where it stands.
        stage: &'static str,
    },
    /// What the node says of a job makes no sense.
    #[error("what the node says of job {0} makes no sense; ask another node")]
    NoSense(JobId),
    /// A wrong result.
    #[error(
        "product {at} of job {job} is not taken: {error}; nothing was written. Do not accept it: \
         `labora job prove {job}` proves it wrong, for half of the worker's bond; auditors and nodes with --watch do the same"
    )]
    Wrong {
        /// The job.
        job: JobId,
        /// Which product, from 0.
        at: usize,
        /// What is wrong.
        error: ProductError,
    },
    /// A result that cannot be held.
    #[error(
        "product {at} of job {job} has {bytes} bytes, more than this program takes into memory"
    )]
    TooLarge {
        /// The job.
        job: JobId,
        /// Which product, from 0.
        at: usize,
        /// Its length.
        bytes: u64,
    },
    /// A shape that the result does not have.
    #[error("--shape {m},{n} is larger than product {at}, which is {of_m}×{of_n}")]
    Crop {
        /// Which product, from 0.
        at: usize,
        /// Rows wanted.
        m: u32,
        /// Columns wanted.
        n: u32,
        /// Rows there are.
        of_m: u32,
        /// Columns there are.
        of_n: u32,
    },
    /// Another number of shapes.
    #[error(
        "--shape is given {got} times, and the job has {products} products: give it once for all, or once for each"
    )]
    Shapes {
        /// How many.
        got: usize,
        /// Products.
        products: usize,
    },
    /// A file of shapes.
    #[error(
        "{path} is no record of job {job} on this chain ({why}); give another --record, or --shape"
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Of which job it should be.
        job: JobId,
        /// What is wrong.
        why: String,
    },
    /// A file that is there.
    #[error("{0} is there already; give another --out, or --force to replace it")]
    Exists(PathBuf),
    /// A file that cannot be written.
    #[error("{path} cannot be written: {error}; nothing else was changed")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A job of somebody else's.
    #[error("job {job} is {poster}'s: only who posted it can do this")]
    NotYours {
        /// The job.
        job: JobId,
        /// Whose.
        poster: String,
    },
    /// A stage in which it cannot be done.
    #[error("job {job} is {stage}: {remedy}")]
    Stage {
        /// The job.
        job: JobId,
        /// Where it stands.
        stage: &'static str,
        /// What can be done.
        remedy: &'static str,
    },
    /// Something else that stands in the way, as a whole sentence.
    #[error("{0}")]
    Sentence(String),
    /// Whoever reads the output has gone, or the disk is full.
    #[error("the output cannot be written: {0}")]
    Out(#[from] io::Error),
    /// Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
}

impl From<MatrixFileError> for WalletError {
    fn from(error: MatrixFileError) -> Self {
        Self::File(Box::new(error))
    }
}

impl WalletError {
    /// A sentence of its own.
    pub(super) fn sentence(text: impl Into<String>) -> Self {
        Self::Sentence(text.into())
    }
}

impl From<WalletError> for sc_cli::Error {
    fn from(error: WalletError) -> Self {
        Self::Application(Box::new(error))
    }
}
