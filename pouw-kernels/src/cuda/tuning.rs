//! Which product kernel a GPU model is best served by, and how fast: timed once, kept in a small JSON file that the caller
//! names. Whatever is wrong with the file costs a second of timing and nothing else.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::driver::Facts;
use super::kernels::Multiply;
use super::nvidia;

/// Bytes of the file that are read at most: some 80 a model.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Models that are kept: more than any owner of rigs has.
const MAX_MODELS: usize = 256;

/// What was found out about a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuned {
    pub multiply: Multiply,
    /// Multiply-accumulates a millisecond of a large mined product.
    pub macs_per_ms: u64,
}

/// One entry a model, and a new one for other kernels.
fn key(facts: &Facts) -> String {
    format!(
        "{}-{} {} ({}.{}, {} multiprocessors)",
        env!("CARGO_PKG_VERSION"),
        nvidia::version(),
        facts.name,
        facts.capability.0,
        facts.capability.1,
        facts.multiprocessors
    )
}

fn read(path: &Path) -> Option<Map<String, Value>> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    match serde_json::from_str(&text).ok()? {
        Value::Object(models) => Some(models),
        _ => None,
    }
}

/// What the file says of this GPU.
pub(super) fn load(path: &Path, facts: &Facts) -> Option<Tuned> {
    let models = read(path)?;
    let entry = models.get(&key(facts))?;
    let name = entry.get("kernel")?.as_str()?;
    let multiply = Multiply::of(facts.capability)
        .iter()
        .find(|multiply| multiply.name() == name)?;
    let macs_per_ms = entry
        .get("macs_per_ms")?
        .as_u64()
        .filter(|rate| *rate > 0)?;
    Some(Tuned {
        multiply: *multiply,
        macs_per_ms,
    })
}

/// Adds it to the file, which is replaced at once: who reads it sees the old one or the new.
pub(super) fn store(path: &Path, facts: &Facts, tuned: Tuned) -> std::io::Result<()> {
    let mut models = read(path)
        .filter(|models| models.len() < MAX_MODELS)
        .unwrap_or_default();
    models.insert(
        key(facts),
        json!({ "kernel": tuned.multiply.name(), "macs_per_ms": tuned.macs_per_ms }),
    );
    let text = serde_json::to_string_pretty(&Value::Object(models))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Several devices of one process, and several processes, may come to this at once.
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    let aside = path.with_extension(format!("{}-{thread}.new", std::process::id()));
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, path).inspect_err(|_| drop(std::fs::remove_file(&aside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str) -> Facts {
        Facts {
            name: name.into(),
            capability: (9, 0),
            multiprocessors: 132,
            free_bytes: 1 << 37,
        }
    }

    #[test]
    fn what_is_stored_is_loaded_for_that_model_alone_and_a_spoilt_file_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/tuning.json");
        let one = Tuned {
            multiply: Multiply::Wgmma,
            macs_per_ms: 940_000_000,
        };
        let two = Tuned {
            multiply: Multiply::Mma,
            macs_per_ms: 41,
        };
        assert_eq!(load(&path, &facts("one")), None);
        store(&path, &facts("one"), one).unwrap();
        store(&path, &facts("two"), two).unwrap();
        assert_eq!(load(&path, &facts("one")), Some(one));
        assert_eq!(load(&path, &facts("two")), Some(two));
        assert_eq!(load(&path, &facts("three")), None);
        // A kernel that this generation has not.
        let older = Facts {
            capability: (8, 0),
            ..facts("one")
        };
        store(&path, &older, one).unwrap();
        assert_eq!(load(&path, &older), None);
        std::fs::write(&path, "{\"0.1.0").unwrap();
        assert_eq!(load(&path, &facts("one")), None);
        store(&path, &facts("one"), one).unwrap();
        assert_eq!(load(&path, &facts("one")), Some(one));
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }
}
