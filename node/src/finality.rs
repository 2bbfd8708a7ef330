//! Finality: the SDK's GRANDPA beneath our import, and what the node says and asks about it.

mod age;
mod around;

use std::{sync::Arc, time::Duration};

use labora_consensus::{
    Engine, ForcedChange, ForcedChangeError, ForcedChanges, Guard, MostWork, NetworkFinality,
    PouwBlockImport, Surroundings as _, TrustingProvider, voting_rules,
};
use labora_consensus_api::PouwApi;
use labora_runtime::opaque::Block;
use parking_lot::Mutex;
use sc_consensus::{BoxJustificationImport, import_queue::ImportQueueService};
use sc_consensus_grandpa::{
    Config, FinalityProofProvider, GenesisAuthoritySetProvider, GrandpaParams, LinkHalf,
    SharedVoterState,
};
use sc_network::{NotificationService, ProtocolName, service::traits::NetworkService};
use sc_network_sync::{SyncingService, strategy::warp::WarpSyncProvider};
use sc_service::{Configuration, Role, TaskManager, error::Error as ServiceError};
use sc_telemetry::TelemetryHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::{Error as ClientError, HeaderBackend};
use sp_consensus_grandpa::AuthorityList;
use sp_keystore::KeystorePtr;
use substrate_prometheus_endpoint::Registry;

use around::Around;

use crate::{
    metrics::{self, votes::VoteCounts},
    rpc::pouw::ListForcedChanges,
    service::{FullBackend, FullClient, Hash, Pool},
};

/// The best chain, as votes follow it.
pub type Selection = MostWork<Block, FullBackend>;
/// GRANDPA's import, which ours hands blocks to.
pub type GrandpaImport =
    sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, Selection>;
/// Our import over it.
pub type BlockImport = PouwBlockImport<Block, GrandpaImport>;
/// GRANDPA's `grandpa_…` methods.
pub type GrandpaRpc = sc_consensus_grandpa_rpc::Grandpa<
    sc_consensus_grandpa::SharedAuthoritySet<Hash, u32>,
    SharedVoterState,
    Block,
    FinalityProofProvider<FullBackend, Block>,
>;

/// A justification is stored, and gossiped, at least every so many blocks: as the SDK's own nodes have it.
const JUSTIFICATION_PERIOD: u32 = 512;

/// Longest that a vote waits for more to come: a third of a second, as the SDK's own nodes have it.
const GOSSIP_DURATION: Duration = Duration::from_millis(333);

/// What finality adds to a node, before it runs.
pub struct Finality {
    /// What the voter needs.
    link: LinkHalf<Block, FullClient, Selection>,
    /// Makes and checks warp proofs.
    pub provider: Arc<dyn WarpSyncProvider<Block>>,
    /// Asks peers what is final.
    pub source: Arc<NetworkFinality<Block>>,
    /// Changes of authorities that finality did not make.
    forced: Arc<ForcedChanges<Block>>,
}

/// The first authorities, or a sentence why a chain cannot have any.
struct Founders(Arc<FullClient>);

impl GenesisAuthoritySetProvider<Block> for Founders {
    fn get(&self) -> Result<AuthorityList, ClientError> {
        let authorities = GenesisAuthoritySetProvider::<Block>::get(&self.0).map_err(|error| {
            ClientError::Application(
                format!(
                    "this chain's genesis cannot name its validators ({error}): its data folder is of an earlier version; \
                     remove it with purge-chain and sync again"
                )
                .into(),
            )
        })?;
        if authorities.is_empty() {
            return Err(ClientError::Application(
                "this chain's genesis names no validators, so nothing could become final: found a network with \
                 `labora testnet --write`, and start from the chain spec that it writes"
                    .into(),
            ));
        }
        Ok(authorities)
    }
}

/// Builds import with finality beneath it.
pub fn new_partial(
    config: &Configuration,
    client: &Arc<FullClient>,
    backend: &Arc<FullBackend>,
    engine: &Arc<Engine<Block>>,
    telemetry: Option<TelemetryHandle>,
) -> Result<(BlockImport, BoxJustificationImport<Block>, Finality), ServiceError> {
    let (grandpa, link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &Founders(client.clone()),
        Selection::new(backend.clone()),
        telemetry,
    )?;
    let told = labora_chain_spec::forced_changes(&*config.chain_spec).to_vec();
    let proofs = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        link.shared_authority_set().clone(),
        told.iter().map(ForcedChange::hard_fork).collect(),
    ));
    let forced = ForcedChanges::new(
        told.clone(),
        client.clone(),
        link.shared_authority_set().clone(),
        proofs,
    );
    forced.check().map_err(|error| match error {
        ForcedChangeError::Chain(error) => error.into(),
        wrong => ServiceError::Other(format!(
            "the chain spec's forcedChanges cannot be right: {wrong}; compare them with what other nodes' pouw_forcedChanges answers"
        )),
    })?;
    let genesis = client.info().genesis_hash;
    // The verifier, which asks it, tells the engine what was proved; warp sync, which is the SDK's, does not.
    let source = NetworkFinality::new(
        genesis,
        config.chain_spec.fork_id(),
        forced.clone(),
        engine.clone(),
    );
    let provider = TrustingProvider::new(forced.clone(), engine.clone());
    let import = PouwBlockImport::new(grandpa.clone(), engine.clone())
        .with_forced_changes(told, client.clone());
    let finality = Finality {
        link,
        provider,
        source,
        forced,
    };
    Ok((import, Box::new(grandpa), finality))
}

/// The name of GRANDPA's protocol on this chain.
pub fn protocol_name(config: &Configuration, genesis: &Hash) -> ProtocolName {
    sc_consensus_grandpa::protocol_standard_name(genesis, &config.chain_spec)
}

/// What a running node's voter needs besides [`Finality`].
pub struct Voting {
    /// Whether this node may vote.
    pub role: Role,
    /// What the log calls it.
    pub name: String,
    /// Metrics.
    pub registry: Option<Registry>,
    /// Reports to telemetry servers.
    pub telemetry: Option<TelemetryHandle>,
    /// Shared with the `grandpa_…` methods.
    pub state: SharedVoterState,
    /// The protocol's name, from [`protocol_name`].
    pub protocol: ProtocolName,
    /// Its notifications.
    pub notifications: Box<dyn NotificationService>,
    /// The network.
    pub network: Arc<dyn NetworkService>,
    /// Its peers.
    pub sync: Arc<SyncingService<Block>>,
    /// Where a report of a double vote goes.
    pub pool: Arc<Pool>,
    /// Keys to vote with.
    pub keystore: KeystorePtr,
    /// Where proofs of finality go.
    pub justifications: Box<dyn ImportQueueService<Block>>,
    /// The chain.
    pub client: Arc<FullClient>,
    /// Whether somebody was asked for a block that is final.
    pub has_checkpoint: bool,
}

impl Finality {
    /// Lists forced changes of authorities.
    pub fn forced_changes(&self) -> ListForcedChanges {
        let forced = self.forced.clone();
        Arc::new(move || forced.known())
    }

    /// The `grandpa_…` methods of JSON-RPC, over the state that the voter will share.
    pub fn rpc(
        &self,
        backend: &Arc<FullBackend>,
        state: &SharedVoterState,
    ) -> impl Fn(sc_rpc::SubscriptionTaskExecutor) -> GrandpaRpc + Send + Sync + 'static + use<>
    {
        let authorities = self.link.shared_authority_set().clone();
        let justifications = self.link.justification_stream();
        let proofs =
            FinalityProofProvider::new_for_service(backend.clone(), Some(authorities.clone()));
        let state = state.clone();
        move |executor| {
            GrandpaRpc::new(
                executor,
                authorities.clone(),
                state.clone(),
                justifications.clone(),
                proofs.clone(),
            )
        }
    }

    /// Starts the voter. One that holds no key of an authority only follows: it checks and relays what others sign.
    ///
    /// To be called when the session keys of a well-known account are in the keystore: which key votes is decided when a
    /// round begins, and the first one begins here.
    pub fn start(self, tasks: &TaskManager, voting: Voting) -> Result<(), ServiceError> {
        let keystore = voting.role.is_authority().then_some(voting.keystore);
        let transactions = OffchainTransactionPoolFactory::new(voting.pool);
        let counts = Arc::new(VoteCounts::default());
        if let Some(registry) = &voting.registry {
            metrics::votes::register_all(registry, counts.clone())?;
        }
        let best = voting.client.info().best_hash;
        let block_ms = voting.client.runtime_api().target_block_time_ms(best);
        if let Ok(block_ms) = block_ms {
            let block_time = Duration::from_millis(block_ms);
            age::warn_of_age(&voting.client, block_time, voting.has_checkpoint);
        }
        let watching = age::watch(voting.client.clone());
        tasks.spawn_handle().spawn("finality-age", None, watching);
        let around = Around {
            client: voting.client,
            authorities: self.link.shared_authority_set().clone(),
            keystore: keystore.clone(),
            transactions: transactions.clone(),
            sync: voting.sync.clone(),
            network: voting.network.clone(),
            justifications: Mutex::new(voting.justifications),
            spawner: tasks.spawn_handle(),
            counts,
            reported: Mutex::default(),
        };
        // Who has no key learns so at once, and not when there are peers.
        let (_, members) = around.authorities();
        let _ = around.own(&members);
        let voter = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
            config: Config {
                gossip_duration: GOSSIP_DURATION,
                justification_generation_period: JUSTIFICATION_PERIOD,
                observer_enabled: false,
                local_role: voting.role,
                name: Some(voting.name),
                keystore,
                telemetry: voting.telemetry.clone(),
                protocol_name: voting.protocol,
            },
            link: self.link,
            network: voting.network,
            sync: voting.sync,
            notification_service: Box::new(Guard::new(voting.notifications, Arc::new(around))),
            voting_rule: voting_rules(),
            prometheus_registry: voting.registry,
            shared_voter_state: voting.state,
            telemetry: voting.telemetry,
            offchain_tx_pool_factory: transactions,
        })?;
        tasks
            .spawn_essential_handle()
            .spawn_blocking("grandpa-voter", None, voter);
        Ok(())
    }
}
