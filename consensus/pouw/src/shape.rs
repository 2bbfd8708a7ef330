//! The three dimensions of a product, valid once built.

use parity_scale_codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{RANK, TILE};

/// Dimensions of a product that can be mined: A is m×k, Bt is n×k, C is m×n.
///
/// SCALE: m, n, k as little-endian u32, 12 bytes; decoding refuses what [`Shape::new`] refuses.
#[derive(Clone, Copy, Debug, Encode, Eq, Hash, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Shape {
    m: u32,
    n: u32,
    k: u32,
}

/// Why three numbers are no shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// m is out of range or no multiple of the tile.
    #[error(
        "m is {0}; it must be a multiple of 16 in 32..=1048576: pad A with rows of zeros, or split it"
    )]
    M(u32),
    /// n is out of range or no multiple of the tile.
    #[error(
        "n is {0}; it must be a multiple of 16 in 32..=1048576: pad Bt with rows of zeros, or split it"
    )]
    N(u32),
    /// k is out of range or no multiple of the window.
    #[error(
        "k is {0}; it must be a multiple of 64 in 256..=16384: pad both with columns of zeros, or add up several products"
    )]
    K(u32),
}

impl Shape {
    /// Least m and n: two tiles, so that every commitment has at least two BLAKE3 chunks and a
    /// path.
    pub const MIN_SIDE: u32 = 32;
    /// Largest m and n. A tile's index on a side is below 2^16 and an input to BLAKE3 is at most
    /// 2^20·2^14 = 2^34 bytes.
    pub const MAX_SIDE: u32 = 1 << 20;
    /// Least k: four windows.
    pub const MIN_K: u32 = 256;
    /// Largest k: a strip is at most 16·16384 = 256 KiB, a proof 512 KiB and its paths; sums stay
    /// under 16384·127·127 < 2^28.
    pub const MAX_K: u32 = 16384;

    /// Checks three dimensions: m and n multiples of 16 in 32..=2^20, k a multiple of 64 in
    /// 256..=16384.
    pub const fn new(m: u32, n: u32, k: u32) -> Result<Shape, ShapeError> {
        const fn side(x: u32) -> bool {
            x >= Shape::MIN_SIDE && x <= Shape::MAX_SIDE && x.is_multiple_of(TILE as u32)
        }
        if !side(m) {
            return Err(ShapeError::M(m));
        }
        if !side(n) {
            return Err(ShapeError::N(n));
        }
        if k < Shape::MIN_K || k > Shape::MAX_K || !k.is_multiple_of(RANK as u32) {
            return Err(ShapeError::K(k));
        }
        Ok(Shape { m, n, k })
    }

    /// Rows of A and of C.
    pub const fn m(self) -> u32 {
        self.m
    }

    /// Rows of Bt, columns of C.
    pub const fn n(self) -> u32 {
        self.n
    }

    /// Columns of A and of Bt.
    pub const fn k(self) -> u32 {
        self.k
    }

    /// Tiles of C from top to bottom: m/16.
    pub const fn tile_rows(self) -> u32 {
        self.m / TILE as u32
    }

    /// Tiles of C from left to right: n/16.
    pub const fn tile_columns(self) -> u32 {
        self.n / TILE as u32
    }

    /// Windows along k: k/64.
    pub const fn windows(self) -> u32 {
        self.k / RANK as u32
    }

    /// Bytes of a strip, which is 16 whole rows of A or of Bt: 16·k, a multiple of BLAKE3's chunk
    /// of 1024.
    pub const fn strip_len(self) -> usize {
        TILE * self.k as usize
    }

    /// Bytes of A: m·k, at most 2^34.
    pub const fn a_len(self) -> u64 {
        self.m as u64 * self.k as u64
    }

    /// Bytes of Bt: n·k, at most 2^34.
    pub const fn b_len(self) -> u64 {
        self.n as u64 * self.k as u64
    }

    /// Bytes of C in int32: 4·m·n, at most 2^42.
    pub const fn c_len(self) -> u64 {
        4 * self.m as u64 * self.n as u64
    }

    /// Multiply-accumulates that one ticket is worth: 256·k, at most 2^22.
    pub const fn ticket_macs(self) -> u64 {
        (TILE * TILE) as u64 * self.k as u64
    }

    /// Multiply-accumulates of the whole product: m·n·k, at most 2^54.
    pub const fn macs(self) -> u64 {
        self.m as u64 * self.n as u64 * self.k as u64
    }
}

impl Decode for Shape {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let [m, n, k] = <[u32; 3]>::decode(input)?;
        Shape::new(m, n, k).map_err(|refused| match refused {
            ShapeError::M(_) => "shape: m is not a multiple of 16 in 32..=1048576".into(),
            ShapeError::N(_) => "shape: n is not a multiple of 16 in 32..=1048576".into(),
            ShapeError::K(_) => "shape: k is not a multiple of 64 in 256..=16384".into(),
        })
    }
}

impl DecodeWithMemTracking for Shape {}
