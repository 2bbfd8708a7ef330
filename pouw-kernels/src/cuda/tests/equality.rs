//! Same bytes as the protocol's, whatever the shape and the generation.

use super::*;
use crate::Filler;

#[test]
fn small_ragged_shapes_equal_the_reference_on_every_generation() {
    for (way, device) in one_of_each() {
        for (m, n, k) in [
            (32, 32, 256),
            (48, 80, 320),
            (144, 272, 448),
            (16 * 9, 16 * 3, 1024),
        ] {
            let shape = Shape::new(m, n, k).unwrap();
            let job = job("ragged", shape, difficulty(1 << 20), Want::ExactProduct);
            check_all(
                &device,
                &job,
                &prove(&job, shape),
                &format!("{way}, {shape:?}"),
            );
        }
    }
}

#[test]
fn fifty_random_shapes_equal_the_reference() {
    let devices = one_of_each();
    for case in 0..50_u32 {
        let dice = *blake3::hash(&case.to_le_bytes()).as_bytes();
        let dice = |at: usize, below: u32| u32::from(dice[at]) % below;
        let shape = Shape::new(
            32 + 16 * dice(0, 16),
            32 + 16 * dice(1, 24),
            256 + 64 * dice(2, 9),
        )
        .unwrap();
        // From every tile a winner to hardly any.
        let difficulty = difficulty(1 << (10 + dice(3, 16)));
        let job = job(
            &format!("case {case}"),
            shape,
            difficulty,
            Want::ExactProduct,
        );
        let proved = prove(&job, shape);
        let (way, device) = &devices[case as usize % devices.len()];
        check_all(
            device,
            &job,
            &proved,
            &format!("case {case} {shape:?}, {way}"),
        );
    }
}

#[test]
fn entries_that_draw_the_corrections_to_their_ends_are_exact() {
    let shape = Shape::new(32, 48, 16384).unwrap();
    for capability in CAPABILITIES {
        let device = device(capability);
        for (x, y) in [(63, 63), (-63, 63)] {
            let mut job = job("ends", shape, difficulty(1 << 24), Want::ExactProduct);
            job.a = Matrix::new(32, 16384, vec![x; 32 * 16384]).unwrap();
            job.bt = Matrix::new(48, 16384, vec![y; 48 * 16384]).unwrap();
            let proved = prove(&job, shape);
            check(
                &run(&device, &job),
                &job,
                &proved,
                &format!("{x} and {y}, {capability:?}"),
            );
        }
    }
}

#[test]
fn commitments_made_on_the_device_are_plain_blake3() {
    let device = device((8, 0));
    for (m, n, k) in [(32, 48, 256), (48, 32, 320), (80, 32, 832)] {
        let shape = Shape::new(m, n, k).unwrap();
        let job = job("roots", shape, difficulty(1), Want::TicketsOnly);
        assert_eq!((job.a.known_root(), job.bt.known_root()), (None, None));
        run(&device, &job);
        let hash = |matrix: &Matrix| {
            let bytes: Vec<u8> = matrix.data().iter().map(|&entry| entry as u8).collect();
            Some(*blake3::hash(&bytes).as_bytes())
        };
        assert_eq!(
            (job.a.known_root(), job.bt.known_root()),
            (hash(&job.a), hash(&job.bt))
        );
    }
}

#[test]
fn another_template_or_another_bt_never_meets_old_noise() {
    let shape = Shape::new(48, 64, 256).unwrap();
    let device = device((8, 0));
    // The same matrices each time, whose commitments are known after the first.
    let known = ["x", "y"].map(|seed| job(seed, shape, difficulty(1 << 18), Want::ExactProduct));
    for (of, header) in [(0, "1"), (0, "2"), (1, "2"), (0, "2"), (0, "1"), (1, "1")] {
        let job = Job {
            template: Some(Template {
                pre_hash: pre_hash(header),
                difficulty: difficulty(1 << 18),
            }),
            ..known[of].clone()
        };
        let what = format!("matrices {of}, header {header}");
        check_all(&device, &job, &prove(&job, shape), &what);
    }
}

#[test]
fn filler_in_flight_never_meets_the_chunk_of_the_next() {
    let shape = Shape::new(96, 208, 512).unwrap();
    for capability in CAPABILITIES {
        let device = device(capability);
        let mut filler = Filler::with_seed(shape, [6; 32]);
        let mut pending = std::collections::VecDeque::new();
        let template = Template {
            pre_hash: [1; 32],
            difficulty: difficulty(1 << 19),
        };
        for product in 0..12 {
            let (a, bt) = filler.next();
            // The device may not see what this test holds: filler overwrites its matrices once they are free.
            let held = Matrix::new(shape.m(), shape.k(), a.data().to_vec()).unwrap();
            let job = Job {
                template: Some(template),
                a,
                bt,
                want: Want::TicketsOnly,
            };
            let proof_of = Job {
                a: held,
                ..job.clone()
            };
            pending.push_back((device.run(job, &Cancel::new()).unwrap(), proof_of));
            if pending.len() == 3 || product == 11 {
                for (outcome, job) in pending.drain(..pending.len().min(2)) {
                    let outcome = outcome.wait().unwrap();
                    let what = format!("product {product}, {capability:?}");
                    check(&outcome, &job, &prove(&job, shape), &what);
                }
            }
        }
    }
}

#[test]
fn noised_bt_is_made_once_a_template_and_of_filler_only_the_fresh_chunk_is_sent() {
    let shape = Shape::new(96, 208, 512).unwrap();
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    let mut filler = Filler::with_seed(shape, [5; 32]);
    let mut sent = Vec::new();
    let mut won = 0;
    for product in 0..9 {
        let (a, bt) = filler.next();
        // Three products a template.
        let template = Template {
            pre_hash: [product / 3; 32],
            difficulty: difficulty(1 << 22),
        };
        let job = Job {
            template: Some(template),
            a,
            bt,
            want: Want::TicketsOnly,
        };
        let before = world.lock().uploaded;
        let outcome = run(&device, &job);
        sent.push(world.lock().uploaded - before);
        won += outcome.winners.len();
        check(
            &outcome,
            &job,
            &prove(&job, shape),
            &format!("product {product}"),
        );
    }
    // 702 tickets, each of which wins with chance 1/32.
    assert!(won > 0);
    let (params, chunk) = (256, 1024);
    // A and Bt once, then Bt anew for each template.
    assert_eq!(sent[0], shape.a_len() + shape.b_len() + params);
    for (product, sent) in sent.into_iter().enumerate().skip(1) {
        let bt = if product % 3 == 0 { shape.b_len() } else { 0 };
        assert_eq!(sent, bt + params + chunk, "product {product}");
    }
}

#[test]
fn a_product_in_bands_is_the_same_product() {
    let shape = Shape::new(432, 288, 256).unwrap();
    for capability in CAPABILITIES {
        for way in Multiply::of(capability).chunks(1) {
            let world = world(PLENTY);
            let banded = Settings {
                band_ms: 0,
                least_band_rows: Some(16),
                ways: Some(way),
                ..settings()
            };
            let device = device_in(&world, capability, banded);
            let job = job("bands", shape, difficulty(1 << 18), Want::ExactProduct);
            let what = format!("{capability:?}, {}", way[0].name());
            check_all(&device, &job, &prove(&job, shape), &what);
            let launched = &world.lock().launched;
            let products = launched.iter().filter(|name| name.ends_with("_7")).count();
            // 432 rows in launches of one row of tiles: 128 or 64.
            let rows = if way[0] == Multiply::MmaSmall {
                64
            } else {
                128
            };
            assert_eq!(products, 432_usize.div_ceil(rows), "{what}");
        }
    }
}

#[test]
fn where_every_ticket_wins_the_lowest_are_named_all_the_same() {
    let shape = Shape::new(512, 768, 256).unwrap();
    let device = device((8, 0));
    let job = job("easy", shape, difficulty(1), Want::TicketsOnly);
    // 1,536 tiles: more than a launch lists.
    check(
        &run(&device, &job),
        &job,
        &prove(&job, shape),
        "every ticket wins",
    );
}

#[test]
fn the_vectors_come_out_the_same() {
    let folder = "../consensus/pouw/vectors";
    let devices = CAPABILITIES.map(device);
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as u32;
        let [m, n, k] = ["m", "n", "k"].map(|name| number(&vector[name]));
        let shape = Shape::new(m, n, k).unwrap();
        let difficulty = Difficulty::new(U256::from_dec_str(text("difficulty")).unwrap()).unwrap();
        let mut job = job(text("seed"), shape, difficulty, Want::ExactProduct);
        job.template = Some(Template {
            pre_hash: hex::decode(text("pre_hash")).unwrap().try_into().unwrap(),
            difficulty,
        });
        let winners = vector["winners"].as_array().unwrap();
        let mut expected: Vec<_> = winners
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
        for (device, capability) in devices.iter().zip(CAPABILITIES) {
            let what = format!("{capability:?}, {}", path.display());
            let start = std::time::Instant::now();
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
                "{what}"
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
            assert_eq!(got, expected, "{what}");
            for winner in &outcome.winners {
                assert_eq!(hex::encode(winner.seal.root_a()), text("root_a"), "{what}");
                assert_eq!(hex::encode(winner.seal.root_b()), text("root_b"), "{what}");
                let pre_hash = job.template.unwrap().pre_hash;
                assert_eq!(
                    verify(&pre_hash, &winner.seal, &winner.proof, difficulty),
                    Ok(())
                );
            }
            println!(
                "{what}: {m}×{n}×{k} in {:.1} s",
                start.elapsed().as_secs_f32()
            );
        }
        files += 1;
    }
    assert!(files >= 8, "vectors are missing: found {files}");
}
