//! What the `grants_…` methods answer with. Amounts, in the token's smallest unit, and multiply-accumulates are decimal strings;
//! accounts SS58 addresses; times are block numbers.

use labora_runtime::AccountId;
use pallet_grants::{Institution, InstitutionId, api};
use serde::{Deserialize, Serialize};

/// The code of `grants_get` for an institution that is not there.
pub const UNKNOWN_INSTITUTION: i32 = -32061;

/// Answer of `grants_fund`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FundInfo {
    /// The fund's account.
    pub account: AccountId,
    /// What it can give.
    pub free: String,
    /// Most that it pays for 10¹² multiply-accumulates; where that is less than the market's least fee, it pays the least fee.
    pub max_rate: String,
    /// Longest that a job stays open that it pays for, in blocks.
    pub open_blocks: u32,
    /// Most that is held for an institution's jobs at a time, fees and deposits together, in quotas of an era.
    pub held_quotas: u32,
    /// The era of staking in which quotas can be used.
    pub era: u32,
    /// The last block of that era; what of a quota is not used by then lapses.
    pub era_ends: u32,
    /// Institutions that were ever admitted: the next one gets this number.
    pub admitted: InstitutionId,
}

impl From<api::Fund<AccountId>> for FundInfo {
    fn from(fund: api::Fund<AccountId>) -> Self {
        Self {
            account: fund.account,
            free: fund.free.to_string(),
            max_rate: fund.terms.max_rate.to_string(),
            open_blocks: fund.terms.open_blocks,
            held_quotas: fund.terms.held_quotas,
            era: fund.era,
            era_ends: fund.era_ends,
            admitted: fund.next,
        }
    }
}

/// What is written of an institution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerInfo {
    /// Sponsored jobs that were settled.
    pub settled: u64,
    /// Multiply-accumulates of those.
    pub macs_received: String,
    /// What the fund paid for them.
    pub paid: String,
    /// Blocks that its rigs mined.
    pub blocks: u64,
    /// Multiply-accumulates that those were expected to take: the sum of their difficulties.
    pub macs_contributed: String,
}

/// Who belongs to an institution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeopleInfo {
    /// The account that pays for its jobs.
    pub account: AccountId,
    /// Accounts that may post.
    pub members: Vec<AccountId>,
    /// Accounts that it has invited and that have not joined.
    pub invited: Vec<AccountId>,
    /// Accounts whose blocks are counted.
    pub rigs: Vec<AccountId>,
    /// Accounts that offer to be rigs.
    pub offers: Vec<AccountId>,
}

impl From<api::People<AccountId>> for PeopleInfo {
    fn from(people: api::People<AccountId>) -> Self {
        Self {
            account: people.account,
            members: people.members,
            invited: people.invited,
            rigs: people.rigs,
            offers: people.offers,
        }
    }
}

/// An institution, as `grants_get` and `grants_list` give it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstitutionInfo {
    /// Its number.
    pub institution: InstitutionId,
    /// Its name, as governance wrote it.
    pub name: String,
    /// Who says who belongs to it.
    pub admin: AccountId,
    /// Whether it is closed.
    pub closed: bool,
    /// What its members may post in an era.
    pub quota: String,
    /// What of that is left in this era.
    pub left: String,
    /// How many members it has.
    pub member_count: u32,
    /// How many rigs.
    pub rig_count: u32,
    /// What it received and gave.
    pub ledger: LedgerInfo,
    /// Who belongs to it. Of `grants_get` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleInfo>,
}

impl InstitutionInfo {
    /// An institution in an era, without who belongs to it.
    pub fn new(number: InstitutionId, it: &Institution<AccountId>, era: u32) -> Self {
        let ledger = &it.ledger;
        Self {
            institution: number,
            name: String::from_utf8_lossy(&it.name).into_owned(),
            admin: it.admin.clone(),
            closed: it.is_closed,
            quota: it.quota.to_string(),
            left: it.left(era).to_string(),
            member_count: it.members,
            rig_count: it.rigs,
            ledger: LedgerInfo {
                settled: ledger.settled,
                macs_received: ledger.macs_received.to_string(),
                paid: ledger.paid.to_string(),
                blocks: ledger.blocks,
                macs_contributed: ledger.macs_contributed.to_string(),
            },
            people: None,
        }
    }

    /// The same with who belongs to it.
    pub fn with_people(self, people: api::People<AccountId>) -> Self {
        Self {
            people: Some(people.into()),
            ..self
        }
    }
}

/// Answer of `grants_list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstitutionList {
    /// Institutions, the newest first.
    pub institutions: Vec<InstitutionInfo>,
    /// What to give as `below` for the next page; null where there is none.
    pub below: Option<InstitutionId>,
}

/// Answer of `grants_of`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StandingInfo {
    /// Of which institution it is a member; null if of none.
    pub member_of: Option<InstitutionId>,
    /// What is left of that one's quota in this era.
    pub left: String,
    /// What can still be held for that one's jobs, fees and deposits together.
    pub room: String,
    /// For which institution it mines, or offers to; null if for none.
    pub rig_of: Option<InstitutionId>,
    /// Whether that one has accepted.
    pub accepted: bool,
    /// The era.
    pub era: u32,
    /// Its last block.
    pub era_ends: u32,
}

impl StandingInfo {
    /// An account's, in the era that the fund is in.
    pub fn new(standing: &api::Standing, fund: &api::Fund<AccountId>) -> Self {
        Self {
            member_of: standing.member_of,
            left: standing.left.to_string(),
            room: standing.room.to_string(),
            rig_of: standing.rig_of,
            accepted: standing.is_accepted,
            era: fund.era,
            era_ends: fund.era_ends,
        }
    }
}
