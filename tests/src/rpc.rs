//! JSON-RPC as a stranger sees it: calls by name, answers as JSON, error codes kept.

use std::{net::SocketAddr, time::Duration};

use jsonrpsee::{
    core::{
        client::{ClientT, Error, Subscription, SubscriptionClientT},
        params::ArrayParams,
    },
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::Value;

use crate::Outcome;

/// Longest wait for one answer.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Requests that may be under way at once: what the fuzz tests pipeline.
const MAX_CALLS: usize = 1_024;

/// A connection to a node.
pub struct Rpc {
    client: WsClient,
}

/// A JSON-RPC error's code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: i32,
    /// The sentence.
    pub message: String,
}

impl Rpc {
    /// Connects over a WebSocket.
    pub async fn connect(address: SocketAddr) -> Outcome<Self> {
        let client = WsClientBuilder::default()
            .request_timeout(CALL_LIMIT)
            .max_concurrent_requests(MAX_CALLS)
            .max_buffer_capacity_per_subscription(MAX_CALLS)
            .build(format!("ws://{address}"))
            .await?;
        Ok(Self { client })
    }

    /// A call that must succeed.
    pub async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        arguments: &[Value],
    ) -> Outcome<T> {
        self.client
            .request(method, positional(arguments)?)
            .await
            .map_err(|error| format!("{method}: {error}").into())
    }

    /// A call that may be refused; anything else than an answer or a refusal is an error.
    pub async fn attempt(
        &self,
        method: &str,
        arguments: &[Value],
    ) -> Outcome<Result<Value, Refusal>> {
        match self
            .client
            .request::<Value, _>(method, positional(arguments)?)
            .await
        {
            Ok(value) => Ok(Ok(value)),
            Err(Error::Call(object)) => Ok(Err(Refusal {
                code: object.code(),
                message: object.message().to_owned(),
            })),
            Err(error) => Err(format!("{method}: {error}").into()),
        }
    }

    /// A call that must be refused.
    pub async fn refused(&self, method: &str, arguments: &[Value]) -> Outcome<Refusal> {
        match self.attempt(method, arguments).await? {
            Err(refusal) => Ok(refusal),
            Ok(value) => {
                Err(format!("{method} should have been refused but answered {value}").into())
            }
        }
    }

    /// Subscribes.
    pub async fn subscribe(&self, method: &str, end: &str) -> Outcome<Subscription<Value>> {
        Ok(self.client.subscribe(method, positional(&[])?, end).await?)
    }

    /// Headers of new best blocks.
    pub async fn heads(&self) -> Outcome<Subscription<Value>> {
        self.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads")
            .await
    }

    /// Number of the best block.
    pub async fn best_number(&self) -> Outcome<u64> {
        let header: Value = self.call("chain_getHeader", &[]).await?;
        number_of(&header)
    }

    /// Number of the last finalised block.
    pub async fn finalised_number(&self) -> Outcome<u64> {
        let hash: String = self.call("chain_getFinalizedHead", &[]).await?;
        let header = self.header(&hash).await?;
        number_of(&header.ok_or("the finalised block has no header")?)
    }

    /// Hash of the best chain's block at `number`, if it is that long.
    pub async fn hash_at(&self, number: u64) -> Outcome<Option<String>> {
        self.call("chain_getBlockHash", &[number.into()]).await
    }

    /// Hash of the best block.
    pub async fn best_hash(&self) -> Outcome<String> {
        self.call("chain_getBlockHash", &[]).await
    }

    /// A header, if the node has it.
    pub async fn header(&self, hash: &str) -> Outcome<Option<Value>> {
        self.call("chain_getHeader", &[hash.into()]).await
    }

    /// Peers that the node is connected to.
    pub async fn peers(&self) -> Outcome<u64> {
        let health: Value = self.call("system_health", &[]).await?;
        Ok(health["peers"]
            .as_u64()
            .ok_or("system_health names no peers")?)
    }
}

/// Number of the next of new best blocks, which must come within `limit`.
pub async fn next_number(heads: &mut Subscription<Value>, limit: Duration) -> Outcome<u64> {
    let head = tokio::time::timeout(limit, heads.next())
        .await
        .map_err(|_| format!("no block in {limit:?}"))?
        .ok_or("the subscription to blocks ended")??;
    number_of(&head)
}

/// The number in a header.
pub fn number_of(header: &Value) -> Outcome<u64> {
    let text = header["number"]
        .as_str()
        .ok_or_else(|| format!("no number in the header {header}"))?;
    Ok(u64::from_str_radix(text.trim_start_matches("0x"), 16)?)
}

/// Bytes as JSON-RPC writes them.
pub fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Bytes from `0x…`.
pub fn bytes_of(text: &str) -> Outcome<Vec<u8>> {
    Ok(hex::decode(text.strip_prefix("0x").unwrap_or(text))?)
}

fn positional(arguments: &[Value]) -> Outcome<ArrayParams> {
    let mut out = ArrayParams::new();
    for argument in arguments {
        out.insert(argument)?;
    }
    Ok(out)
}
