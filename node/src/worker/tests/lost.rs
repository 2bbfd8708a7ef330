//! Devices that go away in the middle of a product.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{request::MAX_LOSSES, *};

/// A CPU device that fails by itself on some of its jobs.
struct Fragile {
    device: CpuDevice,
    jobs: AtomicUsize,
    fails: fn(usize) -> Option<Loss>,
    /// Opened once the device has been lost, if somebody waits for that.
    lost: Arc<Gate>,
}

#[derive(Clone, Copy)]
enum Loss {
    /// The job is refused.
    AtOnce,
    /// The job is taken, and fails later.
    Midway,
}

impl Fragile {
    fn new(fails: fn(usize) -> Option<Loss>) -> Self {
        Self {
            device: CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread"),
            jobs: AtomicUsize::new(0),
            fails,
            lost: Arc::default(),
        }
    }
}

impl Device for Fragile {
    fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError> {
        let Some(loss) = (self.fails)(self.jobs.fetch_add(1, Ordering::SeqCst)) else {
            return self.device.run(job, cancel);
        };
        self.lost.open();
        let error = DeviceError::Lost("as the test asked".into());
        match loss {
            Loss::AtOnce => Err(error),
            Loss::Midway => {
                let (promise, pending) = Pending::promised();
                promise.keep(Err(error));
                Ok(pending)
            }
        }
    }
}

/// Five pieces along k.
fn long_product() -> (Product, Vec<i32>) {
    let k = 5 * 16_384;
    let a: Vec<i8> = (0..k).map(|at| (at * 31) as i8).collect();
    let bt: Vec<i8> = (0..k).map(|at| (at * 17) as i8).collect();
    let dot = a
        .iter()
        .zip(&bt)
        .map(|(x, y)| i32::from(*x) * i32::from(*y))
        .sum();
    let dimensions = Dimensions::new(1, 1, k as u64).expect("valid");
    (Product::new(dimensions, a, bt).expect("valid"), vec![dot])
}

fn start(devices: Vec<Arc<dyn Device>>) -> (WorkerHandle, watch::Sender<Option<Template>>) {
    let (templates, receiver) = watch::channel(None);
    let worker = Worker::start_on(on_cpu(devices), receiver, Engine::default()).expect("starts");
    (worker, templates)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_whose_device_is_lost_is_finished_on_another() {
    // Two pieces are done, two are in flight, one has not been started when the first device goes for good.
    let fragile = Arc::new(Fragile::new(|job| (job >= 2).then_some(Loss::Midway)));
    // The second one takes nothing before that.
    let whole = Gated {
        device: CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread"),
        gate: Arc::clone(&fragile.lost),
    };
    let (worker, _templates) = start(vec![fragile.clone(), Arc::new(whole)]);
    let (product, expected) = long_product();
    // Whichever device takes it: the second waits at its gate until the first was lost, which it only is with a product.
    let products = (0..2).map(|_| worker.multiply(product.clone()));
    for answer in futures::future::join_all(products).await {
        assert_eq!(answer.expect("a product").product, expected);
    }
    assert!(fragile.jobs.load(Ordering::SeqCst) > 2);
    assert_eq!(worker.stats().products, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_waits_for_its_only_device_to_come_back() {
    let fails = |job| match job {
        1 => Some(Loss::Midway),
        3 => Some(Loss::AtOnce),
        _ => None,
    };
    let (worker, _templates) = start(vec![Arc::new(Fragile::new(fails))]);
    let (product, expected) = long_product();
    let answer = worker.multiply(product).await;
    assert_eq!(answer.expect("a product").product, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_loses_every_device_is_refused_in_the_end() {
    let fails = |_| Some(Loss::AtOnce);
    let devices = (0..8).map(|_| Arc::new(Fragile::new(fails)) as Arc<dyn Device>);
    let (worker, _templates) = start(devices.collect());
    let refused = worker.multiply(long_product().0).await;
    assert!(
        matches!(&refused, Err(error @ MultiplyError::DevicesLost) if error.to_string().contains(&MAX_LOSSES.to_string())),
        "{refused:?}"
    );
    assert_eq!(worker.stats().failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn filler_goes_on_when_the_device_is_back() {
    let fails = |job| (job == 0).then_some(Loss::Midway);
    let (worker, templates) = start(vec![Arc::new(Fragile::new(fails))]);
    templates.send_replace(template(1, u64::MAX));
    until("filler is mined again", || worker.stats().macs_filler > 0).await;
    worker.shutdown().await;
}
