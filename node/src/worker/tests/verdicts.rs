//! What is counted of winning tiles, by what became of them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// An engine that always says the same, and counts.
#[derive(Clone)]
struct Always {
    verdict: Verdict,
    offered: Arc<AtomicU64>,
    settled: Arc<AtomicU64>,
}

impl SubmitSeal for Always {
    async fn submit(&self, _: H256, _: Seal, _: Proof) -> Verdict {
        self.offered.fetch_add(1, Ordering::SeqCst);
        self.verdict.clone()
    }

    fn is_settled(&self) {
        self.settled.fetch_add(1, Ordering::SeqCst);
    }
}

/// What the worker counts, and what the engine was told, once several tiles have won.
async fn counted(verdict: Verdict) -> (WorkerStats, u64, u64) {
    let engine = Always {
        verdict,
        offered: Arc::default(),
        settled: Arc::default(),
    };
    let device = CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread");
    // Every tile wins, and a product has four.
    let (_templates, receiver) = watch::channel(template(1, 1));
    let devices = on_cpu(vec![Arc::new(device)]);
    let worker = Worker::start_on(devices, receiver, engine.clone()).expect("starts");
    worker.devices()[0].hold(Some(Hold::InUse));
    for seed in 0..4 {
        worker.multiply(product(seed).0).await.expect("a product");
    }
    worker.shutdown().await;
    let told = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let (offered, settled) = (told(&engine.offered), told(&engine.settled));
    assert!(offered + settled >= 2, "{offered} and {settled}");
    (worker.stats(), offered, settled)
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_after_the_one_that_became_the_block_are_late_for_worker_and_engine_alike() {
    let (stats, offered, settled) = counted(Verdict::Imported(H256::zero())).await;
    let blocks = stats.blocks_useful + stats.blocks_filler;
    assert_eq!((blocks, offered), (1, 1));
    assert_eq!(stats.seals_too_late, settled);
    assert_eq!(stats.seals_dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_that_reached_nobody_are_dropped_and_not_late() {
    let (stats, offered, settled) = counted(Verdict::Dropped).await;
    assert_eq!((stats.seals_dropped, stats.seals_too_late), (offered, 0));
    assert_eq!(settled, 0);
}
