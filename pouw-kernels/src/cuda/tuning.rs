//! How fast a GPU model is in each way to multiply: timed once, kept in a small JSON file that the caller
//! names. Whatever is wrong with the file costs a second of timing and nothing else.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::driver::Facts;
use super::multiply::{Multiply, Speed};
use super::nvidia;

/// Bytes of the file that are read at most: some 600 a model.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// Models that are kept: more than any owner of rigs has.
const MAX_MODELS: usize = 256;

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

/// What the file says of this GPU, if it knows all the ways to multiply that are asked for.
pub(super) fn load(path: &Path, facts: &Facts, ways: &[Multiply]) -> Option<Vec<Speed>> {
    let models = read(path)?;
    let entry = models.get(&key(facts))?;
    let speed = |&multiply: &Multiply| {
        let speed = entry.get(multiply.name())?;
        let number = |name| speed.get(name)?.as_u64().filter(|rate: &u64| *rate > 0);
        Some(Speed {
            multiply,
            lone_per_ms: number("tile_macs_per_ms")?,
            macs_per_ms: number("macs_per_ms")?,
        })
    };
    ways.iter().map(speed).collect()
}

/// Adds it to the file, which is replaced at once: who reads it sees the old one or the new.
pub(super) fn store(path: &Path, facts: &Facts, speeds: &[Speed]) -> std::io::Result<()> {
    let mut models = read(path)
        .filter(|models| models.len() < MAX_MODELS)
        .unwrap_or_default();
    let entry = |speed: &Speed| {
        let figures =
            json!({ "tile_macs_per_ms": speed.lone_per_ms, "macs_per_ms": speed.macs_per_ms });
        (speed.multiply.name().to_owned(), figures)
    };
    models.insert(key(facts), speeds.iter().map(entry).collect());
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
        let ways = Multiply::of((9, 0));
        let speeds = |rate| -> Vec<Speed> {
            let speed = |(at, &multiply): (usize, _)| Speed {
                multiply,
                lone_per_ms: rate / 100,
                macs_per_ms: rate + at as u64,
            };
            ways.iter().enumerate().map(speed).collect()
        };
        let (one, two) = (speeds(940_000_000), speeds(4100));
        let load = |path: &Path, facts: &Facts| load(path, facts, ways);
        assert_eq!(load(&path, &facts("one")), None);
        store(&path, &facts("one"), &one).unwrap();
        store(&path, &facts("two"), &two).unwrap();
        assert_eq!(load(&path, &facts("one")), Some(one.clone()));
        assert_eq!(load(&path, &facts("two")), Some(two));
        assert_eq!(load(&path, &facts("three")), None);
        // One way was not timed, or takes no time at all.
        store(&path, &facts("one"), &one[1..]).unwrap();
        assert_eq!(load(&path, &facts("one")), None);
        store(&path, &facts("one"), &speeds(0)).unwrap();
        assert_eq!(load(&path, &facts("one")), None);
        std::fs::write(&path, "{\"0.1.0").unwrap();
        assert_eq!(load(&path, &facts("one")), None);
        store(&path, &facts("one"), &one).unwrap();
        assert_eq!(load(&path, &facts("one")), Some(one));
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }
}
