//! The device's memory: a budget that is never exceeded, blocks that are used again, and what is kept from one job to the
//! next: noised Bt while its template stands, and filler's A.

use std::cell::Cell;
use std::rc::Rc;

use labora_pouw::Hash;

use super::driver::{Address, Driver, Fault};
use crate::matrix::Family;

/// A piece of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub at: Address,
    pub bytes: u64,
}

/// What a kept block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Noised Bt with its factors. What the noise follows from: m is not in it.
    Panels {
        pre_hash: Hash,
        root: Hash,
        n: u32,
        k: u32,
    },
    /// Entries of the last matrix of a family.
    Family(Family),
}

/// A block that outlives its job.
#[derive(Debug)]
pub(super) struct Kept {
    pub block: Block,
    /// `None`: it holds nothing that another job may use.
    key: Cell<Option<Key>>,
    used: Cell<u64>,
}

/// All memory that the device has taken.
#[derive(Debug)]
pub(super) struct Memory {
    budget: u64,
    /// Bytes of all blocks: lent, free and kept.
    taken: u64,
    free: Vec<Block>,
    kept: Vec<Rc<Kept>>,
    clock: u64,
}

impl Memory {
    pub(super) fn new(budget: u64) -> Self {
        Memory {
            budget,
            taken: 0,
            free: Vec::new(),
            kept: Vec::new(),
            clock: 0,
        }
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// A block of at least `bytes`; `None` if it must wait until another job gives its own back. What nobody uses makes
    /// room: free blocks first, then what was not used for longest.
    pub(super) fn take(
        &mut self,
        driver: &mut dyn Driver,
        bytes: u64,
    ) -> Result<Option<Block>, Fault> {
        // A block twice as large would have the budget spent on nothing.
        let fits = |block: &Block| block.bytes >= bytes && block.bytes / 2 <= bytes;
        let best = (0..self.free.len())
            .filter(|&at| fits(&self.free[at]))
            .min_by_key(|&at| self.free[at].bytes);
        if let Some(at) = best {
            return Ok(Some(self.free.swap_remove(at)));
        }
        while self.taken.saturating_add(bytes) > self.budget {
            if !self.drop_one(driver)? {
                return Ok(None);
            }
        }
        loop {
            match driver.alloc(bytes) {
                Ok(at) => {
                    self.taken += bytes;
                    return Ok(Some(Block { at, bytes }));
                }
                // Somebody else has what was free when the device was opened.
                Err(Fault::OutOfMemory { .. }) if self.drop_one(driver)? => {}
                Err(Fault::OutOfMemory { .. }) => return Ok(None),
                Err(lost) => return Err(lost),
            }
        }
    }

    /// Gives all that nobody uses back to the driver.
    pub(super) fn empty(&mut self, driver: &mut dyn Driver) -> Result<(), Fault> {
        while self.drop_one(driver)? {}
        Ok(())
    }

    /// Takes a block back; its memory serves the next.
    pub(super) fn give_back(&mut self, block: Block) {
        self.free.push(block);
    }

    /// Keeps a block beyond its job, without a key as yet.
    pub(super) fn keep(&mut self, block: Block) -> Rc<Kept> {
        let kept = Rc::new(Kept {
            block,
            key: Cell::new(None),
            used: Cell::new(self.clock),
        });
        self.kept.push(Rc::clone(&kept));
        kept
    }

    /// What is kept under `key`.
    pub(super) fn find(&mut self, key: Key) -> Option<Rc<Kept>> {
        self.clock += 1;
        let found = self.kept.iter().find(|kept| kept.key.get() == Some(key))?;
        found.used.set(self.clock);
        Some(Rc::clone(found))
    }

    /// Says what a kept block holds, from now on for all jobs; what was kept under that key is forgotten.
    pub(super) fn name(&mut self, kept: &Rc<Kept>, key: Key) {
        for other in &self.kept {
            if other.key.get() == Some(key) {
                other.key.set(None);
            }
        }
        self.clock += 1;
        kept.used.set(self.clock);
        kept.key.set(Some(key));
    }

    /// Forgets panels of any template but this one.
    pub(super) fn forget_other_templates(&mut self, standing: &Hash) {
        for kept in &self.kept {
            if matches!(kept.key.get(), Some(Key::Panels { pre_hash, .. }) if pre_hash != *standing)
            {
                kept.key.set(None);
            }
        }
    }

    /// Gives kept blocks free that hold nothing and that no job uses.
    pub(super) fn tidy(&mut self) {
        let free = &mut self.free;
        self.kept.retain(|kept| {
            let stays = Rc::strong_count(kept) > 1 || kept.key.get().is_some();
            if !stays {
                free.push(kept.block);
            }
            stays
        });
    }

    /// Gives one block back to the driver; false if all are in use.
    fn drop_one(&mut self, driver: &mut dyn Driver) -> Result<bool, Fault> {
        self.tidy();
        let block = match self.free.pop() {
            Some(block) => block,
            None => {
                let idle = (0..self.kept.len()).filter(|&at| Rc::strong_count(&self.kept[at]) == 1);
                let Some(oldest) = idle.min_by_key(|&at| self.kept[at].used.get()) else {
                    return Ok(false);
                };
                self.kept.swap_remove(oldest).block
            }
        };
        driver.free(block.at)?;
        self.taken -= block.bytes;
        Ok(true)
    }
}
