//! `labora pouw check`: a line for each vector that is right, and a line for each field of one that is not.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use labora_pouw::vector::{self, Difference, MAX_JSON_LEN};

/// How all files together came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Every file holds what its seed gives.
    AllSame,
    /// At least one differs, or could not be checked.
    SomeDiffer,
}

/// Checks each file and says how it came out; a file that cannot be checked does not keep the others from it.
pub fn check_files(files: &[PathBuf], out: &mut impl Write) -> io::Result<Verdict> {
    let mut verdict = Verdict::AllSame;
    for file in files {
        let name = file.display();
        match check_file(file) {
            Ok(differences) if differences.is_empty() => writeln!(out, "{name}: same")?,
            Ok(differences) => {
                verdict = Verdict::SomeDiffer;
                for difference in differences {
                    writeln!(out, "{name}: {difference}")?;
                }
            }
            Err(reason) => {
                verdict = Verdict::SomeDiffer;
                writeln!(out, "{name}: cannot be checked: {reason}")?;
            }
        }
    }
    out.flush()?;
    Ok(verdict)
}

/// Why a file could not be checked.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is longer than {MAX_JSON_LEN} bytes, which no vector is")]
    TooLong,
    #[error(transparent)]
    Vector(#[from] vector::VectorError),
}

fn check_file(path: &Path) -> Result<Vec<Difference>, CheckError> {
    let mut text = String::new();
    // One byte more than allowed tells a file that is too long from one that just fits, whatever its size on disk.
    let read = File::open(path)?
        .take(MAX_JSON_LEN as u64 + 1)
        .read_to_string(&mut text)?;
    if read > MAX_JSON_LEN {
        return Err(CheckError::TooLong);
    }
    Ok(vector::check(&text)?)
}

#[cfg(test)]
mod tests {
    use labora_pouw::Shape;

    use super::*;

    /// Writes `text` to a file of its own and checks it.
    fn outcome(name: &str, text: &[u8]) -> (Verdict, String) {
        let path =
            std::env::temp_dir().join(format!("labora-check-{}-{name}.json", std::process::id()));
        std::fs::write(&path, text).expect("the folder for temporary files takes files");
        let mut out = Vec::new();
        let verdict =
            check_files(std::slice::from_ref(&path), &mut out).expect("a vector takes all lines");
        std::fs::remove_file(&path).expect("it was just written");
        (verdict, String::from_utf8(out).expect("lines are text"))
    }

    fn good() -> serde_json::Value {
        let shape = Shape::new(32, 48, 256).expect("a shape of the protocol");
        let vector = vector::make("node-check", shape, "131072").expect("a small product");
        serde_json::to_value(vector).expect("vectors are JSON")
    }

    #[test]
    fn a_right_vector_is_the_same() {
        let (verdict, lines) = outcome("right", good().to_string().as_bytes());
        assert_eq!(verdict, Verdict::AllSame);
        assert!(
            lines.ends_with(": same\n") && lines.lines().count() == 1,
            "{lines}"
        );
    }

    #[test]
    fn each_wrong_field_is_named() {
        for field in [
            "pre_hash",
            "root_a",
            "seed_b",
            "noised_a_blake3",
            "transcripts_blake3",
            "product_blake3",
        ] {
            let mut wrong = good();
            wrong[field] = "00".repeat(32).into();
            let (verdict, lines) = outcome(field, wrong.to_string().as_bytes());
            assert_eq!(verdict, Verdict::SomeDiffer);
            assert!(lines.contains(&format!(": {field} is 0000")), "{lines}");
        }
    }

    #[test]
    fn what_is_no_vector_cannot_be_checked() {
        let without_seed = {
            let mut vector = good();
            vector
                .as_object_mut()
                .expect("a vector is an object")
                .remove("seed");
            vector.to_string()
        };
        for (name, text) in [
            ("empty", ""),
            ("number", "1"),
            ("seedless", &*without_seed),
            ("shape", "{\"m\":1}"),
        ] {
            let (verdict, lines) = outcome(name, text.as_bytes());
            assert_eq!(verdict, Verdict::SomeDiffer, "{name}");
            assert!(lines.contains("cannot be checked"), "{lines}");
        }
        let (verdict, _) = outcome("binary", &[0xff, 0xfe, 0]);
        assert_eq!(verdict, Verdict::SomeDiffer);
    }

    #[test]
    fn a_missing_file_does_not_keep_the_others_from_being_checked() {
        let here =
            std::env::temp_dir().join(format!("labora-check-{}-present.json", std::process::id()));
        std::fs::write(&here, good().to_string())
            .expect("the folder for temporary files takes files");
        let gone = std::env::temp_dir().join("labora-check-absent.json");
        let mut out = Vec::new();
        let verdict =
            check_files(&[gone, here.clone()], &mut out).expect("a vector takes all lines");
        std::fs::remove_file(here).expect("it was just written");
        let lines = String::from_utf8(out).expect("lines are text");
        assert_eq!(verdict, Verdict::SomeDiffer);
        assert!(
            lines.contains("absent.json: cannot be checked")
                && lines.contains("present.json: same"),
            "{lines}"
        );
    }
}
