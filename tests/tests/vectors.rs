//! `labora pouw check`: says `same` of right vectors, and what differs of wrong ones.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use labora_tests::{
    Machine, Outcome,
    binary::{self, Finished, finish, repository},
};
use serde_json::Value;

/// All vectors, the largest of which takes the reference under a second.
const CHECK_LIMIT: Duration = Duration::from_secs(120);

fn check(files: &[PathBuf]) -> Outcome<Finished> {
    finish(
        Command::new(binary::labora()?)
            .args(["pouw", "check"])
            .args(files),
        CHECK_LIMIT,
    )
}

fn vectors() -> Outcome<Vec<PathBuf>> {
    let folder = repository().join("consensus/pouw/vectors");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    assert!(
        files.len() >= 8,
        "only {} vectors: some are missing",
        files.len()
    );
    Ok(files)
}

#[tokio::test]
async fn every_vector_is_the_same() -> Outcome {
    let _machine = Machine::take().await;
    let files = vectors()?;
    let finished = check(&files)?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let expected: Vec<String> = files
        .iter()
        .map(|file| format!("{}: same", file.display()))
        .collect();
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
async fn a_vector_with_any_field_changed_is_different_and_the_field_is_named() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let right = vectors()?
        .into_iter()
        .find(|file| file.ends_with("tiny.json"))
        .ok_or("no tiny.json")?;
    let whole: Value = serde_json::from_slice(&fs::read(&right)?)?;
    let fields = whole.as_object().ok_or("a vector that is no object")?;

    let mut changed = Vec::new();
    for (name, value) in fields {
        let mut wrong = whole.clone();
        wrong[name] = match value {
            // Another digit at the end of the hex.
            Value::String(text) if text.len() == 64 => {
                let last = if text.ends_with('0') { '1' } else { '0' };
                format!("{}{last}", &text[..63]).into()
            }
            Value::Array(items) => items[..items.len().saturating_sub(1)].to_vec().into(),
            // The inputs (seed, shape, difficulty) have no wrong value, only consequences: below.
            _ => continue,
        };
        changed.push((name.clone(), write(folder.path(), name, &wrong)?));
    }
    assert!(
        changed.len() >= 9,
        "a vector has {} derived fields",
        changed.len()
    );

    let mut files: Vec<PathBuf> = changed.iter().map(|(_, file)| file.clone()).collect();
    files.push(right.clone());
    let finished = check(&files)?;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for (name, file) in &changed {
        let said = said_of(&finished, file)?;
        assert!(
            said.contains(name.as_str()) && said != "same",
            "{name} should be named: {said}"
        );
    }
    assert_eq!(
        said_of(&finished, &right)?,
        "same",
        "a right file among wrong ones is right"
    );
    Ok(())
}

#[tokio::test]
async fn another_seed_or_shape_gives_other_values() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let right = vectors()?
        .into_iter()
        .find(|file| file.ends_with("tiny.json"))
        .ok_or("no tiny.json")?;
    let whole: Value = serde_json::from_slice(&fs::read(&right)?)?;
    for (name, value) in [
        ("seed", "another".into()),
        ("m", 64.into()),
        ("k", 512.into()),
    ] {
        let mut wrong = whole.clone();
        assert_ne!(wrong[name], value, "the change of {name} must be one");
        wrong[name] = value;
        let file = write(folder.path(), name, &wrong)?;
        let finished = check(std::slice::from_ref(&file))?;
        assert_eq!(finished.code, Some(1), "{name}: {finished:?}");
        assert!(
            said_of(&finished, &file)?.contains("root_a"),
            "{name}: {finished:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_vector_is_an_error_and_no_panic() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let right = vectors()?
        .into_iter()
        .find(|file| file.ends_with("tiny.json"))
        .ok_or("no tiny.json")?;
    let whole: Value = serde_json::from_slice(&fs::read(&right)?)?;
    let mut files = vec![folder.path().join("missing.json"), folder.path().to_owned()];
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("bytes", &[0xFF, 0, 0x7B]),
        ("list", b"[]"),
        ("object", b"{}"),
    ] {
        let file = folder.path().join(format!("{name}.json"));
        fs::write(&file, bytes)?;
        files.push(file);
    }
    for (name, field, value) in [
        ("shape", "k", Value::from(7)),
        ("huge", "m", Value::from(u64::MAX)),
        ("negative", "n", Value::from(-32)),
        ("easy", "difficulty", "0".into()),
        ("vast", "difficulty", "9".repeat(100).into()),
        ("hash", "pre_hash", "0x12".into()),
    ] {
        let mut wrong = whole.clone();
        wrong[field] = value;
        files.push(write(folder.path(), name, &wrong)?);
    }
    for file in files {
        let finished = check(std::slice::from_ref(&file))?;
        let text = finished.text();
        assert_eq!(finished.code, Some(1), "{}: {finished:?}", file.display());
        assert!(!text.contains("panicked"), "{}: {text}", file.display());
        assert!(
            text.contains(&*file.to_string_lossy()),
            "the file should be named: {text}"
        );
        assert!(!text.contains(": same"), "{text}");
    }
    Ok(())
}

fn write(folder: &Path, name: &str, vector: &Value) -> Outcome<PathBuf> {
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_vec(vector)?)?;
    Ok(path)
}

/// All that the program says of a file.
fn said_of(finished: &Finished, file: &Path) -> Outcome<String> {
    let start = format!("{}: ", file.display());
    let lines: Vec<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix(&start))
        .collect();
    if lines.is_empty() {
        return Err(format!("nothing said of {}: {finished:?}", file.display()).into());
    }
    Ok(lines.join("\n"))
}
