//! Of a miner: its command line here, its connection in [`link`], against a [`fake_node`].

mod fake_node;
mod link;

use super::*;

#[test]
fn the_default_socket_lies_where_the_user_alone_can_write_if_there_is_such_a_place() {
    let at = |folder: Option<&str>| default_socket(folder.map(std::ffi::OsStr::new));
    assert_eq!(
        at(Some("/run/user/7")),
        PathBuf::from("/run/user/7/labora-miner.sock")
    );
    for none in [None, Some(""), Some("relative")] {
        assert_eq!(at(none), std::env::temp_dir().join("labora-miner.sock"));
    }
}

fn jobs(flags: &[&str]) -> JobParams {
    use clap::Parser as _;
    let all = ["labora"].iter().chain(flags);
    let cli = crate::cli::Cli::try_parse_from(all).expect("flags that there are");
    cli.jobs
}

#[test]
fn a_wrong_command_line_is_refused_with_a_sentence() {
    let good = MinerCommand {
        nodes: vec!["ws://127.0.0.1:9944".into()],
        devices: DevicesSpec::Auto,
        limits: LimitParams::default(),
        gemm: GemmParams {
            gemm_listen: None,
            gemm_socket: None,
            gemm_token: None,
            artifacts: None,
            artifacts_path: None,
        },
        jobs: jobs(&[]),
        matrices: MatricesParams {
            matrices: None,
            matrices_token: None,
        },
        rig: Some("lab-3".into()),
        prometheus_port: None,
        prometheus_external: false,
        log: "info".into(),
    };
    assert!(Config::new(&good).is_ok());
    let refused = |change: fn(&mut MinerCommand)| {
        let mut command = good.clone();
        change(&mut command);
        match Config::new(&command) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{command:?} should be refused"),
        }
    };
    for (sentence, words) in [
        (refused(|it| it.nodes = vec!["http://x:1".into()]), "ws://"),
        (refused(|it| it.nodes = vec!["ws://x".into(); 17]), "16"),
        (refused(|it| it.rig = Some("two words".into())), "--rig"),
        (refused(|it| it.devices = DevicesSpec::None), "--devices"),
        (
            refused(|it| it.gemm.gemm_token = Some("no such file".into())),
            "--gemm-token",
        ),
        (refused(|it| it.jobs = jobs(&["--work"])), "--job-key"),
        (
            refused(|it| it.gemm.artifacts = Some(1 << 30)),
            "--artifacts-path",
        ),
    ] {
        assert!(sentence.contains(words), "{sentence}");
    }
}
