//! One look at a result: its matrices are fetched, and each product is checked.

use std::{sync::Arc, time::Duration};

use labora_pouw::{Hash, Shape, fraud::FraudProof};
use pallet_jobs::Hashes;

use super::check::{Finding, check};
use crate::{
    matrices::{Matrices, MatrixError, allowance},
    types::JobInfo,
    work::{
        choose::{Limits, bytes},
        signed,
    },
};

/// Time for the matrices of a result, beside their [`allowance`].
const FIND: Duration = Duration::from_secs(120);

/// What was found of a result.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Holds {
        answers: Hashes,
    },
    Wrong {
        product: u32,
        proof: Box<FraudProof>,
    },
    Missing,
    Left,
}

/// A result that is to be looked at.
pub(super) struct Examination {
    pub(super) matrices: Arc<dyn Matrices>,
    pub(super) limits: Limits,
    pub(super) job: JobInfo,
    pub(super) secret: Hash,
}

impl Examination {
    /// Looks at it, for no longer than its size warrants.
    pub(super) async fn run(&self) -> Result<Found, MatrixError> {
        let limit = limit(&self.job);
        let late = || MatrixError::Unavailable {
            root: self.job.b.0,
            why: format!("all that it needs does not come in {} s", limit.as_secs()),
        };
        let found = tokio::time::timeout(limit, self.check()).await;
        found.unwrap_or_else(|_| Err(late()))
    }

    async fn check(&self) -> Result<Found, MatrixError> {
        let job = &self.job;
        let fits = |m: u32| self.limits.fits(m, job.n, job.k);
        if !job.products.iter().all(|product| fits(product.m)) {
            tracing::warn!(target: "labora", "job {} is not audited: a product is larger than fits here", job.job);
            return Ok(Found::Left);
        }
        let bt = self.matrices.fetch(job.b.0, bytes(job.n, job.k, 1)).await?;
        let bt: Arc<[i8]> = signed(bt).into();
        let mut answers = Vec::new();
        for (at, product) in job.products.iter().enumerate() {
            let (Ok(shape), Some(c)) = (Shape::new(product.m, job.n, job.k), product.c) else {
                return Ok(Found::Left);
            };
            let a = signed(self.matrices.fetch(product.a.0, shape.a_len()).await?);
            let result = self.matrices.fetch(c.0, shape.c_len()).await?;
            let (bt, secret) = (Arc::clone(&bt), self.secret);
            let checked = tokio::task::spawn_blocking(move || {
                check(shape, (&a, &bt, &result), &secret, &c.0)
            });
            let here = |error: &dyn std::fmt::Display| MatrixError::Here(error.to_string());
            let checked = checked.await.map_err(|error| here(&error))?;
            match checked.map_err(|error| here(&error))? {
                Finding::Holds(answer) => answers.push(answer),
                Finding::Wrong(proof) => {
                    let product = u32::try_from(at).unwrap_or(u32::MAX);
                    return Ok(Found::Wrong { product, proof });
                }
            }
        }
        // As many as products, of which there are at most as many as fit.
        Ok(match Hashes::try_from(answers) {
            Ok(answers) => Found::Holds { answers },
            Err(_) => Found::Left,
        })
    }
}

/// How long a look at a result may take.
fn limit(job: &JobInfo) -> Duration {
    let products = job.products.iter();
    let of = |m: u32| bytes(m, job.k, 1).saturating_add(bytes(m, job.n, 4));
    let all = products.fold(bytes(job.n, job.k, 1), |sum, product| {
        sum.saturating_add(of(product.m))
    });
    FIND + allowance(all)
}
