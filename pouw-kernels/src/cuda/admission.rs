//! Whether a job may start: memory is found for it, and what is there of it already.

use std::rc::Rc;

use super::Ask;
use super::driver::Fault;
use super::kernels::Mode;
use super::machine::Gpu;
use super::memory::{Block, Kept, Key};
use super::multiply::{Way, fastest};
use super::plan::{Panels, Plan};
use crate::device::{Job, Outcome, Want};
use crate::error::DeviceError;

/// What became of a job that was looked at.
pub(super) enum Admission {
    Taken(Box<Start>),
    Answered(Result<Outcome, DeviceError>),
    /// Memory is missing that a job in flight has.
    Later,
}

/// A job that may start: what is to be done, where.
pub(super) struct Start {
    pub plan: Plan,
    pub slot: usize,
    pub arena: Block,
    pub places: Places,
}

impl Gpu<'_> {
    /// How an m×n product is done soonest.
    pub(super) fn way(&self, sides: (u32, u32), mode: Mode) -> Way {
        let multiprocessors = self.driver.facts().multiprocessors;
        match fastest(&self.ways, sides, mode, multiprocessors) {
            Some(way) => way,
            // Every generation has some.
            None => unreachable!("no way to multiply"),
        }
    }

    /// Finds memory for a job. `alone`: none is in flight, so there is nothing to wait for.
    pub(super) fn admit(&mut self, ask: &Ask, alone: bool) -> Result<Admission, Fault> {
        let job = &ask.job;
        let template = job.template.filter(|_| !ask.cancel.is_cancelled());
        if template.is_none() && job.want == Want::TicketsOnly {
            return Ok(Admission::Answered(Ok(unmined(0, None))));
        }
        // It was checked when it was queued, but the GPU may have been opened again since, with less memory free.
        let (got, max) = (Plan::most_bytes(job), self.memory.budget());
        if got > max {
            return Ok(Admission::Answered(Err(DeviceError::TooLarge { got, max })));
        }
        if let Some(template) = template {
            self.memory.forget_other_templates(&template.pre_hash);
        }
        let mut plan = Plan::new(job, template);
        let mut places = self.find(&mut plan, job);
        let mut taken = self.take(&plan, &mut places)?;
        if taken.is_none() && alone {
            // Blocks that are larger than needed may have cost the budget what is missing.
            drop(places);
            self.memory.empty(&mut *self.driver)?;
            plan = Plan::new(job, template);
            places = self.find(&mut plan, job);
            taken = self.take(&plan, &mut places)?;
        }
        let Some(arena) = taken else {
            let refused = DeviceError::OutOfMemory { needs: got };
            return Ok(if alone {
                Admission::Answered(Err(refused))
            } else {
                Admission::Later
            });
        };
        // There is a free slot wherever there is a place.
        let Some(slot) = self.slots.iter().position(|slot| slot.free) else {
            unreachable!("more jobs in flight than slots")
        };
        self.slots[slot].free = false;
        Ok(Admission::Taken(Box::new(Start {
            plan,
            slot,
            arena,
            places,
        })))
    }

    /// Finds what is there already of a job, and has the plan leave it out.
    fn find(&mut self, plan: &mut Plan, job: &Job) -> Places {
        let mut places = Places::default();
        let Some(template) = plan.template else {
            return places;
        };
        if let Some(root) = plan.root_b {
            let (n, k) = (plan.n, plan.k);
            let key = Key::Panels {
                pre_hash: template.pre_hash,
                root,
                n,
                k,
            };
            places.panels = self.memory.find(key);
            plan.send_bt = places.panels.is_none();
        }
        if let (Some(family), Some(_)) = (job.a.family(), plan.root_a) {
            plan.own_a = false;
            places.a = self.memory.find(Key::Family(family));
        }
        places.fresh_panels = places.panels.is_none();
        places.fresh_a = !plan.own_a && places.a.is_none();
        places
    }

    /// Takes the memory that is missing: all of it or none.
    fn take(&mut self, plan: &Plan, places: &mut Places) -> Result<Option<Block>, Fault> {
        let driver = &mut *self.driver;
        if places.fresh_panels && plan.mode != Mode::Plain {
            let bytes = Panels::new(plan.n, plan.k).bytes;
            let Some(block) = self.memory.take(driver, bytes)? else {
                return Ok(None);
            };
            places.panels = Some(self.memory.keep(block));
        }
        if places.fresh_a {
            let bytes = u64::from(plan.m) * u64::from(plan.k);
            let Some(block) = self.memory.take(driver, bytes)? else {
                return Ok(None);
            };
            places.a = Some(self.memory.keep(block));
        }
        // Kept blocks without a key go back as soon as nobody holds them, so nothing is lost where this fails.
        self.memory.take(driver, plan.layout().bytes)
    }
}

/// Blocks that outlive the job, and whether this job fills them.
#[derive(Default)]
pub(super) struct Places {
    pub panels: Option<Rc<Kept>>,
    pub fresh_panels: bool,
    pub a: Option<Rc<Kept>>,
    pub fresh_a: bool,
}

/// The outcome of a job without winners.
pub(super) fn unmined(macs: u64, product: Option<Vec<i32>>) -> Outcome {
    Outcome {
        winners: Vec::new(),
        product,
        macs,
        mined: false,
    }
}
