//! The worker on a real CPU device with one thread, which a gate can hold back, and an engine that writes down what it is
//! given.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use labora_kernels::{Cancel, CpuDevice, Device, DeviceError, DeviceInfo, Isa, Job, Pending};
use labora_pouw::{Difficulty, Proof, Seal, Shape};
use parking_lot::{Condvar, Mutex};
use sp_core::{H256, U256};

use super::{queue::MAX_QUEUED_REQUESTS, request::Roots, *};
use crate::{
    devices::{Place, Role},
    gemm::{Dimensions, Product},
};

mod ends;
mod held;
mod lost;
mod standby;
mod verdicts;

/// Longest that a test waits for a condition; none takes a tenth of it on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A CPU device that takes jobs while its gate is open.
struct Gated {
    device: CpuDevice,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_open: bool,
    panics: bool,
    waiting: usize,
}

impl Gate {
    fn open(&self) {
        self.state.lock().is_open = true;
        self.changed.notify_all();
    }

    fn wait_until_reached(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            assert!(
                !self.changed.wait_for(&mut state, PATIENCE).timed_out(),
                "nothing reached the device"
            );
        }
    }
}

/// What a device says of itself that fills with the smallest products.
fn info_of_smallest(device: &CpuDevice) -> DeviceInfo {
    DeviceInfo {
        filler: Shape::new(32, 32, 256).expect("the smallest shape"),
        ..device.info()
    }
}

impl Device for Gated {
    fn info(&self) -> DeviceInfo {
        info_of_smallest(&self.device)
    }

    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError> {
        let mut state = self.gate.state.lock();
        state.waiting += 1;
        self.gate.changed.notify_all();
        while !state.is_open {
            self.gate.changed.wait(&mut state);
        }
        state.waiting -= 1;
        assert!(!state.panics, "the test asked for this panic");
        drop(state);
        self.device.run(job, cancel)
    }
}

/// An engine that imports every block and keeps what it was given.
#[derive(Clone, Default)]
struct Engine {
    taken: Arc<Mutex<Vec<(H256, Seal, Proof)>>>,
    /// How long it takes to answer.
    delay: Arc<Mutex<Duration>>,
}

impl SubmitSeal for Engine {
    fn submit(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Proof,
    ) -> impl Future<Output = Verdict> + Send {
        self.taken.lock().push((pre_hash, seal, proof));
        let delay = *self.delay.lock();
        async move {
            tokio::time::sleep(delay).await;
            Verdict::Imported(pre_hash)
        }
    }
}

/// Devices as they are opened; where they are does not matter here.
fn on_cpu(devices: Vec<Arc<dyn Device>>) -> Vec<Opened> {
    let opened = |device| Opened {
        place: Place::Cpu,
        device,
        role: Role::Regular,
    };
    devices.into_iter().map(opened).collect()
}

struct Setup {
    worker: WorkerHandle,
    gate: Arc<Gate>,
    engine: Engine,
    templates: watch::Sender<Option<Template>>,
}

fn setup() -> Setup {
    let gate = Arc::new(Gate::default());
    let device = CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread");
    let device = Gated {
        device,
        gate: Arc::clone(&gate),
    };
    let engine = Engine::default();
    let (templates, receiver) = watch::channel(None);
    let worker =
        Worker::start_on(on_cpu(vec![Arc::new(device)]), receiver, engine.clone()).expect("starts");
    Setup {
        worker,
        gate,
        engine,
        templates,
    }
}

fn template(number: u32, difficulty: u64) -> Option<Template> {
    Some(Template {
        pre_hash: H256::repeat_byte(number as u8),
        difficulty: U256::from(difficulty),
        parent: H256::repeat_byte(number as u8 - 1),
        number,
    })
}

/// Two small matrices of all of int8, and their product.
fn product(seed: i64) -> (Product, Vec<i32>) {
    let (m, n, k) = (5, 7, 300);
    let entry = |at: usize| ((at as i64 * 2_654_435_761 + seed * 977) >> 7) as i8;
    let a: Vec<i8> = (0..m * k).map(entry).collect();
    let bt: Vec<i8> = (0..n * k).map(|at| entry(at + 10_000)).collect();
    let dot = |x: &[i8], y: &[i8]| {
        x.iter()
            .zip(y)
            .map(|(x, y)| i32::from(*x) * i32::from(*y))
            .sum()
    };
    let c = a
        .chunks(k)
        .flat_map(|x| bt.chunks(k).map(move |y| dot(x, y)))
        .collect();
    let dimensions = Dimensions::new(m as u64, n as u64, k as u64).expect("valid");
    (Product::new(dimensions, a, bt).expect("valid"), c)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_template_is_exact_and_not_mined() {
    let Setup { worker, gate, .. } = setup();
    gate.open();
    let (asked, expected) = product(1);
    let answer = worker.multiply(asked).await.expect("a product");
    assert_eq!(answer.product, expected);
    // Every row needs two limbs: 10 and 14 rows, padded to 32 each; k padded to 320.
    assert_eq!(
        (answer.macs, answer.mined_macs, answer.roots),
        (32 * 32 * 320, 0, vec![])
    );
    assert_eq!(worker.stats().products, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_under_a_template_is_exact_and_its_block_stands_on_its_matrices() {
    let Setup {
        worker,
        gate,
        engine,
        templates,
    } = setup();
    let ask = |seed| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.multiply(product(seed).0).await })
    };
    // The first is held at the gate, without a template. The second waits behind it until there is one, and is then
    // run before any filler: the one seal of that template is its.
    let first = ask(2);
    tokio::task::block_in_place(|| gate.wait_until_reached());
    let second = ask(3);
    until("the second waits", || worker.stats().queue_length == 1).await;
    templates.send_replace(template(1, 1));
    until("the template is known", || worker.stats().is_mining).await;
    gate.open();
    let first = first.await.expect("no panic").expect("a product");
    assert_eq!((first.product, first.roots), (product(2).1, vec![]));
    let second = second.await.expect("no panic").expect("a product");
    assert_eq!(
        (&second.product, second.mined_macs),
        (&product(3).1, second.macs)
    );
    until("a block was mined on it", || {
        worker.stats().blocks_useful == 1
    })
    .await;
    let taken = engine.taken.lock().clone();
    let [(pre_hash, seal, proof)] = &taken[..] else {
        panic!("one seal settles a template")
    };
    let roots = Roots {
        a: *seal.root_a(),
        bt: *seal.root_b(),
    };
    assert_eq!(second.roots, vec![roots]);
    let difficulty = Difficulty::new(U256::one()).expect("not zero");
    labora_pouw::verify(&pre_hash.0, seal, proof, difficulty).expect("a valid proof");
}

#[tokio::test(flavor = "multi_thread")]
async fn filler_is_mined_when_nobody_asks_and_stops_without_a_template() {
    let Setup {
        worker,
        gate,
        engine,
        templates,
    } = setup();
    gate.open();
    templates.send_replace(template(1, 1));
    until("a block was mined on filler", || {
        worker.stats().blocks_filler == 1
    })
    .await;
    assert_eq!(engine.taken.lock().len(), 1, "one seal settles a template");
    templates.send_replace(None);
    until("mining stopped", || !worker.stats().is_mining).await;
    // What was in flight is settled once two products were answered after it.
    for seed in 0..2 {
        worker.multiply(product(seed).0).await.expect("a product");
    }
    let before = worker.stats().macs_filler;
    for seed in 0..20 {
        let (asked, expected) = product(seed);
        assert_eq!(
            worker.multiply(asked).await.expect("a product").product,
            expected
        );
    }
    assert_eq!(worker.stats().macs_filler, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_answered_while_filler_runs() {
    let Setup {
        worker,
        gate,
        templates,
        ..
    } = setup();
    gate.open();
    templates.send_replace(template(1, u64::MAX));
    until("filler runs", || worker.stats().macs_filler > 0).await;
    for seed in 0..50 {
        let (asked, expected) = product(seed);
        assert_eq!(
            worker.multiply(asked).await.expect("a product").product,
            expected
        );
    }
    let stats = worker.stats();
    assert_eq!((stats.products, stats.failed), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_more_than_may_wait_is_refused() {
    let Setup { worker, gate, .. } = setup();
    let ask = |seed| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.multiply(product(seed).0).await })
    };
    let mut asked = vec![ask(0)];
    tokio::task::block_in_place(|| gate.wait_until_reached());
    for seed in 1..=MAX_QUEUED_REQUESTS {
        asked.push(ask(seed as i64));
        until("it waits", || worker.stats().queue_length == seed).await;
    }
    let refused = worker.multiply(product(99).0).await;
    assert!(matches!(refused, Err(MultiplyError::Busy)), "{refused:?}");
    gate.open();
    for (seed, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.expect("no panic").expect("a product");
        assert_eq!(answer.product, product(seed as i64).1);
    }
}

/// The whole way of a long product: several pieces, which share one Bt.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_of_several_pieces_is_exact() {
    let Setup { worker, gate, .. } = setup();
    gate.open();
    let (m, n, k) = (2, 1, 40_000);
    let a: Vec<i8> = (0..m * k).map(|at| (at * 31) as i8).collect();
    let bt: Vec<i8> = (0..n * k).map(|at| (at * 17) as i8).collect();
    let expected: Vec<i32> = a
        .chunks(k)
        .map(|row| {
            row.iter()
                .zip(&bt)
                .map(|(x, y)| i32::from(*x) * i32::from(*y))
                .sum()
        })
        .collect();
    let dimensions = Dimensions::new(m as u64, n as u64, k as u64).expect("valid");
    let answer = worker
        .multiply(Product::new(dimensions, a, bt).expect("valid"))
        .await;
    assert_eq!(answer.expect("a product").product, expected);
}
