//! Products that do not come to be, and the end of a worker.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_was_taken_and_takes_no_more() {
    let Setup {
        worker,
        gate,
        templates,
        ..
    } = setup();
    let asked: Vec<_> = (0..10)
        .map(|seed| {
            let worker = worker.clone();
            tokio::spawn(async move { worker.multiply(product(seed).0).await })
        })
        .collect();
    tokio::task::block_in_place(|| gate.wait_until_reached());
    until("the others wait", || worker.stats().queue_length == 9).await;
    // Filler is never started once products wait; that it is not mined on after the end is told by `is_mining`.
    templates.send_replace(template(1, u64::MAX));
    until("the template is known", || worker.stats().is_mining).await;
    let ending = tokio::spawn({
        let worker = worker.clone();
        async move { worker.shutdown().await }
    });
    until("the worker is closed", || !worker.stats().is_mining).await;
    let refused = worker.multiply(product(0).0).await;
    assert!(
        matches!(refused, Err(MultiplyError::ShuttingDown)),
        "{refused:?}"
    );
    gate.open();
    for (seed, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.expect("no panic").expect("a product");
        assert_eq!(answer.product, product(seed as i64).1);
    }
    ending.await.expect("no panic");
    assert!(worker.inner.threads.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_the_answer_to_what_was_found_last() {
    let Setup {
        worker,
        gate,
        engine,
        templates,
    } = setup();
    *engine.delay.lock() = Duration::from_millis(300);
    gate.open();
    templates.send_replace(template(1, 1));
    until("a tile is submitted", || !engine.taken.lock().is_empty()).await;
    worker.shutdown().await;
    assert_eq!(worker.stats().blocks_filler, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_given_up_in_the_queue_costs_nothing() {
    let Setup { worker, gate, .. } = setup();
    let first = tokio::spawn({
        let worker = worker.clone();
        async move { worker.multiply(product(0).0).await }
    });
    tokio::task::block_in_place(|| gate.wait_until_reached());
    let given_up = tokio::spawn({
        let worker = worker.clone();
        async move { worker.multiply(product(1).0).await }
    });
    until("it waits", || worker.stats().queue_length == 1).await;
    given_up.abort();
    let _ = given_up.await;
    gate.open();
    first.await.expect("no panic").expect("a product");
    worker.multiply(product(2).0).await.expect("a product");
    let stats = worker.stats();
    assert_eq!(
        (stats.products, stats.failed, stats.macs_useful),
        (2, 0, 2 * 32 * 32 * 320)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_device_thread_dies_those_who_wait_are_told() {
    let Setup { worker, gate, .. } = setup();
    gate.state.lock().panics = true;
    let asked: Vec<_> = (0..3)
        .map(|seed| {
            let worker = worker.clone();
            tokio::spawn(async move { worker.multiply(product(seed).0).await })
        })
        .collect();
    tokio::task::block_in_place(|| gate.wait_until_reached());
    until("the others wait", || worker.stats().queue_length == 2).await;
    gate.open();
    for asked in asked {
        let refused = asked.await.expect("no panic");
        assert!(
            matches!(
                refused,
                Err(MultiplyError::Lost | MultiplyError::ShuttingDown)
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn without_devices_products_are_refused() {
    let (_templates, receiver) = watch::channel(None);
    let config = WorkerConfig {
        devices: DevicesSpec::None,
    };
    let worker = Worker::start(config, receiver, Engine::default()).expect("starts");
    let refused = worker.multiply(product(0).0).await;
    assert!(
        matches!(refused, Err(MultiplyError::NoDevice)),
        "{refused:?}"
    );
    worker.shutdown().await;
}
