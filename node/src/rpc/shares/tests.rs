use std::num::NonZeroU64;

use futures::future::BoxFuture;
use labora_consensus::{Share, Template};
use labora_pouw::{Difficulty, Proof, Seal};
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sp_core::H256;
use tokio::sync::watch;

use super::*;
use crate::{
    rpc::{
        pouw::Mining,
        share_types::{RejectedInfo, SharesInfo},
    },
    shares::Shares,
};

const WORTH: u64 = 1_000_000_000;

/// An engine that says of every share what a test wants.
#[derive(Default)]
struct FakeEngine {
    shares: Mutex<Vec<Result<Share, SubmitError>>>,
    sealed: Mutex<Vec<H256>>,
}

impl Mining for Arc<FakeEngine> {
    fn templates(&self) -> watch::Receiver<Option<Template>> {
        watch::channel(None).1
    }

    fn submit(
        &self,
        pre_hash: H256,
        _: Seal,
        _: Proof,
    ) -> BoxFuture<'static, Result<H256, SubmitError>> {
        self.sealed.lock().push(pre_hash);
        Box::pin(std::future::ready(Ok(H256::repeat_byte(7))))
    }

    fn check_share(
        &self,
        _: H256,
        _: Seal,
        _: Arc<Proof>,
        least: Difficulty,
    ) -> BoxFuture<'static, Result<Share, SubmitError>> {
        let ordinary = Share {
            macs: least,
            wins: false,
        };
        let verdict = self.shares.lock().pop().unwrap_or(Ok(ordinary));
        Box::pin(std::future::ready(verdict))
    }
}

struct Setup {
    engine: Arc<FakeEngine>,
    rpc: PouwRpc<()>,
    parameters: [String; 3],
}

fn setup() -> Setup {
    let engine = Arc::new(FakeEngine::default());
    let rpc = PouwRpc {
        client: Arc::new(()),
        proofs: Arc::new(|_| Ok(None)),
        mining: Some(Arc::new(engine.clone()) as Arc<dyn Mining>),
        author: None,
        worker: Arc::new(|| unreachable!("no test here asks for figures")),
        submissions: Arc::default(),
        shares: NonZeroU64::new(WORTH).map(|macs| Arc::new(Shares::new(macs))),
        forced_changes: Arc::new(|| Ok(Vec::new())),
    };
    let shape = labora_pouw::Shape::new(32, 32, 256).expect("the smallest shape is allowed");
    let (a, bt) = labora_pouw::reference::matrices("node-rpc-shares", shape);
    let lowest = Difficulty::new(1.into()).expect("one is not zero");
    let proved = labora_pouw::reference::prove(&[1; 32], &a, &bt, shape, lowest)
        .expect("matrices of this shape");
    let winner = &proved.winners[0];
    Setup {
        engine,
        rpc,
        parameters: [
            hex::encode([1; 32]),
            hex::encode(winner.seal.encode()),
            hex::encode(winner.proof.encode()),
        ],
    }
}

impl Setup {
    async fn submit(&self, rig: &str) -> Result<ShareAnswer, Error> {
        let [pre_hash, seal, proof] = &self.parameters;
        self.rpc
            .try_share(ConnectionId(1), rig, pre_hash, seal, proof)
            .await
    }

    fn report(&self) -> SharesInfo {
        let shares = self.rpc.shares.as_ref().expect("counted");
        SharesInfo::new(shares.worth, &shares.ledger.report())
    }
}

#[tokio::test]
async fn a_share_is_counted_for_its_rig_at_the_nodes_difficulty() {
    let setup = setup();
    for rig in ["one", "two", "one"] {
        let answer = setup.submit(rig).await.expect("good");
        assert_eq!(answer.macs, WORTH.to_string());
        assert_eq!(answer.block, None);
    }
    let report = setup.report();
    let macs: Vec<_> = report
        .rigs
        .iter()
        .map(|rig| (rig.rig.as_str(), rig.accepted.shares, &*rig.accepted.macs))
        .collect();
    assert_eq!(macs, [("one", 2, "2000000000"), ("two", 1, "1000000000")]);
    assert_eq!(report.total.macs, "3000000000");
    assert!(setup.engine.sealed.lock().is_empty());
}

#[tokio::test]
async fn a_share_that_wins_is_sealed_and_counted() {
    let setup = setup();
    let macs = Difficulty::new(WORTH.into()).expect("not zero");
    setup
        .engine
        .shares
        .lock()
        .push(Ok(Share { macs, wins: true }));
    let answer = setup.submit("one").await.expect("good");
    assert_eq!(answer.block, Some(H256::repeat_byte(7)));
    assert_eq!(*setup.engine.sealed.lock(), [H256::repeat_byte(1)]);
    let report = setup.report();
    assert_eq!((report.total.shares, report.total.blocks), (1, 1));
}

#[tokio::test]
async fn refusals_keep_their_reason() {
    let setup = setup();
    setup.submit("one").await.expect("good");
    let pre_hash = H256::repeat_byte(1);
    let difficulty = 9.into();
    for refusal in [
        SubmitError::Weak { difficulty },
        SubmitError::Stale { pre_hash },
        SubmitError::Duplicate { pre_hash },
        SubmitError::Full { max: 3 },
    ] {
        setup.engine.shares.lock().push(Err(refusal));
        setup.submit("one").await.expect_err("the engine refuses");
    }
    let [pre_hash, _, proof] = &setup.parameters;
    let error = setup
        .rpc
        .try_share(ConnectionId(1), "one", pre_hash, "00", proof)
        .await;
    assert!(matches!(error, Err(Error::Malformed(_))), "{error:?}");
    let rejected = setup.report().rigs[0].rejected.clone();
    assert_eq!(
        rejected,
        RejectedInfo {
            malformed: 1,
            weak: 1,
            stale: 1,
            duplicate: 1,
            busy: 1
        }
    );
}

#[tokio::test]
async fn a_connection_with_too_many_weak_shares_is_told_to_wait() {
    let setup = setup();
    setup.submit("one").await.expect("good");
    let mut busy = None;
    for _ in 0..1_000 {
        let difficulty = 9.into();
        setup
            .engine
            .shares
            .lock()
            .push(Err(SubmitError::Weak { difficulty }));
        match setup.submit("one").await.expect_err("the engine refuses") {
            Error::Weak(_) => {}
            other => {
                busy = Some(other);
                break;
            }
        }
    }
    assert!(matches!(busy, Some(Error::Busy(_))), "{busy:?}");
}

#[tokio::test]
async fn a_bad_name_and_a_node_that_counts_no_shares_are_refused() {
    let mut setup = setup();
    let error = setup.submit("two words").await.expect_err("no name");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    setup.rpc.shares = None;
    let error = setup.submit("one").await.expect_err("off");
    assert_eq!(error.code(), Error::SharesOff.code());
}
