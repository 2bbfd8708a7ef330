//! One test at a time may start nodes.

use std::sync::OnceLock;

use tokio::sync::{Mutex, MutexGuard};

/// The right to start nodes: held by one test of a test binary at a time (cargo runs the binaries one after another).
///
/// Tests that mine in parallel would take the processor from each other and miss their deadlines.
pub struct Machine {
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// Waits for this test's turn.
    pub async fn take() -> Self {
        static TURN: OnceLock<Mutex<()>> = OnceLock::new();
        Self {
            _turn: TURN.get_or_init(Mutex::default).lock().await,
        }
    }
}
