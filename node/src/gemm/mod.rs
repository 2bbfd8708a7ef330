//! Products of any shape and any int8 entries, cut into the products that a device takes, and put together again.
//!
//! A device multiplies matrices with entries in [-63, 63], m and n multiples of 16 from 32 up, k a multiple of 64 from
//! 256 to 16,384. This module pads with zeros, splits long k into products that add up, splits large m and n into
//! blocks, and gives a row with an entry beyond ±63 a second row: `v = 64·hi + lo`. It is pure: no threads, no devices,
//! no I/O. Everything is exact.
//!
//! Order of use: [`Dimensions::new`] before a byte is read, [`Product::new`], [`Plan::new`], then for each
//! [`Plan::piece`] the two packed operands go to a device and its answer to [`Assembly::add`].

mod assembly;
mod plan;
mod product;
#[cfg(test)]
mod tests;

pub use assembly::Assembly;
pub use plan::{Packed, Piece, Plan};
pub use product::{Dimensions, GemmError, MAX_OPERAND_BYTES, MAX_PRODUCT_BYTES, Product};
