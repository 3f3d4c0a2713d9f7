//! What the shell has at hand for the pages.

use crate::ledger::audit::{self, Question};
use crate::ledger::live::View;
use std::time::Instant;

/// What pages ask of the shell.
pub trait Known {
    /// What the audit answers, or why it does not; `None`: no audit is kept.
    fn audit(&mut self, question: Question) -> Option<Result<audit::Reply, String>>;

    /// What is under way, oldest first.
    fn live(&mut self, now: Instant) -> Vec<View>;
}
