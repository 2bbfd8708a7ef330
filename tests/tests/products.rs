//! The GEMM endpoint: always exact, bounded, and paid in blocks.

use std::{
    collections::HashSet,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    gemm::{OCTETS, Product, entries_of},
    http::Http,
    seed::Random,
    spec, wait_for,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};

/// Connections at once that ask for a product: more than may wait (64).
const CROWD: usize = 100;

/// Products before them, 17 GMAC each: a tenth of a second or more of one core, whatever core that is.
const SLOW_ONES: usize = 10;
const LARGE: [usize; 3] = [2_048, 2_048, 4_096];

const BLOCK_LIMIT: Duration = Duration::from_secs(120);

async fn dev_node(machine: &Machine) -> Outcome<(TempDir, Node)> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(machine, &folder.path().join("node"), &NodeOptions::dev()).await?;
    Ok((folder, node))
}

#[tokio::test(flavor = "multi_thread")]
async fn products_of_any_shape_and_all_of_int8_are_exact() -> Outcome {
    let machine = Machine::take().await;
    let (_folder, node) = dev_node(&machine).await?;
    let mut http = Http::tcp(node.gemm_address()?).await?;
    let mut random = Random::of_test(0x0047_454D_4D31);

    let shapes = [
        [1, 1, 1],
        [1, 1, 2],
        [2, 1, 1],
        [1, 257, 1],
        [3, 5, 7],
        [15, 17, 63],
        [16, 16, 64],
        [17, 15, 65],
        [31, 33, 255],
        [32, 32, 256],
        [33, 31, 257],
        [1, 300, 1_000],
        [300, 1, 1_000],
        [48, 80, 4_096],
        [5, 7, 16_383],
        [5, 7, 16_384],
        [5, 7, 16_385],
        [2, 3, 40_000],
        [1, 1, 131_071],
        [200, 120, 784],
    ];
    // Small entries go as they are, large ones are split: both, and one row of large ones among small ones.
    for shape in shapes {
        Product::random(&mut random, shape, -128, 127)
            .assert_exact_from(&mut http)
            .await?;
        let mut small = Product::random(&mut random, shape, -63, 63);
        small.assert_exact_from(&mut http).await?;
        let (row, column) = (shape[0] / 2 * shape[2], shape[1] / 2 * shape[2]);
        small.a[row] = -128;
        small.bt[column] = 127;
        small.assert_exact_from(&mut http).await?;
    }
    for _ in 0..60 {
        let shape = [200, 200, 2_000].map(|longest| random.between(1, longest) as usize);
        let (low, high) =
            [(-128, 127), (-63, 63), (-64, 63), (0, 1)][random.between(0, 3) as usize];
        Product::random(&mut random, shape, low, high)
            .assert_exact_from(&mut http)
            .await?;
    }
    // The largest magnitude that an int32 holds, and the first that it does not: -128·-128·131,072 = 2³¹.
    for (k, status) in [(131_071, 200), (131_072, 400)] {
        let extreme = Product {
            m: 2,
            n: 1,
            k,
            a: vec![-128; 2 * k],
            bt: vec![-128; k],
        };
        let answer = extreme.ask(&mut http).await?;
        assert_eq!(answer.status, status, "k = {k}: {}", answer.text());
        if status == 200 {
            assert_eq!(entries_of(&answer.body)?, [16_384 * k as i32; 2]);
        } else {
            assert!(answer.text().contains("int32"), "{}", answer.text());
        }
    }
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unix_socket_multiplies_too_and_belongs_to_its_owner_alone() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("products.sock");
    let options = NodeOptions {
        gemm_socket: Some(socket.clone()),
        ..NodeOptions::dev()
    };
    let base = folder.path().join("node");
    let node = Node::start(&machine, &base, &options).await?;
    let mut random = Random::of_test(0x0047_454D_4D32);

    let mut http = wait_for("the Unix socket", BLOCK_LIMIT, || async {
        Ok(Some(Http::unix(&socket).await?))
    })
    .await?;
    Product::random(&mut random, [33, 20, 300], -128, 127)
        .assert_exact_from(&mut http)
        .await?;
    let mode = std::fs::metadata(&socket)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the socket's mode is {mode:o}");

    // A socket that a killed node left behind does not hold up the next one.
    node.kill()?.assert_no_panic()?;
    assert!(
        socket.exists(),
        "a killed node cannot have removed its socket"
    );
    let node = Node::start(&machine, &base, &options).await?;
    let mut http = wait_for("the Unix socket", BLOCK_LIMIT, || async {
        Ok(Some(Http::unix(&socket).await?))
    })
    .await?;
    Product::random(&mut random, [1, 2, 3], -128, 127)
        .assert_exact_from(&mut http)
        .await?;
    assert!(node.stop().await?.success());
    assert!(!socket.exists(), "a node that ends removes its socket");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_multiplied_gets_a_status_and_a_sentence() -> Outcome {
    let machine = Machine::take().await;
    let (_folder, node) = dev_node(&machine).await?;
    let address = node.gemm_address()?;
    let cases: [(&str, &str, &[u8], u16); 14] = [
        ("/v1/products?m=2&n=2&k=2", OCTETS, &[0; 7], 400),
        ("/v1/products?m=2&n=2&k=2", OCTETS, &[0; 9], 400),
        ("/v1/products?m=2&n=2&k=2", OCTETS, &[], 400),
        ("/v1/products?m=0&n=2&k=2", OCTETS, &[0; 4], 400),
        ("/v1/products?m=2&n=2", OCTETS, &[0; 8], 400),
        ("/v1/products?m=2&n=2&k=-2", OCTETS, &[0; 8], 400),
        ("/v1/products?m=2&n=2&k=2&x=2", OCTETS, &[0; 8], 400),
        ("/v1/products?m=2&n=2&k=two", OCTETS, &[0; 8], 400),
        (
            "/v1/products?m=18446744073709551616&n=2&k=2",
            OCTETS,
            &[0; 8],
            400,
        ),
        ("/v1/products", OCTETS, &[0; 8], 400),
        (
            "/v1/products?m=100000&n=100000&k=100000",
            OCTETS,
            &[0; 8],
            413,
        ),
        (
            "/v1/products?m=18446744073709551615&n=18446744073709551615&k=1",
            OCTETS,
            &[0; 8],
            413,
        ),
        ("/v1/products?m=2&n=2&k=2", "application/json", &[0; 8], 415),
        ("/v2/products?m=2&n=2&k=2", OCTETS, &[0; 8], 404),
    ];
    for (path, content_type, body, status) in cases {
        let answer = Http::tcp(address)
            .await?
            .exchange(path, content_type, body)
            .await?;
        assert_refusal(&answer, status, path)?;
    }
    let raw: [(&str, u16); 4] = [
        ("GET /v1/products HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        // A page elsewhere whose name was made to point to this machine.
        (
            "POST /v1/products?m=1&n=1&k=1 HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-type: application/octet-stream\r\ncontent-length: 2\r\n\r\n\0\0",
            403,
        ),
        (
            "POST /v1/products?m=8&n=8&k=8 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: 99999999999\r\n\r\n",
            413,
        ),
        (
            "POST /v1/products?m=8&n=8&k=8 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            400,
        ),
    ];
    for (request, status) in raw {
        let mut http = Http::tcp(address).await?;
        http.send(request.as_bytes()).await?;
        let answer = http
            .answer()
            .await?
            .ok_or_else(|| format!("no answer to {request:?}"))?;
        assert_refusal(&answer, status, request)?;
    }
    let mut random = Random::of_test(0x0047_454D_4D33);
    Product::random(&mut random, [20, 20, 20], -128, 127)
        .assert_exact_from(&mut Http::tcp(address).await?)
        .await?;
    node.log().assert_no_panic()
}

fn assert_refusal(answer: &labora_tests::http::Answer, status: u16, request: &str) -> Outcome {
    assert_eq!(answer.status, status, "{request}: {}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body)?;
    let sentence = body["error"].as_str().unwrap_or_default();
    assert!(sentence.len() > 20, "{request}: no sentence in {body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_exact_products_or_is_told_to_come_again() -> Outcome {
    let machine = Machine::take().await;
    let (_folder, node) = dev_node(&machine).await?;
    let address = node.gemm_address()?;
    let mut random = Random::of_test(0x0047_454D_4D34);
    let product = Product::random(&mut random, [40, 40, 400], -63, 63);
    let expected = product.by_definition();

    // All are connected and have sent everything but the last byte.
    let mut body = product.body();
    let last = body.pop().into_iter().collect::<Vec<u8>>();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut http = Http::tcp(address).await?;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {OCTETS}\r\ncontent-length: {}\r\n\r\n",
            product.path(),
            body.len() + 1
        );
        http.send(head.as_bytes()).await?;
        http.send(&body).await?;
        crowd.push(http);
    }
    // Products that keep the device busy for a second or more come first; then all of the crowd ask at once.
    let slow = Arc::new(Product::random(&mut random, LARGE, -63, 63));
    let mut slow_ones = JoinSet::new();
    for _ in 0..SLOW_ONES {
        let (mut http, slow) = (Http::tcp(address).await?, slow.clone());
        slow_ones.spawn(async move { slow.ask(&mut http).await.map(|answer| answer.status) });
    }
    wait_for("large products that wait", BLOCK_LIMIT, || async move {
        let mut http = Http::tcp(address).await?;
        http.send(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await?;
        let answer = http.answer().await?.ok_or("no status")?;
        let status: Value = serde_json::from_slice(&answer.body)?;
        let waiting = status["worker"]["queue_length"]
            .as_u64()
            .ok_or("no queue_length")?;
        Ok((waiting >= SLOW_ONES as u64 / 2).then_some(()))
    })
    .await?;
    let mut answers = Vec::new();
    for mut http in crowd {
        let last = last.clone();
        answers.push(tokio::spawn(async move {
            // One that was refused already, for lack of memory, need not take more.
            let _ = http.send(&last).await;
            http.answer().await
        }));
    }
    let (mut exact, mut told) = (0, 0);
    for answer in answers {
        let answer = answer
            .await??
            .ok_or("a connection was closed without an answer")?;
        match answer.status {
            200 => {
                assert_eq!(entries_of(&answer.body)?, expected);
                exact += 1;
            }
            429 => {
                assert!(
                    answer.field("retry-after").is_some(),
                    "429 without Retry-After"
                );
                assert_refusal(&answer, 429, "a product in a crowd")?;
                told += 1;
            }
            other => return Err(format!("{other}: {}", answer.text()).into()),
        }
    }
    println!("{exact} products, {told} told to come again");
    assert!(
        exact >= 32,
        "those who fit into the queue get their products, not only {exact}"
    );
    assert!(told > 0, "a queue of 64 and one device cannot hold {CROWD}");
    product
        .assert_exact_from(&mut Http::tcp(address).await?)
        .await?;
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_product_mines_a_block_and_the_state_names_its_matrices() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::QUICK)?;
    let node = Node::start(
        &machine,
        &folder.path().join("node"),
        &NodeOptions::of_spec(&spec),
    )
    .await?;
    let address = node.gemm_address()?;
    let mut random = Random::of_test(0x0047_454D_4D35);
    let product = Product::random(&mut random, [768, 768, 1_024], -63, 63);
    let expected = product.by_definition();

    // Two who ask again and again, so that the device has hardly a moment for filler. Each product has a fresh row: the
    // same matrices under the same template would only give the same tickets again.
    let roots = Arc::new(Mutex::new(HashSet::new()));
    let mut asking = JoinSet::new();
    for lane in ["one", "other"] {
        let (roots, mut random) = (roots.clone(), random.part(lane));
        let (mut product, mut expected) = (product.clone(), expected.clone());
        asking.spawn(async move {
            let mut http = Http::tcp(address).await?;
            loop {
                let row = Product::random(&mut random, [1, 1, product.k], -63, 63);
                product.a[..product.k].copy_from_slice(&row.a);
                let first = Product {
                    m: 1,
                    a: row.a,
                    bt: product.bt.clone(),
                    ..row
                };
                expected[..product.n].copy_from_slice(&first.by_definition());
                let answer = product.ask(&mut http).await?;
                if answer.status != 200 || entries_of(&answer.body)? != expected {
                    return Outcome::<()>::Err(
                        format!("{}: not the product", answer.status).into(),
                    );
                }
                let listed = answer.field("labora-roots").unwrap_or_default();
                let mut roots = roots.lock().unwrap_or_else(PoisonError::into_inner);
                roots.extend(listed.split(',').map(str::to_owned));
            }
        });
    }

    let (rpc, mut sealed) = (node.rpc(), Vec::new());
    let search = async {
        loop {
            // The state knows of a block from the next one on; an answer may come after the block that it led to.
            for number in sealed.len() as u64 + 1..rpc.best_number().await? {
                let record: Value = rpc.call("pouw_sealOf", &[number.into()]).await?;
                let root = |name: &str| record[name].as_str().unwrap_or_default().replace("0x", "");
                sealed.push((format!("{}:{}", root("rootA"), root("rootB")), record));
            }
            let roots = roots.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((_, record)) = sealed.iter().find(|(pair, _)| roots.contains(pair)) {
                println!("mined on one of {} products: {record}", roots.len());
                return Outcome::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        found = timeout(BLOCK_LIMIT, search) => found.map_err(|_| "no block was mined on a product")??,
        Some(ended) = asking.join_next() => ended??,
    }
    asking.abort_all();
    node.log().assert_no_panic()
}
