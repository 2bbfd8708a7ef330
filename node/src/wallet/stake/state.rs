//! What the chain's state says of stake, read with the runtime's own types.

use futures::{StreamExt, TryStreamExt, stream};
use labora_market::chain::{Chain, ChainError};
use labora_runtime::{AccountId, Balance, Hash, Runtime};
use pallet_staking::{
    ActiveEra, ActiveEraInfo, ClaimedRewards, ErasStakersOverview, ErasStakersPaged, ErasStartSessionIndex, Ledger,
    Nominations, Nominators, Payee, RewardDestination, SlashingSpans, StakingLedger,
    ValidatorPrefs, Validators,
};
use parity_scale_codec::{Decode, Encode};
use sp_staking::{EraIndex, ExposurePage, Page, PagedExposureMetadata, SessionIndex};

use super::clock::Clock;

/// Eras for which a reward can be claimed.
const HISTORY: EraIndex = pallet_eras::MAX_UNBONDING_ERAS;

/// Most pages of nominators of a validator that are looked through: as many as an election counts voters, 64 a page.
const MAX_PAGES: u32 = 64;

/// Questions that are under way at a time.
const AT_A_TIME: usize = 8;

type Result<T> = std::result::Result<T, ChainError>;

/// The state of one block.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    chain: &'a Chain,
    at: Hash,
    now: u32,
}

/// A validator as an era has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Elected {
    /// All that is behind it, its own included.
    pub total: Balance,
    /// Its own.
    pub own: Balance,
    /// How many back it.
    pub nominators: u32,
    pages: Page,
}

impl Elected {
    /// How many payments its era's reward takes: one for each page of nominators, and one if it has its own stake alone.
    fn payments(&self) -> usize {
        let alone = self.pages == 0 && self.own > 0;
        (self.pages as usize).max(usize::from(alone))
    }
}

impl<'a> State<'a> {
    /// Of the best block.
    pub(crate) async fn best(chain: &'a Chain) -> Result<Self> {
        let best = chain.best().await?;
        Ok(Self {
            chain,
            at: best.hash,
            now: best.number,
        })
    }

    /// What a key holds.
    pub(crate) async fn read<T: Decode>(
        &self,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>> {
        self.chain.read(key, what, Some(self.at)).await
    }

    /// Asks the runtime.
    pub(crate) async fn runtime<T: Decode>(
        &self,
        function: &'static str,
        arguments: &impl Encode,
    ) -> Result<T> {
        self.chain
            .runtime(function, &arguments.encode(), Some(self.at))
            .await
    }

    /// The clock of stake.
    pub(crate) async fn clock(&self) -> Result<Clock> {
        let key = ActiveEra::<Runtime>::hashed_key();
        let era: Option<ActiveEraInfo> = self.read(&key, "era").await?;
        let era = era.map(|era| era.index).unwrap_or_default();
        let key = ErasStartSessionIndex::<Runtime>::hashed_key_for(era);
        let since: Option<SessionIndex> = self.read(&key, "session of an era").await?;
        let key = pallet_session::CurrentIndex::<Runtime>::hashed_key();
        let session: Option<SessionIndex> = self.read(&key, "session").await?;
        let key = pallet_eras::CurrentTerms::<Runtime>::hashed_key();
        let terms: Option<pallet_eras::Terms> = self.read(&key, "terms of eras").await?;
        let terms = terms.unwrap_or_default();
        Ok(Clock {
            now: self.now,
            block_ms: self.chain.block_ms(),
            era,
            era_since: since.unwrap_or_default(),
            session: session.unwrap_or_default(),
            session_blocks: terms.session_blocks,
            sessions_per_era: terms.sessions_per_era,
        })
    }

    /// Eras for which a bond stays locked.
    pub(crate) async fn unbonding_eras(&self) -> Result<EraIndex> {
        let key = pallet_eras::CurrentTerms::<Runtime>::hashed_key();
        let terms: Option<pallet_eras::Terms> = self.read(&key, "terms of eras").await?;
        Ok(terms.unwrap_or_default().unbonding_eras)
    }

    /// What is bonded of an account.
    pub(crate) async fn ledger(&self, stash: &AccountId) -> Result<Option<StakingLedger<Runtime>>> {
        let key = Ledger::<Runtime>::hashed_key_for(stash);
        self.read(&key, "stake").await
    }

    /// Whom an account backs.
    pub(crate) async fn nominations(
        &self,
        stash: &AccountId,
    ) -> Result<Option<Nominations<Runtime>>> {
        let key = Nominators::<Runtime>::hashed_key_for(stash);
        self.read(&key, "nominations").await
    }

    /// How an account validates, if it wants to.
    pub(crate) async fn validator(&self, stash: &AccountId) -> Result<Option<ValidatorPrefs>> {
        let key = Validators::<Runtime>::hashed_key_for(stash);
        self.read(&key, "validator").await
    }

    /// Where an account's rewards go.
    pub(crate) async fn payee(
        &self,
        stash: &AccountId,
    ) -> Result<Option<RewardDestination<AccountId>>> {
        let key = Payee::<Runtime>::hashed_key_for(stash);
        self.read(&key, "payee").await
    }

    /// Whether an account has told the key that it votes with.
    pub(crate) async fn has_session_keys(&self, stash: &AccountId) -> Result<bool> {
        let key = pallet_session::NextKeys::<Runtime>::hashed_key_for(stash);
        let keys: Option<labora_runtime::opaque::SessionKeys> =
            self.read(&key, "session keys").await?;
        Ok(keys.is_some())
    }

    /// The validators of this session.
    pub(crate) async fn session_validators(&self) -> Result<Vec<AccountId>> {
        let key = pallet_session::Validators::<Runtime>::hashed_key();
        Ok(self.read(&key, "validators").await?.unwrap_or_default())
    }

    /// An era's validator, if it was elected.
    pub(crate) async fn elected(
        &self,
        era: EraIndex,
        validator: &AccountId,
    ) -> Result<Option<Elected>> {
        let key = ErasStakersOverview::<Runtime>::hashed_key_for(era, validator);
        let overview: Option<PagedExposureMetadata<Balance>> =
            self.read(&key, "elected validator").await?;
        Ok(overview.map(|overview| Elected {
            total: overview.total,
            own: overview.own,
            nominators: overview.nominator_count,
            pages: overview.page_count,
        }))
    }

    /// What of an account stands behind an era's validator.
    pub(crate) async fn behind(
        &self,
        era: EraIndex,
        validator: &AccountId,
        elected: &Elected,
        who: &AccountId,
    ) -> Result<Balance> {
        for page in 0..elected.pages.min(MAX_PAGES) {
            let key = ErasStakersPaged::<Runtime>::hashed_key_for((era, validator, page));
            let page: Option<ExposurePage<AccountId, Balance>> =
                self.read(&key, "who backs a validator").await?;
            let others = page.map(|page| page.others).unwrap_or_default();
            if let Some(own) = others.iter().find(|other| other.who == *who) {
                return Ok(own.value);
            }
        }
        Ok(0)
    }

    /// Eras whose reward of a validator nobody has claimed yet, the oldest first.
    pub(crate) async fn unpaid(
        &self,
        era: EraIndex,
        validator: &AccountId,
    ) -> Result<Vec<EraIndex>> {
        let eras = era.saturating_sub(HISTORY)..era;
        // `StakingApi_pending_rewards` overlooks a validator without nominators: it counts the pages of those alone.
        let asked = stream::iter(eras).map(|era| async move {
            let Some(elected) = self.elected(era, validator).await? else {
                return Ok::<_, ChainError>(None);
            };
            let key = ClaimedRewards::<Runtime>::hashed_key_for(era, validator);
            let claimed: Option<Vec<Page>> = self.read(&key, "claimed rewards").await?;
            let claimed = claimed.map_or(0, |pages| pages.len());
            Ok((claimed < elected.payments()).then_some(era))
        });
        let pending: Vec<Option<EraIndex>> = asked.buffered(AT_A_TIME).try_collect().await?;
        Ok(pending.into_iter().flatten().collect())
    }

    /// What a withdrawal must say of how often an account's stake was slashed.
    pub(crate) async fn slashing_spans(&self, stash: &AccountId) -> Result<u32> {
        let key = SlashingSpans::<Runtime>::hashed_key_for(stash);
        // The present span, its starts, and the starts of those before: the SDK's type does not show them.
        type Spans = (u32, EraIndex, EraIndex, Vec<EraIndex>);
        let spans: Option<Spans> = self.read(&key, "slashes").await?;
        let count = spans.map_or(0, |(.., before)| before.len().saturating_add(1));
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
