//! Cancelling, refusing, ending: what does not depend on what is multiplied.

use super::*;
use crate::{DeviceError, MAX_QUEUED};

#[test]
fn a_cancelled_job_is_not_mined_but_an_exact_product_is_exact_all_the_same() {
    let shape = Shape::new(256, 512, 1024).unwrap();
    let exact = job("cancel", shape, difficulty(1), Want::ExactProduct);
    let product = reference::multiply(exact.a.data(), exact.bt.data(), shape);
    let device = device(Isa::portable(), 2);
    // Before it starts, and at some point on the way: whichever it is, these hold.
    for delay_us in [0, 200, 1000, 5000, 20_000, 60_000] {
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
            let pending = match pending.wait_timeout(std::time::Duration::from_micros(delay_us)) {
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
    let outcome = device
        .run(
            Job {
                want: Want::TicketsOnly,
                ..exact.clone()
            },
            &cancelled,
        )
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(
        (outcome.macs, outcome.mined, outcome.product),
        (0, false, None)
    );
    let outcome = device.run(exact, &cancelled).unwrap().wait().unwrap();
    assert!(!outcome.mined && outcome.product == Some(product));
}

#[test]
fn jobs_that_cannot_succeed_are_refused_at_once() {
    let device = device(Isa::detect(), 1);
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
    assert!(
        matches!(error, DeviceError::TooLarge { got, max } if got > max && max == crate::MAX_PRODUCT_BYTES)
    );
    let threads = CpuDevice::new(NonZeroUsize::new(1 << 20).unwrap(), Isa::detect()).err();
    assert_eq!(threads, Some(DeviceError::Threads { got: 1 << 20 }));
}

#[test]
fn a_full_queue_refuses_and_a_dropped_device_ends_what_waits() {
    let shape = Shape::new(512, 1024, 2048).unwrap();
    let device = device(Isa::portable(), 1);
    let job = job("queue", shape, difficulty(u64::MAX), Want::ExactProduct);
    let cancel = Cancel::new();
    let mut pending = Vec::new();
    // One may have been taken up before the queue is full: each takes about a second.
    let refused = loop {
        match device.run(job.clone(), &cancel) {
            Ok(outcome) => pending.push(outcome),
            Err(error) => break error,
        }
        assert!(pending.len() <= MAX_QUEUED + 1);
    };
    assert_eq!(refused, DeviceError::Busy);
    assert!(pending.len() >= MAX_QUEUED);
    drop(device);
    for outcome in pending {
        assert!(matches!(outcome.wait(), Err(DeviceError::Gone)));
    }
}

#[test]
fn a_product_handed_back_leaves_nothing_behind_in_the_next() {
    let device = device(Isa::detect(), 1);
    for (seed, shape) in [
        ("one", (64, 64, 256)),
        ("two", (32, 48, 256)),
        ("three", (64, 32, 320)),
    ] {
        let job = job(
            seed,
            Shape::new(shape.0, shape.1, shape.2).unwrap(),
            difficulty(1 << 40),
            Want::ExactProduct,
        );
        for template in [None, job.template] {
            let outcome = run(
                &device,
                &Job {
                    template,
                    ..job.clone()
                },
            );
            let product = outcome.product.unwrap();
            let shape = Shape::new(shape.0, shape.1, shape.2).unwrap();
            assert!(product == reference::multiply(job.a.data(), job.bt.data(), shape));
            device.recycle(vec![-1; product.len()]);
        }
    }
}
