//! A disk that is full: what node and doctor say of it, and that nothing has to be deleted for it.
//!
//! It is a small file system of its own, so this is run where one may be mounted.

use std::{fs, process::Command, time::Duration};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    binary::{self, refused},
    disk::{Mount, fill},
    wait_for,
};

/// Until the dev chain must have a block.
const BLOCK_LIMIT: Duration = Duration::from_secs(120);

/// Until a doctor must have looked at everything.
const DOCTOR_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_wants_room_and_nothing_else() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk");
    fs::create_dir(&disk)?;
    let Some(_mounted) = Mount::on(&disk, 80) else {
        println!("not run: this user may not mount a tmpfs");
        return Ok(());
    };
    let base = disk.join("data");
    let options = NodeOptions::dev();
    let node = Node::start(&machine, &base, &options).await?;
    let rpc = node.rpc();
    let best = wait_for("a block", BLOCK_LIMIT, || async move {
        Ok(Some(rpc.best_number().await?).filter(|best| *best > 0))
    })
    .await?;
    assert!(node.stop().await?.success());

    let filler = disk.join("filler");
    fill(&filler)?;
    let words = ["the disk of the database", "is full", "make room"];
    let finished = refused(&options.arguments(&base), &words)?;
    let text = finished.text();
    assert!(!text.contains("purge-chain"), "{text}");

    let mut doctor = Command::new(binary::labora()?);
    doctor.args(["doctor", "--dev", "--base-path"]).arg(&base);
    let seen = binary::finish(&mut doctor, DOCTOR_LIMIT)?.text();
    assert!(seen.contains("disk: make room"), "{seen}");
    assert!(!seen.contains("purge-chain"), "{seen}");
    for entry in fs::read_dir(&base)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        assert!(!name.contains("doctor"), "{name} was left behind");
    }

    fs::remove_file(&filler)?;
    let node = Node::start(&machine, &base, &options).await?;
    assert!(node.rpc().best_number().await? >= best);
    node.log().assert_no_panic()
}
