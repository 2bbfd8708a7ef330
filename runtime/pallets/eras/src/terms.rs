//! How long sessions, eras and bonds last.

use core::marker::PhantomData;

use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use serde::{Deserialize, Serialize};
use sp_staking::{EraIndex, SessionIndex};

use crate::{Config, CurrentTerms};

/// Most eras for which a bond can stay locked: as many as staking remembers what was at stake, and pools keep a record for each.
pub const MAX_UNBONDING_ERAS: u32 = 84;

/// Eras of unbonding in which nothing that is reported may be sure to be slashed: see [`Terms::accountable_blocks`].
const UNCERTAIN_ERAS: u32 = 2;

/// Chains whose bonds are locked for fewer eras, those of one machine, slash at once.
const LEAST_DEFERRED: u32 = 8;

/// The clock of stake. All lengths count blocks; difficulty keeps blocks near the clock.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// Blocks of a session, 2 to 1,000,000.
    pub session_blocks: u32,
    /// Sessions of an era, 1 to 100.
    pub sessions_per_era: u32,
    /// Eras for which a bond stays locked after its owner asked for it, 1 to [`MAX_UNBONDING_ERAS`].
    pub unbonding_eras: u32,
    /// Blocks for which the result of a job can be challenged.
    pub challenge_window_blocks: u32,
    /// Blocks after which a node that was away must be told a recent block by somebody whom it trusts.
    pub weak_subjectivity_blocks: u32,
}

impl Default for Terms {
    /// A public chain of 12 s blocks: sessions of two hours, eras of half a day, bonds locked for 28 days; a result can be
    /// challenged for a day, and a node can be away for two weeks.
    fn default() -> Self {
        Self {
            session_blocks: 600,
            sessions_per_era: 6,
            unbonding_eras: 56,
            challenge_window_blocks: 7_200,
            weak_subjectivity_blocks: 100_800,
        }
    }
}

/// Why terms are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TermsError {
    /// A length is below its least value.
    TooShort,
    /// A length is above its greatest value.
    TooLong,
    /// Bonds could be free before a result can no longer be challenged.
    EndsBeforeChallenge,
    /// Bonds could be free within the weak-subjectivity period.
    EndsBeforeWeakSubjectivity,
}

impl TermsError {
    /// The reason, and what to do.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => {
                "a session needs at least two blocks, an era a session, and unbonding an era"
            }
            Self::TooLong => {
                "a session has at most 1,000,000 blocks, an era 100 sessions, and unbonding 84 eras"
            }
            Self::EndsBeforeChallenge => {
                "bonds could be free before results can no longer be challenged: two eras less than unbondingEras must be \
                 longer; raise unbondingEras or lower challengeWindowBlocks"
            }
            Self::EndsBeforeWeakSubjectivity => {
                "bonds could be free within the weak-subjectivity period: two eras less than unbondingEras must be longer; \
                 raise unbondingEras or lower weakSubjectivityBlocks"
            }
        }
    }
}

impl Terms {
    /// Blocks of so many eras. Cannot overflow within the bounds of [`Terms::check`]: 10^6 · 10^2 · 84.
    fn eras(&self, count: u32) -> u64 {
        u64::from(self.session_blocks) * u64::from(self.sessions_per_era) * u64::from(count)
    }

    /// Most blocks for which a bond stays locked after its owner asked for it.
    pub fn unbonding_blocks(&self) -> u64 {
        self.eras(self.unbonding_eras)
    }

    /// Blocks from the end of an era for which whatever a validator did in it is slashed once it is reported.
    ///
    /// That is two eras less than bonds are locked. Staking counts from an era that is planned, a session before it begins, so
    /// that what is asked for in the last session of an era is free an era sooner; and who votes in an era may have asked a
    /// session before its end. What is deferred is slashed [`SlashDeferDuration`] and an era after it was done, which must be
    /// before that, and after it was reported: staking forgets a slash whose time is over.
    pub fn accountable_blocks(&self) -> u64 {
        self.eras(self.unbonding_eras.saturating_sub(UNCERTAIN_ERAS))
    }

    /// Whether these terms can hold.
    pub fn check(&self) -> Result<(), TermsError> {
        if self.session_blocks < 2 || self.sessions_per_era < 1 || self.unbonding_eras < 1 {
            return Err(TermsError::TooShort);
        }
        if self.session_blocks > 1_000_000
            || self.sessions_per_era > 100
            || self.unbonding_eras > MAX_UNBONDING_ERAS
        {
            return Err(TermsError::TooLong);
        }
        if self.accountable_blocks() <= u64::from(self.challenge_window_blocks) {
            return Err(TermsError::EndsBeforeChallenge);
        }
        if self.accountable_blocks() <= u64::from(self.weak_subjectivity_blocks) {
            return Err(TermsError::EndsBeforeWeakSubjectivity);
        }
        Ok(())
    }
}

/// Blocks of a session.
pub struct SessionLength<T>(PhantomData<T>);

impl<T: Config> Get<BlockNumberFor<T>> for SessionLength<T> {
    fn get() -> BlockNumberFor<T> {
        CurrentTerms::<T>::get().session_blocks.into()
    }
}

/// Sessions of an era.
pub struct SessionsPerEra<T>(PhantomData<T>);

impl<T: Config> Get<SessionIndex> for SessionsPerEra<T> {
    fn get() -> SessionIndex {
        CurrentTerms::<T>::get().sessions_per_era
    }
}

/// Eras for which a bond stays locked.
pub struct BondingDuration<T>(PhantomData<T>);

impl<T: Config> Get<EraIndex> for BondingDuration<T> {
    fn get() -> EraIndex {
        CurrentTerms::<T>::get().unbonding_eras
    }
}

/// Eras after the one of an offence for which governance can still cancel its slash: as long as bonds are sure to be locked, since
/// staking forgets a slash that is reported after its time; none where bonds are locked for a few eras only.
pub struct SlashDeferDuration<T>(PhantomData<T>);

impl<T: Config> Get<EraIndex> for SlashDeferDuration<T> {
    fn get() -> EraIndex {
        match CurrentTerms::<T>::get().unbonding_eras {
            eras if eras < LEAST_DEFERRED => 0,
            eras => eras.saturating_sub(UNCERTAIN_ERAS),
        }
    }
}
