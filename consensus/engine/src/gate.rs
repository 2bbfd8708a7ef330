//! A bounded number of verifications at a time; of those that wait, the one of the highest block goes first.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The gate that verifications pass one by one.
pub(crate) struct Gate {
    state: Mutex<State>,
}

struct State {
    free: usize,
    seen: u64,
    waiting: BinaryHeap<Waiter>,
}

struct Waiter {
    /// Highest block first, then first come.
    rank: (u32, Reverse<u64>),
    turn: oneshot::Sender<Pass>,
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Waiter {}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// The right to verify one proof; given on when dropped.
pub(crate) struct Pass {
    gate: Arc<Gate>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.give_on();
    }
}

impl Gate {
    pub(crate) fn new(at_a_time: usize) -> Arc<Self> {
        let state = State {
            free: at_a_time,
            seen: 0,
            waiting: BinaryHeap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Passes given out, of `at_a_time`.
    #[cfg(test)]
    pub(crate) fn taken(&self, at_a_time: usize) -> usize {
        let free = self.state.lock().free;
        assert!(free <= at_a_time, "{free} passes are free, of {at_a_time}");
        at_a_time - free
    }

    /// Waits for a turn to verify a proof of block `number`.
    pub(crate) async fn pass(self: &Arc<Self>, number: u32) -> Pass {
        let turn = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Pass { gate: self.clone() };
            }
            state.seen += 1;
            let (turn, wait) = oneshot::channel();
            let rank = (number, Reverse(state.seen));
            state.waiting.push(Waiter { rank, turn });
            wait
        };
        match turn.await {
            Ok(pass) => pass,
            // The gate holds every sender until it is used, and `self` keeps the gate alive.
            Err(_) => unreachable!("the gate never drops a waiter whose receiver is alive"),
        }
    }

    fn give_on(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.state.lock();
                match state.waiting.pop() {
                    Some(waiter) => waiter,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            if !waiter.turn.is_closed() {
                // Should the waiter give up at this very moment, the pass is dropped and thereby given on.
                let _ = waiter.turn.send(Pass { gate: self.clone() });
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::poll_fn};
    use std::task::Poll;

    #[tokio::test]
    async fn the_highest_block_that_waits_goes_first_and_none_is_lost() {
        let gate = Gate::new(1);
        let held = gate.pass(1).await;
        let mut low = Box::pin(gate.pass(5));
        let mut high = Box::pin(gate.pass(9));
        let mut gone = Box::pin(gate.pass(10));
        poll_fn(|context| {
            assert!(low.poll_unpin(context).is_pending());
            assert!(high.poll_unpin(context).is_pending());
            assert!(gone.poll_unpin(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(gone);
        drop(held);
        let first = high.await;
        assert!((&mut low).now_or_never().is_none());
        drop(first);
        drop(low.await);
        assert!(gate.pass(0).now_or_never().is_some());
    }
}
