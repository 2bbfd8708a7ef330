//! What the author stated in the header: who it is, for whoever asks, and the time, to which the inherent is held.

use frame_support::traits::{FindAuthor, OnTimestampSet};
use labora_consensus_api::{ENGINE_ID, PreDigest, author_and_time};
use parity_scale_codec::DecodeAll;
use sp_runtime::{ConsensusEngineId, traits::SaturatedConversion};

use crate::{Anchor, AnchorPoint, Config, CurrentParameters, LastBlock, NextDifficulty, Pallet};

impl<T: Config> OnTimestampSet<u64> for Pallet<T> {
    /// # Panics
    ///
    /// When the time is not the one that the author stated, or nothing valid was stated: the block is then invalid.
    fn on_timestamp_set(now_ms: u64) {
        let digest = frame_system::Pallet::<T>::digest();
        // Benchmarks of the timestamp pallet set a time in a block without a digest.
        let unstated = cfg!(feature = "runtime-benchmarks") && digest.logs.is_empty();
        if !unstated {
            match author_and_time(&digest) {
                Ok(stated) => assert_eq!(
                    stated.timestamp_ms, now_ms,
                    "the timestamp must be the one in the header's digest"
                ),
                Err(error) => panic!("the header's digest is not valid: {error:?}"),
            }
        }
        match (Anchor::<T>::get(), LastBlock::<T>::get()) {
            (Some(mut anchor), Some(last)) => {
                let excess_ms = last.stood_still_ms(CurrentParameters::<T>::get(), now_ms);
                if excess_ms > 0 {
                    // Stays below now: the gap is part of the time since the anchor.
                    anchor.time_ms = anchor.time_ms.saturating_add(excess_ms);
                    Anchor::<T>::put(anchor);
                }
            }
            _ => {
                let height = frame_system::Pallet::<T>::block_number().saturated_into();
                let difficulty = NextDifficulty::<T>::get();
                Anchor::<T>::put(AnchorPoint {
                    difficulty,
                    time_ms: now_ms,
                    height,
                });
            }
        }
    }
}

impl<T: Config> FindAuthor<T::AccountId> for Pallet<T> {
    fn find_author<'a, I>(digests: I) -> Option<T::AccountId>
    where
        I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
    {
        let (_, mut bytes) = digests
            .into_iter()
            .find(|(engine, _)| *engine == ENGINE_ID)?;
        PreDigest::decode_all(&mut bytes)
            .ok()
            .map(|stated| stated.author.into())
    }
}
