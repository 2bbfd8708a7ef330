//! `labora job watch`: tells a poster what happens to a job and why, while it happens.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use labora_market::{
    LOOK_EVERY,
    account::Account,
    chain::{At, ChainError},
    node::shown,
    types::{JobInfo, MarketInfo, StageInfo},
};
use labora_runtime::RuntimeEvent;
use pallet_jobs::{Event, JobId};
use serde_json::json;

use super::{calls, job, stage_name, told};
use crate::{
    rpc::Explanation,
    wallet::{
        WalletError,
        act::{Quote, Trace, Wallet},
        flags::{KeyParams, NodeParams},
        progress::{self, Template},
        show::{Out, time_of, warn},
    },
};

/// Blocks whose events are looked through at a time, after a while without the node.
const MAX_BLOCKS: u32 = 256;

/// Before a node is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Which job is followed, and who does what is due.
#[derive(Args, Clone, Debug)]
pub struct WatchOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// With a key, what is due is done on the way (jobs.poke), which costs nothing; without one it is only said.
    #[clap(flatten)]
    pub key: KeyParams,

    /// The node.
    #[clap(flatten)]
    pub node: NodeParams,
}

/// What was seen of a job.
struct Watch<'a> {
    wallet: Wallet<'a>,
    account: Option<Account>,
    number: JobId,
    market: MarketInfo,
    bar: ProgressBar,
    /// The last block whose events were told.
    told: u32,
    /// Where the stage was first seen.
    stage: Option<(StageInfo, u32)>,
    /// What was said last of where it stands.
    said: Vec<String>,
    /// The block in which what is due was tried last.
    poked: u32,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    More,
    End,
}

impl Watch<'_> {
    fn say(&self, sentence: &str) -> Result<(), WalletError> {
        self.bar.suspend(|| Out::People.say(sentence))
    }

    /// Tells what came about since it was looked last; whether that was the end.
    async fn events(&mut self, best: At) -> Result<Next, WalletError> {
        let first = self
            .told
            .saturating_add(1)
            .max(best.number.saturating_sub(MAX_BLOCKS));
        let mut next = Next::More;
        for number in first..=best.number {
            let Some(hash) = self.wallet.chain.hash_of(number).await? else {
                break;
            };
            // The state of an old block may be gone.
            let records = self.wallet.chain.events(hash).await.unwrap_or_default();
            for record in records {
                let RuntimeEvent::Jobs(event) = record.event else {
                    continue;
                };
                if let Some(sentence) = told::sentence(&event, self.number) {
                    self.say(&format!("block {number}: {sentence}"))?;
                    if is_end(&event) {
                        next = Next::End;
                    }
                }
            }
            self.told = number;
        }
        Ok(next)
    }

    /// Tells where it stands, if that is said otherwise than before.
    async fn stand(&mut self, it: &JobInfo, best: At) -> Result<(), WalletError> {
        let asked = self
            .wallet
            .chain
            .ask("jobs_explain", vec![json!(self.number)])
            .await;
        let why: Explanation = match asked {
            Ok(why) => why,
            // It ended between the two questions.
            Err(ChainError::Call(error)) if error.code().is_some() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if self.stage.map(|(stage, _)| stage) != Some(it.stage) {
            self.stage = Some((it.stage, best.number));
        }
        let mut said = vec![format!(
            "It is {}. {}",
            stage_name(it.stage),
            shown(&why.summary)
        )];
        said.extend(
            why.because
                .iter()
                .map(|reason| format!("  {}", shown(reason))),
        );
        if said != self.said {
            for line in &said {
                self.say(line)?;
            }
            // What can be done counts blocks, so it is said once for each.
            for next in &why.next {
                self.say(&format!("→ {}", told::typed(next)))?;
            }
            self.said = said;
        }
        self.progress(it, best);
        Ok(())
    }

    fn progress(&self, it: &JobInfo, best: At) {
        let seen = self.stage.map_or(best.number, |(_, seen)| seen);
        let Some((from, to)) = told::stretch(it, &self.market, seen) else {
            return;
        };
        self.bar.set_length(to.saturating_sub(from).max(1).into());
        self.bar
            .set_position(best.number.clamp(from, to).saturating_sub(from).into());
        let left = to.saturating_sub(best.number);
        self.bar.set_message(format!(
            "{}: block {} of {to}, about {} left",
            stage_name(it.stage),
            best.number,
            time_of(left, self.wallet.chain.block_ms())
        ));
    }

    /// Does what is due, where there is a key.
    async fn poke(&mut self, it: &JobInfo, best: At) -> Result<(), WalletError> {
        let Some(account) = self.account.clone() else {
            return Ok(());
        };
        let is_due = told::is_due(it, &self.market, best.number.saturating_add(1));
        if !is_due || it.stage == StageInfo::Settled || best.number <= self.poked {
            return Ok(());
        }
        self.poked = best.number;
        let quote = Quote::of(calls::poking(self.number), &self.wallet, &account).await?;
        match quote.send(&self.wallet, &account).await {
            Ok(included) => self.say(&format!(
                "Did what was due, in block {}.",
                included.at.number
            )),
            // Somebody else was faster.
            Err(WalletError::Refused(error)) => {
                self.say(&format!("What was due is not done: {error}."))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks once.
    async fn look(&mut self) -> Result<Next, WalletError> {
        let best = self.wallet.chain.best().await?;
        if self.events(best).await? == Next::End {
            return Ok(Next::End);
        }
        let Some(it) = self.wallet.chain.job(self.number).await? else {
            self.say("It is not in the state any more: it was refunded or forgotten.")?;
            return Ok(Next::End);
        };
        self.stand(&it, best).await?;
        if it.stage == StageInfo::Settled {
            return Ok(Next::End);
        }
        self.poke(&it, best).await?;
        Ok(Next::More)
    }
}

/// Whether nothing comes after an event that a poster waits for.
fn is_end(event: &Event<labora_runtime::Runtime>) -> bool {
    matches!(
        event,
        Event::Settled { .. } | Event::Refunded { .. } | Event::Forgotten { .. }
    )
}

/// Follows a job.
pub(super) async fn run(options: &WatchOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.key.account()?;
    let wallet = Wallet::connect(&options.node, trace).await?;
    // Before anything is said: is there such a job at all?
    job(&wallet.chain, options.job).await?;
    let market = wallet.chain.market().await?;
    let best = wallet.chain.best().await?;
    let mut watch = Watch {
        wallet,
        account,
        number: options.job,
        market,
        bar: progress::bar(Some(1), Template::Blocks),
        told: best.number,
        stage: None,
        said: Vec::new(),
        poked: 0,
    };
    loop {
        match watch.look().await {
            Ok(Next::End) => break,
            Ok(Next::More) => tokio::time::sleep(LOOK_EVERY).await,
            Err(WalletError::Chain(ChainError::Call(error))) if error.code().is_none() => {
                watch
                    .bar
                    .suspend(|| warn(&format!("{error}; asking again")));
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    watch.bar.finish_and_clear();
    let number = options.job;
    let is_settled = watch.wallet.chain.job(number).await?.is_some();
    match is_settled {
        true => Out::People.say(&format!("→ labora job result {number} --out …")),
        false => Ok(()),
    }
}
