//! The stream of work that a subscriber hears: what is mined now, at once; then each change; `Stop` when there is nothing,
//! and when the engine ends. It holds one message at most, so a slow reader costs nothing and misses what was replaced.

use labora_consensus::Template;
use tokio::sync::watch;

use super::types::WorkMessage;

/// What one subscriber has yet to hear.
pub struct WorkFeed {
    templates: watch::Receiver<Option<Template>>,
    told: Option<WorkMessage>,
    ended: bool,
}

impl WorkFeed {
    /// Starts with what is mined now.
    pub fn new(templates: watch::Receiver<Option<Template>>) -> Self {
        WorkFeed {
            templates,
            told: None,
            ended: false,
        }
    }

    /// The next message; `None` after the engine has ended, the last message then having been `Stop`.
    pub async fn next(&mut self) -> Option<WorkMessage> {
        while !self.ended {
            if self.told.is_some() && self.templates.changed().await.is_err() {
                self.ended = true;
                // Whoever listens must not go on with the last work.
                return (self.told != Some(WorkMessage::Stop)).then_some(WorkMessage::Stop);
            }
            let message = WorkMessage::from(self.templates.borrow_and_update().as_ref());
            if self.told.as_ref() != Some(&message) {
                self.told = Some(message.clone());
                return Some(message);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use sp_core::{H256, U256};

    use super::*;

    fn template(number: u32) -> Template {
        Template {
            pre_hash: H256::repeat_byte(number as u8),
            difficulty: U256::from(1_000),
            parent: H256::repeat_byte(9),
            number,
        }
    }

    fn number_of(message: Option<WorkMessage>) -> u32 {
        match message {
            Some(WorkMessage::Work { number, .. }) => number,
            other => panic!("expected work, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_late_subscriber_hears_the_current_work_at_once() {
        let (_sender, receiver) = watch::channel(Some(template(3)));
        assert_eq!(number_of(WorkFeed::new(receiver).next().await), 3);
    }

    #[tokio::test]
    async fn a_late_subscriber_hears_stop_while_nothing_is_mined() {
        let (_sender, receiver) = watch::channel(None);
        assert_eq!(
            WorkFeed::new(receiver).next().await,
            Some(WorkMessage::Stop)
        );
    }

    #[tokio::test]
    async fn a_slow_subscriber_hears_the_newest_only() {
        let (sender, receiver) = watch::channel(Some(template(1)));
        let mut feed = WorkFeed::new(receiver);
        assert_eq!(number_of(feed.next().await), 1);
        sender.send_replace(Some(template(2)));
        sender.send_replace(Some(template(3)));
        assert_eq!(number_of(feed.next().await), 3);
        assert!(feed.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_same_work_is_told_once() {
        let (sender, receiver) = watch::channel(Some(template(1)));
        let mut feed = WorkFeed::new(receiver);
        assert_eq!(number_of(feed.next().await), 1);
        sender.send_replace(Some(template(1)));
        assert!(feed.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_end_of_the_engine_stops_miners() {
        let (sender, receiver) = watch::channel(Some(template(1)));
        let mut feed = WorkFeed::new(receiver);
        assert_eq!(number_of(feed.next().await), 1);
        drop(sender);
        assert_eq!(feed.next().await, Some(WorkMessage::Stop));
        assert_eq!(feed.next().await, None);
    }
}
