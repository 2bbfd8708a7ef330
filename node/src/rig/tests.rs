//! Devices of a real worker under readings that a test writes.

use std::{num::NonZeroUsize, sync::mpsc};

use labora_consensus::Template;
use sp_core::{H256, U256};
use tokio::sync::watch;

use super::*;
use crate::{
    devices::{CpuChoice, DevicesSpec},
    worker::{Hold, SubmitSeal, Verdict, Worker, WorkerConfig, WorkerHandle},
};

/// Gives what a test puts into its channel, and an error when that is empty.
struct Scripted(mpsc::Receiver<Reading>);

impl Reader for Scripted {
    fn read(&mut self) -> Result<Reading, ReadError> {
        self.0
            .try_recv()
            .map_err(|_| ReadError::Nvml("nothing was written for this moment".into()))
    }
}

struct NoEngine;

impl SubmitSeal for NoEngine {
    async fn submit(&self, _: H256, _: labora_pouw::Seal, _: labora_pouw::Proof) -> Verdict {
        Verdict::TooLate
    }
}

fn worker() -> (WorkerHandle, watch::Sender<Option<Template>>) {
    let (templates, receiver) = watch::channel(Some(Template {
        pre_hash: H256::repeat_byte(1),
        difficulty: U256::MAX,
        parent: H256::repeat_byte(2),
        number: 1,
    }));
    let config = WorkerConfig {
        devices: DevicesSpec::cpu(CpuChoice::Threads(NonZeroUsize::MIN)),
    };
    let worker = Worker::start(config, receiver, NoEngine).expect("one thread");
    (worker, templates)
}

fn watched(worker: &WorkerHandle, limits: &Limits) -> (Watch, mpsc::Sender<Reading>) {
    let (script, readings) = mpsc::channel();
    let device = worker.devices().remove(0);
    let watch = Watch::new(device, Box::new(Scripted(readings)), Rules::of_gpu(limits));
    (watch, script)
}

fn at(temperature: f64) -> Reading {
    Reading {
        temperature_c: Some(temperature),
        ..Reading::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_past_a_limit_holds_the_workers_device_and_is_told() {
    let (worker, _templates) = worker();
    let limits = Limits {
        max_temperature_c: Some(80),
        ..Limits::default()
    };
    let (mut watch, script) = watched(&worker, &limits);
    let mut read = |now_ms, celsius| {
        script.send(at(celsius)).expect("the reader lives");
        watch.tick(now_ms);
        let stats = worker.stats().per_device.remove(0);
        (stats.held, stats.reading)
    };
    assert_eq!(read(0, 70.0), (None, Some(at(70.0))));
    assert_eq!(read(250, 90.0), (Some(Hold::Temperature), Some(at(90.0))));
    assert_eq!(read(500, 60.0).0, Some(Hold::Temperature), "too soon");
    assert_eq!(read(6_000, 60.0), (None, Some(at(60.0))));
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_device_that_cannot_be_read_is_held_and_one_without_limits_is_not() {
    let (worker, _templates) = worker();
    let limits = Limits {
        sharing: Sharing::IdleOnly,
        ..Limits::default()
    };
    let (mut limited, _script) = watched(&worker, &limits);
    let (mut free, _script) = watched(&worker, &Limits::default());
    let held = || worker.stats().per_device[0].held;
    for step in 0..20 {
        free.tick(step * 250);
        assert_eq!(held(), None);
    }
    for step in 0..20 {
        limited.tick(step * 250);
    }
    assert_eq!(held(), Some(Hold::Unreadable));
    assert_eq!(worker.stats().per_device[0].reading, None);
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_reads_until_it_is_dropped() {
    /// Counts how often it is read.
    struct Counting(mpsc::Sender<()>);
    impl Reader for Counting {
        fn read(&mut self) -> Result<Reading, ReadError> {
            // The test may have seen enough.
            let _ = self.0.send(());
            Ok(at(20.0))
        }
    }
    let (worker, _templates) = worker();
    let (sender, reads) = mpsc::channel();
    let rules = Rules::of_gpu(&Limits::default());
    let device = worker.devices().remove(0);
    let rig = Rig::over(vec![Watch::new(device, Box::new(Counting(sender)), rules)]);
    let rig = rig.expect("a thread");
    reads
        .try_recv()
        .expect("the first reading is taken before the start returns");
    for _ in 0..3 {
        tokio::task::block_in_place(|| reads.recv()).expect("and more come");
    }
    drop(rig);
    // The thread has ended, and its reader with it.
    while reads.try_recv().is_ok() {}
    assert_eq!(reads.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cpu_of_this_machine_is_watched() {
    let (worker, _templates) = worker();
    let rig = Rig::start(worker.devices(), &Limits::default()).expect("a thread");
    let stats = worker.stats();
    let device = &stats.per_device[0];
    assert_eq!((device.id.as_str(), device.held), ("cpu", None));
    assert!(device.reading.is_some(), "Linux has /proc");
    drop(rig);
    worker.shutdown().await;
}
