//! One thread, a clock that jumps from event to event, and tasks that are polled in an order drawn from the seed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Future},
};
use parking_lot::Mutex;

/// Milliseconds since the schedule began.
pub(super) type Ms = u64;

/// Randomness: SplitMix64, so that a seed means the same everywhere and for ever.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`, which must not be zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From `first` to `last`, both included.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// What is to happen, and when. Of events at one time the one noted first comes first.
pub(super) struct Timeline<E> {
    state: Mutex<State<E>>,
}

struct State<E> {
    now: Ms,
    noted: u64,
    order: BinaryHeap<Reverse<(Ms, u64)>>,
    events: BTreeMap<u64, E>,
}

impl<E: From<oneshot::Sender<()>> + Send + 'static> Timeline<E> {
    pub(super) fn new() -> Self {
        let state = State {
            now: 0,
            noted: 0,
            order: BinaryHeap::new(),
            events: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    pub(super) fn now(&self) -> Ms {
        self.state.lock().now
    }

    pub(super) fn after(&self, delay: Ms, event: E) {
        let mut state = self.state.lock();
        state.noted += 1;
        let (at, number) = (state.now + delay, state.noted);
        state.order.push(Reverse((at, number)));
        state.events.insert(number, event);
    }

    /// The next event; the clock jumps to it.
    pub(super) fn pop(&self) -> Option<E> {
        let mut state = self.state.lock();
        let Reverse((at, number)) = state.order.pop()?;
        state.now = at;
        state.events.remove(&number)
    }

    pub(super) fn sleep(&self, pause: Ms) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        self.after(pause, wake.into());
        woken.map(|_| ()).boxed()
    }
}

/// The tasks of all nodes.
pub(super) struct Tasks {
    tasks: BTreeMap<u64, Task>,
    ready: Arc<Mutex<Vec<u64>>>,
    made: u64,
}

struct Task {
    owner: usize,
    future: BoxFuture<'static, ()>,
    waker: Waker,
}

struct Flag {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock();
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self {
            tasks: BTreeMap::new(),
            ready: Arc::default(),
            made: 0,
        }
    }

    pub(super) fn spawn(
        &mut self,
        owner: usize,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        self.made += 1;
        let flag = Flag {
            task: self.made,
            ready: self.ready.clone(),
        };
        let waker = Waker::from(Arc::new(flag));
        waker.wake_by_ref();
        let future = future.boxed();
        let task = Task {
            owner,
            future,
            waker,
        };
        self.tasks.insert(self.made, task);
    }

    /// Ends all tasks of one node in the midst of whatever they do.
    pub(super) fn kill(&mut self, owner: usize) {
        self.tasks.retain(|_, task| task.owner != owner);
    }

    /// Polls until nobody can go on.
    pub(super) fn run(&mut self, rng: &Mutex<Rng>) {
        loop {
            let next = {
                let mut ready = self.ready.lock();
                if ready.is_empty() {
                    return;
                }
                let at = match ready.len() {
                    1 => 0,
                    several => rng.lock().below(several as u64) as usize,
                };
                ready.swap_remove(at)
            };
            let Some(task) = self.tasks.get_mut(&next) else {
                continue;
            };
            let waker = task.waker.clone();
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled == Poll::Ready(()) {
                self.tasks.remove(&next);
            }
        }
    }
}
