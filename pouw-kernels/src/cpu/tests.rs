//! The device from outside, against the protocol's reference and verifier.

mod queue;

use std::num::NonZeroUsize;

use labora_pouw::{Difficulty, Hash, Seal, Shape, U256, reference, verify};

use crate::{
    Cancel, CpuDevice, Device, Filler, Isa, Job, MAX_WINNERS, Matrix, Outcome, Template, Want,
};

fn device(isa: Isa, threads: usize) -> CpuDevice {
    CpuDevice::new(NonZeroUsize::new(threads).unwrap(), isa).unwrap()
}

fn difficulty(macs: u64) -> Difficulty {
    Difficulty::new(U256::from(macs)).unwrap()
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

fn pre_hash(seed: &str) -> Hash {
    *blake3::hash(seed.as_bytes()).as_bytes()
}

fn run(device: &CpuDevice, job: &Job) -> Outcome {
    device
        .run(job.clone(), &Cancel::new())
        .unwrap()
        .wait()
        .unwrap()
}

/// The reference's winners in the device's order.
fn winners(proved: &reference::Proved) -> Vec<(Hash, Seal)> {
    let mut all: Vec<_> = proved
        .winners
        .iter()
        .map(|winner| (winner.ticket, winner.seal))
        .collect();
    all.sort_by_key(|(ticket, seal)| (*ticket, seal.row(), seal.column()));
    all.truncate(MAX_WINNERS);
    all
}

/// Checks an exact product and its winners against the reference.
fn check(device: &CpuDevice, job: &Job, proved: &reference::Proved, what: &str) {
    let template = job.template.unwrap();
    for want in [Want::ExactProduct, Want::TicketsOnly] {
        let outcome = run(
            device,
            &Job {
                want,
                ..job.clone()
            },
        );
        let got: Vec<_> = outcome
            .winners
            .iter()
            .map(|winner| (winner.ticket, winner.seal))
            .collect();
        assert!(got == winners(proved), "{what}, {want:?}: winners");
        for winner in &outcome.winners {
            assert_eq!(
                verify(
                    &template.pre_hash,
                    &winner.seal,
                    &winner.proof,
                    template.difficulty
                ),
                Ok(()),
                "{what}"
            );
        }
        match want {
            Want::ExactProduct => assert!(
                outcome.product.as_ref() == Some(&proved.product),
                "{what}: product"
            ),
            Want::TicketsOnly => assert_eq!(outcome.product, None),
        }
        assert_eq!((outcome.macs, outcome.mined), (proved.shape.macs(), true));
    }
    let plain = run(
        device,
        &Job {
            template: None,
            want: Want::ExactProduct,
            ..job.clone()
        },
    );
    assert!(
        plain.product.as_ref() == Some(&proved.product),
        "{what}: plain product"
    );
    assert_eq!((plain.winners.len(), plain.mined), (0, false));
}

#[test]
fn every_path_gives_the_vectors_products_and_winners() {
    let folder = "../consensus/pouw/vectors";
    let devices: Vec<_> = Isa::available()
        .into_iter()
        .map(|isa| (isa, device(isa, 2)))
        .collect();
    println!("instruction sets run: {:?}", Isa::available());
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as u32;
        let shape = Shape::new(
            number(&vector["m"]),
            number(&vector["n"]),
            number(&vector["k"]),
        )
        .unwrap();
        let pre_hash: Hash = hex::decode(text("pre_hash")).unwrap().try_into().unwrap();
        let difficulty = Difficulty::new(U256::from_dec_str(text("difficulty")).unwrap()).unwrap();
        let (a, bt) = matrices(text("seed"), shape);
        let job = Job {
            template: Some(Template {
                pre_hash,
                difficulty,
            }),
            a,
            bt,
            want: Want::ExactProduct,
        };
        let mut expected: Vec<_> = vector["winners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|winner| {
                (
                    winner[2].as_str().unwrap().to_owned(),
                    number(&winner[0]),
                    number(&winner[1]),
                )
            })
            .collect();
        expected.sort();
        expected.truncate(MAX_WINNERS);
        for (isa, device) in &devices {
            let outcome = run(device, &job);
            let product: Vec<u8> = outcome
                .product
                .unwrap()
                .iter()
                .flat_map(|entry| entry.to_le_bytes())
                .collect();
            assert_eq!(
                blake3::hash(&product).to_hex().as_str(),
                text("product_blake3"),
                "{isa}, {}",
                path.display()
            );
            let got: Vec<_> = outcome
                .winners
                .iter()
                .map(|winner| {
                    (
                        hex::encode(winner.ticket),
                        winner.seal.row(),
                        winner.seal.column(),
                    )
                })
                .collect();
            assert_eq!(got, expected, "{isa}, {}", path.display());
            for winner in &outcome.winners {
                assert_eq!(hex::encode(winner.seal.root_a()), text("root_a"));
                assert_eq!(hex::encode(winner.seal.root_b()), text("root_b"));
                assert_eq!(
                    verify(&pre_hash, &winner.seal, &winner.proof, difficulty),
                    Ok(())
                );
            }
        }
        files += 1;
    }
    assert!(files >= 8, "vectors are missing: found {files}");
}

#[test]
fn two_hundred_random_shapes_equal_the_reference_on_every_path_and_any_number_of_threads() {
    let devices: Vec<_> = Isa::available()
        .into_iter()
        .flat_map(|isa| [1, 3].map(|threads| (isa, threads, device(isa, threads))))
        .collect();
    for case in 0..200_u32 {
        let dice = *blake3::hash(&case.to_le_bytes()).as_bytes();
        let dice = |at: usize, below: u32| u32::from(dice[at]) % below;
        let shape = Shape::new(
            32 + 16 * dice(0, 8),
            32 + 16 * dice(1, 16),
            256 + 64 * dice(2, 13),
        )
        .unwrap();
        // From every tile a winner to hardly any.
        let job = job(
            &format!("case {case}"),
            shape,
            difficulty(1 << (10 + dice(3, 16))),
            Want::ExactProduct,
        );
        let template = job.template.unwrap();
        let proved = reference::prove(
            &template.pre_hash,
            job.a.data(),
            job.bt.data(),
            shape,
            template.difficulty,
        )
        .unwrap();
        for (isa, threads, device) in &devices {
            check(
                device,
                &job,
                &proved,
                &format!("case {case} {shape:?}, {isa}, {threads} threads"),
            );
        }
    }
}

#[test]
fn the_longest_k_is_exact_with_entries_that_draw_the_corrections_to_their_ends() {
    let shape = Shape::new(32, 48, 16384).unwrap();
    for (x, y) in [(63, 63), (-63, 63), (63, -63)] {
        let a = Matrix::new(32, 16384, vec![x; 32 * 16384]).unwrap();
        let bt = Matrix::new(48, 16384, vec![y; 48 * 16384]).unwrap();
        let template = Template {
            pre_hash: [3; 32],
            difficulty: difficulty(1 << 24),
        };
        let job = Job {
            template: Some(template),
            a,
            bt,
            want: Want::ExactProduct,
        };
        let proved = reference::prove(
            &template.pre_hash,
            job.a.data(),
            job.bt.data(),
            shape,
            template.difficulty,
        )
        .unwrap();
        for isa in Isa::available() {
            check(
                &device(isa, 1),
                &job,
                &proved,
                &format!("{x} and {y}, {isa}"),
            );
        }
    }
}

#[test]
fn filler_wins_what_verifies() {
    for isa in Isa::available() {
        let device = device(isa, 2);
        let mut filler = Filler::with_seed(Shape::new(96, 208, 512).unwrap(), [5; 32]);
        let template = Template {
            pre_hash: [8; 32],
            difficulty: difficulty(1 << 22),
        };
        let mut won = 0;
        for _ in 0..8 {
            let (a, bt) = filler.next();
            let roots = (a.root(), bt.root());
            let outcome = run(
                &device,
                &Job {
                    template: Some(template),
                    a,
                    bt,
                    want: Want::TicketsOnly,
                },
            );
            for winner in &outcome.winners {
                assert_eq!((*winner.seal.root_a(), *winner.seal.root_b()), roots);
                assert_eq!(
                    verify(
                        &template.pre_hash,
                        &winner.seal,
                        &winner.proof,
                        template.difficulty
                    ),
                    Ok(())
                );
                won += 1;
            }
        }
        // 624 tickets, each of which wins with chance 1/32.
        assert!(won > 0, "{isa}: nothing won");
    }
}

#[test]
fn another_template_or_another_bt_never_meets_old_noise() {
    let shape = Shape::new(48, 64, 256).unwrap();
    let device = device(Isa::detect(), 1);
    for (matrices_of, header) in [("x", "1"), ("x", "2"), ("y", "2"), ("x", "2"), ("x", "1")] {
        let (a, bt) = matrices(matrices_of, shape);
        let template = Template {
            pre_hash: pre_hash(header),
            difficulty: difficulty(1 << 18),
        };
        let job = Job {
            template: Some(template),
            a,
            bt,
            want: Want::ExactProduct,
        };
        let proved = reference::prove(
            &template.pre_hash,
            job.a.data(),
            job.bt.data(),
            shape,
            template.difficulty,
        )
        .unwrap();
        check(
            &device,
            &job,
            &proved,
            &format!("matrices {matrices_of}, header {header}"),
        );
    }
}
