//! What is known to be final before it is imported.
//!
//! A node that syncs from genesis cannot tell by a block alone whether it is final: authorities sign few blocks, and the
//! proofs of old ones are dropped everywhere. So it asks peers for the warp proof of finality, which goes from one set of
//! authorities to the next, and keeps the last block that it proves as *trusted target*. Up to that number blocks need no
//! proof of work; at that number the hash must be the target's. A sender that led the node elsewhere is found out there:
//! the target's own branch then becomes the best one whatever its work, and the other can never be built upon past it.

use std::sync::Arc;

use parity_scale_codec::{Compact, Decode, Encode};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpSyncProvider,
};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{chain::number_of, engine::Engine, error::EngineError};

/// A block that finality vouches for.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct TrustedTarget {
    /// Its number.
    pub number: u32,
    /// Its hash.
    pub hash: H256,
}

impl TrustedTarget {
    pub(crate) fn of<B: BlockT<Hash = H256>>(header: &B::Header) -> Self {
        Self {
            number: number_of(header),
            hash: header.hash(),
        }
    }

    /// Whether this block is it; an error if it is another of its number.
    pub(crate) fn is(self, number: u32, hash: H256) -> Result<bool, EngineError> {
        match number == self.number {
            false => Ok(false),
            true if hash == self.hash => Ok(true),
            true => Err(EngineError::NotTheFinalOne {
                got: hash,
                finalised: self.hash,
            }),
        }
    }
}

/// Bytes of a warp proof without a single fragment: nobody has finalised anything yet.
pub(crate) fn proves_nothing(proof: &EncodedProof) -> bool {
    // A list of fragments, and whether the end is reached.
    proof.0 == (0u8, true).encode()
}

/// Whether a warp proof from `begin` on proves that block alone. So the SDK answers where nothing is final above it, and if
/// authorities changed there, by a justification of those before, which its own verifier then takes for a wrong one.
pub(crate) fn proves_beginning<B: BlockT<Hash = H256>>(proof: &EncodedProof, begin: H256) -> bool {
    let mut bytes = &proof.0[..];
    let is_single = Compact::<u32>::decode(&mut bytes).is_ok_and(|fragments| fragments.0 == 1);
    is_single && B::Header::decode(&mut bytes).is_ok_and(|header| header.hash() == begin)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// GRANDPA's warp proofs, made and checked as the SDK does, with a note to the engine of what was proved final.
pub struct TrustingProvider<B: BlockT<Hash = H256>> {
    inner: Arc<dyn WarpSyncProvider<B>>,
    engine: Arc<Engine<B>>,
}

impl<B: BlockT<Hash = H256>> TrustingProvider<B> {
    /// Wraps GRANDPA's provider.
    pub fn new(inner: Arc<dyn WarpSyncProvider<B>>, engine: Arc<Engine<B>>) -> Arc<Self> {
        Arc::new(Self { inner, engine })
    }
}

impl<B: BlockT<Hash = H256>> WarpSyncProvider<B> for TrustingProvider<B> {
    fn generate(&self, start: H256) -> Result<EncodedProof, Failure> {
        self.inner.generate(start)
    }

    fn create_verifier(&self) -> Box<dyn Verifier<B>> {
        Box::new(TrustingVerifier {
            inner: self.inner.create_verifier(),
            engine: self.engine.clone(),
        })
    }
}

struct TrustingVerifier<B: BlockT<Hash = H256>> {
    inner: Box<dyn Verifier<B>>,
    engine: Arc<Engine<B>>,
}

impl<B: BlockT<Hash = H256>> Verifier<B> for TrustingVerifier<B> {
    fn verify(&mut self, proof: &EncodedProof) -> Result<VerificationResult<B>, Failure> {
        let result = self.inner.verify(proof)?;
        let last = match &result {
            VerificationResult::Complete(header, _) => Some(header),
            // Each fragment is final by itself.
            VerificationResult::Partial(fragments) => fragments.last().map(|(header, _)| header),
        };
        if let Some(header) = last {
            self.engine.trust_state_of(TrustedTarget::of::<B>(header));
        }
        Ok(result)
    }

    fn next_proof_context(&self) -> H256 {
        self.inner.next_proof_context()
    }

    fn status(&self) -> Option<String> {
        self.inner.status()
    }
}
