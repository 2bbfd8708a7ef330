//! The link and the submissions against a node that does what a test wants.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use labora_consensus::Template;
use labora_pouw::{Difficulty, Proof, Seal};
use serde_json::json;
use sp_core::H256;
use tokio::{sync::watch, task::JoinHandle};

use super::fake_node::{FakeNode, script, work};
use crate::miner::{
    link::{Link, LinkError, Shares, State},
    status::Tally,
    submit::RemoteSubmit,
    url::NodeUrl,
};
use crate::{
    rpc::{error::Error as NodeError, types::WorkMessage},
    shares::RigName,
    worker::{SubmitSeal, Verdict},
};

/// Longest wait for a condition; only a failing test gets there.
const PATIENCE: Duration = Duration::from_secs(60);

struct Setup {
    templates: watch::Receiver<Option<Template>>,
    state: watch::Receiver<State>,
    tally: Arc<Tally>,
    link: JoinHandle<Result<std::convert::Infallible, LinkError>>,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.link.abort();
    }
}

fn connect(nodes: Vec<NodeUrl>, shares: Shares) -> Setup {
    let tally = Arc::new(Tally::default());
    let (templates, heard) = watch::channel(None);
    let state = watch::Sender::new(State::Down);
    let followed = state.subscribe();
    let link = Link::new(nodes, shares, templates, state, Arc::clone(&tally));
    Setup {
        templates: heard,
        state: followed,
        tally,
        link: tokio::spawn(link.run()),
    }
}

impl Setup {
    async fn wait(&mut self, wanted: impl FnMut(&Option<Template>) -> bool) -> Option<Template> {
        let template = tokio::time::timeout(PATIENCE, self.templates.wait_for(wanted));
        template.await.expect("in time").expect("runs").clone()
    }

    async fn number(&mut self, number: u32) -> Template {
        let wanted = move |template: &Option<Template>| {
            template.as_ref().is_some_and(|now| now.number == number)
        };
        self.wait(wanted).await.expect("waited for")
    }

    fn submit(&self, rig: Option<&str>) -> RemoteSubmit {
        let rig = rig.map(|rig| RigName::new(rig).expect("a good name"));
        RemoteSubmit::new(self.state.clone(), rig, Arc::clone(&self.tally))
    }

    async fn refusal(mut self) -> String {
        let ended = tokio::time::timeout(PATIENCE, &mut self.link);
        match ended.await.expect("in time").expect("no panic") {
            Err(error) => error.to_string(),
        }
    }
}

/// Any seal with its proof: the fake node looks at neither.
fn tile() -> (Seal, Proof) {
    let shape = labora_pouw::Shape::new(32, 32, 256).expect("the smallest shape");
    let (a, bt) = labora_pouw::reference::matrices("miner", shape);
    let lowest = Difficulty::new(1.into()).expect("one is not zero");
    let proved = labora_pouw::reference::prove(&[1; 32], &a, &bt, shape, lowest);
    let winner = proved.expect("of this shape").winners.remove(0);
    (winner.seal, winner.proof)
}

async fn send(submit: &RemoteSubmit, template: &Template) -> Verdict {
    let (seal, proof) = tile();
    let verdict = submit.submit(template.pre_hash, seal, proof);
    tokio::time::timeout(PATIENCE, verdict)
        .await
        .expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_mined_as_the_node_tells_it() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    assert_eq!(template.difficulty, 1_000_000.into());
    node.script.send_modify(|script| script.work = work(2, 5));
    assert_eq!(miner.number(2).await.difficulty, 5.into());
    node.script
        .send_modify(|script| script.work = WorkMessage::Stop);
    miner.wait(Option::is_none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_was_not_told_is_found_by_asking() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    miner.number(1).await;
    node.script.send_modify(|script| {
        script.tells = false;
        script.work = work(2, 5);
    });
    miner.number(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_is_not_mined_for_until_it_answers_again() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    miner.number(1).await;
    let frozen_at = Instant::now();
    node.script.send_modify(|script| script.is_frozen = true);
    miner.wait(Option::is_none).await;
    let took = frozen_at.elapsed();
    println!("nothing was mined after {took:?}");
    // The miner's own bound is 0.9 s; the rest is for a machine that is busy with other tests.
    assert!(took < Duration::from_secs(3), "{took:?}");
    node.script.send_modify(|script| {
        script.is_frozen = false;
        script.work = work(2, 5);
    });
    miner.number(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_frozen_is_left_for_the_next_and_a_tile_meanwhile_is_lost_with_a_count() {
    let (node, other) = (
        FakeNode::start(script()).await,
        FakeNode::start(script()).await,
    );
    other.script.send_modify(|script| script.work = work(2, 5));
    let mut miner = connect(vec![node.url(), other.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    let submit = miner.submit(None);
    node.script.send_modify(|script| script.is_frozen = true);
    miner.wait(Option::is_none).await;
    assert_eq!(send(&submit, &template).await, Verdict::Dropped);
    assert_eq!(miner.tally.figures(), [0, 0, 0, 0, 1]);
    miner.number(2).await;
    assert!(node.submitted.lock().is_empty(), "nothing stale was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_stops_the_mining_and_one_that_comes_back_goes_on() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    let submit = miner.submit(None);
    let address = node.end().await;
    miner.wait(Option::is_none).await;
    assert_eq!(send(&submit, &template).await, Verdict::Dropped);
    assert_eq!(miner.tally.figures(), [0, 0, 0, 0, 1]);
    let mut back = script();
    back.work = work(3, 5);
    let _node = FakeNode::start_at(back, address).await;
    miner.number(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_is_sent_once_it_is_for_work_that_stands() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    let submit = miner.submit(None);
    assert_eq!(
        send(&submit, &template).await,
        Verdict::Imported(H256::repeat_byte(7))
    );
    node.script.send_modify(|script| script.work = work(2, 5));
    miner.number(2).await;
    // Its parent is no longer built upon, which the miner knows without asking.
    assert_eq!(send(&submit, &template).await, Verdict::TooLate);
    assert_eq!(node.submitted.lock().len(), 1);
    assert_eq!(miner.tally.figures(), [1, 0, 0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_says_to_a_tile_is_told_apart() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    let submit = miner.submit(None);
    for (error, expected) in [
        (NodeError::Stale, Verdict::TooLate),
        (NodeError::Duplicate, Verdict::TooLate),
        (NodeError::Weak("x".into()), Verdict::Refused("no".into())),
    ] {
        let code = error.code();
        node.script.send_modify(|script| script.verdict = Err(code));
        assert_eq!(send(&submit, &template).await, expected);
    }
    assert_eq!(miner.tally.figures(), [0, 0, 1, 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_that_is_on_its_way_when_the_node_ends_is_lost_and_not_waited_for() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    let template = miner.number(1).await;
    let submit = miner.submit(None);
    let submitted = Arc::clone(&node.submitted);
    node.script.send_modify(|script| script.is_frozen = true);
    let sending = tokio::spawn(async move { send(&submit, &template).await });
    // Sent while the node was still believed alive, or never: both end with the connection.
    miner.wait(Option::is_none).await;
    assert_eq!(sending.await.expect("no panic"), Verdict::Dropped);
    assert_eq!(miner.tally.figures(), [0, 0, 0, 0, 1]);
    assert!(submitted.lock().len() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_mined_at_the_nodes_difficulty_and_go_under_the_rigs_name() {
    let mut counting = script();
    counting.info["shareMacs"] = json!("1000");
    counting.verdict = Ok(json!({"macs": "1000", "block": null}));
    let node = FakeNode::start(counting).await;
    let mut miner = connect(vec![node.url()], Shares::Wanted);
    let template = miner.number(1).await;
    assert_eq!(template.difficulty, 1_000.into());
    let submit = miner.submit(Some("lab-3"));
    assert_eq!(send(&submit, &template).await, Verdict::Share);
    let block = H256::repeat_byte(5);
    node.script
        .send_modify(|script| script.verdict = Ok(json!({"macs": "1000", "block": block})));
    assert_eq!(send(&submit, &template).await, Verdict::Imported(block));
    assert_eq!(miner.tally.figures(), [1, 2, 0, 0, 0]);
    assert!(
        node.submitted
            .lock()
            .iter()
            .all(|(method, parameters)| method == "pouw_submitShare" && parameters[0] == "lab-3")
    );

    // Easier than a share: the block's own difficulty is mined at.
    node.script.send_modify(|script| script.work = work(2, 10));
    assert_eq!(miner.number(2).await.difficulty, 10.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_among_too_many_shares_is_submitted_as_a_block() {
    let mut busy = script();
    busy.info["shareMacs"] = json!("1000");
    busy.verdict = Err(NodeError::Busy(String::new()).code());
    busy.work = work(1, u64::MAX);
    let node = FakeNode::start(busy).await;
    let mut miner = connect(vec![node.url()], Shares::Wanted);
    let submit = miner.submit(Some("lab-3"));
    let template = miner.number(1).await;
    // A tile wins next to nothing at this difficulty, and always at that of one.
    assert_eq!(
        send(&submit, &template).await,
        Verdict::Refused("no".into())
    );
    node.script.send_modify(|script| script.work = work(2, 1));
    let template = miner.number(2).await;
    send(&submit, &template).await;
    let methods: Vec<String> = node
        .submitted
        .lock()
        .iter()
        .map(|(method, _)| method.clone())
        .collect();
    assert_eq!(
        methods,
        ["pouw_submitShare", "pouw_submitShare", "pouw_submitSeal"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_counts_no_shares_gets_blocks_of_a_rig_with_a_name() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Wanted);
    let template = miner.number(1).await;
    assert_eq!(template.difficulty, 1_000_000.into());
    send(&miner.submit(Some("lab-3")), &template).await;
    assert_eq!(node.submitted.lock()[0].0, "pouw_submitSeal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_will_not_do_ends_the_miner_with_what_to_do_about_it() {
    let mut old = script();
    old.info["protocol"] = json!("labora/0");
    let mut idle = script();
    idle.info["mining"] = json!(false);
    let mut denying = script();
    denying.refusal = Some((-32601, "RPC call is unsafe to be called externally".into()));
    let mut older = script();
    older.refusal = Some((-32601, "Method not found".into()));
    let mut ended = script();
    ended.refusal = Some((NodeError::NotMining.code(), "not mining".into()));
    let mut foreign = script();
    foreign.info = json!({"name": "another program"});
    for (script, words) in [
        (old, "update the older"),
        (idle, "--mine"),
        (denying, "--rpc-methods unsafe"),
        (older, "update it"),
        (ended, "--mine"),
        (foreign, "cannot be read"),
    ] {
        let node = FakeNode::start(script).await;
        let sentence = connect(vec![node.url()], Shares::Unwanted).refusal().await;
        assert!(sentence.contains(words), "{sentence}");
        assert!(sentence.contains(node.url().as_str()), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_node_is_tried_when_one_will_not_do() {
    let mut idle = script();
    idle.info["mining"] = json!(false);
    let (idle, good) = (FakeNode::start(idle).await, FakeNode::start(script()).await);
    let mut miner = connect(vec![idle.url(), good.url()], Shares::Unwanted);
    miner.number(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_is_not_taken_in_a_nodes_place() {
    let mut elsewhere = script();
    elsewhere.info["genesis"] = json!(H256::repeat_byte(1));
    elsewhere.work = work(2, 5);
    let (node, other) = (
        FakeNode::start(script()).await,
        FakeNode::start(elsewhere).await,
    );
    let mut miner = connect(vec![node.url(), other.url()], Shares::Unwanted);
    miner.number(1).await;
    let address = node.end().await;
    miner.wait(Option::is_none).await;
    let mut back = script();
    back.work = work(3, 5);
    let _node = FakeNode::start_at(back, address).await;
    let next = miner.wait(Option::is_some).await.expect("waited for");
    assert_eq!(next.number, 3, "not that of the other chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_past_the_bound_ends_the_connection_and_nothing_else() {
    let node = FakeNode::start(script()).await;
    let mut miner = connect(vec![node.url()], Shares::Unwanted);
    miner.number(1).await;
    let WorkMessage::Work {
        number,
        pre_hash,
        parent,
        target_per_mac,
        ..
    } = work(2, 5)
    else {
        unreachable!("it is work");
    };
    node.script.send_modify(|script| {
        script.work = WorkMessage::Work {
            difficulty: "9".repeat(1 << 20),
            number,
            pre_hash,
            parent,
            target_per_mac,
        };
    });
    miner.wait(Option::is_none).await;
    node.script.send_modify(|script| script.work = work(3, 5));
    miner.number(3).await;
}
