//! What a chain looked like to an observer, so that it can be asked later whether it still does.
//!
//! Blocks are compared by their whole headers, which is as good as by hash and needs no hashing here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{
    Outcome,
    rpc::{Rpc, number_of},
};

/// Headers by number; a later header at the same number replaces an earlier one, as a reorganisation does.
pub type Headers = BTreeMap<u64, Value>;

/// Notes each new best block that a node tells its subscribers of, until its connection ends.
pub struct Recorder {
    seen: Arc<Mutex<Headers>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts to listen.
    pub async fn of(rpc: &Rpc) -> Outcome<Self> {
        let mut news = rpc.heads().await?;
        let seen = Arc::new(Mutex::new(Headers::new()));
        let notes = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(Ok(header)) = news.next().await {
                if let Ok(number) = number_of(&header) {
                    notes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, header);
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// What was announced so far.
    pub fn so_far(&self) -> Headers {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All that was announced, once the connection has ended.
    pub async fn finish(self) -> Outcome<Headers> {
        self.task.await?;
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(seen)
    }
}

/// The header of the best chain at `number`, if it is that long.
pub async fn header_at(rpc: &Rpc, number: u64) -> Outcome<Option<Value>> {
    match rpc.hash_at(number).await? {
        Some(hash) => rpc.header(&hash).await,
        None => Ok(None),
    }
}

/// Fails unless every one of these blocks is on the node's best chain.
pub async fn assert_all_on(rpc: &Rpc, headers: &Headers) -> Outcome {
    for (number, header) in headers {
        let now = header_at(rpc, *number).await?;
        if now.as_ref() != Some(header) {
            let now = now.map_or("missing".to_owned(), |header| header.to_string());
            return Err(
                format!("block {number} was announced as {header} and is now {now}").into(),
            );
        }
    }
    Ok(())
}
