//! A store in memory, for tests: what the backends promise, without their disks.

use crate::ledger::stored::{Ask, Event, Key, Reply, Status, Stored};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

/// Randomness for an exchange under test: the same for none, so that ids differ.
pub fn entropy() -> [u8; 32] {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    [COUNT.fetch_add(1, Ordering::Relaxed); 32]
}

/// Responses and their events.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    responses: HashMap<Key, (Stored, Vec<Event>)>,
}

impl Memory {
    /// Answers a question.
    pub fn answer(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Put(response) => self.put(*response),
            Ask::Get(key) => match self.responses.get(&key) {
                Some((response, _)) => Reply::Found(Box::new(response.clone())),
                None => Reply::Missing,
            },
            Ask::Delete(key) => match self.responses.remove(&key) {
                Some(_) => Reply::Kept,
                None => Reply::Missing,
            },
            Ask::Append(key, more) => match self.responses.get_mut(&key) {
                Some((response, _)) if response.status == Status::Cancelled => Reply::Cancelled,
                Some((_, events)) => {
                    events.extend(more);
                    Reply::Kept
                }
                None => Reply::Missing,
            },
            Ask::Events(key, after) => match self.responses.get(&key) {
                Some((response, events)) => {
                    let behind = |e: &&Event| after.is_none_or(|n| e.number > n);
                    let events = events.iter().filter(behind).take(3).cloned().collect();
                    Reply::Events(events, response.status)
                }
                None => Reply::Missing,
            },
            Ask::Cancel(key) => match self.responses.get_mut(&key) {
                Some((response, _)) => {
                    if response.background && !response.status.is_final() {
                        response.status = Status::Cancelled;
                        response.response = crate::ledger::ending::cancelled(&response.response);
                    }
                    Reply::Found(Box::new(response.clone()))
                }
                None => Reply::Missing,
            },
        }
    }

    fn put(&mut self, response: Stored) -> Reply {
        match self.responses.get_mut(&response.key) {
            Some((old, _)) if old.status == Status::Cancelled => Reply::Cancelled,
            Some((old, _)) if old.status.is_final() => Reply::Kept,
            Some((old, _)) => {
                *old = response;
                Reply::Kept
            }
            None => {
                self.responses
                    .insert(response.key.clone(), (response, Vec::new()));
                Reply::Kept
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.responses.len()
    }

    /// The response of that id, of nobody in particular.
    pub fn get(&self, id: &str) -> &Stored {
        let key = Key {
            id: id.to_owned(),
            owner: String::new(),
        };
        &self.responses[&key].0
    }

    /// The one response that there is.
    pub fn only(&self) -> &Stored {
        assert_eq!(self.responses.len(), 1);
        &self.responses.values().next().unwrap().0
    }
}
