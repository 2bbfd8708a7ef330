//! The miner's log, on standard error, above the live line if there is one.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::{MinerError, status::Live};

/// Starts to log what `filter` lets through.
pub(super) fn init(filter: &str, live: &Live) -> Result<(), MinerError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        MinerError::Log(format!(
            "{error}; give a level such as info, or levels by target such as labora=debug,warn"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(AboveLive(live.clone()))
        .try_init()
        .map_err(|error| MinerError::Log(error.to_string()))
}

/// Takes the live line away while it writes.
struct AboveLive(Live);

impl<'a> MakeWriter<'a> for AboveLive {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}

struct LineWriter<'a>(&'a Live);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
