//! What operators ask: handed to their thread, and its answer framed.

use super::{Exchange, Phase, seed_of};
use crate::error::Error;
use crate::limits;
use crate::route::machine::Action;
use crate::route::operator::{self, Ask, Reply};

impl Exchange {
    /// Hands the request over.
    pub(super) fn operate(&mut self, body: Vec<u8>) -> Result<(), Error> {
        let pass = operator::admit(&self.head, &self.snapshot, self.unix_s)?;
        self.pending.push(Action::Operate(Box::new(Ask {
            snapshot: self.snapshot.clone(),
            head: self.head.clone(),
            body,
            pass,
            entropy: seed_of(self.entropy, u32::MAX - 1),
            unix_s: self.unix_s,
        })));
        self.deadline = Some(self.last + limits::OPERATOR_WAIT);
        self.phase = Phase::Operating;
        Ok(())
    }

    /// Tells what the thread says; `None`: it says nothing.
    pub(super) fn operated(&mut self, reply: Option<Reply>) {
        if self.phase != Phase::Operating {
            return;
        }
        let Some(reply) = reply else {
            return self.answer_error(&operator::late());
        };
        self.record.status = reply.status;
        self.record.outcome = "answered";
        let fields: Vec<(&str, &str)> = reply
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.framing.whole(
            &mut self.out,
            reply.status,
            reply.content_type,
            &fields,
            &reply.body,
        );
        self.over();
    }
}
