//! Responses that are kept, so that a client can come back to them.
//!
//! An exchange asks with an [`Ask`] and hears a [`Reply`]; who answers — SQLite, PostgreSQL, or
//! memory in a test — is the shell's business. Every question names the owner: a response is
//! visible to the key that made it, and to no other.

/// How far a response is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// In the background, not begun.
    Queued,
    /// In the background, under way.
    InProgress,
    /// It came to its end.
    Completed,
    /// It came to an early end; what there is can be continued.
    Incomplete,
    /// It failed.
    Failed,
    /// The client wanted no more of it.
    Cancelled,
}

impl Status {
    /// Whether nothing more will change.
    pub fn is_final(self) -> bool {
        !matches!(self, Status::Queued | Status::InProgress)
    }

    /// The API's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete => "incomplete",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    pub fn named(name: &str) -> Option<Status> {
        [
            Status::Queued,
            Status::InProgress,
            Status::Completed,
            Status::Incomplete,
            Status::Failed,
            Status::Cancelled,
        ]
        .into_iter()
        .find(|status| status.name() == name)
    }
}

/// Which response, and whose.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// The response's id.
    pub id: String,
    /// The name of the client key that made it; empty where Strait asks for none.
    pub owner: String,
}

/// A response as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Which, and whose.
    pub key: Key,
    /// When it was asked for, in Unix seconds.
    pub created_at: u64,
    /// How far it is.
    pub status: Status,
    /// It was asked for with `background: true`.
    pub background: bool,
    /// It was asked for with `stream: true`, so its events may be replayed.
    pub streamed: bool,
    /// The response object: JSON.
    pub response: Vec<u8>,
    /// All items that the model was given, those of the responses that it continues first: JSON
    /// objects, comma separated, each with an id.
    pub input: Vec<u8>,
}

/// An event of a background response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its `sequence_number`.
    pub number: u64,
    /// The event: a JSON object.
    pub data: Vec<u8>,
}

/// A question to the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Keep it. One that has a final status already stays as it is. Answered with
    /// [`Reply::Kept`] when it would survive the end of the process, or with [`Reply::Cancelled`]:
    /// also where a background response has come to its end and was deleted meanwhile.
    Put(Box<Stored>),
    /// [`Reply::Found`] or [`Reply::Missing`].
    Get(Key),
    /// Forget it, and its events. [`Reply::Kept`] or [`Reply::Missing`].
    Delete(Key),
    /// More events of a background response, and the sign that somebody works on it. It may come
    /// without events. [`Reply::Kept`], [`Reply::Cancelled`] or [`Reply::Missing`].
    Append(Key, Vec<Event>),
    /// The events behind a number, oldest first, or all; at most some hundred at a time.
    /// [`Reply::Events`] or [`Reply::Missing`].
    Events(Key, Option<u64>),
    /// Wanted no more: becomes [`Status::Cancelled`] unless its status is final or it is not in
    /// the background. [`Reply::Found`] with what it is then, or [`Reply::Missing`].
    Cancel(Key),
}

/// What the store says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Done, and durable.
    Kept,
    /// Here it is. A background response whose worker has given no sign for
    /// [`crate::limits::BACKGROUND_SILENCE`] has failed by then.
    Found(Box<Stored>),
    /// There is none of that name and owner.
    Missing,
    /// The client has cancelled it meanwhile.
    Cancelled,
    /// Events in order, and how far the response was when they were read.
    Events(Vec<Event>, Status),
    /// The store is in trouble; a phrase for the operator.
    Failed(String),
}
