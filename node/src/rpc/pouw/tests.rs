use parking_lot::Mutex;

use super::*;
use crate::rpc::error::Error;

/// An engine that takes every seal, or refuses each for the reason that a test sets.
#[derive(Default)]
struct FakeEngine {
    refusal: Mutex<Option<SubmitError>>,
    got: Mutex<Vec<H256>>,
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
        self.got.lock().push(pre_hash);
        let result = match self.refusal.lock().take() {
            Some(refusal) => Err(refusal),
            None => Ok(H256::repeat_byte(7)),
        };
        Box::pin(std::future::ready(result))
    }

    fn check_share(
        &self,
        _: H256,
        _: Seal,
        _: Arc<Proof>,
        _: Difficulty,
    ) -> BoxFuture<'static, Result<Share, SubmitError>> {
        unreachable!("no test here submits shares")
    }
}

fn rpc(engine: Option<Arc<FakeEngine>>) -> PouwRpc<()> {
    PouwRpc {
        client: Arc::new(()),
        proofs: Arc::new(|_| Ok(None)),
        mining: engine.map(|engine| Arc::new(engine) as Arc<dyn Mining>),
        author: None,
        worker: Arc::new(|| unreachable!("no test here asks for figures")),
        submissions: Arc::default(),
        shares: None,
        forced_changes: Arc::new(|| Ok(Vec::new())),
    }
}

/// Hash, seal and proof of a product that wins at the lowest difficulty, in hex.
fn won() -> (String, String, String) {
    let shape = labora_pouw::Shape::new(32, 32, 256).expect("the smallest shape is allowed");
    let (a, bt) = labora_pouw::reference::matrices("node-rpc", shape);
    let pre_hash = [1; 32];
    let lowest = labora_pouw::Difficulty::new(1.into()).expect("one is not zero");
    let proved = labora_pouw::reference::prove(&pre_hash, &a, &bt, shape, lowest)
        .expect("matrices of this shape");
    let winner = &proved.winners[0];
    (
        hex::encode(pre_hash),
        hex::encode(winner.seal.encode()),
        hex::encode(winner.proof.encode()),
    )
}

#[tokio::test]
async fn a_good_seal_reaches_the_engine() {
    let engine = Arc::new(FakeEngine::default());
    let (pre_hash, seal, proof) = won();
    let hash = rpc(Some(engine.clone()))
        .try_submit(&pre_hash, &format!("0x{seal}"), &format!("0x{proof}"))
        .await;
    assert_eq!(hash.expect("the engine takes all"), H256::repeat_byte(7));
    assert_eq!(*engine.got.lock(), [H256::repeat_byte(1)]);
}

#[tokio::test]
async fn malformed_seals_never_reach_the_engine() {
    let engine = Arc::new(FakeEngine::default());
    let rpc = rpc(Some(engine.clone()));
    let (pre_hash, seal, proof) = won();
    let long = "00".repeat(Proof::MAX_ENCODED_LEN + 1);
    let flipped_shape = format!("ffffffff{}", &seal[8..]);
    for (pre_hash, seal, proof) in [
        ("", &*seal, &*proof),
        (&pre_hash[2..], &seal, &proof),
        ("zz", &seal, &proof),
        (&pre_hash, "", &proof),
        (&pre_hash, &seal[2..], &proof),
        (&pre_hash, &format!("{seal}00"), &proof),
        (&pre_hash, &flipped_shape, &proof),
        (&pre_hash, &seal, ""),
        (&pre_hash, &seal, &proof[..proof.len() - 2]),
        (&pre_hash, &seal, &proof[1..]),
        (&pre_hash, &seal, &format!("{proof}00")),
        (&pre_hash, &seal, &long),
    ] {
        let error = rpc
            .try_submit(pre_hash, seal, proof)
            .await
            .expect_err("must be refused");
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
    assert!(engine.got.lock().is_empty());
}

#[tokio::test]
async fn without_mining_a_seal_is_refused() {
    let (pre_hash, seal, proof) = won();
    let error = rpc(None)
        .try_submit(&pre_hash, &seal, &proof)
        .await
        .expect_err("nothing mines");
    assert_eq!(error.code(), Error::NotMining.code());
}
