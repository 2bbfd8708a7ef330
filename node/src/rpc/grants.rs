//! The `grants_…` methods: the research fund as the chain has it. They only read, so they are open to all.

use std::sync::Arc;

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use labora_market::grants::{FundInfo, InstitutionInfo, InstitutionList, StandingInfo};
use labora_runtime::{AccountId, opaque::Block};
use pallet_grants::{
    InstitutionId,
    api::{GrantsApi, MAX_PAGE},
};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;

use super::error::Error;

/// Institutions of a page, if nobody says how many.
const USUAL_PAGE: u32 = 20;

/// The research fund.
#[rpc(server, client)]
pub trait Grants {
    /// What the fund has, what it pays at most, and the era in which quotas can be used.
    #[method(name = "grants_fund")]
    fn fund(&self) -> RpcResult<FundInfo>;

    /// Institutions, the newest first: those below number `below` (default: from the newest on), at most `most` (default: 20, at
    /// most 100).
    #[method(name = "grants_list", blocking)]
    fn list(&self, below: Option<InstitutionId>, most: Option<u32>) -> RpcResult<InstitutionList>;

    /// An institution with its ledger and who belongs to it: all but offers of rigs, of which it names at most 2,000.
    #[method(name = "grants_get", blocking)]
    fn get(&self, institution: InstitutionId) -> RpcResult<InstitutionInfo>;

    /// What an account has to do with grants: of what it is a member, what it can still have paid in this era and until when, what
    /// can still be held for that, and for whom it mines.
    #[method(name = "grants_of")]
    fn of(&self, account: AccountId) -> RpcResult<StandingInfo>;
}

/// Implements the methods.
pub struct GrantsRpc<C> {
    client: Arc<C>,
}

impl<C> GrantsRpc<C> {
    /// On this chain.
    pub fn new(client: Arc<C>) -> Self {
        Self { client }
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

impl<C> GrantsServer for GrantsRpc<C>
where
    C: HeaderBackend<Block> + ProvideRuntimeApi<Block>,
    C: Send + Sync + 'static,
    C::Api: GrantsApi<Block, AccountId>,
{
    fn fund(&self) -> RpcResult<FundInfo> {
        let best = self.client.info().best_hash;
        let fund = self.client.runtime_api().fund(best).map_err(internal)?;
        Ok(fund.into())
    }

    fn list(&self, below: Option<InstitutionId>, most: Option<u32>) -> RpcResult<InstitutionList> {
        let most = most.unwrap_or(USUAL_PAGE);
        if !(1..=MAX_PAGE).contains(&most) {
            let reason = format!(
                "a page has 1 to {MAX_PAGE} institutions; give its `below` for the next one"
            );
            return Err(Error::Malformed(reason).into());
        }
        let (best, api) = (self.client.info().best_hash, self.client.runtime_api());
        let era = api.fund(best).map_err(internal)?.era;
        let page = api.institutions(best, below, most).map_err(internal)?;
        let institutions = page.institutions.iter();
        Ok(InstitutionList {
            institutions: institutions
                .map(|(number, it)| InstitutionInfo::new(*number, it, era))
                .collect(),
            below: page.below,
        })
    }

    fn get(&self, institution: InstitutionId) -> RpcResult<InstitutionInfo> {
        let (best, api) = (self.client.info().best_hash, self.client.runtime_api());
        let it = api.institution(best, institution).map_err(internal)?;
        let it = it.ok_or(Error::UnknownInstitution(institution))?;
        let era = api.fund(best).map_err(internal)?.era;
        let people = api.people(best, institution).map_err(internal)?;
        Ok(InstitutionInfo::new(institution, &it, era).with_people(people))
    }

    fn of(&self, account: AccountId) -> RpcResult<StandingInfo> {
        let (best, api) = (self.client.info().best_hash, self.client.runtime_api());
        let fund = api.fund(best).map_err(internal)?;
        let standing = api.standing(best, account).map_err(internal)?;
        Ok(StandingInfo::new(&standing, &fund))
    }
}
