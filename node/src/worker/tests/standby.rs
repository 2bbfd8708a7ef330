//! A device that stands by for those that are lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// A device that is there or is not, and knows it.
struct Leaving {
    device: CpuDevice,
    is_away: AtomicBool,
    /// Jobs that it was given, and times that it was asked whether it is there.
    tried: AtomicUsize,
    looked_after: AtomicUsize,
}

impl Leaving {
    fn new(is_away: bool) -> Arc<Self> {
        Arc::new(Self {
            device: CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread"),
            is_away: AtomicBool::new(is_away),
            tried: AtomicUsize::new(0),
            looked_after: AtomicUsize::new(0),
        })
    }
}

impl Device for Leaving {
    fn info(&self) -> DeviceInfo {
        info_of_smallest(&self.device)
    }

    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(DeviceError::Lost("as the test asked".into()));
        }
        self.device.run(job, cancel)
    }

    fn lost(&self) -> Option<DeviceError> {
        self.looked_after.fetch_add(1, Ordering::SeqCst);
        let is_away = self.is_away.load(Ordering::SeqCst);
        is_away.then(|| DeviceError::Lost("as the test asked".into()))
    }
}

/// Two that work, and one that stands by.
fn start(
    first: &Arc<Leaving>,
    second: &Arc<Leaving>,
) -> (WorkerHandle, watch::Sender<Option<Template>>) {
    let devices: [Arc<dyn Device>; 3] = [first.clone(), second.clone(), Leaving::new(false)];
    let mut devices = on_cpu(devices.into());
    devices[2].role = Role::Standby;
    let (templates, receiver) = watch::channel(template(1, u64::MAX));
    let worker = Worker::start_on(devices, receiver, Engine::default()).expect("starts");
    (worker, templates)
}

/// Why each device does no filler, and what it did of products and of filler.
fn standing(worker: &WorkerHandle) -> [(Option<Hold>, u64, u64); 3] {
    let stats = worker.stats().per_device;
    [0, 1, 2].map(|at: usize| {
        let device = &stats[at];
        (device.held, device.macs_useful, device.macs_filler)
    })
}

async fn serve_some(worker: &WorkerHandle) {
    for seed in 0..6 {
        let (asked, expected) = product(seed);
        let answer = worker.multiply(asked).await.expect("a product");
        assert_eq!(answer.product, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_by_serves_while_all_others_are_lost_and_no_longer() {
    let (first, second) = (Leaving::new(true), Leaving::new(true));
    let (worker, _templates) = start(&first, &second);
    // Asked for before anybody knows.
    serve_some(&worker).await;
    until("filler goes on too", || standing(&worker)[2].2 > 0).await;
    assert_eq!(standing(&worker)[2].0, None);
    assert!(worker.stats().is_mining);
    // They are left in peace while they say that they are away, but for what they were about to try.
    let count = |counter: fn(&Leaving) -> &AtomicUsize| {
        [&first, &second].map(|device| counter(device).load(Ordering::SeqCst))
    };
    let (tried, looked_after) = (
        count(|device| &device.tried),
        count(|device| &device.looked_after),
    );
    until("they were asked several times", || {
        let now = count(|device| &device.looked_after);
        now[0] >= looked_after[0] + 3 && now[1] >= looked_after[1] + 3
    })
    .await;
    let now = count(|device| &device.tried);
    assert!(now[0] <= tried[0] + 1 && now[1] <= tried[1] + 1);

    second.is_away.store(false, Ordering::SeqCst);
    until("the second is back", || {
        let [_, (_, _, filler), (held, _, _)] = standing(&worker);
        filler > 0 && held == Some(Hold::Standby)
    })
    .await;
    let before = standing(&worker)[2].1;
    serve_some(&worker).await;
    assert_eq!(standing(&worker)[2].1, before, "products it answered");
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_by_does_nothing_while_another_device_is_there() {
    let (first, second) = (Leaving::new(false), Leaving::new(true));
    let (worker, _templates) = start(&first, &second);
    serve_some(&worker).await;
    until("the second was missed often enough", || {
        second.tried.load(Ordering::SeqCst) > 1 + roster::STANDBY_AFTER as usize
    })
    .await;
    serve_some(&worker).await;
    assert_eq!(standing(&worker)[2], (Some(Hold::Standby), 0, 0));
    worker.shutdown().await;
}
