//! What a client asks of kept responses: by which path, with which query, and what it is told.

use crate::error::{Error, Kind, Source};
use crate::http::head::RequestHead;
use crate::json::{Tape, write};
use crate::ledger::stored::{Status, Stored};
use crate::limits;
use crate::responses::{items, object};

/// What is asked of one response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// `POST …/{id}/cancel`
    Cancel,
    /// `DELETE …/{id}`
    Delete,
    /// `GET …/{id}/input_items`
    InputItems,
    /// `GET …/{id}`
    Retrieve,
}

impl Question {
    /// The question that a path stands for with a method, and the methods that it takes. `None`
    /// for any other path.
    pub fn of(path: &str, method: &str) -> Option<(Option<Question>, &'static str)> {
        let (_, tail) = parts(path)?;
        let question = |wanted: &str, question: Question| (method == wanted).then_some(question);
        let get = if method == "HEAD" { "HEAD" } else { "GET" };
        match tail {
            None => {
                let found = question(get, Question::Retrieve);
                let found = found.or_else(|| question("DELETE", Question::Delete));
                Some((found, "GET, HEAD, DELETE"))
            }
            Some("cancel") => Some((question("POST", Question::Cancel), "POST")),
            Some("input_items") => Some((question(get, Question::InputItems), "GET, HEAD")),
            Some(_) => None,
        }
    }
}

/// The id of the response that a path names, as it stands there.
pub fn id_of(path: &str) -> &str {
    parts(path).map_or("", |(id, _)| id)
}

/// The id, and what comes behind it.
fn parts(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.trim_end_matches('/');
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let rest = path.strip_prefix("/responses/")?;
    let (id, tail) = match rest.split_once('/') {
        Some((id, tail)) => (id, Some(tail)),
        None => (rest, None),
    };
    (!id.is_empty()).then_some((id, tail))
}

/// Whether it can be the id of a response. Nothing else goes to the store.
pub fn is_id(id: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !id.is_empty() && id.len() <= limits::RESPONSE_ID_BYTES_MAX && id.bytes().all(legal)
}

/// No such response, or none that the client may see.
pub fn not_found(id: &str) -> Error {
    let id: String = id.chars().take(limits::RESPONSE_ID_BYTES_MAX).collect();
    let message = format!("Response with id '{id}' not found.");
    Error::new(Source::Downstream, Kind::ResponseNotFound, message).with_param("id")
}

/// There is no store to ask.
pub fn off() -> Error {
    let message = "Responses are not kept here: the gateway runs without a store.";
    Error::new(Source::Gateway, Kind::StoreOff, message)
}

/// The store is in trouble.
pub fn failed(why: &str) -> Error {
    let message = format!("The store of responses could not be asked: {why}.");
    Error::new(Source::Gateway, Kind::StoreFailed, message)
}

/// The store has not answered in time.
pub fn late() -> Error {
    failed("no answer in time")
}

/// A response object that says that nothing is done yet. `echo`: see `translate::snapshot`.
pub fn queued(id: &str, created_at: u64, echo: &[u8]) -> Vec<u8> {
    let mut out = b"{\"id\":".to_vec();
    write::string(&mut out, id);
    out.extend_from_slice(b",\"object\":\"response\",\"created_at\":");
    write::uint(&mut out, created_at);
    let members = b",\"status\":\"queued\",\"completed_at\":null,\"error\":null,\
        \"incomplete_details\":null,\"output\":[],\"usage\":null,";
    out.extend_from_slice(members);
    out.extend_from_slice(echo);
    out.push(b'}');
    let mut tape = Tape::new();
    match tape.parse(&out) {
        Ok(response) => object::with(response, &[("background", b"true")]),
        Err(_) => out,
    }
}

/// Whether a request may continue it.
pub fn continuable(found: &Stored) -> Result<(), Error> {
    let why = match found.status {
        Status::Completed | Status::Incomplete => return Ok(()),
        Status::Queued | Status::InProgress => "is not over yet",
        Status::Failed => "failed",
        Status::Cancelled => "was cancelled",
    };
    let id = &found.key.id;
    let message = format!("Previous response with id '{id}' {why}, so it cannot be continued.");
    let error = Error::bad_request(message).with_param("previous_response_id");
    Err(error.with_code("previous_response_not_continuable"))
}

/// Appends the output of a response object to items. A compaction stands for all before it.
pub fn append_output(items: &mut Vec<u8>, response: &[u8]) {
    let mut tape = Tape::new();
    let output = tape.parse(response).ok().and_then(|r| r.present("output"));
    for item in output.iter().flat_map(|o| o.items()) {
        if item.str("type").is_some_and(|t| t == "compaction") {
            items.clear();
        }
        items::append(items, item.raw());
    }
}

/// Which input items are wanted.
#[derive(Debug, Eq, PartialEq)]
pub struct Page {
    limit: usize,
    ascending: bool,
    after: Option<String>,
}

impl Page {
    const LIMIT: usize = 20;
    const LIMIT_MAX: usize = 100;

    /// Reads `limit`, `order` and `after`.
    pub fn of(head: &RequestHead) -> Result<Page, Error> {
        let mut page = Page {
            limit: Self::LIMIT,
            ascending: false,
            after: None,
        };
        for (name, value) in pairs(head) {
            match name {
                "limit" => {
                    let limit = value.parse().ok();
                    let legal = limit.filter(|n| (1..=Self::LIMIT_MAX).contains(n));
                    page.limit = legal.ok_or_else(|| {
                        wrong(
                            "limit",
                            &format!("an integer from 1 to {}", Self::LIMIT_MAX),
                        )
                    })?;
                }
                "order" => match value {
                    "asc" => page.ascending = true,
                    "desc" => page.ascending = false,
                    _ => return Err(wrong("order", "'asc' or 'desc'")),
                },
                "after" if !value.is_empty() => page.after = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(page)
    }

    /// The page of these items as a list object.
    pub fn write(&self, items: &[u8]) -> Result<Vec<u8>, Error> {
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        items::for_each(items, |item| {
            let id = item.str("id").map_or(Vec::new(), |id| id.raw().to_vec());
            all.push((id, item.raw().to_vec()));
        });
        if !self.ascending {
            all.reverse();
        }
        let from = match &self.after {
            None => 0,
            Some(after) => {
                let at = all.iter().position(|(id, _)| *id == after.as_bytes());
                at.ok_or_else(|| wrong("after", "the id of an item of this list"))? + 1
            }
        };
        let rest = &all[from..];
        let page = &rest[..rest.len().min(self.limit)];
        let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
        for (i, (_, item)) in page.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item);
        }
        out.extend_from_slice(b"],\"first_id\":");
        name(&mut out, page.first());
        out.extend_from_slice(b",\"last_id\":");
        name(&mut out, page.last());
        out.extend_from_slice(b",\"has_more\":");
        let more = rest.len() > page.len();
        out.extend_from_slice(if more { b"true}" } else { b"false}" });
        Ok(out)
    }
}

fn name(out: &mut Vec<u8>, item: Option<&(Vec<u8>, Vec<u8>)>) {
    match item {
        Some((id, _)) => write::quoted(out, id),
        None => out.extend_from_slice(b"null"),
    }
}

/// Whether a response is wanted as a stream, and the number of the event behind which.
pub fn replay(head: &RequestHead) -> Result<Option<Option<u64>>, Error> {
    let (mut stream, mut after) = (false, None);
    for (name, value) in pairs(head) {
        match name {
            "stream" => {
                stream = match value {
                    "true" | "1" | "True" => true,
                    "false" | "0" | "False" | "" => false,
                    _ => return Err(wrong("stream", "a boolean")),
                }
            }
            "starting_after" => {
                let number = value.parse().ok();
                after = Some(number.ok_or_else(|| wrong("starting_after", "an integer"))?);
            }
            _ => {}
        }
    }
    Ok(stream.then_some(after))
}

/// The query's pairs; none of the values that mean something here needs an escape.
fn pairs(head: &RequestHead) -> impl Iterator<Item = (&str, &str)> {
    let query = head.query.as_deref().unwrap_or("");
    query.split('&').filter_map(|pair| pair.split_once('='))
}

fn wrong(param: &str, expected: &str) -> Error {
    Error::bad_request(format!("Invalid value for '{param}': expected {expected}."))
        .with_param(param)
        .with_code("invalid_value")
}

/// What is said of a response that was forgotten.
pub fn deleted(id: &str) -> Vec<u8> {
    let mut out = b"{\"id\":".to_vec();
    write::string(&mut out, id);
    out.extend_from_slice(b",\"object\":\"response\",\"deleted\":true}");
    out
}

/// Only what is in the background can be cancelled; anything else ends with its connection.
pub fn not_in_background() -> Error {
    Error::bad_request("Cannot cancel a synchronous response.")
}

/// The events of a response are kept only if it was asked for so.
pub fn not_replayable() -> Error {
    let what = "Only a response that was created with 'background' and 'stream' can be streamed.";
    Error::bad_request(what).with_param("stream")
}
