//! `labora devices`: what this machine can multiply on, what each device would run, and why one is not used.

use std::{io::Write, process::ExitCode, thread};

use clap::Args;
use labora_kernels::{DeviceError, Isa, NEEDED_DRIVER};
use serde::Serialize;

use super::{
    Nvidia,
    gpus::{Gpu, Gpus},
};
use crate::{
    rig::nvml::{Access, Card, Library, LibraryError},
    table,
};

/// How to show it.
#[derive(Args, Clone, Debug)]
pub struct DevicesOptions {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Shows this machine's devices on standard output.
pub fn run(options: &DevicesOptions) -> sc_cli::Result<ExitCode> {
    let library = Library::open();
    let measured = |bus: &str| match &library {
        Ok(library) => library.card(bus).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let seen = Seen::new(&Nvidia, &measured, library.as_ref().err());
    let mut out = std::io::stdout().lock();
    if options.json {
        table::write_json(&seen, &mut out)?;
    } else {
        print(&seen, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What NVML says of the GPU at an address of the PCI bus.
type Measured<'a> = dyn Fn(&str) -> Result<Card, String> + 'a;

/// All that is seen.
#[derive(Debug, Serialize)]
struct Seen {
    /// GPUs, usable or not.
    gpus: Vec<SeenGpu>,
    /// The CPU.
    cpu: SeenCpu,
    /// How this build came by its kernels for GPUs.
    gpu_kernels: &'static str,
    /// What to know or to do, in sentences.
    notes: Vec<String>,
}

/// One GPU.
#[derive(Debug, Serialize)]
struct SeenGpu {
    /// What `--devices` calls it.
    id: String,
    name: String,
    capability: String,
    memory_bytes: u64,
    bus: String,
    /// The driver's version, where NVML tells it.
    driver: Option<String>,
    /// CUDA version that the driver goes up to.
    cuda: String,
    power_limit_w: Option<u32>,
    runs: String,
    state: State,
    /// Why it is not usable, or what else there is to know, as sentences.
    notes: Vec<String>,
}

/// Whether a device can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Usable,
    Unusable,
    /// Another program has it for itself alone.
    InUse,
}

/// The CPU.
#[derive(Debug, Serialize)]
struct SeenCpu {
    id: &'static str,
    threads: usize,
    /// The instruction set that products use.
    runs: String,
    /// All that this CPU and build have.
    available: Vec<String>,
}

impl Seen {
    fn new(gpus: &dyn Gpus, measured: &Measured<'_>, library: Option<&LibraryError>) -> Self {
        let mut notes = Vec::new();
        let found = match gpus.list() {
            Ok(found) => {
                if found.is_empty() {
                    notes.push("The NVIDIA driver is there and shows no GPU; see what `nvidia-smi` says, and what CUDA_VISIBLE_DEVICES hides.".into());
                }
                found
            }
            Err(error) => {
                notes.push(no_driver(&error, gpus.cards_without_driver()));
                Vec::new()
            }
        };
        if let (Some(error), false) = (library, found.is_empty()) {
            notes.push(format!(
                "Power, temperature and use by others are not measured, and cannot be limited: {error}."
            ));
        }
        Seen {
            gpus: found
                .into_iter()
                .map(|gpu| SeenGpu::new(gpu, measured))
                .collect(),
            cpu: SeenCpu {
                id: "cpu",
                threads: thread::available_parallelism().map_or(1, usize::from),
                runs: Isa::detect().to_string(),
                available: Isa::available()
                    .into_iter()
                    .map(|isa| isa.to_string())
                    .collect(),
            },
            gpu_kernels: gpus.kernels(),
            notes,
        }
    }
}

/// What to do where the driver cannot be asked.
fn no_driver(error: &DeviceError, cards: usize) -> String {
    match (error, cards) {
        (DeviceError::NoDriver, 0) => format!(
            "No NVIDIA driver and no NVIDIA GPU were found: should there be one, install driver {NEEDED_DRIVER} or newer."
        ),
        (DeviceError::NoDriver, cards) => format!(
            "{cards} NVIDIA GPU{} found on the bus but no driver: install driver {NEEDED_DRIVER} or newer (in a container, start it with the GPU).",
            if cards == 1 { " was" } else { "s were" }
        ),
        (error, _) => format!("GPUs cannot be listed: {error}."),
    }
}

impl SeenGpu {
    fn new(gpu: Gpu, measured: &Measured<'_>) -> Self {
        let card = measured(&gpu.bus);
        let mut notes = Vec::new();
        let mut state = State::Usable;
        if let Err(error) = &gpu.usable {
            state = State::Unusable;
            notes.push(format!("{error}."));
        }
        let card = card.unwrap_or_default();
        match card.access {
            Access::Prohibited => {
                state = State::Unusable;
                notes.push(format!(
                    "Its administrator lets no program compute on it; `nvidia-smi -i {} -c DEFAULT` does.",
                    gpu.bus
                ));
            }
            Access::Exclusive if !card.programs.is_empty() => {
                if state == State::Usable {
                    state = State::InUse;
                }
                notes.push(format!(
                    "It takes one program at a time, and {} has it; end that one, or allow more with `nvidia-smi -i {} -c DEFAULT`.",
                    card.programs.join(", "),
                    gpu.bus
                ));
            }
            Access::Exclusive | Access::Shared => {
                if !card.programs.is_empty() {
                    notes.push(format!(
                        "{} computes on it too; with --idle-only filler waits until it has ended.",
                        card.programs.join(", ")
                    ));
                }
            }
        }
        SeenGpu {
            id: format!("cuda:{}", gpu.index),
            name: gpu.name,
            capability: format!("{}.{}", gpu.capability.0, gpu.capability.1),
            memory_bytes: gpu.memory_bytes,
            bus: gpu.bus,
            driver: card.driver,
            cuda: format!("{}.{}", gpu.cuda.0, gpu.cuda.1),
            power_limit_w: card.power_limit_w,
            runs: gpu.runs,
            state,
            notes,
        }
    }
}

/// The columns of the table.
const COLUMNS: usize = 8;

fn print(seen: &Seen, out: &mut impl Write) -> std::io::Result<()> {
    let mut rows = vec![
        [
            "device",
            "name",
            "capability",
            "memory",
            "driver",
            "power limit",
            "runs",
            "state",
        ]
        .map(String::from),
    ];
    rows.extend(seen.gpus.iter().map(gpu_row));
    let threads = seen.cpu.threads;
    rows.push([
        seen.cpu.id.into(),
        format!("{threads} thread{}", if threads == 1 { "" } else { "s" }),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        seen.cpu.runs.clone(),
        "usable".into(),
    ]);
    table::write(&rows, out)?;

    let of_gpus = seen
        .gpus
        .iter()
        .flat_map(|gpu| gpu.notes.iter().map(|note| format!("{}: {note}", gpu.id)));
    for note in of_gpus.chain(seen.notes.iter().cloned()) {
        writeln!(out, "{note}")?;
    }
    writeln!(out, "GPUs in this build: {}.", seen.gpu_kernels)
}

fn gpu_row(gpu: &SeenGpu) -> [String; COLUMNS] {
    let unknown = || "?".to_owned();
    let state = match gpu.state {
        State::Usable => "usable",
        State::Unusable => "not usable",
        State::InUse => "in use",
    };
    [
        gpu.id.clone(),
        gpu.name.clone(),
        gpu.capability.clone(),
        format!("{:.0} GiB", gpu.memory_bytes as f64 / f64::from(1 << 30)),
        format!(
            "{} (CUDA {})",
            gpu.driver.clone().unwrap_or_else(unknown),
            gpu.cuda
        ),
        gpu.power_limit_w
            .map_or_else(unknown, |watts| format!("{watts} W")),
        gpu.runs.clone(),
        state.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::gpus::scripted::{Scripted, gpu};

    fn card() -> Card {
        Card {
            driver: Some("580.95.05".into()),
            power_limit_w: Some(700),
            ..Card::default()
        }
    }

    fn text(gpus: &Scripted, measured: &Measured<'_>, library: Option<&LibraryError>) -> String {
        let mut out = Vec::new();
        print(&Seen::new(gpus, measured, library), &mut out).expect("memory takes all");
        String::from_utf8(out).expect("a table is text")
    }

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line begins with {start}:\n{text}"))
    }

    #[test]
    fn every_device_has_a_line_with_what_it_is_and_runs() {
        let gpus = Scripted::with(vec![gpu(0), gpu(3)]);
        let text = text(&gpus, &|_| Ok(card()), None);
        for cell in [
            "Test GPU",
            "9.0",
            "80 GiB",
            "580.95.05 (CUDA 13.0)",
            "700 W",
            "wgmma",
            "usable",
        ] {
            assert!(line(&text, "cuda:3").contains(cell), "{cell}\n{text}");
        }
        assert!(line(&text, "cpu").contains(&Isa::detect().to_string()));
        assert!(text.contains("kernels of a test"));
    }

    #[test]
    fn one_that_cannot_be_used_says_why() {
        let error = DeviceError::NoKernels("this build holds their source alone".into());
        let words = error.to_string();
        let gpus = Scripted::with(vec![gpu(0).refusing(error)]);
        let text = text(&gpus, &|_| Ok(card()), None);
        assert!(line(&text, "cuda:0").contains("not usable"));
        assert!(line(&text, "cuda:0: ").contains(&words), "{text}");
    }

    #[test]
    fn one_that_another_program_has_alone_says_which() {
        let gpus = Scripted::with(vec![gpu(0)]);
        let with = |access| {
            move |_: &str| {
                Ok(Card {
                    access,
                    programs: vec!["python3 (77)".into()],
                    ..card()
                })
            }
        };
        let exclusive = text(&gpus, &with(Access::Exclusive), None);
        assert!(line(&exclusive, "cuda:0").contains("in use"));
        assert!(line(&exclusive, "cuda:0: ").contains("python3 (77) has it"));
        let shared = text(&gpus, &with(Access::Shared), None);
        assert!(line(&shared, "cuda:0").contains("usable"));
        assert!(line(&shared, "cuda:0: ").contains("--idle-only"));
        let prohibited = text(&gpus, &with(Access::Prohibited), None);
        assert!(line(&prohibited, "cuda:0").contains("not usable"));
    }

    #[test]
    fn without_a_driver_one_sentence_says_what_to_install() {
        let gpus = Scripted::without_driver(DeviceError::NoDriver);
        let text = text(&gpus, &|_| Err("none".into()), Some(&LibraryError::Absent));
        assert!(text.contains("install driver 580 or newer"), "{text}");
        assert!(!text.contains("NVML"), "one sentence, not two:\n{text}");
        assert!(!text.contains("capability"), "an empty column:\n{text}");
        assert!(no_driver(&DeviceError::NoDriver, 2).starts_with("2 NVIDIA GPUs were"));
    }

    #[test]
    fn without_nvml_what_it_knows_is_unknown_and_said_once() {
        let gpus = Scripted::with(vec![gpu(0), gpu(1)]);
        let text = text(&gpus, &|_| Err("none".into()), Some(&LibraryError::Absent));
        assert!(line(&text, "cuda:0").contains("? (CUDA 13.0)"));
        assert_eq!(text.matches("cannot be limited").count(), 1);
    }

    #[test]
    fn json_has_the_same_in_fields() {
        let gpus = Scripted::with(vec![gpu(0).refusing(DeviceError::Lost("Xid 79".into()))]);
        let seen = Seen::new(&gpus, &|_| Ok(card()), None);
        let json = serde_json::to_value(&seen).expect("it serialises");
        assert_eq!(json["gpus"][0]["state"], "unusable");
        assert_eq!(json["gpus"][0]["power_limit_w"], 700);
        assert!(
            json["gpus"][0]["notes"][0]
                .as_str()
                .is_some_and(|note| note.contains("Xid 79"))
        );
        assert_eq!(json["cpu"]["runs"], Isa::detect().to_string());
    }
}
