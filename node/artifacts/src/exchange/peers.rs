//! Peers, as far as whoever fetches needs them.

use sc_network::{OutboundFailure, ReputationChange, request_responses::RequestFailure};
use sc_network_types::PeerId;

use super::wire::{Part, Request, WireError};
use crate::Root;

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offence {
    /// Its answer does not decode, or ends early.
    MalformedAnswer,
    /// It gave bytes that are not those of the artifact.
    WrongBytes,
}

impl Offence {
    /// What it costs the peer.
    pub fn cost(self) -> ReputationChange {
        match self {
            Self::MalformedAnswer => {
                ReputationChange::new(-(1 << 28), "Malformed answer to a request for an artifact")
            }
            // Whoever serves compares what it read with the root before it sends it, so nobody honest sends any. The network hangs up
            // at 71 % of `i32::MIN` and forgives a two-hundredth each second: twice within three minutes is too much.
            Self::WrongBytes => ReputationChange::new(-(1 << 30), "Wrong bytes of an artifact"),
        }
    }
}

/// Why a peer did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The answer does not decode.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The answer is longer than any may be, and was not read.
    #[error("the answer is no answer: {0}")]
    Unreadable(String),
    /// The peer has too much to do, or was asked for too much.
    #[error("the peer refused; it may answer later")]
    Refused,
    /// The request failed on the way.
    #[error(transparent)]
    Network(RequestFailure),
}

impl From<RequestFailure> for AskError {
    fn from(failure: RequestFailure) -> Self {
        match failure {
            RequestFailure::Refused => Self::Refused,
            // How the network says that a peer broke the framing or the bound; a line that breaks is of another kind.
            RequestFailure::Network(OutboundFailure::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidInput =>
            {
                Self::Unreadable(error.to_string())
            }
            failure => Self::Network(failure),
        }
    }
}

/// Peers that can be asked for artifacts.
#[async_trait::async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Peers that are connected, in the order in which to ask.
    async fn connected(&self) -> Vec<PeerId>;

    /// Peers that are named as those who have an artifact, whether they have it or not; takes as long as a search of the DHT.
    async fn providers(&self, root: Root) -> Vec<PeerId>;

    /// Asks one peer; `None` if it does not have the artifact.
    async fn ask(&self, peer: PeerId, request: Request) -> Result<Option<Part>, AskError>;

    /// Notes what a peer did wrong.
    fn report(&self, peer: PeerId, offence: Offence);
}
