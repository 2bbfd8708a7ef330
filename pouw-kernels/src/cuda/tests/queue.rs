//! Cancelling, refusing, ending: what does not depend on what is multiplied.

use std::collections::VecDeque;

use super::*;
use crate::{DeviceError, Filler, MAX_QUEUED};

#[test]
fn a_cancelled_job_is_not_mined_but_an_exact_product_is_exact_all_the_same() {
    let shape = Shape::new(400, 288, 256).unwrap();
    let exact = job("cancel", shape, difficulty(1), Want::ExactProduct);
    let product = reference::multiply(exact.a.data(), exact.bt.data(), shape);
    let banded = Settings {
        band_ms: 0,
        least_band_rows: Some(16),
        ..settings()
    };
    let device = device_in(&world(PLENTY), (8, 0), banded);
    // Before it starts, and at some point on the way: whichever it is, these hold.
    for delay_us in [0, 500, 2000, 10_000, 30_000] {
        for want in [Want::ExactProduct, Want::TicketsOnly] {
            let cancel = Cancel::new();
            let pending = device
                .run(
                    Job {
                        want,
                        ..exact.clone()
                    },
                    &cancel,
                )
                .unwrap();
            let pending = match pending.wait_timeout(Duration::from_micros(delay_us)) {
                Ok(_) => continue,
                Err(pending) => pending,
            };
            cancel.cancel();
            let outcome = pending.wait().unwrap();
            // Under difficulty 1 every ticket wins, so winners say whether mining went through.
            assert_eq!(outcome.winners.is_empty(), !outcome.mined);
            match want {
                Want::ExactProduct => assert!(outcome.product.as_ref() == Some(&product)),
                Want::TicketsOnly => assert!(outcome.mined || outcome.macs < shape.macs()),
            }
        }
    }
    let cancelled = Cancel::new();
    cancelled.cancel();
    let filler = Job {
        want: Want::TicketsOnly,
        ..exact.clone()
    };
    let outcome = device.run(filler, &cancelled).unwrap().wait().unwrap();
    assert_eq!(
        (outcome.macs, outcome.mined, outcome.product),
        (0, false, None)
    );
    let outcome = device.run(exact, &cancelled).unwrap().wait().unwrap();
    assert!(!outcome.mined && outcome.product == Some(product));
}

#[test]
fn jobs_that_cannot_succeed_are_refused_at_once() {
    let device = device((8, 0));
    let zeroes = |rows, k| Matrix::new(rows, k, vec![0; rows as usize * k as usize]).unwrap();
    let ask = |a, bt, template, want| {
        device
            .run(
                Job {
                    template,
                    a,
                    bt,
                    want,
                },
                &Cancel::new(),
            )
            .unwrap_err()
    };
    let template = Some(Template {
        pre_hash: [0; 32],
        difficulty: difficulty(1),
    });
    let error = ask(zeroes(32, 256), zeroes(32, 320), None, Want::ExactProduct);
    assert_eq!(error, DeviceError::SharedDimension { a: 256, bt: 320 });
    let error = ask(zeroes(32, 256), zeroes(32, 256), None, Want::TicketsOnly);
    assert_eq!(error, DeviceError::NoTemplate);
    let error = ask(
        zeroes(16, 256),
        zeroes(32, 256),
        template,
        Want::TicketsOnly,
    );
    assert_eq!(error, DeviceError::Shape(labora_pouw::ShapeError::M(16)));
    let error = ask(
        zeroes(1 << 20, 64),
        zeroes(1024, 64),
        None,
        Want::ExactProduct,
    );
    let budget = PLENTY / 100 * crate::MEMORY_PERCENT;
    assert!(matches!(error, DeviceError::TooLarge { got, max } if got > max && max == budget));
}

#[test]
fn a_plain_product_may_be_smaller_than_a_mined_one() {
    for capability in CAPABILITIES {
        let device = device(capability);
        let (a, bt) = (vec![3; 16 * 64], vec![-2; 32 * 64]);
        let job = Job {
            template: None,
            a: Matrix::new(16, 64, a).unwrap(),
            bt: Matrix::new(32, 64, bt).unwrap(),
            want: Want::ExactProduct,
        };
        assert_eq!(run(&device, &job).product, Some(vec![-6 * 64; 16 * 32]));
    }
}

#[test]
fn a_full_queue_refuses_and_a_dropped_device_ends_what_waits() {
    let shape = Shape::new(256, 512, 1024).unwrap();
    let device = device((8, 0));
    let job = job("queue", shape, difficulty(u64::MAX), Want::ExactProduct);
    let cancel = Cancel::new();
    let mut pending = Vec::new();
    // Some may have been taken up before the queue is full.
    let refused = loop {
        match device.run(job.clone(), &cancel) {
            Ok(outcome) => pending.push(outcome),
            Err(error) => break error,
        }
        assert!(pending.len() <= MAX_QUEUED + 8);
    };
    assert_eq!(refused, DeviceError::Busy);
    assert!(pending.len() >= MAX_QUEUED);
    drop(device);
    let outcomes: Vec<_> = pending.into_iter().map(crate::Pending::wait).collect();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(_) | Err(DeviceError::Gone)))
    );
    assert!(matches!(outcomes.last(), Some(Err(DeviceError::Gone))));
}

#[test]
fn many_jobs_in_flight_come_out_in_order_and_right() {
    // Sizes that fall and rise, so that arenas are used again and replaced while another job is in flight.
    let shapes = [
        (64, 96, 256),
        (208, 160, 320),
        (32, 32, 256),
        (208, 160, 320),
        (96, 272, 256),
    ];
    for capability in CAPABILITIES {
        let device = device(capability);
        let jobs: Vec<_> = (0..15)
            .map(|number| {
                let (m, n, k) = shapes[number % shapes.len()];
                let shape = Shape::new(m, n, k).unwrap();
                let want = [Want::ExactProduct, Want::TicketsOnly][number % 2];
                // Three under each template, the same Bt among them.
                let mut job = job(&format!("{m}"), shape, difficulty(1 << 19), want);
                job.template = job.template.map(|template| Template {
                    pre_hash: [number as u8 / 3; 32],
                    ..template
                });
                (job, shape)
            })
            .collect();
        for jobs in jobs.chunks(MAX_QUEUED) {
            let pending: Vec<_> = jobs
                .iter()
                .map(|(job, _)| device.run(job.clone(), &Cancel::new()).unwrap())
                .collect();
            for ((job, shape), outcome) in jobs.iter().zip(pending) {
                check(
                    &outcome.wait().unwrap(),
                    job,
                    &prove(job, *shape),
                    &format!("{capability:?} {shape:?}"),
                );
            }
        }
    }
}

#[test]
fn filler_is_queued_without_waiting_for_the_filler_before() {
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    let mut filler = Filler::with_seed(Shape::new(64, 64, 256).unwrap(), [7; 32]);
    let mut pending = VecDeque::new();
    for _ in 0..12 {
        let (a, bt) = filler.next();
        let job = Job {
            template: Some(Template {
                pre_hash: [1; 32],
                difficulty: difficulty(u64::MAX),
            }),
            a,
            bt,
            want: Want::TicketsOnly,
        };
        pending.push_back(device.run(job, &Cancel::new()).unwrap());
        if pending.len() == 2 {
            let oldest = pending.pop_front().unwrap();
            assert!(oldest.wait().unwrap().mined);
        }
    }
    assert_eq!(world.lock().waited_for, 0);
}

#[test]
fn a_product_handed_back_leaves_nothing_behind_in_the_next() {
    let device = device((8, 0));
    for (seed, (m, n, k)) in [
        ("one", (64, 64, 256)),
        ("two", (32, 48, 256)),
        ("three", (64, 32, 320)),
    ] {
        let shape = Shape::new(m, n, k).unwrap();
        let job = job(seed, shape, difficulty(1 << 40), Want::ExactProduct);
        for template in [None, job.template] {
            let product = run(
                &device,
                &Job {
                    template,
                    ..job.clone()
                },
            )
            .product
            .unwrap();
            assert!(product == reference::multiply(job.a.data(), job.bt.data(), shape));
            device.recycle(vec![-1; product.len()]);
        }
    }
}
