//! Waiting for a condition, never for a time: polls often, gives up at a deadline, and says what it waited for.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::Outcome;

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);

/// Calls `look` until it gives a value, for at most `limit`; an error of `look` counts as "not yet" and is shown at the end.
pub async fn wait_for<T, F, L>(what: &str, limit: Duration, mut look: L) -> Outcome<T>
where
    L: FnMut() -> F,
    F: Future<Output = Outcome<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let seen = tokio::time::timeout_at(deadline.into(), look()).await;
        let last = match seen {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => "not yet".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() >= deadline {
            return Err(format!("waited {limit:?} for {what}; at last: {last}").into());
        }
        tokio::time::sleep(POLL).await;
    }
}
