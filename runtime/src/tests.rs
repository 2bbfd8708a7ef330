//! The runtime as a whole, natively: blocks are built with all their inherents in one state and executed in another.

mod blocks;
mod chain;
mod grants;
mod market;
mod presets;
mod slashes;
mod staking;
mod transactions;
mod wasm;
