//! Requests that the store answers: a response by its id, what it was given, its end.

use super::{Exchange, Phase};
use crate::error::Error;
use crate::ledger::stored::{Ask, Reply, Stored};
use crate::route::stored::{self, Page, Question};

impl Exchange {
    /// Asks the store what the client asks.
    pub(super) fn ask(&mut self, question: Question) -> Result<(), Error> {
        let id = stored::id_of(&self.head.path).to_owned();
        if !self.snapshot.store.keeps() {
            return Err(stored::off());
        }
        // What is wrong with the query is said before anything is looked for.
        Page::of(&self.head)?;
        stored::replay(&self.head)?;
        if !stored::is_id(&id) {
            return Err(stored::not_found(&id));
        }
        let key = self.key(&id);
        let ask = match question {
            Question::Cancel => Ask::Cancel(key),
            Question::Delete => Ask::Delete(key),
            Question::InputItems | Question::Retrieve => Ask::Get(key),
        };
        self.ask_store(ask, Phase::Asking);
        Ok(())
    }

    /// Tells the client what the store says.
    pub(super) fn tell(&mut self, question: Question, reply: Reply) -> Result<(), Error> {
        let id = stored::id_of(&self.head.path);
        let replay = stored::replay(&self.head)?;
        let body = match (question, reply) {
            (Question::Retrieve, Reply::Found(found))
                if replay.is_some() && !self.framing.head_only =>
            {
                if !found.background || !found.streamed {
                    return Err(stored::not_replayable());
                }
                self.follow(*found, replay.flatten());
                return Ok(());
            }
            (Question::Delete, Reply::Kept) => stored::deleted(id),
            (_, Reply::Found(found)) => self.body_of(question, *found)?,
            (_, Reply::Failed(why)) => return Err(stored::failed(&why)),
            _ => return Err(stored::not_found(id)),
        };
        self.record.status = 200;
        self.record.outcome = "answered";
        self.framing
            .whole(&mut self.out, 200, "application/json", &[], &body);
        self.over();
        Ok(())
    }

    fn body_of(&self, question: Question, found: Stored) -> Result<Vec<u8>, Error> {
        match question {
            Question::Cancel if !found.background => Err(stored::not_in_background()),
            Question::InputItems => Page::of(&self.head)?.write(&found.input),
            _ => Ok(found.response),
        }
    }
}
