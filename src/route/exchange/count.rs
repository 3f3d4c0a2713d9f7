//! `POST /v1/responses/input_tokens`, where no provider counts: an estimate.

use super::Exchange;
use crate::config::Target;
use crate::error::Error;
use crate::json::{Value, write};
use crate::translate::tokens;

/// Whether the provider itself says how many tokens a request has.
pub(super) fn can_count(target: &Target) -> bool {
    let profile = target.provider.profile.for_model(&target.model);
    profile.has_endpoint("input_tokens")
}

impl Exchange {
    /// Answers with an estimate, and says so in a header.
    pub(super) fn estimate(&mut self, request: Value<'_>) -> Result<(), Error> {
        let tokens = tokens::estimate(request, &self.snapshot.seal_key)?;
        let mut body = b"{\"object\":\"response.input_tokens\",\"input_tokens\":".to_vec();
        write::uint(&mut body, tokens);
        body.push(b'}');
        let fields = [("x-strait-estimate", "input_tokens")];
        self.framing
            .whole(&mut self.out, 200, "application/json", &fields, &body);
        self.record.status = 200;
        self.record.outcome = "estimated";
        self.over();
        Ok(())
    }
}
