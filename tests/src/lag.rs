//! How long blocks take from the node that mined them to another.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    Outcome,
    rpc::{Rpc, number_of},
    wait_for,
};

/// Notes when a miner says that it has a new block.
pub struct Mined {
    heard: mpsc::UnboundedReceiver<(u64, Instant)>,
    task: JoinHandle<()>,
}

impl Mined {
    /// Listens to a miner from now on.
    pub async fn by(miner: &Rpc) -> Outcome<Self> {
        let mut news = miner.heads().await?;
        let (notes, heard) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(Ok(header)) = news.next().await {
                let Ok(number) = number_of(&header) else {
                    return;
                };
                if notes.send((number, Instant::now())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { heard, task })
    }

    /// Waits until the next blocks, so many of them, are on another node's best chain, and fails for one that gets there
    /// more than `limit` after the miner had it; the longest time that one took.
    pub async fn reach(&mut self, node: &Rpc, count: usize, limit: Duration) -> Outcome<Duration> {
        let mut longest = Duration::ZERO;
        for _ in 0..count {
            let (number, at) = self.heard.recv().await.ok_or("the miner says no more")?;
            let what = format!("block {number} at the other node");
            let left = limit.saturating_sub(at.elapsed());
            wait_for(&what, left, || async move {
                Ok((node.best_number().await? >= number).then_some(()))
            })
            .await?;
            longest = longest.max(at.elapsed());
        }
        Ok(longest)
    }
}

impl Drop for Mined {
    fn drop(&mut self) {
        self.task.abort();
    }
}
