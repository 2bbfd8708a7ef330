//! A node that does what a test wants: the methods that a miner asks for, each by a script.

use std::{net::SocketAddr, sync::Arc};

use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionMessage,
    server::{Server, ServerHandle},
    types::ErrorObjectOwned,
};
use labora_consensus::Template;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sp_core::H256;
use tokio::sync::watch;

use crate::miner::url::NodeUrl;
use crate::rpc::types::WorkMessage;

/// What the fake node does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub info: Value,
    pub work: WorkMessage,
    /// Whether subscribers hear of changes, or only those who ask.
    pub tells: bool,
    /// Whether questions are answered at all.
    pub is_frozen: bool,
    /// The code with which each method but `pouw_info` is refused.
    pub refusal: Option<(i32, String)>,
    /// The answer to submissions.
    pub verdict: Result<Value, i32>,
}

/// Work on the block at `number`.
pub(super) fn work(number: u32, difficulty: u64) -> WorkMessage {
    WorkMessage::from(Some(&Template {
        pre_hash: H256::repeat_byte(number as u8),
        difficulty: difficulty.into(),
        parent: H256::repeat_byte(number as u8 - 1),
        number,
    }))
}

/// A node that does what a node should.
pub(super) fn script() -> Script {
    Script {
        info: json!({
            "protocol": crate::rpc::types::protocol(),
            "genesis": H256::repeat_byte(9),
            "mining": true,
            "shareMacs": null,
            "somethingOfTheFuture": 1,
        }),
        work: work(1, 1_000_000),
        tells: true,
        is_frozen: false,
        refusal: None,
        verdict: Ok(json!(H256::repeat_byte(7))),
    }
}

/// It listens, and writes down what is submitted.
pub(super) struct FakeNode {
    pub script: watch::Sender<Script>,
    pub submitted: Arc<Mutex<Vec<(String, Value)>>>,
    address: SocketAddr,
    server: ServerHandle,
}

struct Context {
    script: watch::Sender<Script>,
    submitted: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Context {
    fn refusal(&self) -> Result<(), ErrorObjectOwned> {
        match &self.script.borrow().refusal {
            Some((code, words)) => Err(ErrorObjectOwned::owned(*code, words.clone(), None::<()>)),
            None => Ok(()),
        }
    }

    async fn thawed(&self) {
        let mut script = self.script.subscribe();
        // The node's script outlives its answers; if not, the test is over.
        let _ = script.wait_for(|script| !script.is_frozen).await;
    }
}

async fn tell(pending: PendingSubscriptionSink, context: Arc<Context>) {
    if let Err(refusal) = context.refusal() {
        return pending.reject(refusal).await;
    }
    let Ok(sink) = pending.accept().await else {
        return;
    };
    let mut script = context.script.subscribe();
    let mut told = None;
    loop {
        let (tells, work) = {
            let now = script.borrow_and_update();
            (now.tells && !now.is_frozen, now.work.clone())
        };
        if tells && told.as_ref() != Some(&work) {
            let message = SubscriptionMessage::from_json(&work).expect("serialises");
            if sink.send(message).await.is_err() {
                return;
            }
            told = Some(work);
        }
        tokio::select! {
            () = sink.closed() => return,
            changed = script.changed() => if changed.is_err() { return },
        }
    }
}

impl FakeNode {
    pub async fn start(script: Script) -> Self {
        Self::start_at(script, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(script: Script, address: SocketAddr) -> Self {
        let script = watch::Sender::new(script);
        let submitted = Arc::<Mutex<Vec<_>>>::default();
        let mut module = RpcModule::new(Context {
            script: script.clone(),
            submitted: Arc::clone(&submitted),
        });
        module
            .register_method("pouw_info", |_, context, _| {
                context.script.borrow().info.clone()
            })
            .expect("the name is free");
        module
            .register_async_method("pouw_getWork", |_, context, _| async move {
                context.thawed().await;
                context.refusal()?;
                Ok::<_, ErrorObjectOwned>(context.script.borrow().work.clone())
            })
            .expect("the name is free");
        for method in ["pouw_submitSeal", "pouw_submitShare"] {
            module
                .register_async_method(method, move |parameters, context, _| async move {
                    let parameters: Value = parameters.parse()?;
                    context.submitted.lock().push((method.into(), parameters));
                    context.thawed().await;
                    let verdict = context.script.borrow().verdict.clone();
                    verdict.map_err(|code| ErrorObjectOwned::owned(code, "no", None::<()>))
                })
                .expect("the name is free");
        }
        module
            .register_subscription(
                "pouw_subscribeWork",
                "pouw_work",
                "pouw_unsubscribeWork",
                |_, pending, context, _| async move { tell(pending, context).await },
            )
            .expect("the names are free");
        let server = Server::builder().build(address).await.expect("listens");
        FakeNode {
            script,
            submitted,
            address: server.local_addr().expect("bound"),
            server: server.start(module),
        }
    }

    pub fn url(&self) -> NodeUrl {
        NodeUrl::new(&format!("ws://{}", self.address)).expect("an address")
    }

    pub async fn end(self) -> SocketAddr {
        self.server.stop().expect("runs");
        self.server.stopped().await;
        self.address
    }
}
