//! What the device threads wait on: products that were asked for, the current template, and whether to go on. One lock,
//! held for moments only.

use std::{collections::VecDeque, time::Instant};

use labora_consensus::Template as EngineTemplate;
use labora_kernels::{Cancel, Template};
use labora_pouw::Difficulty;
use parking_lot::{Condvar, Mutex};

use super::{
    figures::Hold,
    request::{Active, MultiplyError, Request},
    roster::{Change, Roster, STANDBY_AFTER},
};
use crate::devices::Role;

/// Most products that wait for a device. Their memory is bounded by whoever reads them in (`http::MAX_IN_FLIGHT_BYTES`);
/// this bounds the wait: 64 typical layers of 0.5 GMAC are half a second on a laptop.
pub const MAX_QUEUED_REQUESTS: usize = 64;

/// What a device thread is to do next.
pub(super) enum Work {
    /// Somebody waits for this.
    Request(Request),
    /// Somebody waits for this, and a device was lost that had begun it.
    Resume(Box<Active>),
    /// Nobody asks for anything: mine.
    Filler,
    /// Nothing at the moment; only for a thread that did not ask to wait.
    Nothing,
    /// No more work will ever come.
    Stop,
}

/// Whether [`Queue::next`] may block, and what it may hand out.
#[derive(Clone, Copy)]
pub(super) enum Take {
    /// Whatever comes, but no filler before this moment.
    Wait {
        /// A caller that just got an answer often asks again at once; filler started meanwhile would be in its way.
        filler_after: Option<Instant>,
    },
    /// What is there now.
    Now,
    /// A request if one is there now.
    RequestNow,
}

/// What is being run for, which decides when it is cancelled.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Purpose {
    Request,
    Filler,
}

/// The queue's figures of a moment.
pub(super) struct Observed {
    pub length: usize,
    pub is_mining: bool,
    /// Why each device does no filler, if so.
    pub held: Vec<Option<Hold>>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What lost devices had begun; it was taken before anything in `requests`. At most one a device.
    returned: VecDeque<Box<Active>>,
    requests: VecDeque<Request>,
    template: Option<(Template, [u8; 32])>,
    running: Vec<Running>,
    next_run: u64,
    /// Devices whose threads run.
    devices: usize,
    /// Why each device is kept from filler, if so.
    held: Vec<Option<Hold>>,
    roster: Roster,
    is_closed: bool,
    /// Closed, and what waited was refused.
    is_abandoned: bool,
}

struct Running {
    id: u64,
    device: usize,
    role: Role,
    purpose: Purpose,
    parent: [u8; 32],
    cancel: Cancel,
}

impl Queue {
    pub fn new(roles: Vec<Role>) -> Self {
        let devices = roles.len();
        let state = State {
            returned: VecDeque::new(),
            requests: VecDeque::new(),
            template: None,
            running: Vec::new(),
            next_run: 0,
            devices,
            held: vec![None; devices],
            roster: Roster::new(roles),
            is_closed: false,
            is_abandoned: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Puts a product at the end, and stops filler that is in its way.
    pub fn push(&self, request: Request) -> Result<(), MultiplyError> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(MultiplyError::ShuttingDown);
        }
        if state.devices == 0 {
            return Err(MultiplyError::NoDevice);
        }
        if state.requests.len() >= MAX_QUEUED_REQUESTS {
            return Err(MultiplyError::Busy);
        }
        state.requests.push_back(request);
        state.cancel_where(|run| run.purpose == Purpose::Filler);
        // Of several devices that wait, one may be waiting for itself to come back, and takes nothing.
        self.changed.notify_all();
        Ok(())
    }

    /// Takes back what a lost device had begun, for whichever device is free first.
    pub fn give_back(&self, active: Box<Active>) {
        let mut state = self.state.lock();
        if state.is_abandoned {
            active.fail(MultiplyError::ShuttingDown);
            return;
        }
        state.returned.push_back(active);
        state.cancel_where(|run| run.purpose == Purpose::Filler);
        self.changed.notify_all();
    }

    /// Replaces the template. Work on another parent is cancelled at once, since its block has lost; work on the same
    /// parent goes on, since a block found on it is as good as one from the newer template. Returns whether the queue is
    /// still open.
    pub fn set_template(&self, template: Option<&EngineTemplate>) -> bool {
        let template = template.and_then(|template| {
            let difficulty = Difficulty::new(template.difficulty).ok()?;
            Some((
                Template {
                    pre_hash: template.pre_hash.0,
                    difficulty,
                },
                template.parent.0,
            ))
        });
        let parent = template.as_ref().map(|(_, parent)| *parent);
        let mut state = self.state.lock();
        let is_open = !state.is_closed;
        state.template = template.filter(|_| is_open);
        state.cancel_where(|run| Some(run.parent) != parent);
        self.changed.notify_all();
        is_open
    }

    /// Keeps a device from filler for a reason, and stops what filler it runs; with `None` it may go on.
    pub fn hold(&self, device: usize, reason: Option<Hold>) {
        let mut state = self.state.lock();
        if let Some(held) = state.held.get_mut(device) {
            *held = reason;
        }
        if reason.is_some() {
            state.cancel_where(|run| run.device == device && run.purpose == Purpose::Filler);
        }
        self.changed.notify_all();
    }

    /// The next thing for a device to do.
    pub fn next(&self, device: usize, take: Take) -> Work {
        let mut state = self.state.lock();
        loop {
            if state.roster.serves(device)
                && let Some(work) = state.next_asked_for()
            {
                return work;
            }
            match take {
                Take::RequestNow => return Work::Nothing,
                Take::Now if state.may_fill(device) => return Work::Filler,
                Take::Now => return Work::Nothing,
                Take::Wait { .. } if state.is_closed => return Work::Stop,
                Take::Wait {
                    filler_after: Some(moment),
                } if state.may_fill(device) => {
                    if self.changed.wait_until(&mut state, moment).timed_out() && state.is_idle() {
                        return if state.may_fill(device) {
                            Work::Filler
                        } else {
                            Work::Nothing
                        };
                    }
                }
                Take::Wait { filler_after: None } if state.may_fill(device) => {
                    return Work::Filler;
                }
                Take::Wait { .. } => self.changed.wait(&mut state),
            }
        }
    }

    /// Waits until `moment`, or less if a product comes or the queue closes.
    pub fn rest_until(&self, moment: Instant) {
        let mut state = self.state.lock();
        while !state.is_closed && state.is_idle() {
            if self.changed.wait_until(&mut state, moment).timed_out() {
                return;
            }
        }
    }

    /// Waits until `moment` whatever comes, for a device that can do nothing; less if nothing waits and nothing will.
    pub fn wait_until(&self, moment: Instant) {
        let mut state = self.state.lock();
        while !(state.is_closed && state.is_idle()) {
            if self.changed.wait_until(&mut state, moment).timed_out() {
                return;
            }
        }
    }

    /// Notes a product that is about to run, and gives the template to run it under. What it returns goes to
    /// [`Queue::ran`] afterwards.
    pub fn runs(
        &self,
        device: usize,
        purpose: Purpose,
        cancel: &Cancel,
    ) -> (u64, Option<Template>) {
        let mut state = self.state.lock();
        let id = state.next_run;
        state.next_run += 1;
        let template = state.template;
        if let Some((_, parent)) = template {
            let role = state.roster.role(device);
            state.running.push(Running {
                id,
                device,
                role,
                purpose,
                parent,
                cancel: cancel.clone(),
            });
        }
        // A request that came between this filler's choice and now must not wait for it, nor must whoever held the device.
        if purpose == Purpose::Filler && (!state.is_idle() || !state.may_fill(device)) {
            cancel.cancel();
        }
        (id, template.map(|(template, _)| template))
    }

    /// Forgets a product noted by [`Queue::runs`].
    pub fn ran(&self, id: u64) {
        self.state.lock().running.retain(|run| run.id != id);
    }

    /// Takes no more products and stops mining; what waits is still done.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.template = None;
        state.cancel_where(|_| true);
        self.changed.notify_all();
    }

    /// Closes, and refuses what waits.
    pub fn abandon(&self) {
        self.close();
        let (returned, waiting) = {
            let mut state = self.state.lock();
            state.is_abandoned = true;
            self.changed.notify_all();
            (
                std::mem::take(&mut state.returned),
                std::mem::take(&mut state.requests),
            )
        };
        for active in returned {
            active.fail(MultiplyError::ShuttingDown);
        }
        for request in waiting {
            let _ = request.reply.send(Err(MultiplyError::ShuttingDown));
        }
    }

    /// A device was tried and is not there.
    pub fn missed(&self, device: usize) {
        self.note(|roster| roster.missed(device));
    }

    /// A device that was missed did something.
    pub fn is_back(&self, device: usize) {
        self.note(|roster| roster.is_back(device));
    }

    /// Whether others that stand by do what this device cannot.
    pub fn is_covered(&self, device: usize) -> bool {
        let state = self.state.lock();
        let roster = &state.roster;
        !state.is_closed && roster.role(device) == Role::Regular && roster.standby_serves()
    }

    fn note(&self, note: impl FnOnce(&mut Roster) -> Change) {
        let mut state = self.state.lock();
        match note(&mut state.roster) {
            Change::Nothing => {}
            Change::Needed => {
                tracing::warn!(target: "labora", "no GPU has been there {STANDBY_AFTER} times in a row; the CPU multiplies and mines until one is back");
                self.changed.notify_all();
            }
            Change::Released => {
                state.cancel_where(|run| {
                    run.purpose == Purpose::Filler && run.role == Role::Standby
                });
                tracing::info!(target: "labora", "a GPU is back; the CPU stands by again");
            }
        }
    }

    /// A device's thread ends. After the last nothing can be computed, so what waits is refused.
    pub fn device_gone(&self, device: usize) {
        // At the end of all, none takes another's place.
        if !self.state.lock().is_closed {
            self.note(|roster| roster.gone(device));
        }
        let left = {
            let mut state = self.state.lock();
            state.devices = state.devices.saturating_sub(1);
            state.devices
        };
        if left == 0 {
            self.abandon();
        }
    }

    pub fn observe(&self) -> Observed {
        let state = self.state.lock();
        Observed {
            length: state.returned.len() + state.requests.len(),
            is_mining: state.devices > 0
                && (0..state.held.len()).any(|device| state.may_fill(device)),
            held: (0..state.held.len())
                .map(|device| state.held_by(device))
                .collect(),
        }
    }
}

impl State {
    /// Whether nobody waits for a product that no device has.
    fn is_idle(&self) -> bool {
        self.returned.is_empty() && self.requests.is_empty()
    }

    /// Whether a device is to mine on filler when nobody asks for anything.
    fn may_fill(&self, device: usize) -> bool {
        self.template.is_some() && self.held_by(device).is_none()
    }

    /// Why a device does no filler, if so.
    fn held_by(&self, device: usize) -> Option<Hold> {
        if self.roster.serves(device) {
            self.held[device]
        } else {
            Some(Hold::Standby)
        }
    }

    /// The next product that somebody still waits for.
    fn next_asked_for(&mut self) -> Option<Work> {
        while let Some(active) = self.returned.pop_front() {
            if !active.is_given_up() {
                return Some(Work::Resume(active));
            }
        }
        while let Some(request) = self.requests.pop_front() {
            // Whoever gave up waiting needs no product.
            if !request.reply.is_closed() {
                return Some(Work::Request(request));
            }
        }
        None
    }

    fn cancel_where(&self, is_in_the_way: impl Fn(&Running) -> bool) {
        self.running
            .iter()
            .filter(|run| is_in_the_way(run))
            .for_each(|run| run.cancel.cancel());
    }
}
