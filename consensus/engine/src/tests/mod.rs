//! The engine over a table instead of a client: every rule by itself. `tests/` has the same over a real chain.

mod announcements;
mod authoring;
mod finality;
mod forced;
mod imports;
mod lanes;
mod mine;
mod miner;
mod mock;
mod peers;
mod proofs_of_peers;
mod simulation;
mod wire;
