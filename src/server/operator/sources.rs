//! What the pages are made of.

use crate::admin::Known;
use crate::ledger::audit::{Question, Reply};
use crate::ledger::live::View;
use crate::ledger::metrics::Core;
use crate::server::audit::Reader;
use std::sync::Arc;
use std::time::Instant;

/// What the operators' thread has at hand for one question.
pub(super) struct Sources<'a> {
    /// What workers count and list, one for each.
    pub(super) cores: &'a [Arc<Core>],
    /// Reads the audit.
    pub(super) reader: &'a mut Reader,
}

impl Known for Sources<'_> {
    fn audit(&mut self, question: Question) -> Option<Result<Reply, String>> {
        self.reader.ask(&question)
    }

    fn live(&mut self, now: Instant) -> Vec<View> {
        let cores = self.cores.iter();
        cores.flat_map(|core| core.live.views(now)).collect()
    }
}
