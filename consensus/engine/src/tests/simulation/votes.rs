//! The environment in which GRANDPA's own voter runs: what a node would vote for is asked of the project's `MostWork` and
//! its voting rules, what it voted is on its disk, and what it hears comes from [`Gossip`](super::gossip::Gossip).
//!
//! `sc-consensus-grandpa` keeps its environment to itself, so `best_chain_containing` and the record of cast votes are
//! written here after it; there is one set of authorities.

use std::{pin::Pin, sync::Arc};

use finality_grandpa::{
    Chain as Ancestors, Equivocation, Message, Precommit, Prevote, PrimaryPropose,
    round::State as RoundState,
    voter::{Environment, RoundData, Voter},
    voter_set::VoterSet,
};
use futures::{
    FutureExt, Sink, Stream,
    channel::mpsc,
    future::{BoxFuture, poll_fn},
    sink,
};
use parking_lot::Mutex;
use sc_client_api::utils::is_descendent_of;
use sc_consensus_grandpa::VotingRule;
use sp_blockchain::{HeaderBackend, tree_route};
use sp_consensus::SelectChain;
use sp_core::H256;

use super::{
    super::miner::{Block, Header},
    chain::SimChain,
    context::Context,
    gossip::Gossip,
    messages::Event,
    plan::Mutant,
    record::{Cast, Commit, Completed, Id, Justification, Record, Vote, VoterError, Votes},
    runtime::Ms,
};
use crate::{BlockTree, MostWork, voting_rules};

/// The environment.
pub(super) struct Voting {
    pub(super) me: usize,
    pub(super) context: Arc<Context>,
    pub(super) chain: Arc<SimChain>,
    pub(super) record: Arc<Mutex<Record>>,
    pub(super) gossip: Arc<Gossip>,
}

impl Voting {
    fn cast(&self, round: u64, change: impl FnOnce(&mut Cast)) {
        change(self.record.lock().cast.entry(round).or_default());
    }

    fn complete(&self, completed: Completed) {
        let round = completed.round;
        self.record.lock().complete(completed);
        self.gossip.completed(round);
        self.context.count(|stats| stats.rounds_completed += 1);
    }
}

/// Of the branches on top of `base` a vote follows the one of most work, unless finality moved the best block by itself.
fn check_choice(context: &Context, chain: &SimChain, base: H256, target: &Header) {
    let truth = context.truth.lock();
    let Some(chosen) = truth.work(target.hash()) else {
        return;
    };
    let descends = is_descendent_of(chain, None);
    let heavier = chain.leaves().into_iter().flatten().find(|leaf| {
        truth.work(*leaf) > Some(chosen) && descends(&base, leaf).is_ok_and(|descends| descends)
    });
    let moved = chain.best().hash() == target.hash();
    if let Some(leaf) = heavier.filter(|_| !moved) {
        context.broke(format!(
            "a vote on {base:?} follows {target:?}, lighter than {leaf:?}"
        ));
    }
}

/// What `sc-consensus-grandpa` makes of a selection and voting rules.
async fn best_chain_containing(
    context: Arc<Context>,
    base: H256,
    chain: Arc<SimChain>,
) -> Result<Option<(H256, u32)>, VoterError> {
    let select = MostWork::<Block, SimChain>::new(chain.clone());
    let Some(base_header) = chain.header(base)? else {
        return Ok(None);
    };
    let target = match select.finality_target(base, None).await {
        Ok(target) => chain.expect_header(target)?,
        Err(_) => base_header.clone(),
    };
    check_choice(&context, &chain, base, &target);
    let Ok(mut best) = select.best_chain().await else {
        return Ok(None);
    };
    let (from, to) = (target.hash(), best.hash());
    let is_on_best = target.number < best.number && is_descendent_of(&*chain, None)(&from, &to)?;
    if from != to && !is_on_best {
        best = target.clone();
    }
    let rules = voting_rules::<Block, SimChain>();
    let restricted = rules
        .restrict_vote(chain, &base_header, &best, &target)
        .await;
    let restricted =
        restricted.filter(|(_, number)| (base_header.number..target.number).contains(number));
    Ok(Some(restricted.unwrap_or((target.hash(), target.number))))
}

impl Ancestors<H256, u32> for Voting {
    fn ancestry(&self, base: H256, block: H256) -> Result<Vec<H256>, finality_grandpa::Error> {
        let not = || finality_grandpa::Error::NotDescendent;
        if base == block {
            return Err(not());
        }
        let route = tree_route(&*self.chain, block, base).map_err(|_| not())?;
        if route.common_block().hash != base {
            return Err(not());
        }
        Ok(route
            .retracted()
            .iter()
            .skip(1)
            .map(|entry| entry.hash)
            .collect())
    }
}

impl Environment<H256, u32> for Voting {
    type Timer = BoxFuture<'static, Result<(), VoterError>>;
    type BestChain = BoxFuture<'static, Result<Option<(H256, u32)>, VoterError>>;
    type Id = Id;
    type Signature = Id;
    type In = Pin<Box<dyn Stream<Item = Result<Vote, VoterError>> + Send>>;
    type Out = Pin<Box<dyn Sink<Message<H256, u32>, Error = VoterError> + Send>>;
    type Error = VoterError;

    fn best_chain_containing(&self, base: H256) -> Self::BestChain {
        if self.context.plan.mutant == Mutant::UnknownVotes && self.me == 0 {
            return std::future::ready(Ok(Some((H256::repeat_byte(9), 1)))).boxed();
        }
        best_chain_containing(self.context.clone(), base, self.chain.clone()).boxed()
    }

    fn round_data(&self, round: u64) -> RoundData<Id, Self::Timer, Self::In, Self::Out> {
        let gossip_ms = self.context.plan.gossip_ms;
        let timer = |pause| self.context.timeline.sleep(pause).map(Ok).boxed();
        let (gossip, record) = (self.gossip.clone(), self.record.clone());
        let out = sink::unfold((), move |(), message: Message<H256, u32>| {
            let voted = record.lock().cast.get(&round).cloned().unwrap_or_default();
            gossip.cast(round, voted.again(message));
            std::future::ready(Ok(()))
        });
        RoundData {
            voter_id: Some(self.me as Id),
            prevote_timer: timer(2 * gossip_ms),
            precommit_timer: timer(4 * gossip_ms),
            incoming: Box::pin(self.gossip.votes_of(round)),
            outgoing: Box::pin(out),
        }
    }

    fn round_commit_timer(&self) -> Self::Timer {
        let pause = self.context.draw((0, 2 * self.context.plan.gossip_ms));
        self.context.timeline.sleep(pause).map(Ok).boxed()
    }

    fn proposed(&self, round: u64, proposal: PrimaryPropose<H256, u32>) -> Result<(), VoterError> {
        self.cast(round, |cast| {
            cast.proposal = cast.proposal.take().or(Some(proposal))
        });
        Ok(())
    }

    fn prevoted(&self, round: u64, prevote: Prevote<H256, u32>) -> Result<(), VoterError> {
        self.cast(round, |cast| {
            cast.prevote = cast.prevote.take().or(Some(prevote))
        });
        Ok(())
    }

    fn precommitted(&self, round: u64, precommit: Precommit<H256, u32>) -> Result<(), VoterError> {
        self.cast(round, |cast| {
            cast.precommit = cast.precommit.take().or(Some(precommit))
        });
        Ok(())
    }

    fn completed(
        &self,
        round: u64,
        _: RoundState<H256, u32>,
        base: (H256, u32),
        votes: &Votes,
    ) -> Result<(), VoterError> {
        let votes = votes.seen().to_vec();
        self.complete(Completed { round, base, votes });
        Ok(())
    }

    fn concluded(
        &self,
        round: u64,
        _: RoundState<H256, u32>,
        _: (H256, u32),
        votes: &Votes,
    ) -> Result<(), VoterError> {
        let mut record = self.record.lock();
        if let Some(completed) = record
            .completed
            .iter_mut()
            .find(|known| known.round == round)
        {
            completed.votes = votes.seen().to_vec();
        }
        Ok(())
    }

    fn finalize_block(
        &self,
        block: H256,
        number: u32,
        round: u64,
        commit: Commit,
    ) -> Result<(), VoterError> {
        if number <= self.chain.finalised().1 && self.chain.hash(number)? == Some(block) {
            return Ok(());
        }
        // As in the SDK: what cannot be justified is not final, and ends the voter.
        let justification = Arc::new(Justification::new(commit.clone(), &self.chain));
        if !justification.holds(&self.context.voters()) {
            self.context
                .show(|| format!("node {} cannot justify round {round}: {commit:?}", self.me));
            self.context.show(|| self.gossip.described(false));
            return Err(VoterError::NoJustification);
        }
        self.chain.finalise(block)?;
        self.record.lock().justification = Some(justification);
        self.gossip.finalised(round, commit);
        Ok(())
    }

    fn prevote_equivocation(&self, _: u64, seen: Equivocation<Id, Prevote<H256, u32>, Id>) {
        self.context.equivocated(seen.identity);
    }

    fn precommit_equivocation(&self, _: u64, seen: Equivocation<Id, Precommit<H256, u32>, Id>) {
        self.context.equivocated(seen.identity);
    }
}

/// Longest that a voter is left alone. A voter that refused a catch-up does not ask to be woken by the next message;
/// `sc-consensus-grandpa` polls it with all that its network does, and so never sees it sleep.
const POLL_MS: Ms = 1_500;

/// After which a node whose voter ended is started again.
const RESTART_MS: Ms = 1_000;

/// The voter as a task.
pub(super) async fn vote(voting: Voting, voters: VoterSet<Id>) {
    let (context, me) = (voting.context.clone(), voting.me);
    if context.plan.mutant == Mutant::ForgottenVotes {
        voting.record.lock().forget_votes();
    }
    let last = voting.record.lock().last_completed().cloned();
    let genesis = (voting.chain.info().genesis_hash, 0);
    let last = last.unwrap_or(Completed {
        round: 0,
        base: genesis,
        votes: Vec::new(),
    });
    let finalised = voting.chain.finalised();
    let (global, gossip) = (
        voting.gossip.global(last.round, &voting.record.lock()),
        voting.gossip.clone(),
    );
    let out = sink::unfold(gossip, |gossip, out| {
        gossip.commit(out);
        std::future::ready(Ok(gossip))
    });
    let heard = voting.gossip.clone();
    let comms: (
        mpsc::UnboundedReceiver<_>,
        Pin<Box<dyn Sink<_, Error = _> + Send>>,
    ) = (global, Box::pin(out));
    let mut voter = Voter::new(
        Arc::new(voting),
        voters,
        comms,
        last.round,
        last.votes,
        last.base,
        finalised,
    );
    heard.is_heard_by(voter.voter_state());
    let mut again = context.timeline.sleep(POLL_MS);
    let ended = poll_fn(|cx| {
        while again.poll_unpin(cx).is_ready() {
            again = context.timeline.sleep(POLL_MS);
        }
        voter.poll_unpin(cx)
    });
    match ended.await {
        Ok(()) => context.broke(format!("the voter of node {me} ended")),
        Err(VoterError::Grandpa(_)) => {
            // A vote of whoever equivocates on a branch beside the round's base ends the voter, and the node with it;
            // its operator starts it again.
            context.count(|stats| stats.voters_ended_by_votes_beside_their_base += 1);
            context.timeline.after(0, Event::Crash(me));
            context.timeline.after(RESTART_MS, Event::Start(me));
        }
        Err(VoterError::NoJustification) => {
            context.count(|stats| stats.voters_ended_by_their_own_commit += 1);
            context.timeline.after(0, Event::Crash(me));
            context.timeline.after(RESTART_MS, Event::Start(me));
        }
        Err(error) => context.broke(format!("the voter of node {me} failed: {error}")),
    }
}
