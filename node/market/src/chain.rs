//! The chain, as one who takes part in the market reads it; `transactions` is how one writes to it.

mod transactions;

pub use transactions::{Included, Sent};

use std::sync::Arc;

use labora_runtime::{AccountId, Balance, Hash, Nonce, Runtime, RuntimeEvent};
use pallet_grants::{Grant, InstitutionId};
use pallet_jobs::JobId;
use parity_scale_codec::{Decode, Encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    MAX_PAGES,
    grants::{FundInfo, InstitutionInfo, InstitutionList, StandingInfo, UNKNOWN_INSTITUTION},
    node::{CallError, Node, ask},
    types::{JobInfo, JobList, MarketInfo, StageInfo, UNKNOWN_JOB, WantedInfo, WorkerInfo},
};
use transactions::MORTALITY;

/// Why the chain was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
    /// The node.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A chain whose calls this program does not know.
    #[error(
        "the chain runs {got}, and this program signs calls of {expected}; update the older of the two"
    )]
    Version {
        /// The chain's.
        got: String,
        /// This program's.
        expected: String,
    },
    /// The node does not know of a block that it must have.
    #[error("the node does not know block {0}; ask one that keeps the chain")]
    NoBlock(u64),
    /// What the state holds cannot be read.
    #[error("the chain's state cannot be read ({0}); update this program")]
    State(&'static str),
    /// The transaction was undone.
    #[error("{0}")]
    Undone(String),
    /// The transaction came into no block in its time.
    #[error(
        "no block took the transaction in {MORTALITY} blocks; nothing was done, and it can be sent again"
    )]
    Dropped,
}

impl ChainError {
    /// Whether the chain has said no, so that the same call will be refused again.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Undone(_))
    }
}

type Result<T, E = ChainError> = std::result::Result<T, E>;

/// Something that came about in a block.
pub type Record = frame_system::EventRecord<RuntimeEvent, Hash>;

/// A block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct At {
    /// Its number.
    pub number: u32,
    /// Its hash.
    pub hash: Hash,
}

#[derive(Deserialize)]
struct HeaderJson {
    number: String,
}

/// What of `pouw_info` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfoJson {
    target_block_time_ms: u64,
}

/// What of `system_health` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthJson {
    is_syncing: bool,
}

/// An account, as the state has it.
type AccountInfo = frame_system::AccountInfo<Nonce, pallet_balances::AccountData<Balance>>;

/// An account's money, in the token's smallest unit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Money {
    /// What it can spend or have held; what keeps the account alive is not in it.
    pub free: Balance,
    /// What is held of it: for jobs, stake, and so on.
    pub held: Balance,
}

/// A chain, by one of its nodes. Clones share it, and number an account's transactions one after the other.
#[derive(Clone)]
pub struct Chain {
    node: Arc<dyn Node>,
    genesis: Hash,
    block_ms: u64,
    sending: Arc<Mutex<()>>,
}

impl Chain {
    /// The chain of a node.
    ///
    /// # Errors
    ///
    /// If the node cannot be asked, or is no node of Labora.
    pub async fn of(node: Arc<dyn Node>) -> Result<Self> {
        let info: InfoJson = ask(&*node, "pouw_info", vec![]).await?;
        let genesis: Option<Hash> = ask(&*node, "chain_getBlockHash", vec![json!(0)]).await?;
        Ok(Self {
            node,
            genesis: genesis.ok_or(ChainError::NoBlock(0))?,
            block_ms: info.target_block_time_ms.max(1),
            sending: Arc::default(),
        })
    }

    /// Calls any method of the node.
    pub async fn ask<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<R> {
        Ok(ask(&*self.node, method, params).await?)
    }

    /// What a storage key holds: in block `at`, or else in the best one. `what` names it where it cannot be read.
    pub async fn read<T: Decode>(
        &self,
        key: &[u8],
        what: &'static str,
        at: Option<Hash>,
    ) -> Result<Option<T>> {
        let value = self.storage(key, at).await?;
        let decode = |value: Vec<u8>| T::decode(&mut &value[..]);
        value
            .map(|value| decode(value).map_err(|_| ChainError::State(what)))
            .transpose()
    }

    /// Asks the runtime, `Api_function`, with its arguments encoded one after the other; of block `at`, or else of the best one.
    pub async fn runtime<T: Decode>(
        &self,
        function: &'static str,
        arguments: &[u8],
        at: Option<Hash>,
    ) -> Result<T> {
        let mut params = vec![json!(function), json!(hex_of(arguments))];
        params.extend(at.map(|at| json!(at)));
        let answer: String = self.ask("state_call", params).await?;
        let bytes = bytes_of(&answer).ok_or(ChainError::State(function))?;
        T::decode(&mut &bytes[..]).map_err(|_| ChainError::State(function))
    }

    /// The best chain's block of this number, if it is that long.
    pub async fn hash_of(&self, number: u32) -> Result<Option<Hash>> {
        self.ask("chain_getBlockHash", vec![json!(number)]).await
    }

    /// What came about in a block.
    pub async fn events(&self, at: Hash) -> Result<Vec<Record>> {
        let key = frame_support::storage::storage_prefix(b"System", b"Events");
        Ok(self
            .read(&key, "events", Some(at))
            .await?
            .unwrap_or_default())
    }

    /// Hash of the first block.
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Milliseconds between blocks that the chain aims at.
    pub fn block_ms(&self) -> u64 {
        self.block_ms
    }

    /// The best block.
    pub async fn best(&self) -> Result<At> {
        let hash: Hash = self.ask("chain_getBlockHash", vec![]).await?;
        let header: Option<HeaderJson> = self.ask("chain_getHeader", vec![json!(hash)]).await?;
        let header = header.ok_or(ChainError::State("header"))?;
        let digits = header.number.trim_start_matches("0x");
        let number = u32::from_str_radix(digits, 16).map_err(|_| ChainError::State("number"))?;
        Ok(At { number, hash })
    }

    /// Whether the node is behind its peers: then its state tells of jobs as they stood long ago.
    ///
    /// # Errors
    ///
    /// Those of the node.
    pub async fn is_behind(&self) -> Result<bool> {
        let health: HealthJson = self.ask("system_health", vec![]).await?;
        Ok(health.is_syncing)
    }

    /// Terms and prices.
    pub async fn market(&self) -> Result<MarketInfo> {
        self.ask("jobs_market", vec![]).await
    }

    /// A job with its auditors; none if it is forgotten, or was never there.
    pub async fn job(&self, job: JobId) -> Result<Option<JobInfo>> {
        match self.ask("jobs_get", vec![json!(job)]).await {
            Ok(job) => Ok(Some(job)),
            Err(ChainError::Call(error)) if error.code() == Some(UNKNOWN_JOB) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of jobs, the newest first.
    pub async fn page(
        &self,
        wanted: &WantedInfo,
        below: Option<JobId>,
        most: u32,
    ) -> Result<JobList> {
        let params = vec![json!(wanted), json!(below), json!(most)];
        self.ask("jobs_list", params).await
    }

    /// All jobs that are wanted, as far as 64 pages go, and at most `most` of them.
    pub async fn jobs(&self, wanted: &WantedInfo, most: usize) -> Result<Vec<JobInfo>> {
        let (mut jobs, mut below) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self.page(wanted, below, 100).await?;
            jobs.extend(page.jobs);
            below = page.below;
            if below.is_none() || jobs.len() >= most {
                break;
            }
        }
        jobs.truncate(most);
        Ok(jobs)
    }

    /// Jobs of a worker that stand somewhere.
    pub async fn jobs_of_worker(
        &self,
        worker: &AccountId,
        stage: StageInfo,
    ) -> Result<Vec<JobInfo>> {
        let wanted = WantedInfo {
            worker: Some(worker.clone()),
            ..WantedInfo::at(stage)
        };
        self.jobs(
            &wanted,
            usize::try_from(pallet_jobs::MAX_CLAIMS).unwrap_or(usize::MAX),
        )
        .await
    }

    /// What is known of a worker.
    pub async fn worker(&self, account: &AccountId) -> Result<WorkerInfo> {
        self.ask("jobs_worker", vec![json!(account)]).await
    }

    /// The research fund.
    pub async fn fund(&self) -> Result<FundInfo> {
        self.ask("grants_fund", vec![]).await
    }

    /// Most that it pays for so many multiply-accumulates.
    pub async fn most_for(&self, macs: u64) -> Result<Balance> {
        self.runtime("GrantsApi_most_for", &macs.encode(), None)
            .await
    }

    /// Of whose quota the fund pays for a job; none if it does not, or no more.
    pub async fn grant(&self, job: JobId) -> Result<Option<Grant>> {
        let key = pallet_grants::Granted::<Runtime>::hashed_key_for(job);
        self.read(&key, "grant", None).await
    }

    /// An institution with who belongs to it; none if it was never admitted.
    pub async fn institution(&self, id: InstitutionId) -> Result<Option<InstitutionInfo>> {
        match self.ask("grants_get", vec![json!(id)]).await {
            Ok(institution) => Ok(Some(institution)),
            Err(ChainError::Call(error)) if error.code() == Some(UNKNOWN_INSTITUTION) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of institutions, the newest first.
    pub async fn institutions(
        &self,
        below: Option<InstitutionId>,
        most: u32,
    ) -> Result<InstitutionList> {
        self.ask("grants_list", vec![json!(below), json!(most)])
            .await
    }

    /// What an account has to do with grants.
    pub async fn standing(&self, account: &AccountId) -> Result<StandingInfo> {
        self.ask("grants_of", vec![json!(account)]).await
    }

    async fn storage(&self, key: &[u8], at: Option<Hash>) -> Result<Option<Vec<u8>>> {
        let key = hex_of(key);
        let params = match at {
            Some(at) => vec![json!(key), json!(at)],
            None => vec![json!(key)],
        };
        let value: Option<String> = self.ask("state_getStorage", params).await?;
        value
            .map(|value| bytes_of(&value).ok_or(ChainError::State("storage")))
            .transpose()
    }

    async fn account(&self, account: &AccountId) -> Result<AccountInfo> {
        let key = frame_system::Account::<Runtime>::hashed_key_for(account);
        Ok(self.read(&key, "account", None).await?.unwrap_or_default())
    }

    /// An account's money.
    pub async fn money(&self, account: &AccountId) -> Result<Money> {
        let data = self.account(account).await?.data;
        let least = <Runtime as pallet_balances::Config>::ExistentialDeposit::get();
        let frozen = data.frozen.saturating_sub(data.reserved);
        Ok(Money {
            free: data.free.saturating_sub(frozen.max(least)),
            held: data.reserved,
        })
    }

    /// Number of the next transaction of an account: as the state has it, and with those that wait.
    pub async fn next_nonce(&self, account: &AccountId) -> Result<(Nonce, Nonce)> {
        let waiting: Nonce = self
            .ask("system_accountNextIndex", vec![json!(account)])
            .await?;
        let settled = self.account(account).await?.nonce;
        Ok((settled, waiting.max(settled)))
    }
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}
