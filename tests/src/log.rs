//! The log of a node: a file that outlives the process, searched for lines, and shown when a test fails.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Outcome;

/// Lines at the end of a log that are shown when a test fails.
const SHOWN_LINES: usize = 60;

/// Words that a node must never log, whatever is thrown at it.
const SIGNS_OF_A_PANIC: [&str; 3] = ["panicked at", "Thread '", "stack backtrace"];

/// How the runtime begins what it says of a transaction that does not decode.
const REFUSED_TRANSACTION: &str = "Bad input data provided to validate_transaction";

/// A node's standard output and error, in one file.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at `path`.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it, with the colours taken out.
    pub fn text(&self) -> Outcome<String> {
        Ok(without_colours(&String::from_utf8_lossy(&fs::read(
            &self.path,
        )?)))
    }

    /// What follows `mark` in the last line that holds it, up to the first of `ends` or the end of the line.
    pub fn after_last(&self, mark: &str, ends: &[char]) -> Outcome<Option<String>> {
        let text = self.text()?;
        Ok(text.lines().rev().find_map(|line| {
            let (_, rest) = line.split_once(mark)?;
            Some(rest.split(ends).next().unwrap_or(rest).trim().to_owned())
        }))
    }

    /// Fails if the node panicked at any time.
    ///
    /// One thing looks like it and is none: the SDK's runtime refuses a transaction whose bytes do not decode by trapping
    /// in its sandbox, and says so in the next line.
    pub fn assert_no_panic(&self) -> Outcome {
        let text = self.text()?;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let next = lines.peek().copied().unwrap_or_default();
            let refused = next.starts_with(REFUSED_TRANSACTION) && !line.contains("thread '");
            if SIGNS_OF_A_PANIC.iter().any(|sign| line.contains(sign)) && !refused {
                return Err(format!("the node panicked: {line}\n{next}").into());
            }
        }
        Ok(())
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        self.tail_of(|_| true)
    }

    /// The last of the lines that are to be shown.
    pub fn tail_of(&self, is_shown: impl Fn(&str) -> bool) -> String {
        let text = self.text().unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().filter(|line| is_shown(line)).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

/// Drops ANSI escape sequences, which end at their first letter.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out_and_nothing_else() {
        let line = "\u{1b}[2m2026-01-01\u{1b}[0m [\u{1b}[1;32mlabora\u{1b}[0m] addr=127.0.0.1:1, é";
        assert_eq!(
            without_colours(line),
            "2026-01-01 [labora] addr=127.0.0.1:1, é"
        );
    }

    #[test]
    fn a_panic_in_the_log_is_found() -> Outcome {
        let folder = tempfile::tempdir()?;
        let log = Log::at(folder.path().join("log"));
        fs::write(log.path(), "all is well\n")?;
        log.assert_no_panic()?;
        fs::write(
            log.path(),
            "all is well\nthread 'x' panicked at y.rs:1:2:\n",
        )?;
        assert!(log.assert_no_panic().is_err());
        let refusal = "12:00:00 panicked at apis.rs:1:2:\nBad input data provided to validate_transaction: Codec error\n";
        fs::write(log.path(), refusal)?;
        log.assert_no_panic()?;
        fs::write(
            log.path(),
            format!("{refusal}12:00:01 panicked at lib.rs:3:4:\nsomething else\n"),
        )?;
        assert!(log.assert_no_panic().is_err());
        Ok(())
    }
}
