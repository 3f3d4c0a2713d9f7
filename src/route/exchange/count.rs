//! `POST /v1/responses/input_tokens`, where no provider counts: an estimate.

use super::Exchange;
use crate::config::Target;
use crate::error::Error;
use crate::json::{Value, write};
use crate::route::local;
use crate::translate::tokens;

/// Whether the provider itself says how many tokens a request has.
pub(super) fn can_count(target: &Target) -> bool {
    let profile = target.provider.profile.for_model(&target.model);
    profile.has_endpoint("input_tokens")
}

impl Exchange {
    /// Answers with an estimate, and says so in a header; `false`, and nothing answered, where a
    /// provider can be asked. A request need not name a model.
    pub(super) fn estimate(&mut self, request: Value<'_>) -> Result<bool, Error> {
        if request.present("model").is_some() {
            let model = local::model_of(request)?;
            let chain = self.snapshot.resolve(&model);
            let chain = chain.ok_or_else(|| local::unknown_model(&model))?;
            if chain.iter().any(can_count) {
                return Ok(false);
            }
            self.log.model = model;
        }
        let tokens = tokens::estimate(request, &self.snapshot.seal_key)?;
        let mut body = b"{\"object\":\"response.input_tokens\",\"input_tokens\":".to_vec();
        write::uint(&mut body, tokens);
        body.push(b'}');
        let fields = [("x-strait-estimate", "input_tokens")];
        self.framing
            .whole(&mut self.out, 200, "application/json", &fields, &body);
        self.log.status = 200;
        self.log.outcome = "estimated";
        self.over();
        Ok(true)
    }
}
