//! Warp proofs of finality: GRANDPA's, made and checked as the SDK does.
//!
//! A proof goes from one set of authorities to the next by what each signed last, and ends with what the newest signed. It is
//! wrong as a whole for whoever does not know that authorities were changed by force (see [`forced`](crate::forced)), and
//! holds up to there.

use std::sync::Arc;

use parity_scale_codec::{Compact, Decode, DecodeAll, Encode};
use sc_consensus_grandpa::warp_proof::WarpSyncFragment;
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpSyncProvider,
};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{engine::Engine, trust::TrustedTarget};

/// What to say of a proof that does not hold.
pub(crate) const WRONG_PROOF: &str = "A peer gave a wrong proof of finality. If peers' all are, validators were changed by force: \
     the chain spec has to tell of that (docs/runbook.md)";

/// What a warp proof is made of: fragments, and whether the end is reached.
pub(crate) type Fragments<B> = (Vec<WarpSyncFragment<B>>, bool);

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

/// Verifies a proof from `begin` on as far as it holds.
///
/// # Errors
///
/// Why it does not hold as a whole, and the last block up to which it does.
pub(crate) fn verify_as_far<B: BlockT<Hash = H256>>(
    proof: &EncodedProof,
    begin: H256,
    verifier: &mut dyn Verifier<B>,
) -> Result<VerificationResult<B>, (Failure, Option<TrustedTarget>)> {
    let error = match verifier.verify(proof) {
        Ok(proved) => return Ok(proved),
        Err(error) => error,
    };
    let Ok((mut fragments, is_finished)) = Fragments::<B>::decode_all(&mut &proof.0[..]) else {
        return Err((error, None));
    };
    // By it authorities were changed by force, which a node that was there has seen already.
    if fragments
        .first()
        .is_some_and(|first| first.header.hash() == begin)
    {
        fragments.remove(0);
        let rest = EncodedProof((&fragments, is_finished).encode());
        if let Ok(proved) = verifier.verify(&rest) {
            return Ok(proved);
        }
    }
    let mut target = None;
    for fragment in fragments {
        // Alone, and not the last one: it has to hand over to other authorities.
        let part = EncodedProof((vec![&fragment], false).encode());
        match verifier.verify(&part) {
            Ok(_) => target = Some(TrustedTarget::of::<B>(&fragment.header)),
            Err(_) => break,
        }
    }
    Err((error, target))
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Warp proofs, with a note to the engine of what was proved final.
pub struct TrustingProvider<B: BlockT<Hash = H256>> {
    inner: Arc<dyn WarpSyncProvider<B>>,
    engine: Arc<Engine<B>>,
}

impl<B: BlockT<Hash = H256>> TrustingProvider<B> {
    /// Wraps a provider.
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
            warned: false,
        })
    }
}

struct TrustingVerifier<B: BlockT<Hash = H256>> {
    inner: Box<dyn Verifier<B>>,
    engine: Arc<Engine<B>>,
    /// Whether it was said that proofs do not hold: sync itself says so to nobody.
    warned: bool,
}

impl<B: BlockT<Hash = H256>> Verifier<B> for TrustingVerifier<B> {
    fn verify(&mut self, proof: &EncodedProof) -> Result<VerificationResult<B>, Failure> {
        let result = self.inner.verify(proof).inspect_err(|error| {
            if !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(%error, "{WRONG_PROOF}");
            }
        })?;
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
