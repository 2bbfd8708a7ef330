//! The kernels as the host launches them: names, arguments, blocks. What they compute stands in `cuda/*.cu`; sizes are
//! those of `cuda/tiles.h`, which a test compares.

pub(super) use super::driver::Launch;
use super::driver::{Address, Args, TensorMap};
pub(super) use super::multiply::{Mode, Multiply, Tiling};

/// Winners that one launch lists.
pub(super) const MAX_LISTED: usize = 256;
/// Inner length of the correction's operands.
pub(super) const CORRECTION: u32 = 320;
const COMMIT_THREADS: u32 = 128;
const TREE_THREADS: u32 = 128;
const TREE_SHARED: u32 = 8192;
const SPARSE_THREADS: u32 = 128;
const SPARSE_WARPS: u32 = 4;
const SPARSE_SHARED: u32 = 4096;
const NOISE_THREADS: u32 = 256;
const NOISE_ROWS: u32 = 16;
const NOISE_SHARED: u32 = 1024;
const ONTO_THREADS: u32 = 256;
const ONTO_ROWS: u32 = 16;
const ONTO_SHARED: u32 = 16_384;

/// Bytes of the seeds of a product: two, and the tickets' midstate.
pub(super) const SEEDS_BYTES: u64 = 96;
/// Bytes of a sparse factor's window.
pub(super) const SPARSE_BYTES: u64 = 272;
/// Bytes of a listed winner: row, column, ticket.
pub(super) const WINNER_BYTES: usize = 40;
/// Bytes of a list of winners: the count, padding, the list.
pub(super) const WINNERS_BYTES: usize = 16 + MAX_LISTED * WINNER_BYTES;

/// Chaining values of all chunks of `bytes` bytes.
pub(super) fn chunks(data: Address, bytes: u64, to: Address) -> Launch {
    let count = bytes.div_ceil(1024) as u32;
    Launch {
        kernel: "labora_chunks",
        grid: count.div_ceil(COMMIT_THREADS),
        threads: COMMIT_THREADS,
        shared_bytes: 0,
        args: Args::new().pointer(data).u64(bytes).pointer(to),
    }
}

/// Values that a block of [`tree`] takes to one.
pub(super) const TREE_VALUES: u32 = 256;

/// Eight levels of the tree: `count` values become a 256th as many. Up to 256 become the root.
pub(super) fn tree(from: Address, to: Address, count: u32) -> Launch {
    Launch {
        kernel: "labora_tree",
        grid: count.div_ceil(TREE_VALUES),
        threads: TREE_THREADS,
        shared_bytes: TREE_SHARED,
        args: Args::new()
            .pointer(from)
            .pointer(to)
            .u32(count)
            .u32(u32::from(count <= TREE_VALUES)),
    }
}

/// A product's roots, header hash and sides.
pub(super) struct Bound {
    pub root_a: Address,
    pub root_b: Address,
    pub pre_hash: Address,
    pub m: u32,
    pub n: u32,
    pub k: u32,
}

/// Both seeds and the midstate.
pub(super) fn seeds(of: &Bound, to: Address) -> Launch {
    Launch {
        kernel: "labora_seeds",
        grid: 1,
        threads: 1,
        shared_bytes: 0,
        args: Args::new()
            .pointer(of.root_a)
            .pointer(of.root_b)
            .pointer(of.pre_hash)
            .u32(of.m)
            .u32(of.n)
            .u32(of.k)
            .pointer(to),
    }
}

/// The sparse factor of a seed, for all windows.
pub(super) fn sparse(seed: Address, k: u32, to: Address) -> Launch {
    let windows = k / 64;
    Launch {
        kernel: "labora_sparse",
        grid: windows.div_ceil(SPARSE_WARPS),
        threads: SPARSE_THREADS,
        shared_bytes: SPARSE_SHARED,
        args: Args::new().pointer(seed).u32(windows).pointer(to),
    }
}

/// A matrix and what its noise follows from.
pub(super) struct Noising {
    pub from: Address,
    pub to: Address,
    pub rows: u32,
    pub k: u32,
    pub seed: Address,
    pub sparse: Address,
    /// Where the dense factor goes; 0: nowhere.
    pub dense: Address,
}

pub(super) fn noise(of: &Noising) -> Launch {
    Launch {
        kernel: "labora_noise",
        grid: of.rows.div_ceil(NOISE_ROWS),
        threads: NOISE_THREADS,
        shared_bytes: NOISE_SHARED,
        args: Args::new()
            .pointer(of.from)
            .pointer(of.to)
            .u32(of.rows)
            .u32(of.k)
            .pointer(of.seed)
            .pointer(of.sparse)
            .pointer(of.dense),
    }
}

/// A side of the correction: A with Bt's sparse factor and A's dense one, or noised Bt with A's sparse factor and its own
/// dense one.
pub(super) struct Onto {
    pub from: Address,
    pub rows: u32,
    pub k: u32,
    pub sparse: Address,
    pub dense: Address,
    pub side: Side,
    pub to: Address,
}

/// Which operand of the correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left = 0,
    Right = 1,
}

pub(super) fn onto(of: &Onto) -> Launch {
    Launch {
        kernel: "labora_onto",
        grid: of.rows.div_ceil(ONTO_ROWS),
        threads: ONTO_THREADS,
        shared_bytes: ONTO_SHARED,
        args: Args::new()
            .pointer(of.from)
            .u32(of.rows)
            .u32(of.k)
            .pointer(of.sparse)
            .pointer(of.dense)
            .u32(of.side as u32)
            .pointer(of.to),
    }
}

/// A product's operands; what its mode does not use is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Product {
    pub a: Address,
    pub b: Address,
    pub c: Address,
    pub left: Address,
    pub right: Address,
    pub midstate: Address,
    pub target: Address,
    pub winners: Address,
    pub m: u32,
    pub n: u32,
    pub k: u32,
}

/// How a product is launched on this device.
pub(super) struct How {
    pub multiply: Multiply,
    pub tiling: Tiling,
    pub grid: u32,
    /// Of A, Bt, and the correction's left and right operand.
    pub maps: Option<[TensorMap; 4]>,
}

pub(super) fn product(of: &Product, mode: Mode, how: &How) -> Launch {
    let mut args = Args::new();
    for map in how.maps.iter().flatten() {
        args = args.map(map);
    }
    let mut bytes = [0; 80];
    let pointers = [
        of.a,
        of.b,
        of.c,
        of.left,
        of.right,
        of.midstate,
        of.target,
        of.winners,
    ];
    for (to, pointer) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(pointers) {
        *to = pointer.to_le_bytes();
    }
    let words = [of.m, of.n, of.k, mode.bits()];
    for (to, word) in bytes[64..].as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    Launch {
        kernel: how.multiply.kernel(mode),
        grid: how.grid,
        threads: how.tiling.threads,
        shared_bytes: how.tiling.shared,
        args: args.bytes(&bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn sizes_are_those_that_the_kernels_are_compiled_with() {
        let header = include_str!("../../cuda/tiles.h");
        let mut defined: HashMap<&str, u32> = header
            .lines()
            .filter_map(|line| line.strip_prefix("#define LABORA_")?.split_once(' '))
            .map(|(name, value)| (name, value.trim().parse().unwrap()))
            .collect();
        // That a tiling is the same on Turing but for its shared memory.
        let tiling = |multiply| {
            let (newer, turing) = (Tiling::of(multiply, (8, 9)), Tiling::of(multiply, (7, 5)));
            let shared = newer.shared;
            assert_eq!(Tiling { shared, ..turing }, newer);
            (newer, turing.shared)
        };
        let (mma, mma_turing) = tiling(Multiply::Mma);
        let (square, square_turing) = tiling(Multiply::MmaSquare);
        let (small, small_turing) = tiling(Multiply::MmaSmall);
        let wgmma = Tiling::of(Multiply::Wgmma, (9, 0));
        let columns = wgmma.columns / 2;
        assert_eq!(
            Tiling::of(Multiply::WgmmaSquare, (9, 0)),
            Tiling { columns, ..wgmma }
        );
        // product_mma.cu and product_wgmma.cu have these in the kernels' names.
        for (tiling, sides) in [(square, (128, 128)), (small, (64, 128))] {
            assert_eq!((tiling.rows, tiling.columns), sides);
            assert_eq!(tiling.threads, mma.threads);
        }
        for (name, here) in [
            ("MAX_WINNERS", MAX_LISTED as u32),
            ("CORRECTION", CORRECTION),
            ("COMMIT_THREADS", COMMIT_THREADS),
            ("TREE_THREADS", TREE_THREADS),
            ("TREE_VALUES", TREE_VALUES),
            ("TREE_SHARED", TREE_SHARED),
            ("SPARSE_WARPS", SPARSE_WARPS),
            ("SPARSE_THREADS", SPARSE_THREADS),
            ("SPARSE_SHARED", SPARSE_SHARED),
            ("NOISE_THREADS", NOISE_THREADS),
            ("NOISE_ROWS", NOISE_ROWS),
            ("NOISE_SHARED", NOISE_SHARED),
            ("ONTO_THREADS", ONTO_THREADS),
            ("ONTO_ROWS", ONTO_ROWS),
            ("ONTO_SHARED", ONTO_SHARED),
            ("MMA_THREADS", mma.threads),
            ("MMA_TILE_M", mma.rows),
            ("MMA_TILE_N", mma.columns),
            ("MMA_SHARED", mma.shared),
            ("MMA_SHARED_TURING", mma_turing),
            ("MMA_128X128_SHARED", square.shared),
            ("MMA_128X128_SHARED_TURING", square_turing),
            ("MMA_64X128_SHARED", small.shared),
            ("MMA_64X128_SHARED_TURING", small_turing),
            ("WGMMA_THREADS", wgmma.threads),
            ("WGMMA_TILE_M", wgmma.rows),
            ("WGMMA_TILE_N", wgmma.columns),
            ("WGMMA_BOX_ROWS", wgmma.box_rows),
            ("WGMMA_SHARED", wgmma.shared),
        ] {
            assert_eq!(defined.remove(name), Some(here), "{name}");
        }
        // Known to the kernels alone: where the correction's second part begins.
        assert_eq!(defined.remove("CORRECTION_HIGH"), Some(192));
        assert!(defined.is_empty(), "the host knows nothing of {defined:?}");
    }
}
