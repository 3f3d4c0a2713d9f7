//! The model list, in OpenAI's shape and in the one that Codex asks for.

use crate::json::write;

/// One model that clients may ask for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What clients ask for; unique.
    pub slug: String,
    /// Shown to people.
    pub display_name: String,
    /// The provider's name.
    pub owner: String,
    /// In tokens.
    pub context_window: u64,
    /// Reasoning efforts to choose from; may be empty.
    pub efforts: Vec<String>,
    /// Whether the model takes images.
    pub images: bool,
    /// US dollars per million tokens of input and of output, where known.
    pub price: Option<(f64, f64)>,
}

/// The system prompt for models that Codex knows nothing of.
const BASE_INSTRUCTIONS: &str = include_str!("base_instructions.md");

/// Writes `{"object":"list","data":[…]}`, and with `codex` also `"models":[…]`, Codex's own
/// catalog (codex-cli 0.169; one invalid entry would void it all).
pub fn list(entries: &[Entry], codex: bool) -> Vec<u8> {
    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        write::string(&mut out, &entry.slug);
        out.extend_from_slice(b",\"object\":\"model\",\"created\":0,\"owned_by\":");
        write::string(&mut out, &entry.owner);
        out.push(b'}');
    }
    out.push(b']');
    if codex {
        out.extend_from_slice(b",\"models\":[");
        for (i, entry) in entries.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            codex_entry(&mut out, entry, i + 1);
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}

/// A stable `ETag` for a list.
pub fn etag(list: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, list);
    let hex: String = digest.as_ref()[..8]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("\"{hex}\"")
}

fn codex_entry(out: &mut Vec<u8>, entry: &Entry, priority: usize) {
    out.extend_from_slice(b"{\"slug\":");
    write::string(out, &entry.slug);
    out.extend_from_slice(b",\"display_name\":");
    write::string(out, &entry.display_name);
    out.extend_from_slice(b",\"description\":");
    write::string(out, &format!("{} through Strait", entry.owner));
    out.extend_from_slice(b",\"supported_reasoning_levels\":[");
    for (i, effort) in entry.efforts.iter().enumerate() {
        out.extend_from_slice(if i > 0 {
            b",{\"effort\":"
        } else {
            b"{\"effort\":"
        });
        write::string(out, effort);
        out.extend_from_slice(b",\"description\":");
        write::string(out, describe(effort));
        out.push(b'}');
    }
    out.push(b']');
    let default = ["medium", "high"]
        .iter()
        .find(|e| entry.efforts.iter().any(|o| o == *e));
    if let Some(default) = default {
        out.extend_from_slice(b",\"default_reasoning_level\":");
        write::string(out, default);
    }
    out.extend_from_slice(b",\"shell_type\":\"unified_exec\",\"visibility\":\"list\",\"supported_in_api\":true,\"priority\":");
    write::uint(out, priority as u64);
    out.extend_from_slice(b",\"additional_speed_tiers\":[],\"service_tiers\":[],\"availability_nux\":null,\"upgrade\":null,\"base_instructions\":");
    write::string(out, BASE_INSTRUCTIONS);
    out.extend_from_slice(b",\"include_skills_usage_instructions\":false,\"default_reasoning_summary\":\"auto\",\"support_verbosity\":false,\"default_verbosity\":null,\"apply_patch_tool_type\":\"freeform\",\"web_search_tool_type\":\"text\",\"truncation_policy\":{\"mode\":\"tokens\",\"limit\":10000},\"supports_image_detail_original\":false,\"context_window\":");
    write::uint(out, entry.context_window);
    out.extend_from_slice(b",\"max_context_window\":");
    write::uint(out, entry.context_window);
    let modalities: &[u8] = if entry.images {
        b"[\"text\",\"image\"]"
    } else {
        b"[\"text\"]"
    };
    out.extend_from_slice(b",\"auto_compact_token_limit\":null,\"effective_context_window_percent\":95,\"experimental_supported_tools\":[],\"input_modalities\":");
    out.extend_from_slice(modalities);
    out.extend_from_slice(b",\"supports_search_tool\":false,\"use_responses_lite\":false,\"supports_reasoning_effort_updates\":false}");
}

fn describe(effort: &str) -> &'static str {
    match effort {
        "none" => "No thinking",
        "minimal" | "low" => "Less thinking",
        "medium" => "Balanced",
        "high" => "More thinking",
        _ => "Most thinking",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_json_with_all_that_codex_requires() {
        let entry = Entry {
            slug: "m\"1".into(),
            display_name: "M".into(),
            owner: "p".into(),
            context_window: 1000,
            efforts: vec!["low".into(), "high".into()],
            images: true,
            price: None,
        };
        let plain: serde_json::Value =
            serde_json::from_slice(&list(std::slice::from_ref(&entry), false)).unwrap();
        assert_eq!(plain["data"][0]["id"], "m\"1");
        assert!(plain.get("models").is_none());
        let both: serde_json::Value = serde_json::from_slice(&list(&[entry], true)).unwrap();
        let model = &both["models"][0];
        for required in [
            "slug",
            "display_name",
            "supported_reasoning_levels",
            "shell_type",
            "visibility",
            "supported_in_api",
            "priority",
            "support_verbosity",
            "truncation_policy",
            "experimental_supported_tools",
            "base_instructions",
        ] {
            assert!(model.get(required).is_some(), "{required}");
        }
        assert_eq!(model["default_reasoning_level"], "high");
    }
}
