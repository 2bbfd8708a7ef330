//! A node, as one asks it: by JSON-RPC, in this process or elsewhere.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use jsonrpsee::{
    RpcModule,
    core::{
        client::{ClientT, Error as RpcError},
        params::ArrayParams,
    },
    types::ErrorObjectOwned,
    ws_client::{WsClient, WsClientBuilder},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Mutex;

/// Longest answer that is read: 100 jobs of 64 products have 1.5 MB, the longest block a few MB in hex.
const MAX_ANSWER: u32 = 32 << 20;

/// Longest request: a fraud proof has at most 0.53 MB, in hex twice that.
const MAX_REQUEST: u32 = 2 << 20;

/// Until a connection stands.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Until an answer is there.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Most characters of a node's own words that are shown.
const MAX_WORDS: usize = 300;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The node refused.
    #[error("{message}")]
    Refused {
        /// JSON-RPC's code.
        code: i32,
        /// Its words.
        message: String,
    },
    /// It cannot be reached.
    #[error("the node cannot be reached ({0}); check that it runs and that the address is right")]
    Unreachable(String),
    /// Its answer makes no sense.
    #[error(
        "the node's answer to {method} cannot be read ({error}); update the older of the two programs"
    )]
    Unreadable {
        /// What was asked.
        method: String,
        /// What is wrong.
        error: String,
    },
}

impl CallError {
    /// The code, if the node refused.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable(_) | Self::Unreadable { .. } => None,
        }
    }
}

/// What answers.
pub trait Node: Send + Sync {
    /// Calls a method.
    fn call(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> BoxFuture<'_, Result<Value, CallError>>;
}

/// Calls a method, and reads its answer.
pub(crate) async fn ask<R: DeserializeOwned>(
    node: &dyn Node,
    method: &'static str,
    params: Vec<Value>,
) -> Result<R, CallError> {
    let answer = node.call(method, params).await?;
    serde_json::from_value(answer).map_err(|error| unreadable(method, &error))
}

fn unreadable(method: &str, error: &impl ToString) -> CallError {
    CallError::Unreadable {
        method: method.into(),
        error: shown(&error.to_string()),
    }
}

/// Words of somebody else's, fit to be shown.
pub fn shown(text: &str) -> String {
    shown_up_to(text, MAX_WORDS)
}

/// Words of somebody else's, fit to be shown: so many characters of them, and nothing that a terminal would obey.
pub fn shown_up_to(text: &str, most: usize) -> String {
    let letters = text.chars().take(most);
    let mut words: String = letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(most).is_some() {
        words.push('…');
    }
    words
}

fn refused(error: &ErrorObjectOwned) -> CallError {
    // The SDK says why a transaction is refused in `data`.
    let data = error.data().map(|data| data.get().trim_matches('"'));
    let message = match data {
        Some(data) => format!("{}: {data}", error.message()),
        None => error.message().to_owned(),
    };
    CallError::Refused {
        code: error.code(),
        message: shown(&message),
    }
}

/// The node that this process is.
pub struct InProcess(Arc<RpcModule<()>>);

impl InProcess {
    /// With these methods.
    pub fn new(methods: Arc<RpcModule<()>>) -> Self {
        Self(methods)
    }
}

#[derive(Serialize)]
struct Request {
    jsonrpc: &'static str,
    id: u8,
    method: &'static str,
    params: Vec<Value>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<ErrorObjectOwned>,
}

impl Node for InProcess {
    fn call(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> BoxFuture<'_, Result<Value, CallError>> {
        async move {
            let request = Request {
                jsonrpc: "2.0",
                id: 1,
                method,
                params,
            };
            let request =
                serde_json::to_string(&request).map_err(|error| unreadable(method, &error))?;
            // No method that is called here is a subscription.
            let answered = self.0.raw_json_request(&request, 1).await;
            let (answer, _) = answered.map_err(|error| unreadable(method, &error))?;
            let answer: Response =
                serde_json::from_str(&answer).map_err(|error| unreadable(method, &error))?;
            match answer.error {
                Some(error) => Err(refused(&error)),
                None => Ok(answer.result),
            }
        }
        .boxed()
    }
}

/// A node elsewhere, by WebSocket; connected when it is asked first, and again, or to the next that was named, when the connection
/// broke.
pub struct Remote {
    urls: Vec<String>,
    link: Mutex<Link>,
}

/// The connection.
#[derive(Default)]
struct Link {
    /// Which node is asked.
    at: usize,
    client: Option<Arc<WsClient>>,
}

impl Remote {
    /// At `ws://HOST:PORT`, or `wss://` with TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self::any_of(vec![url.into()])
    }

    /// At any of these.
    pub fn any_of(urls: Vec<String>) -> Self {
        Self {
            urls,
            link: Mutex::default(),
        }
    }

    async fn connected(&self) -> Result<Arc<WsClient>, CallError> {
        let mut link = self.link.lock().await;
        if let Some(client) = link.client.as_ref().filter(|client| client.is_connected()) {
            return Ok(Arc::clone(client));
        }
        let mut error = CallError::Unreachable("no node is named".into());
        for _ in 0..self.urls.len() {
            match connect(&self.urls[link.at]).await {
                Ok(client) => {
                    let client = Arc::new(client);
                    link.client = Some(Arc::clone(&client));
                    return Ok(client);
                }
                Err(why) => error = why,
            }
            link.at = (link.at + 1) % self.urls.len();
        }
        Err(error)
    }
}

async fn connect(url: &str) -> Result<WsClient, CallError> {
    let connecting = WsClientBuilder::default()
        .max_response_size(MAX_ANSWER)
        .max_request_size(MAX_REQUEST)
        .connection_timeout(CONNECT_LIMIT)
        .request_timeout(ANSWER_LIMIT)
        .build(url);
    let unreachable = |error: String| CallError::Unreachable(shown(&format!("{url}: {error}")));
    let connected = tokio::time::timeout(CONNECT_LIMIT, connecting).await;
    connected
        .map_err(|_| unreachable(format!("no answer in {} s", CONNECT_LIMIT.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))
}

impl Node for Remote {
    fn call(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> BoxFuture<'_, Result<Value, CallError>> {
        async move {
            let client = self.connected().await?;
            let mut list = ArrayParams::new();
            for param in params {
                list.insert(param)
                    .map_err(|error| unreadable(method, &error))?;
            }
            let answer = client.request(method, list).await;
            answer.map_err(|error| match error {
                RpcError::Call(error) => refused(&error),
                RpcError::ParseError(error) => unreadable(method, &error),
                error => CallError::Unreachable(shown(&error.to_string())),
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods() -> Arc<RpcModule<()>> {
        let mut methods = RpcModule::new(());
        let double = methods.register_method("double", |params, (), _| {
            params.one::<u64>().map(|number| 2 * number)
        });
        double.expect("a name that is free");
        Arc::new(methods)
    }

    #[tokio::test]
    async fn a_method_of_this_process_answers_or_refuses() {
        let node = InProcess::new(methods());
        let doubled: u64 = ask(&node, "double", vec![21.into()])
            .await
            .expect("a number");
        assert_eq!(doubled, 42);
        let refused = ask::<u64>(&node, "double", vec!["x".into()]).await;
        assert_eq!(refused.expect_err("no number").code(), Some(-32602));
        let unknown = ask::<u64>(&node, "halve", vec![]).await;
        assert_eq!(unknown.expect_err("no such method").code(), Some(-32601));
        let unread = ask::<String>(&node, "double", vec![1.into()]).await;
        assert!(matches!(unread, Err(CallError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_named() {
        let node = Remote::new("ws://127.0.0.1:1");
        let error = ask::<u64>(&node, "double", vec![])
            .await
            .expect_err("nobody");
        let words = error.to_string();
        assert!(
            words.contains("ws://127.0.0.1:1") && words.contains("check that it runs"),
            "{words}"
        );
    }

    #[test]
    fn words_from_elsewhere_are_bounded_and_command_no_terminal() {
        assert_eq!(shown("\u{1b}[2Jgone\n"), " [2Jgone ");
        assert_eq!(shown(&"x".repeat(1_000)).chars().count(), MAX_WORDS + 1);
    }
}
