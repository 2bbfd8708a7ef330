//! What a poster's files were before they were padded, kept in a small file beside them, so that results are cropped.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use labora_market::types::JobInfo;
use labora_runtime::Hash;
use pallet_jobs::JobId;
use serde::{Deserialize, Serialize};

use crate::wallet::{WalletError, matrix::Sides};

/// Longest record: 64 products with long paths.
const MAX_LENGTH: u64 = 1 << 20;

/// A product's part of a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Product {
    /// BLAKE3 hash of A, padded.
    pub a: Hash,
    /// Rows and columns of the result without padding.
    #[serde(flatten)]
    pub sides: Sides,
}

/// A record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Record {
    /// First block of the job's chain.
    pub genesis: Hash,
    /// The job.
    pub job: JobId,
    /// BLAKE3 hash of Bt, padded.
    pub b: Hash,
    /// The products.
    pub products: Vec<Product>,
}

/// The usual name of a job's record.
pub(super) fn name(job: JobId) -> String {
    format!("job-{job}.json")
}

impl Record {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        writeln!(file)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Reads the record of a job.
    ///
    /// # Errors
    ///
    /// If there is none in the file, or it is of another job.
    pub(super) fn read(path: &Path, genesis: Hash, job: &JobInfo) -> Result<Self, WalletError> {
        let wrong = |why: String| WalletError::Record {
            path: path.to_owned(),
            job: job.job,
            why,
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let read = file.take(MAX_LENGTH).read_to_end(&mut text);
        read.map_err(|error| wrong(error.to_string()))?;
        let record: Self =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let same = record.genesis == genesis
            && record.job == job.job
            && record.b == job.b
            && record.products.len() == job.products.len()
            && (record.products.iter().zip(&job.products)).all(|(own, its)| own.a == its.a);
        match same {
            true => Ok(record),
            false => Err(wrong("it is of another job".into())),
        }
    }

    /// Reads the record of a job from where it may be: in this folder or in that of the results. None if it is not there.
    ///
    /// # Errors
    ///
    /// If what is there is no record of the job.
    pub(super) fn find(
        folders: &[PathBuf],
        genesis: Hash,
        job: &JobInfo,
    ) -> Result<Option<Self>, WalletError> {
        let found = folders.iter().map(|folder| folder.join(name(job.job)));
        match found.into_iter().find(|path| path.is_file()) {
            Some(path) => Self::read(&path, genesis, job).map(Some),
            None => Ok(None),
        }
    }
}
