//! Notifications: what people and their programs are told of runs, at least once.
//!
//! A [`Notification`] is made of a report; a [`Notifier`] brings it somewhere: an SNS topic, a webhook.
//! The [`Outbox`] stands between: it writes down what is to be told before it is, and what was told
//! afterwards, so that a process that dies in between tells it when it starts again.

mod outbox;
mod shape;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::outbox::{Delivery, Outbox, Posted, Undelivered};
use crate::{Result, RunId};

/// Brings notifications to where someone reads them.
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// The name by which the outbox knows it: one for each receiver, the same after each restart.
    fn name(&self) -> &str;

    /// Delivers a notification, and returns when the receiver has taken it.
    ///
    /// # Behavior
    /// - It ends within a time of its own.
    /// - The notification's id goes along, so that the receiver knows one that it has already.
    ///
    /// # Errors
    /// Whatever the receiver answers. The outbox keeps the notification and delivers it again when it
    /// is flushed, also where it may have been taken.
    async fn deliver(&self, notification: &Notification) -> Result<()>;
}

#[async_trait]
impl<T: Notifier + ?Sized> Notifier for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn deliver(&self, notification: &Notification) -> Result<()> {
        (**self).deliver(notification).await
    }
}

/// Something to tell.
///
/// What it holds of providers' and nodes' words is short, on one line, and without characters that
/// move a cursor or turn the direction of text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Notification {
    /// The same for the same thing told, however often it is delivered: receivers drop what they have.
    pub id: String,
    /// What kind of thing it is.
    pub kind: NotificationKind,
    /// When it came to be.
    pub at: Timestamp,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// One line of at most [`MAX_SUBJECT`](Self::MAX_SUBJECT) characters of ASCII.
    pub subject: String,
    /// A few lines for people, at most [`MAX_TEXT`](Self::MAX_TEXT) bytes.
    pub text: String,
    /// The whole for programs, at most [`MAX_BODY`](Self::MAX_BODY) bytes of JSON.
    pub body: serde_json::Value,
}

impl Notification {
    /// What SNS takes: fewer than 100 characters
    /// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
    pub const MAX_SUBJECT: usize = 99;

    /// Chats and e-mail gateways take little.
    pub const MAX_TEXT: usize = 8 * 1024;

    /// A message of SNS is at most 256 KiB and may hold the body six times, once for each protocol of
    /// programs, with its quotes escaped once more.
    pub const MAX_BODY: usize = 16 * 1024;
}

/// What kind of thing is told.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotificationKind {
    /// A run ended.
    RunEnded,
    /// Nodes are not compliant.
    NodesNonCompliant,
    /// A kind of the embedder's own, or of a newer version.
    #[serde(untagged)]
    Other(String),
}

impl NotificationKind {
    /// The word used in JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::RunEnded => "run_ended",
            Self::NodesNonCompliant => "nodes_non_compliant",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for NotificationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
