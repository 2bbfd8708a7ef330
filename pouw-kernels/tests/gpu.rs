//! On a chip: every usable GPU gives the bytes of the CPU device, on all vectors and on 200 random shapes.
//!
//! Without a GPU it says so and passes; `make gpu-check` sets `LABORA_REQUIRE_GPU`, and it then fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::VecDeque,
    env, fs,
    num::NonZeroUsize,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use labora_kernels::{
    Cancel, CpuDevice, CudaDevice, CudaOptions, Device, Isa, Job, Matrix, Outcome, Template, Want,
};
use labora_pouw::{Difficulty, Shape, U256, reference};

const RANDOM_SHAPES: u64 = 200;
/// Vectors of more multiply-accumulates are left to the emulated kernels: none is.
const MAX_MACS: u64 = 1 << 37;

fn gpus() -> Vec<(String, CudaDevice)> {
    let found = CudaDevice::list().unwrap_or_else(|error| {
        println!("no GPU is checked: {error}");
        Vec::new()
    });
    let gpus: Vec<_> = found
        .into_iter()
        .filter(|gpu| match &gpu.usable {
            Ok(()) => true,
            Err(error) => {
                println!("{} is not checked: {error}", gpu.name);
                false
            }
        })
        .map(|gpu| {
            let device = CudaDevice::open(gpu.index, CudaOptions::default()).unwrap();
            (gpu.name, device)
        })
        .collect();
    assert!(
        !gpus.is_empty() || env::var_os("LABORA_REQUIRE_GPU").is_none(),
        "LABORA_REQUIRE_GPU is set, and no GPU can be used"
    );
    gpus
}

fn cpu() -> CpuDevice {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    CpuDevice::new(threads, Isa::detect()).unwrap()
}

fn run(device: &dyn Device, job: &Job) -> Outcome {
    let outcome = device.run(job.clone(), &Cancel::new()).unwrap();
    outcome.wait().unwrap()
}

/// The three things that a node asks of a device.
fn jobs(seed: &str, shape: Shape, difficulty: Difficulty) -> [Job; 3] {
    let (a, bt) = reference::matrices(seed, shape);
    let a = Matrix::new(shape.m(), shape.k(), a).unwrap();
    let bt = Matrix::new(shape.n(), shape.k(), bt).unwrap();
    let template = Some(Template {
        pre_hash: *blake3::hash(seed.as_bytes()).as_bytes(),
        difficulty,
    });
    [
        (template, Want::ExactProduct),
        (template, Want::TicketsOnly),
        (None, Want::ExactProduct),
    ]
    .map(|(template, want)| Job {
        template,
        a: a.clone(),
        bt: bt.clone(),
        want,
    })
}

fn compare(gpus: &[(String, CudaDevice)], cpu: &CpuDevice, seed: &str, shape: Shape, macs: U256) {
    for job in jobs(seed, shape, Difficulty::new(macs).unwrap()) {
        let expected = run(cpu, &job);
        for (name, gpu) in gpus {
            let got = run(gpu, &job);
            let what = format!("{name}: {seed}, {shape:?}, {:?}", job.want);
            assert!(got.product == expected.product, "{what}: C");
            assert!(got.winners == expected.winners, "{what}: winners");
            assert_eq!(
                (got.mined, got.macs),
                (expected.mined, expected.macs),
                "{what}"
            );
        }
    }
}

#[test]
fn gpus_give_the_cpus_bytes_on_every_vector() {
    let gpus = gpus();
    if gpus.is_empty() {
        return;
    }
    let cpu = cpu();
    let folder = PathBuf::from("../consensus/pouw/vectors");
    let folder = env::var_os("LABORA_VECTORS").map_or(folder, Into::into);
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let vector: serde_json::Value = serde_json::from_str(&text).unwrap();
        let side = |name: &str| u32::try_from(vector[name].as_u64().unwrap()).unwrap();
        let shape = Shape::new(side("m"), side("n"), side("k")).unwrap();
        assert!(shape.macs() <= MAX_MACS);
        let difficulty = U256::from_dec_str(vector["difficulty"].as_str().unwrap()).unwrap();
        let seed = vector["seed"].as_str().unwrap();
        compare(&gpus, &cpu, seed, shape, difficulty);
        count += 1;
    }
    println!("{count} vectors are the same on {} GPUs", gpus.len());
    assert!(count >= 18);
}

#[test]
fn gpus_give_the_cpus_bytes_on_random_shapes() {
    let gpus = gpus();
    if gpus.is_empty() {
        return;
    }
    let cpu = cpu();
    let mut state = 0x4C41_424F_5241_u64;
    let mut below = |bound: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(bound)) as u32
    };
    for index in 0..RANDOM_SHAPES {
        // One in twenty is large enough to fill a GPU.
        let (sides, depths) = if index % 20 == 0 {
            (256, 128)
        } else {
            (48, 36)
        };
        let shape = Shape::new(
            32 + 16 * below(sides),
            32 + 16 * below(sides),
            256 + 64 * below(depths),
        )
        .unwrap();
        // Some four winners.
        let macs = U256::from(shape.macs() / 4);
        compare(&gpus, &cpu, &format!("shape {index}"), shape, macs);
    }
    println!(
        "{RANDOM_SHAPES} random shapes are the same on {} GPUs",
        gpus.len()
    );
}

/// Rows of Bt that one product of a long artifact takes, its k, and the products.
const SLICE: (u32, u32, u32) = (1024, 4096, 24);

/// A Bt larger than the memory that the device may use, slice by slice, two products in flight.
fn through(gpu: &CudaDevice, a: &Matrix, slices: &[Matrix]) -> (Vec<Outcome>, Duration) {
    let began = Instant::now();
    let mut pending = VecDeque::new();
    let mut outcomes = Vec::new();
    for bt in slices {
        let job = Job {
            template: Some(Template {
                pre_hash: [5; 32],
                difficulty: Difficulty::new(U256::MAX).unwrap(),
            }),
            a: a.clone(),
            bt: bt.clone(),
            want: Want::ExactProduct,
        };
        pending.push_back(gpu.run(job, &Cancel::new()).unwrap());
        if pending.len() == 2 {
            outcomes.push(pending.pop_front().unwrap().wait().unwrap());
        }
    }
    outcomes.extend(pending.into_iter().map(|last| last.wait().unwrap()));
    (outcomes, began.elapsed())
}

#[test]
fn an_artifact_larger_than_the_devices_memory_goes_through_it() {
    let gpus = gpus();
    if gpus.is_empty() {
        return;
    }
    let (rows, k, count) = SLICE;
    let shape = Shape::new(512, rows, k).unwrap();
    let matrices: Vec<_> = (0..count)
        .map(|at| reference::matrices(&format!("slice {at}"), shape))
        .collect();
    let a = Matrix::new(shape.m(), k, matrices[0].0.clone()).unwrap();
    let slices: Vec<_> = matrices
        .into_iter()
        .map(|(_, bt)| Matrix::new(rows, k, bt).unwrap())
        .collect();
    let cpu = cpu();
    let expected: Vec<_> = slices
        .iter()
        .map(|bt| {
            let job = Job {
                template: None,
                a: a.clone(),
                bt: bt.clone(),
                want: Want::ExactProduct,
            };
            run(&cpu, &job).product
        })
        .collect();
    // The artifact is 96 MiB.
    let artifact = u64::from(rows * k) * u64::from(count);
    let memory = artifact / 2;
    let usable = CudaDevice::list().unwrap().into_iter();
    let mut slowest = f64::INFINITY;
    for (gpu, (name, roomy)) in usable.filter(|gpu| gpu.usable.is_ok()).zip(&gpus) {
        let options = CudaOptions {
            max_memory_bytes: Some(memory),
            ..CudaOptions::default()
        };
        let tight = CudaDevice::open(gpu.index, options).unwrap();
        // What is kept of the artifact by a device that has room for it counts as its advantage.
        let (_, _warm) = through(roomy, &a, &slices);
        let (_, with_room) = through(roomy, &a, &slices);
        let (_, _warm) = through(&tight, &a, &slices);
        let (outcomes, without) = through(&tight, &a, &slices);
        for (at, (got, expected)) in outcomes.iter().zip(&expected).enumerate() {
            assert!(got.product == *expected, "{name}: slice {at}");
        }
        slowest = slowest.min(with_room.as_secs_f64() / without.as_secs_f64());
    }
    println!(
        "an artifact of {} MiB through {} MiB of memory is the same on {} GPUs, at {slowest:.2} of the speed with room for all",
        artifact >> 20,
        memory >> 20,
        gpus.len()
    );
}
