//! Starting and ending: each wrong start ends with a sentence, and a right one can be ended at any moment.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    binary::{self, Finished, REFUSAL_LIMIT, refused},
    log::Log,
    node::Chain,
    seed::Random,
    spec, wait_for,
};

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_refuses_and_the_first_goes_on() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let options = NodeOptions::dev();
    let mut first = Node::start(&machine, &base, &options).await?;
    refused(&options.arguments(&base), &["another", "data"])?;
    first.assert_running()?;
    first.rpc().best_number().await?;
    first.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_not_purged_under_the_node_that_runs_on_it() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut node = Node::start(&machine, &base, &NodeOptions::dev()).await?;
    let purge = strings(&[
        "purge-chain",
        "--dev",
        "-y",
        "--base-path",
        &base.to_string_lossy(),
    ]);
    refused(&purge, &["a node is running", "stop it first"])?;
    node.assert_running()?;
    let database = base.join("chains/labora_dev/db/full");
    assert!(database.join("CURRENT").is_file(), "it was removed");
    let rpc = node.rpc();
    let best = rpc.best_number().await?;
    wait_for("a block after the refusal", REFUSAL_LIMIT, || async move {
        Ok((rpc.best_number().await? > best).then_some(()))
    })
    .await?;
    node.log().assert_no_panic()?;

    assert!(node.stop().await?.success());
    let purged = binary::finish(Command::new(binary::labora()?).args(&purge), REFUSAL_LIMIT)?;
    assert_eq!(purged.code, Some(0), "{}", purged.text());
    assert!(!database.exists(), "{}", purged.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_made_is_named_in_the_error() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, b"not a folder")?;
    // Below a file no folder can be made, not even by root.
    let base = file.join("data");
    let finished = refused(&NodeOptions::dev().arguments(&base), &["--base-path"])?;
    // In the error itself: the log names the folder in any case.
    let text = finished.text();
    let error = text.lines().find(|line| line.starts_with("labora: "));
    let error = error.ok_or("there is no error")?;
    assert!(error.contains(&*base.to_string_lossy()), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mining_for_nobody_or_for_nonsense_is_refused() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let base = base.to_string_lossy();
    refused(
        &strings(&[
            "--chain",
            "local",
            "--base-path",
            &base,
            "--mine",
            "--devices",
            "cpu:1",
        ]),
        &["--author"],
    )?;
    for wrong in [
        "nobody",
        "",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX",
        "0x00",
    ] {
        refused(
            &strings(&["--dev", "--base-path", &base, "--mine", "--author", wrong]),
            &["--author"],
        )?;
    }
    for wrong in [
        "gpu9000",
        "cpu:0",
        "cpu:-1",
        "cpu:many",
        "cpu:99999999999999999999",
    ] {
        refused(
            &strings(&["--dev", "--base-path", &base, "--mine", "--devices", wrong]),
            &["--devices"],
        )?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_spec_that_is_none_is_refused() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut random = Random::of_test(0x5350_4543);
    let good = spec::dev()?;

    let mut specs = vec![
        ("random bytes", random.bytes(4_096)),
        ("nothing", Vec::new()),
        ("other JSON", b"{\"name\": \"Nothing\", \"id\": 7}".to_vec()),
        (
            "an unfinished one",
            serde_json::to_vec(&good)?.split_at(1_000).0.to_vec(),
        ),
    ];
    let mut zero = good.clone();
    spec::work_of(&mut zero)?["initialDifficulty"] = "0x0".into();
    specs.push(("one with the difficulty zero", serde_json::to_vec(&zero)?));
    let mut codeless = good;
    codeless["genesis"]["runtimeGenesis"]["code"] = "0x00".into();
    specs.push(("one whose code is no code", serde_json::to_vec(&codeless)?));

    let path = folder.path().join("spec.json");
    let options = NodeOptions {
        chain: Chain::File(path.clone()),
        ..NodeOptions::dev()
    };
    for (what, bytes) in specs {
        println!("{what}:");
        fs::write(&path, bytes)?;
        let words: &[&str] = if what.contains("zero") {
            &["difficulty 0"]
        } else {
            &[]
        };
        refused(&options.arguments(&base), words)?;
    }
    fs::remove_file(&path)?;
    refused(&options.arguments(&base), &[&path.to_string_lossy()])?;
    Ok(())
}

/// Starts a dev node with these ports; gives the refusal, or `None` if it is up and mines all the same.
async fn with_ports(machine: &Machine, base: &Path, ports: &[&str]) -> Outcome<Option<Finished>> {
    let mut arguments = strings(&[
        "--dev",
        "--mine",
        "--devices",
        "cpu:1",
        "--no-prometheus",
        "--base-path",
    ]);
    arguments.push(base.to_string_lossy().into_owned());
    arguments.extend(strings(ports));
    match Node::start_with(machine, base, &arguments).await {
        Ok(node) => {
            let rpc = node.rpc();
            wait_for(
                "a block in spite of a port in use",
                REFUSAL_LIMIT,
                || async move { Ok((rpc.best_number().await? > 0).then_some(())) },
            )
            .await?;
            node.log().assert_no_panic()?;
            Ok(None)
        }
        Err(_) => Ok(Some(binary::finish(
            Command::new(binary::labora()?).args(&arguments),
            REFUSAL_LIMIT,
        )?)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_in_the_error_or_left_for_another() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let gemm = format!("127.0.0.1:{port}");
    let p2p = format!("/ip4/127.0.0.1/tcp/{port}");
    let cases: [(&str, Vec<&str>); 3] = [
        (
            "rpc",
            vec![
                "--rpc-port",
                &port,
                "--gemm-listen",
                "none",
                "--listen-addr",
                "/ip4/127.0.0.1/tcp/0",
            ],
        ),
        (
            "p2p",
            vec![
                "--rpc-port",
                "0",
                "--gemm-listen",
                "none",
                "--listen-addr",
                &p2p,
            ],
        ),
        (
            "gemm",
            vec![
                "--rpc-port",
                "0",
                "--gemm-listen",
                &gemm,
                "--listen-addr",
                "/ip4/127.0.0.1/tcp/0",
            ],
        ),
    ];
    for (name, ports) in cases {
        match with_ports(&machine, &folder.path().join(name), &ports).await? {
            None => println!("{name}: goes on without that port"),
            Some(finished) => {
                let text = finished.text();
                assert!(!text.contains("panicked"), "{name}: {text}");
                assert!(
                    finished.code.is_some_and(|code| code != 0),
                    "{name}: {finished:?}"
                );
                assert!(
                    text.contains(&port),
                    "{name}: the error should name the port {port}:\n{text}"
                );
                println!(
                    "{name}: refused: {}",
                    text.lines().last().unwrap_or_default()
                );
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_signal_ends_a_miner_with_status_zero() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    for signal in ["INT", "TERM"] {
        let base = folder.path().join(signal);
        let node = Node::start(&machine, &base, &NodeOptions::dev()).await?;
        let log = node.log().clone();
        let begun = Instant::now();
        let status = node.signal(signal).await?;
        println!("SIG{signal}: {status} after {:?}", begun.elapsed());
        assert!(status.success(), "SIG{signal}: {status}");
        log.assert_no_panic()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_interrupted_while_it_starts_starts_the_next_time() -> Outcome {
    let machine = Machine::take().await;
    let mut random = Random::of_test(0x0043_5452_4C43);
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let options = NodeOptions::dev();
    fs::create_dir_all(&base)?;
    for round in 0..6 {
        let path = base.join(format!("interrupted.{round}"));
        let file = fs::File::create(&path)?;
        let mut child = Command::new(binary::labora()?)
            .args(options.arguments(&base))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        // The moment is the point: anywhere between the first instruction and a node that mines.
        tokio::time::sleep(Duration::from_millis(random.between(0, 5_000))).await;
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()?;
        let ended = wait_for("the end after Ctrl-C", REFUSAL_LIMIT, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await;
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        println!("round {round}: {}", ended?);
        Log::at(&path).assert_no_panic()?;
    }
    let node = Node::start(&machine, &base, &options).await?;
    let rpc = node.rpc();
    wait_for(
        "a block after six interrupted starts",
        REFUSAL_LIMIT,
        || async move { Ok((rpc.best_number().await? > 0).then_some(())) },
    )
    .await?;
    node.log().assert_no_panic()
}
