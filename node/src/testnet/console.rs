//! What is typed while a network runs: the terminal, the line in the making, and the orders.

use std::io::{IsTerminal, Read};

use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};
use tokio::sync::mpsc;

/// Longest line that is taken; a name has 32 characters at most.
const MAX_LINE: usize = 80;

/// Reads that may wait.
const MAX_READS: usize = 16;

/// What can be asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Ends a member at once, as `kill -9` does.
    Kill(String),
    /// Asks a member to end.
    Stop(String),
    /// Starts a member that has ended.
    Start(String),
    /// Says what can be typed.
    Help,
    /// Ends all.
    Quit,
}

/// What can be typed.
pub(super) const HELP: &str =
    "type kill NAME (as kill -9), stop NAME, start NAME, or quit; names are in the table";

/// Reads a line; nothing of an empty one.
///
/// # Errors
///
/// A sentence that says what can be typed.
pub(super) fn parse(line: &str) -> Result<Option<Order>, String> {
    let mut words = line.split_ascii_whitespace();
    let Some(verb) = words.next() else {
        return Ok(None);
    };
    let (name, rest) = (words.next(), words.next());
    let order = match (verb, name, rest) {
        ("kill", Some(name), None) => Order::Kill(name.into()),
        ("stop", Some(name), None) => Order::Stop(name.into()),
        ("start", Some(name), None) => Order::Start(name.into()),
        ("help", None, None) => Order::Help,
        ("quit", None, None) => Order::Quit,
        ("kill" | "stop" | "start", None, None) => {
            return Err(format!(
                "{verb} whom? Give the name of one member, such as {verb} validator-1"
            ));
        }
        _ => return Err(format!("`{}` is no command; {HELP}", line.trim())),
    };
    Ok(Some(order))
}

/// The line in the making.
#[derive(Default)]
pub(super) struct Prompt(String);

impl Prompt {
    /// What was typed so far.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Takes what was typed, or one line of what was piped in; gives whole lines.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => lines.push(std::mem::take(&mut self.0)),
                // Backspace, under both of its names.
                0x08 | 0x7f => drop(self.0.pop()),
                // Ctrl-U takes the line back, Ctrl-D on an empty line is the end.
                0x15 => self.0.clear(),
                0x04 if self.0.is_empty() => lines.push("quit".into()),
                b' '..=b'~' if self.0.len() < MAX_LINE => self.0.push(char::from(*byte)),
                _ => {}
            }
        }
        lines
    }
}

/// A terminal that hands over each key and does not echo it, until this is dropped: the line that is typed is shown below the
/// table.
pub(super) struct Keys(Option<Termios>);

impl Keys {
    /// Takes the terminal, if there is one.
    fn take() -> Self {
        let stdin = std::io::stdin();
        let Ok(original) = tcgetattr(&stdin) else {
            return Keys(None);
        };
        let mut raw = original.clone();
        // Ctrl-C stays a signal.
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        match tcsetattr(&stdin, OptionalActions::Now, &raw) {
            Ok(()) => Keys(Some(original)),
            Err(_) => Keys(None),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(original) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, original);
        }
    }
}

/// Listens to standard input. The terminal is taken only where the table is `shown` on one.
pub(super) fn listen(shown: bool) -> (Keys, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(MAX_READS);
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    // A program in the background that reads from its terminal is stopped.
    if is_terminal && tcgetpgrp(&stdin).ok() != Some(getpgrp()) {
        return (Keys(None), receiver);
    }
    let keys = if is_terminal && shown {
        Keys::take()
    } else {
        Keys(None)
    };
    // Not joined: a read from a terminal ends with the process.
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(read @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    (keys, receiver)
}
