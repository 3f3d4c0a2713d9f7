//! How much the model is to think, in the words of its provider (SPEC 5.2).

use super::diagnostic::Diagnostic;
use crate::json::{Str, Value};
use crate::provider::Profile;
use crate::provider::builtin::merge_value;
use crate::provider::profile::Replay;

/// The efforts that clients ask for, from the least to the most.
const SCALE: [&str; 8] = [
    "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
];

/// What is sent about thinking.
pub(super) struct Effort {
    /// Whether the model will think, as far as it is known.
    pub thinking: bool,
    /// Members of the request.
    pub members: toml::Table,
}

/// Decides from what the client asks.
pub(super) fn decide(
    asked: Option<Value<'_>>,
    profile: &Profile,
    has_tools: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Effort {
    let mut effort = Effort {
        thinking: profile.thinks_by_default,
        members: toml::Table::new(),
    };
    let Some(asked) = asked else {
        // The provider's default holds, but where thinking has to go back with the history the
        // provider must be told to keep it.
        if has_tools && profile.replays() != Replay::None && !profile.thinking_on.is_empty() {
            effort.merge(&profile.thinking_on);
            effort.thinking = true;
        }
        return effort;
    };
    let asked = asked.as_str().unwrap_or(Str::EMPTY).text();
    let mapped = nearest(profile, &asked);
    let off = asked == "none" && (!profile.thinking_off.is_empty() || mapped.is_none_or(is_none));
    let members = match off {
        true => &profile.thinking_off,
        false => &profile.thinking_on,
    };
    effort.thinking = !off;
    effort.merge(members);
    let mut say = |code, message| {
        diagnostics.push(Diagnostic {
            code,
            path: "reasoning.effort".into(),
            message,
        });
    };
    match mapped {
        Some(value) if !profile.effort_field.is_empty() => {
            effort.merge_path(&profile.effort_field, value);
            if value != asked && !(off && is_none(value)) {
                say("field.degraded", format!("It is sent as '{value}'."));
            }
        }
        _ if members.is_empty() => {
            say(
                "field.dropped",
                format!("The provider has no effort for '{asked}'."),
            );
        }
        _ if off => {}
        _ => say(
            "field.degraded",
            "The provider knows thinking on and off only; it is on.".to_owned(),
        ),
    }
    effort
}

fn is_none(value: &str) -> bool {
    value == "none"
}

/// The provider's word for an effort: its own, or that of the nearest effort that has one.
fn nearest<'a>(profile: &'a Profile, asked: &str) -> Option<&'a str> {
    if let Some(value) = profile.efforts.get(asked) {
        return Some(value);
    }
    let at = SCALE.iter().position(|s| *s == asked)?;
    // "none" is no degree of thinking: nothing else stands for it, nor it for anything else.
    if at == 0 {
        return None;
    }
    let known = (1..SCALE.len()).filter_map(|i| Some((i, profile.efforts.get(SCALE[i])?)));
    // Of two at the same distance the greater one: too much thinking does less harm.
    known
        .min_by_key(|(i, _)| (i.abs_diff(at), *i < at))
        .map(|(_, value)| value.as_str())
}

impl Effort {
    fn merge(&mut self, members: &std::collections::BTreeMap<String, toml::Value>) {
        for (key, value) in members {
            merge_value(&mut self.members, key, value);
        }
    }

    /// Sets a member; `reasoning.effort` is a member of a member.
    fn merge_path(&mut self, path: &str, value: &str) {
        let mut value = toml::Value::String(value.to_owned());
        let mut parts = path.split('.').rev();
        let mut key = parts.next().unwrap_or_default();
        for outer in parts {
            value = toml::Value::Table([(key.to_owned(), value)].into_iter().collect());
            key = outer;
        }
        merge_value(&mut self.members, key, &value);
    }
}
