//! What is claimed, done: fetched, multiplied, stored, submitted, and kept until it is paid.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use labora_artifacts::{Holder, bytes_on_disk};
use labora_pouw::{Hash, Shape, fraud::tile_major};
use labora_runtime::RuntimeCall;
use pallet_jobs::{Call, Hashes, JobId};

use super::{Trouble, Worker, choose::bytes, signed};
use crate::{
    matrices::MatrixError,
    types::{JobInfo, StageInfo},
};

/// Products of a job that are under way at a time: while one is stored, the next is multiplied.
const AT_A_TIME: usize = 2;

impl Worker {
    /// Has all that a job wants multiplied at hand, until it is let go.
    pub(super) async fn hold(&self, job: &JobInfo) -> Result<(), MatrixError> {
        for (root, bytes) in inputs(job) {
            self.matrices
                .hold(root, bytes, self.holder(job.job))
                .await?;
        }
        Ok(())
    }

    /// Why a job's results cannot be kept, if they cannot: whoever finds that out after the claim loses a share of the bond.
    pub(super) async fn lacks_room(&self, job: &JobInfo) -> Result<Option<String>, MatrixError> {
        let (has, needs) = (self.matrices.room().await?, results_on_disk(job));
        let in_mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Ok((needs > has).then(|| {
            format!(
                "its results take {:.1} MiB, and there is room for {:.1}; give the node more --artifacts",
                in_mib(needs),
                in_mib(has)
            )
        }))
    }

    /// Lets everything go that was kept for a job: what another job wants is kept for that too.
    pub(super) async fn let_go(&self, job: &JobInfo) {
        for root in roots(job) {
            self.matrices.let_go(root, self.holder(job.job)).await;
        }
    }

    /// Lets go what an earlier run kept for jobs that are not its own now: it was killed before it had claimed them, or before it
    /// knew that they were paid.
    pub(super) async fn let_go_of_rests(&self) -> Result<(), MatrixError> {
        let own: Vec<Holder> = {
            let (claimed, awaited) = (self.claimed.lock(), self.awaited.lock());
            let jobs = claimed.keys().chain(awaited.keys());
            jobs.map(|job| self.holder(*job)).collect()
        };
        let held = self.matrices.held(self.held_as()).await?;
        for (root, holder) in held.into_iter().filter(|(_, it)| !own.contains(it)) {
            self.matrices.let_go(root, holder).await;
        }
        Ok(())
    }

    /// How names begin by which this worker keeps matrices.
    fn held_as(&self) -> String {
        format!("work-{}-", self.terms.account.id())
    }

    /// For whom matrices of a job are kept.
    fn holder(&self, job: JobId) -> Holder {
        let name = format!("{}{job}", self.held_as());
        Holder::new(name).expect("an address has at most 49 letters and digits")
    }

    /// Works on a claim, submits, and has it among those that await being paid.
    pub(super) async fn finish(&self, job: JobInfo) -> Result<(), Trouble> {
        let number = job.job;
        let stands = self.chain.job(number).await?;
        let is_mine = |job: &JobInfo| job.worker.as_ref() == Some(self.terms.account.id());
        let stands = stands.filter(is_mine);
        let Some(job) = stands.filter(|job| job.stage == StageInfo::Claimed) else {
            // Submitted by another process of this account, or taken back as late.
            self.claimed.lock().remove(&number);
            self.let_go(&job).await;
            return self.take_up().await.map_err(Trouble::from);
        };
        let until = job.claimed_until.unwrap_or_default();
        if self.chain.best().await?.number >= until {
            tracing::warn!(target: "labora", "job {number} is late: its claim ended with block {until}, and a share of the bond is lost");
            self.claimed.lock().remove(&number);
            self.tally.failed.fetch_add(1, Relaxed);
            // What was in the way may still be: it would cost a share of the bond each time.
            self.shunned.lock().avoid(number, Instant::now());
            self.let_go(&job).await;
            return Ok(());
        }
        let began = Instant::now();
        let results = self.multiply(&job).await?;
        let took = began.elapsed();
        let call = Call::submit {
            job: number,
            roots: Hashes::try_from(results).map_err(|_| Trouble::Shape)?,
        };
        self.chain
            .call(&self.terms.account, RuntimeCall::Jobs(call))
            .await?;
        tracing::info!(target: "labora", "submitted job {number}: {} products in {:.1} s", job.products.len(), took.as_secs_f64());
        self.tally.submitted.fetch_add(1, Relaxed);
        let submitted = self.chain.job(number).await?.unwrap_or(job);
        self.awaited.lock().insert(number, submitted);
        self.claimed.lock().remove(&number);
        Ok(())
    }

    /// All results of a job, stored; their roots.
    async fn multiply(&self, job: &JobInfo) -> Result<Vec<Hash>, Trouble> {
        let bt = self.matrices.fetch(job.b.0, bytes(job.n, job.k, 1)).await?;
        let bt: Arc<[i8]> = signed(bt).into();
        let mut products: Vec<BoxFuture<'_, Result<Hash, Trouble>>> = Vec::new();
        for product in &job.products {
            let shape = Shape::new(product.m, job.n, job.k).map_err(|_| Trouble::Shape)?;
            let (bt, holder) = (Arc::clone(&bt), self.holder(job.job));
            products.push(self.product(shape, product.a.0, bt, holder).boxed());
        }
        let results = stream::iter(products).buffered(AT_A_TIME);
        results.try_collect().await
    }

    /// One result, stored; its root.
    async fn product(
        &self,
        shape: Shape,
        root_a: Hash,
        bt: Arc<[i8]>,
        holder: Holder,
    ) -> Result<Hash, Trouble> {
        let a = signed(self.matrices.fetch(root_a, shape.a_len()).await?);
        let c = self.devices.multiply(shape, &a, &bt).await;
        let c = c.map_err(Trouble::Product)?;
        let stored = tokio::task::spawn_blocking(move || {
            let tiles = tile_major(shape, &c);
            tiles
                .into_iter()
                .flat_map(i32::to_le_bytes)
                .collect::<Vec<u8>>()
        });
        let stored = stored
            .await
            .map_err(|error| Trouble::Product(error.to_string()))?;
        Ok(self.matrices.keep(stored, holder).await?)
    }
}

/// The factors of a job, with their lengths.
pub(super) fn inputs(job: &JobInfo) -> Vec<(Hash, u64)> {
    let b = (job.b.0, bytes(job.n, job.k, 1));
    let left = job.products.iter();
    let left = left.map(|product| (product.a.0, bytes(product.m, job.k, 1)));
    std::iter::once(b).chain(left).collect()
}

/// Bytes on disk that a job's results take.
pub(super) fn results_on_disk(job: &JobInfo) -> u64 {
    let left = job.products.iter();
    let each = left.map(|product| bytes_on_disk(bytes(product.m, job.n, 4)));
    each.fold(0, u64::saturating_add)
}

/// Everything that a job names.
pub(super) fn roots(job: &JobInfo) -> Vec<Hash> {
    let results = job.products.iter().filter_map(|product| Some(product.c?.0));
    let inputs = inputs(job).into_iter().map(|(root, _)| root);
    inputs.chain(results).collect()
}
