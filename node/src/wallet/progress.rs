//! How far a transfer is: a bar at the foot of a terminal, nothing where there is none.

use std::{future::Future, time::Duration};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);

const OF_BYTES: &str = "{msg}  {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}";
const OF_BLOCKS: &str = "{wide_bar} {msg}";
const OF_WORK: &str = "{spinner} {msg}";

/// A bar on standard error.
pub(super) fn bar(length: Option<u64>, template: Template) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    // The templates are constants that are tried by a test.
    let style = ProgressStyle::with_template(template.text());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What a bar shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Template {
    /// Bytes that go to and fro.
    Bytes,
    /// Blocks that pass.
    Blocks,
    /// Something whose end is not known.
    Work,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Bytes => OF_BYTES,
            Self::Blocks => OF_BLOCKS,
            Self::Work => OF_WORK,
        }
    }
}

/// Waits for a transfer of so many bytes, and shows how many of them `done` says have passed.
pub(super) async fn during<T>(
    what: &str,
    length: u64,
    done: impl Fn() -> u64,
    transfer: impl Future<Output = T>,
) -> T {
    let bar = bar(Some(length), Template::Bytes);
    bar.set_message(what.to_owned());
    let before = done();
    tokio::pin!(transfer);
    let mut ticks = tokio::time::interval(EVERY);
    let ended = loop {
        tokio::select! {
            ended = &mut transfer => break ended,
            _ = ticks.tick() => bar.set_position(done().saturating_sub(before).min(length)),
        }
    };
    bar.finish_and_clear();
    ended
}

/// Does something that takes a while on a thread of its own, and shows that it goes on.
pub(super) async fn working<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    let bar = bar(None, Template::Work);
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(EVERY);
    let done = tokio::task::spawn_blocking(work).await;
    bar.finish_and_clear();
    done.map_err(std::io::Error::other)
}

/// A length for people.
pub(super) fn bytes(length: u64) -> String {
    HumanBytes(length).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_some() {
        for template in [Template::Bytes, Template::Blocks, Template::Work] {
            assert!(
                ProgressStyle::with_template(template.text()).is_ok(),
                "{template:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_waited_for_is_given_back() {
        assert_eq!(during("x", 10, || 3, async { 7 }).await, 7);
        assert_eq!(working("x", || 7).await.expect("a thread"), 7);
    }
}
