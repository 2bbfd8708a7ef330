//! What is queued before a job's product: commitments, seeds, noise, the correction's operands.

use labora_pouw::{Hash, TILE, U256, tree};
use zerocopy::IntoBytes;

use super::{Flight, Stage, Step};
use crate::cuda::driver::{Address, Copied, Fault, Stream};
use crate::cuda::kernels::{self, Bound, MAX_LISTED, Mode, Noising, Onto, Side};
use crate::cuda::machine::Gpu;
use crate::cuda::memory::Key;
use crate::cuda::plan::{LIST_STRIDE, PARAMS_BYTES, PRE_HASH, Plan, ROOT_A, ROOT_B, TARGET};
use crate::device::Want;

/// Winners of a launch that are expected at most. Under an easy difficulty more tickets win than are listed, and which ones
/// would be chance; a lower target leaves those that an outcome names. Of a target by which 64 are expected, fewer than 16
/// or more than 256 come with a chance below 1e-12.
const EXPECTED_WINNERS: u64 = 64;

impl Flight {
    /// Queues all that comes before the product: commitments, seeds, noise, the correction's operands.
    pub(in crate::cuda) fn prepare(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        if self.ask.cancel.is_cancelled() && self.ask.job.want == Want::TicketsOnly {
            self.left_out = self.bands;
            self.cancelled = true;
            return self.close(gpu);
        }
        let uploaded = gpu.slots[self.slot].uploaded;
        gpu.driver.hold(Stream::Compute, uploaded)?;
        self.stage = Stage::Bands { launched: 0 };
        if self.plan.mode == Mode::Plain {
            return Ok(Step::Moved);
        }
        self.send_params(gpu)?;
        let lists = u64::from(self.bands) * LIST_STRIDE as u64;
        gpu.driver
            .clear(Stream::Compute, self.at(self.layout.winners), lists)?;
        let (m, n, k) = (self.plan.m, self.plan.n, self.plan.k);
        if self.plan.root_a.is_none() {
            let bytes = u64::from(m) * u64::from(k);
            self.commit(gpu, self.a(), bytes, self.param(ROOT_A))?;
        }
        if self.plan.root_b.is_none() {
            let bytes = u64::from(n) * u64::from(k);
            self.commit(gpu, self.at(self.layout.bt), bytes, self.param(ROOT_B))?;
        }
        for launch in self.preparations() {
            gpu.driver.launch(&launch)?;
        }
        self.name_kept(gpu);
        Ok(Step::Moved)
    }

    /// From seeds to the correction's operands.
    fn preparations(&self) -> Vec<kernels::Launch> {
        let (m, n, k) = (self.plan.m, self.plan.n, self.plan.k);
        let exact = self.plan.mode == Mode::Exact;
        let seeds = self.at(self.layout.seeds);
        let (seed_a, seed_b) = (seeds, seeds + 32);
        let (sparse_a, sparse_b) = (
            self.at(self.layout.sparse_a),
            self.panel(self.panels.sparse),
        );
        let noised_bt = self.panel(self.panels.noised);
        let dense_a = if exact {
            self.at(self.layout.dense_a)
        } else {
            0
        };
        let bound = Bound {
            root_a: self.param(ROOT_A),
            root_b: self.param(ROOT_B),
            pre_hash: self.param(PRE_HASH),
            m,
            n,
            k,
        };
        let mut launches = vec![
            kernels::seeds(&bound, seeds),
            kernels::sparse(seed_a, k, sparse_a),
            kernels::noise(&Noising {
                from: self.a(),
                to: self.at(self.layout.noised_a),
                rows: m,
                k,
                seed: seed_a,
                sparse: sparse_a,
                dense: dense_a,
            }),
        ];
        if self.places.fresh_panels {
            launches.push(kernels::sparse(seed_b, k, sparse_b));
            launches.push(kernels::noise(&Noising {
                from: self.at(self.layout.bt),
                to: noised_bt,
                rows: n,
                k,
                seed: seed_b,
                sparse: sparse_b,
                // Kept for exact products that may come.
                dense: self.panel(self.panels.dense),
            }));
        }
        if exact {
            launches.push(kernels::onto(&Onto {
                from: self.a(),
                rows: m,
                k,
                sparse: sparse_b,
                dense: dense_a,
                side: Side::Left,
                to: self.at(self.layout.left),
            }));
            launches.push(kernels::onto(&Onto {
                from: noised_bt,
                rows: n,
                k,
                sparse: sparse_a,
                dense: self.panel(self.panels.dense),
                side: Side::Right,
                to: self.at(self.layout.right),
            }));
        }
        launches
    }

    /// Sends roots, header hash and target, and the chunk by which A differs from what is there.
    fn send_params(&self, gpu: &mut Gpu<'_>) -> Result<(), Fault> {
        let Some(template) = self.plan.template else {
            return Ok(());
        };
        let a = &self.ask.job.a;
        let mut params = [0; PARAMS_BYTES];
        // A root that is not known is written by `commit`.
        params[ROOT_A..][..32].copy_from_slice(&self.plan.root_a.unwrap_or_default());
        params[ROOT_B..][..32].copy_from_slice(&self.plan.root_b.unwrap_or_default());
        params[PRE_HASH..][..32].copy_from_slice(&template.pre_hash);
        let target = self.target(template.difficulty.target(self.plan.k));
        let words = params[TARGET..][..32].as_chunks_mut::<4>().0;
        for (to, word) in words
            .iter_mut()
            .zip(target.to_big_endian().as_chunks::<4>().0)
        {
            *to = u32::from_be_bytes(*word).to_le_bytes();
        }
        let sent = gpu.slots[self.slot].sent;
        let has_new_chunk = !self.plan.own_a && !self.places.fresh_a;
        // All that is written first: writing waits until no copy uses the memory, and these wait for the job before.
        gpu.driver.write(sent, 0, &params)?;
        if has_new_chunk {
            let chunk = &a.data().as_bytes()[..tree::CHUNK];
            gpu.driver.write(sent, PARAMS_BYTES, chunk)?;
        }
        gpu.driver.upload(Copied {
            stream: Stream::Compute,
            host: sent,
            offset: 0,
            device: self.param(0),
            bytes: PARAMS_BYTES,
        })?;
        if !has_new_chunk {
            return Ok(());
        }
        // In the kernels' stream: those of the job before still read the chunk that it replaces.
        gpu.driver.upload(Copied {
            stream: Stream::Compute,
            host: sent,
            offset: PARAMS_BYTES,
            device: self.a(),
            bytes: tree::CHUNK,
        })
    }

    /// The target, or a lower one by which [`EXPECTED_WINNERS`] of a launch's tickets win.
    fn target(&self, target: U256) -> U256 {
        let tickets = u64::from(self.band / TILE as u32) * u64::from(self.plan.n / TILE as u32);
        if tickets <= MAX_LISTED as u64 {
            return target;
        }
        target.min(U256::MAX / U256::from(tickets) * U256::from(EXPECTED_WINNERS))
    }

    /// Queues the tree over `bytes` bytes.
    fn commit(
        &self,
        gpu: &mut Gpu<'_>,
        data: Address,
        bytes: u64,
        root: Address,
    ) -> Result<(), Fault> {
        let [mut from, mut to] = self.layout.values.map(|offset| self.at(offset));
        // At most 2^34 bytes: 2^24 chunks.
        let mut count = bytes.div_ceil(tree::CHUNK as u64) as u32;
        gpu.driver.launch(&kernels::chunks(data, bytes, from))?;
        while count > kernels::TREE_VALUES {
            gpu.driver.launch(&kernels::tree(from, to, count))?;
            count = count.div_ceil(kernels::TREE_VALUES);
            std::mem::swap(&mut from, &mut to);
        }
        gpu.driver.launch(&kernels::tree(from, root, count))
    }

    /// What this job put into kept blocks is there for all jobs whose kernels are queued after.
    fn name_kept(&self, gpu: &mut Gpu<'_>) {
        if let (true, Some(kept), Some(family)) =
            (self.places.fresh_a, &self.places.a, self.ask.job.a.family())
        {
            gpu.memory.name(kept, Key::Family(family));
        }
        if let Some(root) = self.plan.root_b {
            self.name_panels(gpu, root);
        }
    }

    pub(super) fn name_panels(&self, gpu: &mut Gpu<'_>, root: Hash) {
        if let (true, Some(kept), Some(template)) = (
            self.places.fresh_panels,
            &self.places.panels,
            self.plan.template,
        ) {
            let Plan { n, k, .. } = self.plan;
            gpu.memory.name(
                kept,
                Key::Panels {
                    pre_hash: template.pre_hash,
                    root,
                    n,
                    k,
                },
            );
        }
    }
}
