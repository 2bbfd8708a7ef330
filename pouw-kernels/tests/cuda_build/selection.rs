//! Which of the images that build.rs embeds each GPU gets, by CUDA's rules: machine code of its own generation that is no newer
//! than it is, else the newest PTX that is no newer.

use std::path::Path;
use std::process::Command;

use crate::compile::{run, tools};

/// An image: compute capability times ten, and whether it is for that chip alone (`sm_90a`).
type Image = (u32, bool);

/// `… sm_90a.cubin` as 90 and true.
fn image(line: &str) -> Option<Image> {
    let name = line.rsplit("sm_").next()?.split('.').next()?;
    let digits = name.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    Some((digits.parse().ok()?, digits.len() < name.len()))
}

/// What the driver takes for a GPU: `sm_86`, `compute_100`.
fn chosen(machine_code: &[Image], ptx: &[Image], capability: u32) -> Option<String> {
    let runs = |&&(of, alone): &&Image| {
        of == capability || (!alone && of / 10 == capability / 10 && of < capability)
    };
    if let Some((of, _)) = machine_code.iter().filter(runs).max() {
        return Some(format!("sm_{of}"));
    }
    let (of, _) = ptx.iter().filter(|(of, _)| *of <= capability).max()?;
    Some(format!("compute_{of}"))
}

#[test]
fn every_gpu_from_turing_on_gets_an_image() {
    let fat = Path::new(env!("OUT_DIR")).join("kernels.fatbin");
    // As `every_target_compiles…` says aloud; this build was made without nvcc.
    let (Ok(tools), true) = (tools(), fat.exists()) else {
        return;
    };
    let list = |option: &str| -> Vec<Image> {
        let said = run(Command::new(&tools.cuobjdump).arg(option).arg(&fat));
        said.lines().filter_map(image).collect()
    };
    let (machine_code, ptx) = (list("--list-elf"), list("--list-ptx"));
    assert_eq!(machine_code.len(), 7, "{machine_code:?}");
    for (capability, expected) in [
        (70, None),
        (75, Some("sm_75")),
        (80, Some("sm_80")),
        (86, Some("sm_86")),
        // Jetson Orin.
        (87, Some("sm_86")),
        (89, Some("sm_89")),
        (90, Some("sm_90")),
        (100, Some("sm_100")),
        (103, Some("sm_100")),
        // Jetson Thor.
        (110, Some("compute_100")),
        (120, Some("sm_120")),
        (121, Some("sm_120")),
        (130, Some("compute_100")),
    ] {
        let got = chosen(&machine_code, &ptx, capability);
        assert_eq!(got.as_deref(), expected, "{capability}");
    }
}
