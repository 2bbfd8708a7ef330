//! Devices that are kept from filler while something else needs them.

use std::sync::atomic::{AtomicUsize, Ordering};

use labora_kernels::{Outcome, Want};

use super::*;

/// A device whose filler only ends when it is cancelled, and counts how often it began and ended.
struct Endless {
    device: CpuDevice,
    began: AtomicUsize,
    ended: Arc<AtomicUsize>,
}

impl Endless {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            device: CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread"),
            began: AtomicUsize::new(0),
            ended: Arc::default(),
        })
    }

    fn began(&self) -> usize {
        self.began.load(Ordering::SeqCst)
    }

    fn is_resting(&self) -> bool {
        self.began() == self.ended.load(Ordering::SeqCst)
    }
}

impl Device for Endless {
    fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError> {
        if job.want == Want::ExactProduct {
            return self.device.run(job, cancel);
        }
        self.began.fetch_add(1, Ordering::SeqCst);
        let (promise, pending) = Pending::promised();
        let (cancel, ended) = (cancel.clone(), Arc::clone(&self.ended));
        std::thread::spawn(move || {
            while !cancel.is_cancelled() {
                std::thread::yield_now();
            }
            ended.fetch_add(1, Ordering::SeqCst);
            promise.keep(Ok(Outcome {
                winners: Vec::new(),
                product: None,
                macs: 1,
                mined: false,
            }));
        });
        Ok(pending)
    }
}

fn start(
    devices: &[Arc<Endless>],
    template: Option<Template>,
) -> (WorkerHandle, watch::Sender<Option<Template>>) {
    let (templates, receiver) = watch::channel(template);
    let devices = devices
        .iter()
        .map(|device| Arc::clone(device) as Arc<dyn Device>);
    let worker = Worker::start_on(on_cpu(devices.collect()), receiver, Engine::default());
    (worker.expect("starts"), templates)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_the_filler_that_runs_and_release_brings_it_back() {
    let device = Endless::new();
    let (worker, _templates) = start(std::slice::from_ref(&device), template(1, u64::MAX));
    until("filler runs", || device.began() > 0).await;
    let handle = &worker.devices()[0];
    handle.hold(Some(Hold::InUse));
    until("it has ended", || device.is_resting()).await;
    assert_eq!(worker.stats().per_device[0].held, Some(Hold::InUse));
    assert!(!worker.stats().is_mining, "nothing here mines");

    let before = device.began();
    // A device that took filler at all would take it between these.
    for seed in 0..10 {
        let (asked, expected) = product(seed);
        let answer = worker.multiply(asked).await.expect("a product");
        assert_eq!(answer.product, expected, "products are served while held");
    }
    assert_eq!(device.began(), before);

    handle.hold(None);
    until("filler runs again", || device.began() > before).await;
    assert_eq!(worker.stats().per_device[0].held, None);
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_held_before_there_is_a_template_takes_no_filler() {
    let device = Endless::new();
    let (worker, templates) = start(std::slice::from_ref(&device), None);
    worker.devices()[0].hold(Some(Hold::Temperature));
    templates.send_replace(template(1, u64::MAX));
    let (asked, expected) = product(1);
    let mut answer = worker.multiply(asked.clone()).await.expect("a product");
    // Until one was mined, the template may not have come to the queue.
    while answer.mined_macs == 0 {
        answer = worker.multiply(asked.clone()).await.expect("a product");
    }
    assert_eq!(answer.product, expected);
    assert_eq!(device.began(), 0);
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_of_one_device_and_counts_are_of_each() {
    let devices = [Endless::new(), Endless::new()];
    let (worker, _templates) = start(&devices, template(1, u64::MAX));
    until("both run filler", || {
        devices.iter().all(|device| device.began() > 0)
    })
    .await;
    worker.devices()[0].hold(Some(Hold::Power));
    until("the first has ended", || devices[0].is_resting()).await;
    assert!(!devices[1].is_resting());
    until("its filler is counted", || {
        worker.stats().per_device[0].macs_filler > 0
    })
    .await;
    let stats = worker.stats();
    assert!(stats.is_mining, "the other one does");
    assert_eq!(stats.per_device[1].macs_filler, 0, "it has not ended one");
    assert_eq!(
        stats.per_device.iter().map(|d| d.macs_filler).sum::<u64>(),
        stats.macs_filler
    );
    worker.shutdown().await;
}
