//! The machine: clock, disk, devices.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::Stdio,
    time::Duration,
};

use labora_consensus_api::MAX_FUTURE_MS;

use super::{Finding, Subject};
use crate::{
    devices::{self, DevicesSpec, Nvidia, Opened, Role},
    disk::{self, LEAST_FREE},
};

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
    let Some(folder) = disk::nearest(&subject.base) else {
        return Finding::bad(
            "disk",
            format!("no folder above {} exists", subject.base.display()),
            "name another with --base-path",
        );
    };
    disk_at(&folder, disk::free(&folder))
}

pub(super) fn disk_at(folder: &Path, free: io::Result<u64>) -> Finding {
    let place = folder.display();
    let another = "name another with --base-path";
    if let Err(error) = writable(folder, |file| file.write_all(b"x")) {
        return unwritable(folder, &error);
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
            let room = format!("{MAKE_ROOM} and {another}");
            match free {
                ..LEAST_FREE => Finding::bad("disk", found, room),
                LEAST_FREE..AMPLE_FREE => Finding::warning("disk", found, room),
                AMPLE_FREE.. => Finding::good("disk", found),
            }
        }
    }
}

/// How to come by room on a disk.
const MAKE_ROOM: &str = "make room, or move the folder";

/// What to say of a folder in which nothing can be written.
pub(super) fn unwritable(folder: &Path, error: &io::Error) -> Finding {
    let another = "name another with --base-path";
    let remedy = if disk::is_full(error.kind()) {
        format!("{MAKE_ROOM} and {another}")
    } else {
        format!("make it a folder of this user's, or {another}")
    };
    Finding::bad(
        "disk",
        format!("nothing can be written in {}: {error}", folder.display()),
        remedy,
    )
}

/// Makes a file of a name that nobody has, has it filled, and deletes it.
pub(super) fn writable(
    folder: &Path,
    fill: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let probe = folder.join(format!(".labora-doctor-{}", std::process::id()));
    let mut file = fs::File::create_new(&probe)?;
    let filled = fill(&mut file);
    // On a full disk it can be made and not filled, and is not to stay.
    let removed = fs::remove_file(&probe);
    filled.and(removed)
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
