//! A harness for tests with real `labora` processes: start a node, talk to it as a stranger would, kill it, start it again.
//!
//! Nothing here links the node or the SDK: what is tested is the built binary, through its command line, its log, JSON-RPC,
//! HTTP and raw sockets. Mining takes all the processor there is, so nodes are started only by who holds the [`Machine`].

pub mod binary;
pub mod blocks;
pub mod clock;
pub mod disk;
pub mod gemm;
pub mod http;
pub mod js;
pub mod lag;
pub mod log;
pub mod machine;
pub mod memory;
pub mod miner;
pub mod node;
pub mod proxy;
pub mod python;
pub mod rig;
pub mod rpc;
pub mod seed;
pub mod spec;
pub mod terminal;
pub mod testnet;
pub mod validators;
pub mod wait;
pub mod websocket;

pub use machine::Machine;
pub use node::{Node, NodeOptions};
pub use rig::Rig;
pub use testnet::Testnet;
pub use wait::wait_for;

/// What a test returns; any error fails it with its message and the logs of its nodes.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
