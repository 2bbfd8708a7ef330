//! On a chip: every usable GPU gives the bytes of the CPU device, on all vectors and on 200 random shapes.
//!
//! Without a GPU it says so and passes; `make gpu-check` sets `LABORA_REQUIRE_GPU`, and it then fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{env, fs, num::NonZeroUsize, path::Path, thread};

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../consensus/pouw/vectors");
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
