//! The machine: clock, disk, devices.

use std::{fs, io, path::Path, process::Stdio, time::Duration};

use labora_consensus_api::MAX_FUTURE_MS;

use super::{Finding, Subject};
use crate::devices::{self, DevicesSpec, Nvidia, Opened, Role};

/// Free bytes below which a database cannot go on for long.
const LEAST_FREE: u64 = 1 << 30;
/// Free bytes that last a public chain for weeks.
const AMPLE_FREE: u64 = 10 << 30;
/// Longest wait for another program's answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the system keeps its clock by another's.
pub(super) async fn clock() -> Finding {
    clock_of(system_clock().await)
}

/// What the system says of its clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Clock {
    /// Kept by another.
    Kept,
    /// By nothing.
    Free,
    /// It does not say.
    Unknown,
}

pub(super) fn clock_of(clock: Clock) -> Finding {
    let found = match clock {
        Clock::Kept => return Finding::good("clock", "synchronised"),
        Clock::Free => "not synchronised by this system",
        Clock::Unknown => "this system does not say whether it is synchronised",
    };
    Finding::warning(
        "clock",
        found,
        format!(
            "have systemd-timesyncd or chrony keep it: blocks more than {} s ahead of this clock are refused, and others refuse its \
             own where it is ahead",
            MAX_FUTURE_MS / 1_000
        ),
    )
}

/// Asks systemd, and where that is not there, chrony.
async fn system_clock() -> Clock {
    let systemd = answer(
        "timedatectl",
        &["show", "--property=NTPSynchronized", "--value"],
    )
    .await;
    match systemd.as_deref().map(str::trim) {
        Some("yes") => return Clock::Kept,
        Some("no") => return Clock::Free,
        _ => {}
    }
    match answer("chronyc", &["-c", "tracking"]).await {
        Some(line) => chrony(&line),
        None => Clock::Unknown,
    }
}

/// The last field of `chronyc -c tracking` is the state of leap seconds, or that there is no source.
pub(super) fn chrony(line: &str) -> Clock {
    match line.trim().rsplit(',').next() {
        Some("Not synchronised") => Clock::Free,
        Some("Normal" | "Insert second" | "Delete second") => Clock::Kept,
        _ => Clock::Unknown,
    }
}

/// What a program prints, if it is there and succeeds in time.
async fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the data folder can be written and has room.
pub(super) fn disk(subject: &Subject<'_>) -> Finding {
    if subject.is_temporary() {
        return Finding::good("disk", "a temporary folder, gone at the end");
    }
    let Some(folder) = subject.base.ancestors().find(|folder| folder.exists()) else {
        return Finding::bad(
            "disk",
            format!("no folder above {} exists", subject.base.display()),
            "name another with --base-path",
        );
    };
    disk_at(folder, free(folder))
}

/// Bytes that an ordinary user may still write there.
fn free(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(super) fn disk_at(folder: &Path, free: io::Result<u64>) -> Finding {
    let place = folder.display();
    let another = "name another with --base-path";
    if let Err(error) = writable(folder) {
        return Finding::bad(
            "disk",
            format!("nothing can be written in {place}: {error}"),
            format!("make it a folder of this user's, or {another}"),
        );
    }
    match free {
        Err(error) => Finding::warning(
            "disk",
            format!("{place} does not tell what is free: {error}"),
            format!("see `df`, or {another}"),
        ),
        Ok(free) => {
            let found = format!(
                "{:.1} GiB free in {place}",
                free as f64 / (1_u64 << 30) as f64
            );
            let room = format!("make room, or move the folder and {another}");
            match free {
                ..LEAST_FREE => Finding::bad("disk", found, room),
                LEAST_FREE..AMPLE_FREE => Finding::warning("disk", found, room),
                AMPLE_FREE.. => Finding::good("disk", found),
            }
        }
    }
}

/// Writes a file of a name that nobody has, and deletes it.
fn writable(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".labora-doctor-{}", std::process::id()));
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|mut file| io::Write::write_all(&mut file, b"x"))?;
    fs::remove_file(probe)
}

/// Whether what would multiply can be opened.
pub(super) fn devices(subject: &Subject<'_>) -> Finding {
    let spec = subject.command.mining.devices();
    if spec == DevicesSpec::None {
        let found = if subject.command.mining.mine {
            "none here: miners that fetch work mine"
        } else {
            "none asked for: the node does not mine"
        };
        return Finding::good("devices", found);
    }
    match devices::open(&spec, &Nvidia) {
        Ok(opened) => {
            let name = |it: &Opened| match it.role {
                Role::Regular => it.device.info().name,
                Role::Standby => format!("{} standing by", it.device.info().name),
            };
            let names: Vec<_> = opened.iter().map(name).collect();
            Finding::good("devices", names.join(", "))
        }
        Err(error) => Finding::bad(
            "devices",
            error.to_string(),
            "see `labora devices`, and name others with --devices",
        ),
    }
}
