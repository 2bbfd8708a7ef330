//! Memory that runs out, devices that are lost, files that tell what was timed.

use super::*;
use crate::DeviceError;
use crate::cuda::multiply::Mode;
use crate::cuda::plan::Plan;

/// Runs a job until the device takes it again.
fn run_when_back(device: &CudaDevice, job: &Job) -> Outcome {
    loop {
        match device
            .run(job.clone(), &Cancel::new())
            .map(crate::Pending::wait)
        {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(DeviceError::Lost(_))) | Err(DeviceError::Lost(_)) => std::thread::yield_now(),
            Ok(Err(error)) | Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn wherever_the_device_is_lost_all_jobs_are_told_and_the_next_device_does_them() {
    let shape = Shape::new(96, 112, 256).unwrap();
    let jobs = ["one", "two", "three"]
        .map(|seed| job(seed, shape, difficulty(1 << 19), Want::ExactProduct));
    let proved = jobs.each_ref().map(|job| prove(job, shape));
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    let before = world.lock().ran;
    for (job, proved) in jobs.iter().zip(&proved) {
        check(&run(&device, job), job, proved, "before any loss");
    }
    let each = world.lock().ran - before;
    assert!(each > 30, "{each} copies and launches");
    for lose_after in 1..=each {
        world.lock().lose_after = Some(lose_after);
        let opened = world.lock().opened;
        let pending: Vec<_> = jobs
            .iter()
            .map(|job| device.run(job.clone(), &Cancel::new()))
            .collect();
        let mut lost = 0;
        for ((pending, job), proved) in pending.into_iter().zip(&jobs).zip(&proved) {
            match pending.map(crate::Pending::wait) {
                // What is answered is right.
                Ok(Ok(outcome)) => check(&outcome, job, proved, "with a loss to come"),
                Ok(Err(DeviceError::Lost(why))) | Err(DeviceError::Lost(why)) => {
                    assert!(why.contains("CUDA_ERROR_LAUNCH_FAILED"), "{why}");
                    lost += 1;
                }
                Ok(Err(error)) | Err(error) => panic!("{error}"),
            }
        }
        assert!(
            lost > 0 || world.lock().lose_after.is_some(),
            "lost after {lose_after}, and nobody was told"
        );
        world.lock().lose_after = None;
        // No request is lost: given again, as to another device, each comes out right.
        for (job, proved) in jobs.iter().zip(&proved) {
            check(
                &run_when_back(&device, job),
                job,
                proved,
                &format!("after a loss at {lose_after}"),
            );
        }
        assert_eq!(world.lock().opened, opened + u32::from(lost > 0));
    }
}

#[test]
fn a_device_that_stays_away_refuses_at_once_and_comes_back_by_itself() {
    let shape = Shape::new(32, 32, 256).unwrap();
    let job = job("away", shape, difficulty(1 << 19), Want::ExactProduct);
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    {
        let mut world = world.lock();
        (world.lose_after, world.refuse) = (Some(1), 5);
    }
    let told = device
        .run(job.clone(), &Cancel::new())
        .unwrap()
        .wait()
        .unwrap_err();
    assert!(matches!(told, DeviceError::Lost(_)));
    // Known before the job was told.
    assert!(device.lost().is_some() || world.lock().refuse == 0);
    check(
        &run_when_back(&device, &job),
        &job,
        &prove(&job, shape),
        "back",
    );
    let world = world.lock();
    assert_eq!((world.refuse, world.opened, device.lost()), (0, 2, None));
}

#[test]
fn kernels_that_never_end_cost_the_device_and_not_its_thread() {
    let shape = Shape::new(64, 96, 256).unwrap();
    for want in [Want::TicketsOnly, Want::ExactProduct] {
        let jobs = ["one", "two"].map(|seed| job(seed, shape, difficulty(1 << 19), want));
        let world = world(PLENTY);
        let impatient = Settings {
            hang: Duration::from_millis(20),
            ..settings()
        };
        let device = device_in(&world, (8, 0), impatient);
        check(
            &run(&device, &jobs[0]),
            &jobs[0],
            &prove(&jobs[0], shape),
            "before",
        );
        world.lock().hangs = true;
        let pending = jobs
            .each_ref()
            .map(|job| device.run(job.clone(), &Cancel::new()));
        for told in pending {
            let told = told.and_then(crate::Pending::wait).unwrap_err();
            assert!(
                matches!(&told, DeviceError::Lost(why) if why.contains("did not end within")),
                "{told}"
            );
        }
        assert!(device.lost().is_some());
        {
            // More than once where it was opened again meanwhile: what is timed then hangs too.
            let mut world = world.lock();
            assert!(world.given_up > 0);
            world.hangs = false;
        }
        for job in &jobs {
            let outcome = run_when_back(&device, job);
            check(&outcome, job, &prove(job, shape), "after a hang");
        }
        // The end of a device does not wait for what hangs either.
        world.lock().hangs = true;
        let _never = device.run(jobs[0].clone(), &Cancel::new()).unwrap();
        let (end, ended) = crossbeam_channel::bounded(1);
        let ending = std::thread::spawn(move || {
            drop(device);
            end.send(()).unwrap();
        });
        let seen = ended.recv_timeout(Duration::from_secs(60));
        assert_eq!(seen, Ok(()), "the device's thread never ends");
        ending.join().unwrap();
    }
}

#[test]
fn a_defect_costs_the_job_and_not_the_device() {
    let shape = Shape::new(32, 32, 256).unwrap();
    let job = job("defect", shape, difficulty(1 << 19), Want::ExactProduct);
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    world.lock().broken = true;
    let told = device
        .run(job.clone(), &Cancel::new())
        .unwrap()
        .wait()
        .unwrap_err();
    assert!(
        matches!(&told, DeviceError::Panicked(what) if what.contains("broken")),
        "{told}"
    );
    world.lock().broken = false;
    check(
        &run_when_back(&device, &job),
        &job,
        &prove(&job, shape),
        "after a defect",
    );
}

#[test]
fn what_cannot_be_opened_says_why() {
    let away = world(PLENTY);
    away.lock().refuse = 1;
    let error = CudaDevice::start(open(&away, (8, 0), 1), settings()).err();
    assert_eq!(
        error,
        Some(DeviceError::NotOpened("CUDA_ERROR_NO_DEVICE".into()))
    );
    let error = CudaDevice::start(Box::new(|| Err(DeviceError::NoDriver)), settings()).err();
    assert_eq!(error, Some(DeviceError::NoDriver));
    let error = CudaDevice::start(Box::new(|| panic!("Missing symbol")), settings()).err();
    assert!(matches!(error, Some(DeviceError::Panicked(what)) if what.contains("Missing symbol")));
}

#[test]
fn asking_for_gpus_where_there_is_no_driver_is_a_sentence_and_not_a_crash() {
    match CudaDevice::list() {
        Ok(found) => println!("GPUs here: {found:?}"),
        Err(error) => {
            assert_eq!(error, DeviceError::NoDriver);
            assert!(error.to_string().contains("install"));
            let opened = CudaDevice::open(0, CudaOptions::default()).err();
            assert_eq!(opened, Some(DeviceError::NoDriver));
        }
    }
}

#[test]
fn the_budget_is_never_exceeded_and_jobs_that_fit_it_are_done() {
    let largest = Shape::new(128, 192, 512).unwrap();
    let needs = Plan::most_bytes(&job("", largest, difficulty(1), Want::ExactProduct));
    let world = world(PLENTY);
    let tight = Settings {
        options: CudaOptions {
            max_memory_bytes: Some(needs),
            ..CudaOptions::default()
        },
        ..settings()
    };
    let device = device_in(&world, (8, 0), tight);
    let shapes = [
        (128, 192, 512),
        (32, 32, 256),
        (96, 192, 512),
        (128, 192, 512),
        (64, 48, 320),
    ];
    let jobs = shapes.map(|(m, n, k)| {
        let shape = Shape::new(m, n, k).unwrap();
        // One template, so that what was noised before is in the way.
        let mut job = job(
            &format!("{m} {n}"),
            shape,
            difficulty(1 << 19),
            Want::ExactProduct,
        );
        job.template = Some(Template {
            pre_hash: [1; 32],
            difficulty: difficulty(1 << 19),
        });
        (job, shape)
    });
    for _ in 0..2 {
        let pending = jobs.each_ref().map(|(job, _)| {
            loop {
                match device.run(job.clone(), &Cancel::new()) {
                    Ok(pending) => break pending,
                    Err(DeviceError::Busy) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for ((job, shape), pending) in jobs.iter().zip(pending) {
            check(
                &pending.wait().unwrap(),
                job,
                &prove(job, *shape),
                &format!("{shape:?}"),
            );
        }
    }
    let peak = world.lock().peak;
    assert!(peak <= needs, "{peak} bytes of {needs}");
    let larger = Shape::new(144, 192, 512).unwrap();
    let error = device
        .run(
            job("", larger, difficulty(1), Want::ExactProduct),
            &Cancel::new(),
        )
        .unwrap_err();
    assert!(matches!(error, DeviceError::TooLarge { got, max } if max == needs && got > needs));
}

#[test]
fn memory_that_somebody_else_took_costs_the_job_and_comes_back_with_it() {
    let shape = Shape::new(64, 96, 256).unwrap();
    let one = job("one", shape, difficulty(1 << 19), Want::ExactProduct);
    let world = world(PLENTY);
    let device = device_in(&world, (8, 0), settings());
    world.lock().others = PLENTY - 1000;
    let told = device
        .run(one.clone(), &Cancel::new())
        .unwrap()
        .wait()
        .unwrap_err();
    assert!(
        matches!(told, DeviceError::OutOfMemory { needs } if needs > 1000),
        "{told}"
    );
    assert_eq!(device.lost(), None);
    world.lock().others = 0;
    check(
        &run(&device, &one),
        &one,
        &prove(&one, shape),
        "memory is back",
    );
    // What is kept makes room for what is asked for.
    let used = world.lock().peak;
    world.lock().others = PLENTY - used - 1000;
    let two = job("two", shape, difficulty(1 << 19), Want::ExactProduct);
    check(
        &run(&device, &two),
        &two,
        &prove(&two, shape),
        "what was kept made room",
    );
}

#[test]
fn a_gpu_model_is_timed_once_and_the_fastest_way_taken_for_each_shape() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tuning.json");
    let with_file = || Settings {
        options: CudaOptions {
            tuning: Some(file.clone()),
            ..CudaOptions::default()
        },
        ..settings()
    };
    let world = world(PLENTY);
    drop(device_in(&world, (9, 0), with_file()));
    let mut text: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let timed: Vec<_> = std::mem::take(&mut world.lock().launched);
    let ways = Multiply::of((9, 0));
    for way in ways {
        assert!(timed.contains(&way.kernel(Mode::Tickets)), "{timed:?}");
    }
    // As if in turn each had been the fastest at large products, and the smallest tile the one for few of them: there are
    // three multiprocessors.
    for fastest in ways {
        let model = text.as_object_mut().unwrap().values_mut().next().unwrap();
        for (name, speed) in model.as_object_mut().unwrap() {
            let is_best = name == fastest.name();
            speed["macs_per_ms"] = if is_best { 1000.into() } else { 10.into() };
            let is_small = name == "mma 64x128";
            speed["tile_macs_per_ms"] = if is_small { 1000.into() } else { 10.into() };
        }
        std::fs::write(&file, text.to_string()).unwrap();
        let device = device_in(&world, (9, 0), with_file());
        for (m, n, way) in [(64, 64, &Multiply::MmaSmall), (272, 800, fastest)] {
            let shape = Shape::new(m, n, 256).unwrap();
            let job = job("tuned", shape, difficulty(1 << 19), Want::ExactProduct);
            check(&run(&device, &job), &job, &prove(&job, shape), way.name());
            let launched = std::mem::take(&mut world.lock().launched);
            let products = launched.iter().filter(|name| name.contains("product"));
            let products: std::collections::HashSet<_> = products.copied().collect();
            assert_eq!(products, [way.kernel(Mode::Exact)].into(), "{m}×{n}");
        }
    }
}

#[test]
fn memory_is_given_back_when_nobody_asks_for_anything_and_taken_again() {
    let world = world(PLENTY);
    let resting = Settings {
        keep: Duration::from_millis(1),
        ..settings()
    };
    let device = device_in(&world, (8, 0), resting);
    let shape = Shape::new(48, 32, 256).unwrap();
    let exact = job("rest", shape, difficulty(1), Want::ExactProduct);
    let product = reference::multiply(exact.a.data(), exact.bt.data(), shape);
    for _ in 0..3 {
        let pending = device.run(exact.clone(), &Cancel::new()).unwrap();
        let outcome = pending.wait().unwrap();
        assert!(outcome.mined && outcome.product.as_ref() == Some(&product));
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while world.lock().held > 0 {
            assert!(std::time::Instant::now() < deadline, "it keeps its memory");
            std::thread::yield_now();
        }
    }
    assert!(world.lock().peak > 0);
}
