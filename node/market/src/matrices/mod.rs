//! Matrices, as workers and auditors get them and hand them out: named by the BLAKE3 hash of their bytes, and checked
//! against it.

mod here;
mod remote;

pub use here::Here;
pub use remote::{Remote, Traffic, UrlError};

use std::time::Duration;

use futures::future::BoxFuture;
use labora_artifacts::{Holder, exchange::LEAST_BYTES_PER_S};
use labora_pouw::Hash;

/// Why a matrix is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MatrixError {
    /// Nobody that can be reached gives it, or not of this length: its owner's fault, as far as one can tell.
    #[error("matrix {} cannot be fetched: {why}", hex::encode(.root))]
    Unavailable {
        /// Its root.
        root: Hash,
        /// Why.
        why: String,
    },
    /// Something here is in the way: a full disk, an endpoint that is down.
    #[error("{0}")]
    Here(String),
}

/// Where matrices come from and go to.
pub trait Matrices: Send + Sync {
    /// Fetches all bytes of a matrix, and checks them.
    ///
    /// # Errors
    ///
    /// [`MatrixError`].
    fn fetch(&self, root: Hash, bytes: u64) -> BoxFuture<'_, Result<Vec<u8>, MatrixError>>;

    /// Has a matrix brought here, without reading it, and kept for `holder` until that lets it go.
    ///
    /// # Errors
    ///
    /// [`MatrixError`].
    fn hold(
        &self,
        root: Hash,
        bytes: u64,
        holder: Holder,
    ) -> BoxFuture<'_, Result<(), MatrixError>>;

    /// Makes a matrix available to whoever asks, and keeps it for `holder` until that lets it go; its root.
    ///
    /// # Errors
    ///
    /// [`MatrixError::Here`].
    fn keep(&self, bytes: Vec<u8>, holder: Holder) -> BoxFuture<'_, Result<Hash, MatrixError>>;

    /// Bytes on disk that can come to be kept, beside what is kept already.
    ///
    /// # Errors
    ///
    /// [`MatrixError::Here`].
    fn room(&self) -> BoxFuture<'_, Result<u64, MatrixError>>;

    /// Bytes that can be reckoned on to be read or kept in a second.
    fn bytes_per_s(&self) -> f64;

    /// Lets a matrix go: unless others keep it, it may be evicted. One that is not there is no error.
    fn let_go(&self, root: Hash, holder: Holder) -> BoxFuture<'_, ()>;

    /// What is kept for those whose names begin so.
    ///
    /// # Errors
    ///
    /// [`MatrixError::Here`].
    fn held(&self, prefix: String) -> BoxFuture<'_, Result<Vec<(Hash, Holder)>, MatrixError>>;
}

/// Time that so many bytes may take on their way.
pub(crate) fn allowance(bytes: u64) -> Duration {
    Duration::from_secs(bytes / LEAST_BYTES_PER_S)
}

/// Fails for bytes that are not the matrix's.
fn check(root: Hash, bytes: Vec<u8>, expected: u64) -> Result<Vec<u8>, MatrixError> {
    if bytes.len() as u64 != expected || blake3::hash(&bytes) != root {
        let why = "what came has other bytes than its hash is of".to_owned();
        return Err(MatrixError::Unavailable { root, why });
    }
    Ok(bytes)
}
