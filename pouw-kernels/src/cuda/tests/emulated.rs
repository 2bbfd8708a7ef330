//! A driver whose device memory is host memory and whose kernels are the same source run on the host. What is queued runs
//! as late as possible and in any order that streams and events allow, so that a missing wait gives wrong results. It
//! runs out of memory and loses the device when its world says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use labora_emulation::{Target, launch_on};
use parking_lot::Mutex;
use zerocopy::IntoBytes;

use crate::cuda::driver::{
    Address, Copied, Driver, Event, Facts, Fault, Launch, Open, Pinned, Stream, TensorMap, Tiled,
};
use crate::error::DeviceError;

/// What a test sets and sees, across all openings of one device.
#[derive(Debug, Default)]
pub struct World {
    /// Bytes that the device has.
    pub memory: u64,
    /// Bytes that somebody else has come to use since it was opened.
    pub others: u64,
    /// Copies and launches after which the device is lost; counted down.
    pub lose_after: Option<u64>,
    /// Kernels that are queued do not begin, as behind one that hangs.
    pub hangs: bool,
    /// Devices that were given up.
    pub given_up: u32,
    /// Openings that fail.
    pub refuse: u32,
    /// How often it was opened.
    pub opened: u32,
    /// Most bytes that were allocated at once.
    pub peak: u64,
    /// Bytes that are allocated now.
    pub held: u64,
    pub uploaded: u64,
    /// Copies and launches that ran.
    pub ran: u64,
    pub launched: Vec<&'static str>,
    /// Kernels that had to run before the host could write to pinned memory: time in which it queues nothing.
    pub waited_for: u64,
    /// Running kernels panic: a defect.
    pub broken: bool,
}

pub type Shared = Arc<Mutex<World>>;

pub fn world(memory: u64) -> Shared {
    Arc::new(Mutex::new(World {
        memory,
        ..World::default()
    }))
}

/// Opens a device of that compute capability in `world`.
pub fn open(world: &Shared, capability: (u32, u32), seed: u64) -> Open {
    let world = Arc::clone(world);
    Box::new(move || {
        let mut now = world.lock();
        if now.refuse > 0 {
            now.refuse -= 1;
            return Err(DeviceError::Lost("CUDA_ERROR_NO_DEVICE".into()));
        }
        now.opened += 1;
        let facts = Facts {
            name: "an emulated GPU".into(),
            capability,
            multiprocessors: 3,
            free_bytes: now.memory - now.others,
        };
        Ok(Box::new(Emulated {
            facts,
            world: Arc::clone(&world),
            dice: seed | 1,
            memory: BTreeMap::new(),
            pinned: Vec::new(),
            queues: Default::default(),
            events: Vec::new(),
            lost: None,
            given_up: false,
        }))
    })
}

#[derive(Clone, Copy)]
#[repr(C, align(256))]
struct Line([u8; 256]);

enum Entry {
    Upload(Copied),
    Download(Copied),
    Clear(Address, u64),
    Launch(Launch),
    Record(usize, u64),
    Hold(usize, u64),
}

/// How often an event was recorded, how far that has come, and when.
struct Mark {
    recorded: u64,
    passed: u64,
    at: Instant,
}

struct Emulated {
    facts: Facts,
    world: Shared,
    dice: u64,
    memory: BTreeMap<Address, (Vec<Line>, u64)>,
    pinned: Vec<Vec<u8>>,
    queues: [VecDeque<Entry>; 3],
    events: Vec<Mark>,
    lost: Option<String>,
    given_up: bool,
}

impl Emulated {
    fn check(&self) -> Result<(), Fault> {
        self.lost
            .clone()
            .map_or(Ok(()), |why| Err(Fault::Lost(why)))
    }

    fn push(&mut self, stream: Stream, entry: Entry) -> Result<(), Fault> {
        self.check()?;
        self.queues[stream as usize].push_back(entry);
        Ok(())
    }

    fn roll(&mut self, below: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % below as u64) as usize
    }

    /// Runs one entry of any stream whose first may run; false if there is none.
    fn run_one(&mut self) -> Result<bool, Fault> {
        self.check()?;
        assert!(!self.given_up, "waits for what was given up");
        let hangs = self.world.lock().hangs;
        let ready: Vec<usize> = (0..3)
            .filter(|&stream| match self.queues[stream].front() {
                None => false,
                Some(Entry::Launch(_)) if hangs => false,
                Some(Entry::Hold(event, record)) => self.events[*event].passed >= *record,
                Some(_) => true,
            })
            .collect();
        if ready.is_empty() {
            return Ok(false);
        }
        let stream = ready[self.roll(ready.len())];
        let entry = self.queues[stream].pop_front().unwrap();
        if !matches!(entry, Entry::Record(..) | Entry::Hold(..)) {
            let mut world = self.world.lock();
            world.ran += 1;
            if let Some(left) = &mut world.lose_after {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    world.lose_after = None;
                    drop(world);
                    self.lost = Some("CUDA_ERROR_LAUNCH_FAILED: as the test wants it".into());
                    return self.check().map(|()| true);
                }
            }
        }
        match entry {
            Entry::Record(event, record) => {
                self.events[event].passed = record;
                self.events[event].at = Instant::now();
            }
            Entry::Hold(..) => {}
            Entry::Upload(copy) => {
                self.world.lock().uploaded += copy.bytes as u64;
                let from = self.pinned[copy.host.0][copy.offset..][..copy.bytes].to_vec();
                self.bytes(copy.device, copy.bytes as u64)
                    .copy_from_slice(&from);
            }
            Entry::Download(copy) => {
                let from = self.bytes(copy.device, copy.bytes as u64).to_vec();
                self.pinned[copy.host.0][copy.offset..][..copy.bytes].copy_from_slice(&from);
            }
            Entry::Clear(at, bytes) => self.bytes(at, bytes).fill(0),
            Entry::Launch(launch) => self.run_kernel(&launch),
        }
        Ok(true)
    }

    fn run_kernel(&mut self, launch: &Launch) {
        let mut world = self.world.lock();
        world.launched.push(launch.kernel);
        assert!(!world.broken, "broken as the test wants it");
        drop(world);
        let (major, minor) = self.facts.capability;
        let target = Target::of_capability(major * 10 + minor);
        let (grid, threads) = ([launch.grid, 1, 1], [launch.threads, 1, 1]);
        // SAFETY: arguments are as the kernel declares them, or these tests find out; addresses among them are of `memory`.
        let ran = unsafe {
            launch_on(
                target,
                launch.kernel,
                grid,
                threads,
                launch.shared_bytes,
                &launch.args.addresses(),
            )
        };
        if let Err(error) = ran {
            panic!("{error}");
        }
    }

    /// Device memory; panics where it is not all of one allocation.
    fn bytes(&mut self, at: Address, bytes: u64) -> &mut [u8] {
        let (start, (lines, length)) = self
            .memory
            .range_mut(..=at)
            .next_back()
            .expect("no such memory");
        let offset = at - start;
        assert!(
            offset + bytes <= *length,
            "{bytes} bytes at {offset} of {length}"
        );
        let all: &mut [[u8; 256]] = zerocopy_lines(lines);
        &mut all.as_flattened_mut()[offset as usize..][..bytes as usize]
    }

    /// Whether it comes to that; where nothing hangs it does, or what is waited for was never queued.
    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<bool, Fault> {
        while !done(self) {
            if !self.run_one()? {
                assert!(self.world.lock().hangs, "waits for what is never queued");
                return Ok(false);
            }
        }
        self.check().map(|()| true)
    }

    fn quiet(&mut self, pinned: Pinned) -> Result<(), Fault> {
        let is_quiet = self.until(|emulated| {
            !emulated.queues.iter().flatten().any(
                |entry| matches!(entry, Entry::Upload(copy) | Entry::Download(copy) if copy.host == pinned),
            )
        })?;
        assert!(
            is_quiet,
            "a copy waits for a kernel that the host did not wait for"
        );
        Ok(())
    }
}

/// Lines as bytes.
fn zerocopy_lines(lines: &mut [Line]) -> &mut [[u8; 256]] {
    // SAFETY: a line is 256 bytes and nothing else.
    unsafe { &mut *(std::ptr::from_mut(lines) as *mut [[u8; 256]]) }
}

impl Driver for Emulated {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn alloc(&mut self, bytes: u64) -> Result<Address, Fault> {
        self.check()?;
        let mut world = self.world.lock();
        let used: u64 = self.memory.values().map(|(_, bytes)| bytes).sum();
        if used + bytes > world.memory - world.others {
            return Err(Fault::OutOfMemory { needs: bytes });
        }
        world.peak = world.peak.max(used + bytes);
        world.held = used + bytes;
        // Not zeros: who reads what was never written shall see it.
        let mut lines = vec![Line([0xa5; 256]); bytes.div_ceil(256) as usize];
        let at = lines.as_mut_ptr() as Address;
        self.memory.insert(at, (lines, bytes));
        Ok(at)
    }

    fn free(&mut self, at: Address) -> Result<(), Fault> {
        // As the real one, which waits for all kernels and copies.
        while self.run_one()? {}
        let (_, bytes) = self.memory.remove(&at).expect("freed twice");
        self.world.lock().held -= bytes;
        Ok(())
    }

    fn pin(&mut self, bytes: usize) -> Result<Pinned, Fault> {
        self.check()?;
        self.pinned.push(vec![0; bytes]);
        Ok(Pinned(self.pinned.len() - 1))
    }

    fn event(&mut self) -> Result<Event, Fault> {
        self.check()?;
        self.events.push(Mark {
            recorded: 0,
            passed: 0,
            at: Instant::now(),
        });
        Ok(Event(self.events.len() - 1))
    }

    fn write(&mut self, to: Pinned, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        let before = self.world.lock().launched.len();
        self.quiet(to)?;
        {
            let mut world = self.world.lock();
            world.waited_for += (world.launched.len() - before) as u64;
        }
        self.pinned[to.0][offset..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: Pinned, offset: usize, bytes: &mut [u8]) -> Result<(), Fault> {
        self.quiet(from)?;
        bytes.copy_from_slice(&self.pinned[from.0][offset..][..bytes.len()]);
        Ok(())
    }

    fn upload(&mut self, copy: Copied) -> Result<(), Fault> {
        self.push(copy.stream, Entry::Upload(copy))
    }

    fn download(&mut self, copy: Copied) -> Result<(), Fault> {
        self.push(copy.stream, Entry::Download(copy))
    }

    fn clear(&mut self, stream: Stream, at: Address, bytes: u64) -> Result<(), Fault> {
        self.push(stream, Entry::Clear(at, bytes))
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), Fault> {
        self.push(Stream::Compute, Entry::Launch(launch.clone()))
    }

    fn blocks(&mut self, _: &'static str, _: u32, _: u32) -> Result<u32, Fault> {
        self.check()?;
        Ok(1)
    }

    fn tensor_map(&mut self, of: Tiled) -> Result<TensorMap, Fault> {
        self.check()?;
        let mut map = [0; 16];
        let columns = u64::from(of.columns);
        map[..4].copy_from_slice(&[of.at, columns, u64::from(of.rows), columns]);
        map[4..6].as_mut_bytes()[..12].copy_from_slice([128, of.box_rows, 128].as_bytes());
        Ok(TensorMap(map))
    }

    fn record(&mut self, event: Event, stream: Stream) -> Result<(), Fault> {
        self.events[event.0].recorded += 1;
        let record = self.events[event.0].recorded;
        self.push(stream, Entry::Record(event.0, record))
    }

    fn hold(&mut self, stream: Stream, event: Event) -> Result<(), Fault> {
        let record = self.events[event.0].recorded;
        self.push(stream, Entry::Hold(event.0, record))
    }

    fn is_done(&mut self, event: Event) -> Result<bool, Fault> {
        self.check()?;
        for _ in 0..self.roll(4) {
            self.run_one()?;
        }
        let mark = &self.events[event.0];
        Ok(mark.passed == mark.recorded)
    }

    fn wait(&mut self, event: Event, _: Duration) -> Result<bool, Fault> {
        self.until(|emulated| {
            let mark = &emulated.events[event.0];
            mark.passed == mark.recorded
        })
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.world.lock().given_up += 1;
    }

    fn elapsed_ms(&mut self, from: Event, to: Event) -> Result<f32, Fault> {
        self.check()?;
        let elapsed = self.events[to.0].at - self.events[from.0].at;
        Ok(elapsed.as_secs_f32() * 1000.0)
    }
}
