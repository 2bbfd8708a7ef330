//! What a header keeps for ever about the work of its block: which tile of which product.

use parity_scale_codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{Hash, Shape};

/// The seal of a block: the shape of the product, both commitments, and the tile whose ticket won.
///
/// SCALE: m, n, k, root_a, root_b, row, column; numbers as little-endian u32; 84 bytes. Decoding
/// refuses what [`Seal::new`] refuses, so every seal that exists names a tile of a valid shape.
#[derive(Clone, Copy, Debug, Encode, Eq, Hash, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Seal {
    shape: Shape,
    root_a: Hash,
    root_b: Hash,
    row: u32,
    column: u32,
}

/// Why a tile is not one of a shape's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// The tile's row is past the last.
    #[error("tile row {got} of a product that has {rows} rows of tiles; rows count from 0")]
    Row {
        /// What came.
        got: u32,
        /// How many rows of tiles the shape has.
        rows: u32,
    },
    /// The tile's column is past the last.
    #[error(
        "tile column {got} of a product that has {columns} columns of tiles; columns count from 0"
    )]
    Column {
        /// What came.
        got: u32,
        /// How many columns of tiles the shape has.
        columns: u32,
    },
}

impl Seal {
    /// Length of every encoded seal: 5·4 + 2·32 bytes.
    pub const ENCODED_LEN: usize = 84;

    /// A seal for tile (`row`, `column`) of the product that `root_a` and `root_b` commit to.
    ///
    /// `root_a` is the BLAKE3 hash of A's row-major bytes, `root_b` that of Bt's.
    pub const fn new(
        shape: Shape,
        root_a: Hash,
        root_b: Hash,
        row: u32,
        column: u32,
    ) -> Result<Seal, SealError> {
        if row >= shape.tile_rows() {
            return Err(SealError::Row {
                got: row,
                rows: shape.tile_rows(),
            });
        }
        if column >= shape.tile_columns() {
            return Err(SealError::Column {
                got: column,
                columns: shape.tile_columns(),
            });
        }
        Ok(Seal {
            shape,
            root_a,
            root_b,
            row,
            column,
        })
    }

    /// Shape of the product.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Commitment to A: the BLAKE3 hash of its m·k bytes.
    pub const fn root_a(&self) -> &Hash {
        &self.root_a
    }

    /// Commitment to Bt: the BLAKE3 hash of its n·k bytes.
    pub const fn root_b(&self) -> &Hash {
        &self.root_b
    }

    /// Row of the winning tile, below m/16.
    pub const fn row(&self) -> u32 {
        self.row
    }

    /// Column of the winning tile, below n/16.
    pub const fn column(&self) -> u32 {
        self.column
    }
}

impl Decode for Seal {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (shape, root_a, root_b, row, column) = Decode::decode(input)?;
        Seal::new(shape, root_a, root_b, row, column).map_err(|refused| match refused {
            SealError::Row { .. } => "seal: tile row is not below m/16".into(),
            SealError::Column { .. } => "seal: tile column is not below n/16".into(),
        })
    }
}

impl DecodeWithMemTracking for Seal {}
