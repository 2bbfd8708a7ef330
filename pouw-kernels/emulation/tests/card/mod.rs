//! A GPU as the tests see it: buffers in its memory, and one function a step of a mined product.

#![allow(dead_code, reason = "each test binary uses its part")]

mod numbers;

use core::ffi::c_void;

use labora_emulation::{LaunchError, Target, launch_on};
pub use numbers::Numbers;
use zerocopy::IntoBytes;

/// A number of `cuda/tiles.h`.
pub fn tile(name: &str) -> u32 {
    include_str!("../../../cuda/tiles.h")
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("{name} in tiles.h"))
}

/// Device memory, aligned to 16 bytes, between two guards that must not change.
pub struct Buffer {
    quads: Vec<u128>,
    len: usize,
}

/// Quads of a guard on either side.
const GUARD: usize = 8;
const FILL: u128 = 0x5c5c_5c5c_5c5c_5c5c_5c5c_5c5c_5c5c_5c5c;

impl Buffer {
    /// `len` bytes that hold no useful values.
    pub fn new(len: usize) -> Buffer {
        Buffer {
            quads: vec![FILL; len.div_ceil(16) + 2 * GUARD],
            len,
        }
    }

    pub fn of(values: &(impl IntoBytes + zerocopy::Immutable + ?Sized)) -> Buffer {
        let bytes = values.as_bytes();
        let mut buffer = Buffer::new(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        buffer
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.quads.as_mut_bytes()[16 * GUARD..][..self.len]
    }

    pub fn bytes(&self) -> &[u8] {
        &self.quads.as_bytes()[16 * GUARD..][..self.len]
    }

    pub fn i8s(&self) -> Vec<i8> {
        self.bytes().iter().map(|byte| *byte as i8).collect()
    }

    pub fn u32s(&self) -> Vec<u32> {
        let words = self.bytes().as_chunks::<4>().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    pub fn i32s(&self) -> Vec<i32> {
        self.u32s().into_iter().map(|word| word as i32).collect()
    }

    /// What a kernel is given.
    pub fn at(&mut self) -> *mut u8 {
        self.bytes_mut().as_mut_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = self.quads.as_bytes();
        let whole = bytes[..16 * GUARD]
            .iter()
            .chain(&bytes[16 * GUARD + self.len..])
            .all(|byte| *byte == FILL as u8);
        if !std::thread::panicking() {
            assert!(
                whole,
                "a kernel wrote outside a buffer of {} bytes",
                self.len
            );
        }
    }
}

/// Addresses of a kernel's arguments. They are temporaries: to be used within the call that launches.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { &[$(core::ptr::from_ref(&$value).cast::<c_void>()),*] };
}

/// `ProductArgs` of `cuda/types.cuh`.
#[repr(C)]
pub struct ProductArgs {
    pub a: *mut u8,
    pub b: *mut u8,
    pub c: *mut u8,
    pub left: *mut u8,
    pub right: *mut u8,
    pub midstate: *mut u8,
    pub target: *mut u8,
    pub winners: *mut u8,
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub mode: u32,
}

/// Words of `Seeds`, and bytes of `Sparse`.
pub const SEEDS_LEN: usize = 24 * 4;
pub const SPARSE_LEN: usize = 272;

/// A tile and its ticket.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket {
    pub row: u32,
    pub column: u32,
    pub digest: [u8; 32],
}

/// The winners' list, sorted, and the count that goes on past its end.
pub fn winners(list: &Buffer) -> (u32, Vec<Ticket>) {
    let words = list.u32s();
    let kept = words[0].min(tile("LABORA_MAX_WINNERS")) as usize;
    let mut tickets: Vec<_> = words[4..]
        .as_chunks::<10>()
        .0
        .iter()
        .take(kept)
        .map(|entry| {
            let mut digest = [0; 32];
            for (word, bytes) in entry[2..].iter().zip(digest.as_chunks_mut().0) {
                *bytes = word.to_be_bytes();
            }
            Ticket {
                row: entry[0],
                column: entry[1],
                digest,
            }
        })
        .collect();
    tickets.sort();
    (words[0], tickets)
}

pub fn new_winners() -> Buffer {
    let len = 16 + 40 * tile("LABORA_MAX_WINNERS") as usize;
    Buffer::of(&vec![0_u8; len][..])
}

/// A card of one target.
#[derive(Clone, Copy, Debug)]
pub struct Card(pub Target);

impl Card {
    fn launch(
        self,
        kernel: &str,
        grid: u32,
        threads: u32,
        shared: u32,
        arguments: &[*const c_void],
    ) -> Result<(), LaunchError> {
        // SAFETY: each caller below passes the kernel's parameters by type, and buffers of the
        // size that the kernel is documented to use; guards around them tell if it is not so.
        unsafe {
            launch_on(
                self.0,
                kernel,
                [grid, 1, 1],
                [threads, 1, 1],
                shared,
                arguments,
            )
        }
    }

    /// Chaining values of all chunks.
    pub fn chunks(self, data: &mut Buffer) -> Buffer {
        let bytes = data.len as u64;
        let chunks = bytes.div_ceil(1024) as u32;
        let mut out = Buffer::new(32 * chunks as usize);
        let threads = tile("LABORA_COMMIT_THREADS");
        self.launch(
            "labora_chunks",
            chunks.div_ceil(threads),
            threads,
            0,
            arguments![data.at(), bytes, out.at()],
        )
        .unwrap();
        out
    }

    /// Again the values of `count` chunks from `first` on.
    pub fn chunks_from(self, data: &mut Buffer, first: u64, count: u64, values: &mut Buffer) {
        let threads = tile("LABORA_COMMIT_THREADS");
        self.launch(
            "labora_chunks_from",
            (count as u32).div_ceil(threads),
            threads,
            0,
            arguments![data.at(), data.len as u64, first, count, values.at()],
        )
        .unwrap();
    }

    /// The root of a tree of at least two chunks.
    pub fn root(self, mut values: Buffer) -> Buffer {
        let threads = tile("LABORA_COMMIT_THREADS");
        while values.len > 32 {
            let count = values.len as u32 / 32;
            let above = count.div_ceil(2);
            let mut out = Buffer::new(32 * above as usize);
            let is_root = 1_u32;
            self.launch(
                "labora_parents",
                above.div_ceil(threads),
                threads,
                0,
                arguments![values.at(), out.at(), count, is_root],
            )
            .unwrap();
            values = out;
        }
        values
    }

    /// The root of a tree of at least two chunks, eight levels a launch.
    pub fn root_by_eights(self, mut values: Buffer) -> Buffer {
        while values.len > 32 {
            let count = values.len as u32 / 32;
            let blocks = count.div_ceil(tile("LABORA_TREE_VALUES"));
            let mut out = Buffer::new(32 * blocks as usize);
            let is_last = u32::from(blocks == 1);
            self.launch(
                "labora_tree",
                blocks,
                tile("LABORA_TREE_THREADS"),
                tile("LABORA_TREE_SHARED"),
                arguments![values.at(), out.at(), count, is_last],
            )
            .unwrap();
            values = out;
        }
        values
    }

    /// Both seeds and the midstate.
    pub fn seeds(
        self,
        root_a: &mut Buffer,
        root_b: &mut Buffer,
        pre_hash: &[u8; 32],
        [m, n, k]: [u32; 3],
    ) -> Buffer {
        let mut pre_hash = Buffer::of(pre_hash);
        let mut out = Buffer::new(SEEDS_LEN);
        self.launch(
            "labora_seeds",
            1,
            1,
            0,
            arguments![root_a.at(), root_b.at(), pre_hash.at(), m, n, k, out.at()],
        )
        .unwrap();
        out
    }

    /// The sparse factor from the seed at `seed`.
    pub fn sparse(self, seed: *mut u8, windows: u32) -> Buffer {
        let mut out = Buffer::new(SPARSE_LEN * windows as usize);
        self.launch(
            "labora_sparse",
            windows.div_ceil(tile("LABORA_SPARSE_WARPS")),
            tile("LABORA_SPARSE_THREADS"),
            tile("LABORA_SPARSE_SHARED"),
            arguments![seed, windows, out.at()],
        )
        .unwrap();
        out
    }

    /// The noised matrix and the dense factor.
    pub fn noise(
        self,
        matrix: &mut Buffer,
        k: u32,
        seed: *mut u8,
        sparse: &mut Buffer,
    ) -> (Buffer, Buffer) {
        let rows = matrix.len as u32 / k;
        let (mut out, mut dense) = (Buffer::new(matrix.len), Buffer::new(64 * rows as usize));
        self.launch(
            "labora_noise",
            rows.div_ceil(tile("LABORA_NOISE_ROWS")),
            tile("LABORA_NOISE_THREADS"),
            tile("LABORA_NOISE_SHARED"),
            arguments![
                matrix.at(),
                out.at(),
                rows,
                k,
                seed,
                sparse.at(),
                dense.at()
            ],
        )
        .unwrap();
        (out, dense)
    }

    /// The correction's operand of one side.
    pub fn onto(
        self,
        matrix: &mut Buffer,
        k: u32,
        sparse: &mut Buffer,
        dense: &mut Buffer,
        side: u32,
    ) -> Buffer {
        let rows = matrix.len as u32 / k;
        let mut out = Buffer::new((rows * tile("LABORA_CORRECTION ")) as usize);
        self.launch(
            "labora_onto",
            rows.div_ceil(tile("LABORA_ONTO_ROWS")),
            tile("LABORA_ONTO_THREADS"),
            tile("LABORA_ONTO_SHARED"),
            arguments![
                matrix.at(),
                rows,
                k,
                sparse.at(),
                dense.at(),
                side,
                out.at()
            ],
        )
        .unwrap();
        out
    }

    /// The product of `args.mode` by `mma` in a tiling, on `grid` blocks.
    pub fn product_mma(
        self,
        tiling: MmaTiling,
        args: ProductArgs,
        grid: u32,
    ) -> Result<(), LaunchError> {
        self.product_mma_with(tiling, args, grid, self.mma_shared(tiling))
    }

    /// As it, with a given size of shared memory.
    pub fn product_mma_with(
        self,
        tiling: MmaTiling,
        args: ProductArgs,
        grid: u32,
        shared: u32,
    ) -> Result<(), LaunchError> {
        let name = match tiling {
            MmaTiling::Large => String::new(),
            MmaTiling::Square => "128x128_".into(),
            MmaTiling::Small => "64x128_".into(),
        };
        let kernel = format!("labora_product_mma_{name}{}", args.mode);
        let threads = tile("LABORA_MMA_THREADS");
        self.launch(&kernel, grid, threads, shared, arguments![args])
    }

    fn mma_shared(self, tiling: MmaTiling) -> u32 {
        let name = match tiling {
            MmaTiling::Large => "MMA",
            MmaTiling::Square => "MMA_128X128",
            MmaTiling::Small => "MMA_64X128",
        };
        // The blank, for the name is the start of another.
        let end = match self.0 {
            Target::Turing => "_TURING ",
            Target::Hopper => " ",
        };
        tile(&format!("LABORA_{name}_SHARED{end}"))
    }
}

/// What a block of the mma product makes of C at a time.
#[derive(Clone, Copy, Debug)]
pub enum MmaTiling {
    /// 128×256.
    Large,
    /// 128×128.
    Square,
    /// 64×128.
    Small,
}

impl MmaTiling {
    pub const ALL: [MmaTiling; 3] = [MmaTiling::Large, MmaTiling::Square, MmaTiling::Small];
}
