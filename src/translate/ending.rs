//! What an answer says of itself beside its output and its usage: which model gave it, and why that
//! stopped.

use crate::json::Value;

/// The words of the provider; empty where it said none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ending {
    /// Why the model stopped: chat's `finish_reason`; of a response the reason why it is
    /// incomplete, or else its status.
    pub stop: String,
    /// The model that the answer names.
    pub served: String,
}

impl Ending {
    /// That of a response object; `told`: the status by the event that it came in.
    pub fn of_response(response: Value<'_>, told: Option<&str>) -> Ending {
        let text = |value: Value<'_>, name: &str| value.str(name).map(|s| s.text().into_owned());
        let details = response.present("incomplete_details");
        let reason = details.and_then(|details| text(details, "reason"));
        let status = || text(response, "status").or(told.map(str::to_owned));
        Ending {
            stop: reason.or_else(status).unwrap_or_default(),
            served: text(response, "model").unwrap_or_default(),
        }
    }

    /// That of a chunk, or of a whole chat answer; `None` where it says nothing of an end.
    pub fn of_chat(answer: Value<'_>) -> Option<Ending> {
        let choice = answer.get("choices")?.items().next()?;
        let reason = choice.str("finish_reason").map(|reason| reason.text());
        let reason = reason.filter(|reason| !reason.is_empty())?;
        let model = answer.str("model").map(|model| model.text().into_owned());
        Some(Ending {
            stop: reason.into_owned(),
            served: model.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    #[test]
    fn each_dialect_has_its_words() {
        let mut tape = Tape::new();
        let mut of = |text: &str| {
            let value = tape.parse(text.as_bytes()).unwrap();
            let ending = match value.get("choices") {
                Some(_) => Ending::of_chat(value),
                None => Some(Ending::of_response(value, Some("completed"))),
            };
            ending.map(|ending| (ending.stop, ending.served))
        };
        let said = |stop: &str, served: &str| Some((stop.to_owned(), served.to_owned()));
        for (text, expected) in [
            (
                r#"{"model":"m","status":"completed"}"#,
                said("completed", "m"),
            ),
            (r#"{"model":"m"}"#, said("completed", "m")),
            (
                r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
                said("max_output_tokens", ""),
            ),
            (
                r#"{"model":"a\"b","choices":[{"finish_reason":"tool_calls"}]}"#,
                said("tool_calls", "a\"b"),
            ),
            (r#"{"model":"m","choices":[{"finish_reason":null}]}"#, None),
            (r#"{"model":"m","choices":[]}"#, None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
