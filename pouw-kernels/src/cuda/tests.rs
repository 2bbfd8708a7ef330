//! The device from outside, over kernels that run on the host, against the protocol's reference and verifier.

mod bench;
mod emulated;
mod equality;
mod faults;
mod queue;

use std::time::Duration;

use labora_pouw::{Difficulty, Hash, Seal, Shape, U256, reference, verify};

use super::multiply::Multiply;
use super::{CudaDevice, CudaOptions, Settings};
use crate::{Cancel, Device, Job, MAX_WINNERS, Matrix, Outcome, Template, Want};
use emulated::{Shared, open, world};

/// Turing, Ampere, Hopper: `m8n8k16`, `m16n8k32`, `wgmma`.
const CAPABILITIES: [(u32, u32); 3] = [(7, 5), (8, 0), (9, 0)];
/// More than any test takes.
const PLENTY: u64 = 1 << 30;

/// Settings by which small products go through all that large ones do.
fn settings() -> Settings {
    Settings {
        piece_bytes: 12_288,
        timed: (32, 32, 256),
        lone_runs: 1,
        retry: (Duration::from_millis(1), Duration::from_millis(4)),
        ..Settings::new(CudaOptions::default())
    }
}

fn device_in(world: &Shared, capability: (u32, u32), settings: Settings) -> CudaDevice {
    CudaDevice::start(open(world, capability, 0x5eed), settings).unwrap()
}

fn device(capability: (u32, u32)) -> CudaDevice {
    device_in(&world(PLENTY), capability, settings())
}

/// A device for each way to multiply that generations have.
fn one_of_each() -> Vec<(String, CudaDevice)> {
    let each = |capability| {
        Multiply::of(capability).chunks(1).map(move |way| {
            let settings = Settings {
                ways: Some(way),
                ..settings()
            };
            let device = device_in(&world(PLENTY), capability, settings);
            (format!("{capability:?}, {}", way[0].name()), device)
        })
    };
    CAPABILITIES.into_iter().flat_map(each).collect()
}

fn difficulty(macs: u64) -> Difficulty {
    Difficulty::new(U256::from(macs)).unwrap()
}

fn pre_hash(seed: &str) -> Hash {
    *blake3::hash(seed.as_bytes()).as_bytes()
}

fn matrices(seed: &str, shape: Shape) -> (Matrix, Matrix) {
    let (a, bt) = reference::matrices(seed, shape);
    (
        Matrix::new(shape.m(), shape.k(), a).unwrap(),
        Matrix::new(shape.n(), shape.k(), bt).unwrap(),
    )
}

fn job(seed: &str, shape: Shape, difficulty: Difficulty, want: Want) -> Job {
    let (a, bt) = matrices(seed, shape);
    Job {
        template: Some(Template {
            pre_hash: pre_hash(seed),
            difficulty,
        }),
        a,
        bt,
        want,
    }
}

fn run(device: &CudaDevice, job: &Job) -> Outcome {
    device
        .run(job.clone(), &Cancel::new())
        .unwrap()
        .wait()
        .unwrap()
}

fn prove(job: &Job, shape: Shape) -> reference::Proved {
    let template = job.template.unwrap();
    reference::prove(
        &template.pre_hash,
        job.a.data(),
        job.bt.data(),
        shape,
        template.difficulty,
    )
    .unwrap()
}

/// Checks an outcome of a mined job against the reference: product, winners in order, proofs.
fn check(outcome: &Outcome, job: &Job, proved: &reference::Proved, what: &str) {
    let template = job.template.unwrap();
    let mut expected: Vec<(Hash, Seal)> = proved
        .winners
        .iter()
        .map(|winner| (winner.ticket, winner.seal))
        .collect();
    expected.sort_by_key(|(ticket, seal)| (*ticket, seal.row(), seal.column()));
    expected.truncate(MAX_WINNERS);
    let got: Vec<_> = outcome
        .winners
        .iter()
        .map(|winner| (winner.ticket, winner.seal))
        .collect();
    assert!(
        got == expected,
        "{what}: winners {} of {}",
        got.len(),
        expected.len()
    );
    for winner in &outcome.winners {
        let verified = verify(
            &template.pre_hash,
            &winner.seal,
            &winner.proof,
            template.difficulty,
        );
        assert_eq!(verified, Ok(()), "{what}");
    }
    match job.want {
        Want::ExactProduct => assert!(
            outcome.product.as_ref() == Some(&proved.product),
            "{what}: product"
        ),
        Want::TicketsOnly => assert_eq!(outcome.product, None),
    }
    assert_eq!(
        (outcome.macs, outcome.mined),
        (proved.shape.macs(), true),
        "{what}"
    );
}

/// Runs a job as filler, as an exact product and as a plain one.
fn check_all(device: &CudaDevice, job: &Job, proved: &reference::Proved, what: &str) {
    for want in [Want::TicketsOnly, Want::ExactProduct] {
        let job = Job {
            want,
            ..job.clone()
        };
        check(
            &run(device, &job),
            &job,
            proved,
            &format!("{what}, {want:?}"),
        );
    }
    let plain = Job {
        template: None,
        want: Want::ExactProduct,
        ..job.clone()
    };
    let outcome = run(device, &plain);
    assert!(
        outcome.product.as_ref() == Some(&proved.product),
        "{what}: plain product"
    );
    assert_eq!(
        (outcome.winners.len(), outcome.mined, outcome.macs),
        (0, false, proved.shape.macs())
    );
}
