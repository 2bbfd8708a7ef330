//! Keeps a connection to one of the nodes, and decides what may be mined on.
//!
//! What is mined is never stale for longer than a second: the node is asked for its work a few times a second beside what
//! it tells by itself, and while it does not answer nothing is mined (see [`super::pulse`]). Products go on all the while.

use std::{convert::Infallible, sync::Arc, time::Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use jsonrpsee::core::client::Error as RpcError;
use labora_consensus::Template;
use sp_core::H256;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{
    backoff::{Backoff, chance},
    pulse::{BEAT, Health, Pulse},
    session::{News, OpenError, Session, difficulty, words},
    status::Tally,
    url::NodeUrl,
};
use crate::rpc::types::WorkMessage;

/// Questions that are under way at once: as many as are asked until a silent node is given up.
const MAX_BEATS: usize = 20;

/// Why there is nobody to mine for.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Every node that was named has answered, and none will do.
    #[error("{node} cannot be mined for: {error}")]
    Refused {
        /// The last of them.
        node: String,
        /// Why.
        error: OpenError,
    },
}

/// Whether tiles are to be counted as shares, where a node does that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shares {
    /// The rig has a name.
    Wanted,
    /// It has none.
    Unwanted,
}

/// Where tiles can go.
#[derive(Clone)]
pub(super) enum State {
    /// Nowhere.
    Down,
    /// To a node that has not answered for a moment: soon it does, or is given up.
    Silent,
    /// To this node.
    Up(Arc<Session>),
}

/// Runs for as long as the miner does.
pub(super) struct Link {
    nodes: Vec<NodeUrl>,
    shares: Shares,
    templates: watch::Sender<Option<Template>>,
    state: watch::Sender<State>,
    tally: Arc<Tally>,
}

impl Link {
    /// A link to the first of these nodes that will do; it tells devices what to mine by `templates`, and those who submit
    /// where to by `state`.
    pub(super) fn new(
        nodes: Vec<NodeUrl>,
        shares: Shares,
        templates: watch::Sender<Option<Template>>,
        state: watch::Sender<State>,
        tally: Arc<Tally>,
    ) -> Self {
        Link {
            nodes,
            shares,
            templates,
            state,
            tally,
        }
    }

    /// Connects, again and again. Ends only if no node will do from the start.
    pub(super) async fn run(self) -> Result<Infallible, LinkError> {
        let mut backoff = Backoff::new(self.nodes.len());
        let mut genesis = None;
        let mut refusals = 0;
        for (at, node) in (0..self.nodes.len())
            .cycle()
            .map(|at| (at, &self.nodes[at]))
        {
            let why = match self.open(node, genesis).await {
                Ok((session, news)) => {
                    genesis = Some(session.genesis());
                    let ended = self.mine_for(Arc::new(session), news).await;
                    if ended.has_worked {
                        backoff.worked();
                    }
                    ended.why
                }
                Err(error) => {
                    refusals = if error.is_refusal() { refusals + 1 } else { 0 };
                    // A rig that has mined waits for its nodes, whatever they say; one that never has is set up wrong.
                    if genesis.is_none() && refusals >= self.nodes.len() {
                        let node = node.to_string();
                        return Err(LinkError::Refused { node, error });
                    }
                    error.to_string()
                }
            };
            let wait = backoff.failed(chance());
            let next = &self.nodes[(at + 1) % self.nodes.len()];
            tracing::warn!(target: "labora", "{node}: {why}; trying {next} in {:.1} s", wait.as_secs_f64());
            tokio::time::sleep(wait).await;
        }
        unreachable!("a cycle of at least one node never ends")
    }

    async fn open(
        &self,
        node: &NodeUrl,
        genesis: Option<H256>,
    ) -> Result<(Session, News), OpenError> {
        let (session, news) = Session::open(node).await?;
        let got = session.genesis();
        match genesis {
            Some(expected) if expected != got => Err(OpenError::OtherChain { got, expected }),
            _ => Ok((session, news)),
        }
    }

    /// Mines for a node until its connection ends.
    async fn mine_for(&self, session: Arc<Session>, news: News) -> Ended {
        let shares = match (self.shares, session.share()) {
            (Shares::Wanted, Some(worth)) => format!(", shares of {} MACs", worth.get()),
            (Shares::Wanted, None) => {
                ", which counts no shares (it was started without --share-macs)".to_owned()
            }
            (Shares::Unwanted, _) => String::new(),
        };
        let again = match self.tally.connected() {
            0 => String::new(),
            times => format!(", connected anew for the {} time", ordinal(times)),
        };
        tracing::info!(target: "labora", "mining for {}{shares}{again}", session.node());
        let mut watch = Watch {
            link: self,
            pulse: Pulse::new(Instant::now()),
            current: None,
            health: Health::Silent,
            has_worked: false,
            session,
        };
        let why = watch.run(news).await;
        let has_worked = watch.has_worked;
        self.state.send_replace(State::Down);
        self.publish(None);
        Ended { why, has_worked }
    }

    /// Tells the devices what to mine.
    fn publish(&self, template: Option<Template>) {
        self.templates.send_if_modified(|current| {
            let changed = *current != template;
            if changed {
                let number = template.as_ref().map(|template| template.number);
                self.tally.set_work(number);
                *current = template;
            }
            changed
        });
    }
}

/// How mining for a node ended.
struct Ended {
    why: String,
    /// Whether it ever answered after it was connected.
    has_worked: bool,
}

fn ordinal(count: u64) -> String {
    let ending = match (count % 10, count % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{count}{ending}")
}

/// One connection, watched.
struct Watch<'a> {
    link: &'a Link,
    session: Arc<Session>,
    pulse: Pulse,
    /// The newest work that was heard of.
    current: Option<Template>,
    health: Health,
    has_worked: bool,
}

/// A question that was answered, or not.
struct Beat {
    sent: Instant,
    answer: Result<WorkMessage, RpcError>,
}

impl Watch<'_> {
    /// Until the connection is given up; why.
    async fn run(&mut self, mut news: News) -> String {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let session = Arc::clone(&self.session);
        let mut answers = FuturesUnordered::new();
        let mut heard_at = Instant::now();
        loop {
            let now = Instant::now();
            let check_at = tokio::time::Instant::from_std(self.pulse.changes_at(now));
            tokio::select! {
                message = news.next() => {
                    heard_at = Instant::now();
                    let taken = match message {
                        Some(Ok(message)) => self.take(message),
                        Some(Err(error)) => Err(unreadable(&error.to_string())),
                        None => Err("it ended the subscription to its work".to_owned()),
                    };
                    if let Err(why) = taken {
                        return why;
                    }
                }
                _ = beats.tick(), if answers.len() < MAX_BEATS => answers.push(beat(&session)),
                Some(Beat { sent, answer }) = answers.next(), if !answers.is_empty() => {
                    let message = match answer {
                        Ok(message) => message,
                        Err(error) => return words(&error.to_string()),
                    };
                    self.pulse.answered(sent);
                    // An answer may have been on its way when newer work was told; one to a later question is newer.
                    if sent >= heard_at && let Err(why) = self.take(message) {
                        return why;
                    }
                }
                () = tokio::time::sleep_until(check_at) => {}
                why = session.gone() => return why,
            }
            if let Some(why) = self.look() {
                return why;
            }
        }
    }

    /// Notes what is to be mined, and mines it if the node is known to be alive.
    fn take(&mut self, message: WorkMessage) -> Result<(), String> {
        self.current = match message {
            WorkMessage::Stop => None,
            WorkMessage::Work {
                pre_hash,
                difficulty: digits,
                parent,
                number,
                ..
            } => {
                let block = difficulty(&digits).ok_or_else(|| unreadable(&words(&digits)))?;
                let wanted = match (self.link.shares, self.session.share()) {
                    (Shares::Wanted, Some(share)) => share.min(block),
                    _ => block,
                };
                self.session.opens(parent, pre_hash, block);
                Some(Template {
                    pre_hash,
                    difficulty: wanted.get(),
                    parent,
                    number,
                })
            }
        };
        if self.health == Health::Fresh {
            self.link.publish(self.current.clone());
        }
        Ok(())
    }

    /// Mines or pauses by what is known of the node now; why it is given up, if it is.
    fn look(&mut self) -> Option<String> {
        let health = self.pulse.health(Instant::now());
        let before = std::mem::replace(&mut self.health, health);
        match health {
            Health::Fresh => {
                self.has_worked = true;
                if before != Health::Fresh {
                    self.link
                        .state
                        .send_replace(State::Up(Arc::clone(&self.session)));
                    self.link.publish(self.current.clone());
                }
                None
            }
            Health::Silent => {
                if before == Health::Fresh {
                    // First where tiles go, then the devices: no tile of what is mined no longer slips through.
                    self.link.state.send_replace(State::Silent);
                    self.link.publish(None);
                    tracing::warn!(target: "labora", "{}: no answer for a second; nothing is mined until it answers", self.session.node());
                }
                None
            }
            Health::Lost => Some("no answer for too long".to_owned()),
        }
    }
}

async fn beat(session: &Session) -> Beat {
    let sent = Instant::now();
    let answer = session.work().await;
    Beat { sent, answer }
}

fn unreadable(what: &str) -> String {
    format!("its work cannot be read ({what}); update the older of node and miner")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_read_as_people_say_them() {
        let of = |count| ordinal(count);
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(of),
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"
            ]
        );
    }
}
