//! The client's tools become functions: flat names, emulations, schemas (SPEC 1.4).

use super::diagnostic::Diagnostic;
use super::fields::toml_json;
use super::item::{Item, ItemKind};
use super::schema;
use crate::json::write;
use crate::json::{Str, Value};
use crate::provider::Profile;
use crate::responses::tool::{Tool, ToolKind, ToolTable};
use std::borrow::Cow;

/// Longest function name that providers accept.
const NAME_BYTES_MAX: usize = 64;
const LOCAL_SHELL_PARAMETERS: &[u8] = br#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}"#;
const SHELL_PARAMETERS: &[u8] = br#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#;
const PATCH_PARAMETERS: &[u8] = br#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}"#;
const TEXT_PARAMETERS: &[u8] = br#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// A tool and its definition for the provider.
#[derive(Debug)]
pub(super) struct Entry {
    pub tool: Tool,
    pub definition: Vec<u8>,
    /// Whether it is offered in this request; `tool_choice` may hide it.
    pub offered: bool,
}

/// The active tools of a request, deduplicated.
#[derive(Debug, Default)]
pub(super) struct Toolbox {
    pub entries: Vec<Entry>,
    /// The provider's own web search, where the client offers one.
    search: Option<Search>,
}

/// The provider's own web search.
#[derive(Debug)]
struct Search {
    /// Its entry in `tools`; empty where it is switched on elsewhere.
    definition: Vec<u8>,
    offered: bool,
}

impl Toolbox {
    /// Collects the request's tools and those that items brought along (rule A). Where two have
    /// the same name the later one replaces the earlier one in its place, so that the list grows
    /// only at its end and the provider's prompt cache stays good.
    pub fn collect(
        request: Value<'_>,
        items: &[Item<'_>],
        profile: &Profile,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Toolbox {
        let mut build = Build {
            toolbox: Toolbox::default(),
            profile,
            diagnostics,
        };
        build.list(request.present("tools"), "tools");
        for (i, item) in items.iter().enumerate() {
            if matches!(
                item.kind,
                ItemKind::AdditionalTools | ItemKind::ToolSearchOutput
            ) {
                let tools = item.value().present("tools");
                build.list(tools, &format!("input[{i}].tools"));
            }
        }
        build.toolbox
    }

    /// What the provider calls the client's tool.
    pub fn flat(&self, namespace: Option<&str>, name: &str) -> String {
        match self.find(namespace, name) {
            Some(entry) => entry.tool.flat.clone(),
            None => flat_name(namespace, name),
        }
    }

    /// What the provider calls the tool that an item of the history calls.
    pub fn called(&self, namespace: Option<Str<'_>>, name: Str<'_>) -> Cow<'_, str> {
        let known = self.entries.iter().find(|e| {
            let space = e.tool.namespace.as_deref();
            name == *e.tool.name
                && space.is_some() == namespace.is_some()
                && space
                    .zip(namespace)
                    .is_none_or(|(ours, theirs)| theirs == *ours)
        });
        match known {
            Some(entry) => Cow::Borrowed(&entry.tool.flat),
            None => {
                let space = namespace.map(|s| s.text());
                Cow::Owned(flat_name(space.as_deref(), &name.text()))
            }
        }
    }

    /// The active tool of that name.
    pub fn find(&self, namespace: Option<&str>, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| e.tool.name == name && e.tool.namespace.as_deref() == namespace)
    }

    /// Hides every tool that `keep` refuses, and the web search.
    pub fn restrict(&mut self, keep: impl Fn(&Tool) -> bool) {
        self.allow_search(false);
        for entry in &mut self.entries {
            entry.offered &= keep(&entry.tool);
        }
    }

    /// Leaves nothing but the web search.
    pub fn only_search(&mut self) {
        for entry in &mut self.entries {
            entry.offered = false;
        }
    }

    /// Offers the web search, if there is one, or does not.
    pub fn allow_search(&mut self, offered: bool) {
        if let Some(search) = &mut self.search {
            search.offered = offered;
        }
    }

    /// Whether the provider may search the web by itself.
    pub fn searches(&self) -> bool {
        self.search.as_ref().is_some_and(|s| s.offered)
    }

    /// Whether the provider is offered any tool in `tools`.
    pub fn any_offered(&self) -> bool {
        self.entries.iter().any(|e| e.offered) || self.search_tool().is_some()
    }

    fn search_tool(&self) -> Option<&[u8]> {
        let search = self.search.as_ref().filter(|s| s.offered)?;
        (!search.definition.is_empty()).then_some(&search.definition)
    }

    /// Appends the array of offered tools. The search stands first, so that the list still only
    /// grows at its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let entries = self.entries.iter().filter(|e| e.offered);
        let all = self
            .search_tool()
            .into_iter()
            .chain(entries.map(|e| &*e.definition));
        out.push(b'[');
        for (i, definition) in all.enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(definition);
        }
        out.push(b']');
    }

    /// Declares every function that the history calls, since some providers refuse a history
    /// with calls of undeclared tools. `false` if it calls none.
    pub fn declare_called(&mut self, items: &[Item<'_>]) -> bool {
        const WHY: &[u8] = b"Used earlier in this conversation; not available now.";
        for item in items {
            if !matches!(item.kind, ItemKind::FunctionCall | ItemKind::CustomToolCall) {
                continue;
            }
            let Some(name) = item.name() else {
                continue;
            };
            let space = item.namespace();
            let flat = self.called(space, name).into_owned();
            if let Some(known) = self.entries.iter_mut().find(|e| e.tool.flat == flat) {
                known.offered = true;
                continue;
            }
            let definition = define(&flat, WHY, schema::NONE, false);
            let tool = Tool {
                flat,
                namespace: space.map(|s| s.text().into_owned()),
                name: name.text().into_owned(),
                kind: ToolKind::Function,
            };
            self.entries.push(Entry {
                tool,
                definition,
                offered: true,
            });
        }
        self.any_offered()
    }

    /// The table for the way back.
    pub fn into_table(self) -> ToolTable {
        let mut table = ToolTable::default();
        for entry in self.entries {
            table.push(entry.tool);
        }
        table
    }
}

/// The function name for a tool: legal, and the same in every request (SPEC 1.4).
pub(super) fn flat_name(namespace: Option<&str>, name: &str) -> String {
    let full = match namespace {
        Some(ns) if ns.ends_with("__") => format!("{ns}{name}"),
        Some(ns) => format!("{ns}__{name}"),
        None => name.to_owned(),
    };
    let legal: String = full
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
            _ => '_',
        })
        .collect();
    if legal.is_empty() {
        return "_".into();
    }
    if legal.len() <= NAME_BYTES_MAX {
        return legal;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, full.as_bytes());
    let mut short = legal[..NAME_BYTES_MAX - 9].to_owned();
    short.push('_');
    for byte in &digest.as_ref()[..4] {
        short.push_str(&format!("{byte:02x}"));
    }
    short
}

struct Build<'p> {
    toolbox: Toolbox,
    profile: &'p Profile,
    diagnostics: &'p mut Vec<Diagnostic>,
}

impl Build<'_> {
    fn drop(&mut self, path: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            code: "tool.dropped",
            path: path.to_owned(),
            message,
        });
    }

    fn list(&mut self, tools: Option<Value<'_>>, path: &str) {
        for (i, tool) in tools.iter().flat_map(|t| t.items()).enumerate() {
            let path = format!("{path}[{i}]");
            if tool.str("type").is_some_and(|t| t == "namespace") {
                self.namespace(tool, &path);
            } else {
                self.tool(tool, None, &path);
            }
        }
    }

    fn namespace(&mut self, space: Value<'_>, path: &str) {
        let members = space.present("tools");
        for (i, tool) in members.iter().flat_map(|t| t.items()).enumerate() {
            self.tool(tool, Some(space), &format!("{path}.tools[{i}]"));
        }
    }

    fn tool(&mut self, tool: Value<'_>, space: Option<Value<'_>>, path: &str) {
        let kind = tool.str("type").unwrap_or(Str::EMPTY).text();
        let (kind, name, parameters) = match &*kind {
            "function" => {
                // Some clients send the nested form of chat completions here.
                let inner = tool.present("function").unwrap_or(tool);
                return self.function(inner, space, path);
            }
            "custom" => (ToolKind::Custom, None, TEXT_PARAMETERS),
            search if search.starts_with("web_search") && self.profile.searches() => {
                return self.web_search(tool, path);
            }
            "tool_search" => return self.tool_search(tool, path),
            "local_shell" => (
                ToolKind::LocalShell,
                Some("local_shell"),
                LOCAL_SHELL_PARAMETERS,
            ),
            "shell" => (ToolKind::Shell, Some("shell"), SHELL_PARAMETERS),
            "apply_patch" => (ToolKind::ApplyPatch, Some("apply_patch"), PATCH_PARAMETERS),
            other => {
                let message = format!("The provider has no hosted tool '{other}'.");
                return self.drop(path, message);
            }
        };
        let name = match name {
            Some(fixed) => fixed.to_owned(),
            None => tool.str("name").unwrap_or(Str::EMPTY).text().into_owned(),
        };
        let mut description = describe(space, tool);
        match kind {
            ToolKind::Custom if self.profile.custom_tools => {}
            ToolKind::Custom => describe_custom(&mut description, tool),
            ToolKind::LocalShell | ToolKind::Shell if description.is_empty() => {
                description.extend_from_slice(b"Runs commands in a shell.");
            }
            ToolKind::ApplyPatch if description.is_empty() => {
                description.extend_from_slice(b"Creates, updates or deletes a file by a diff.");
            }
            _ => {}
        }
        if kind == ToolKind::Custom && self.profile.custom_tools {
            let definition = move |flat: &str| define_custom(flat, &description, tool);
            return self.add_as(kind, space, name, definition, path);
        }
        let mut tape = crate::json::Tape::new();
        let mut fit = Vec::new();
        schema::parameters(&mut fit, tape.parse(parameters).ok(), self.profile);
        self.add(kind, space, name, &description, &fit, false, path);
    }

    /// The provider's own web search stands in for the one that the client offers.
    fn web_search(&mut self, tool: Value<'_>, path: &str) {
        let mut definition = Vec::new();
        let own = &self.profile.web_search_tool;
        if !own.is_empty() {
            toml_json(&mut definition, &toml::Value::Table(own.clone()));
            let place = tool.present("user_location");
            if let Some(place) = place.filter(|_| self.profile.web_search_location) {
                definition.pop();
                definition.extend_from_slice(b",\"user_location\":");
                super::snapshot::compact(&mut definition, place);
                definition.push(b'}');
            }
        }
        let live_only = tool
            .get("external_web_access")
            .is_some_and(|v| v.as_bool() == Some(false));
        let filtered = tool.present("filters").is_some();
        if live_only || filtered {
            self.diagnostics.push(Diagnostic {
                code: "tool.degraded",
                path: path.to_owned(),
                message: "The provider searches the live web, without the client's filters.".into(),
            });
        }
        self.toolbox.search = Some(Search {
            definition,
            offered: true,
        });
    }

    fn function(&mut self, tool: Value<'_>, space: Option<Value<'_>>, path: &str) {
        let name = tool.str("name").unwrap_or(Str::EMPTY).text().into_owned();
        let mut parameters = Vec::new();
        schema::parameters(&mut parameters, tool.get("parameters"), self.profile);
        let strict =
            self.profile.strict_tools && tool.get("strict").and_then(|s| s.as_bool()) == Some(true);
        let description = describe(space, tool);
        self.add(
            ToolKind::Function,
            space,
            name,
            &description,
            &parameters,
            strict,
            path,
        );
    }

    fn tool_search(&mut self, tool: Value<'_>, path: &str) {
        if !tool.str("execution").is_some_and(|e| e == "client") {
            // Executed by the server: every deferred tool is offered at once instead.
            let message = "Tools are not searched here; all are offered.".to_owned();
            return self.drop(path, message);
        }
        let mut parameters = Vec::new();
        schema::parameters(&mut parameters, tool.get("parameters"), self.profile);
        let description = describe(None, tool);
        let name = "tool_search".to_owned();
        self.add(
            ToolKind::ToolSearch,
            None,
            name,
            &description,
            &parameters,
            false,
            path,
        );
    }

    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        kind: ToolKind,
        space: Option<Value<'_>>,
        name: String,
        description: &[u8],
        parameters: &[u8],
        strict: bool,
        path: &str,
    ) {
        let definition = |flat: &str| define(flat, description, parameters, strict);
        self.add_as(kind, space, name, definition, path);
    }

    fn add_as(
        &mut self,
        kind: ToolKind,
        space: Option<Value<'_>>,
        name: String,
        definition: impl FnOnce(&str) -> Vec<u8>,
        path: &str,
    ) {
        if name.is_empty() {
            return self.drop(path, "The tool has no name.".to_owned());
        }
        let namespace = space.map(|s| s.str("name").unwrap_or(Str::EMPTY).text().into_owned());
        let entries = &self.toolbox.entries;
        let known = entries
            .iter()
            .position(|e| e.tool.name == name && e.tool.namespace == namespace);
        let limit = self.profile.tools_max;
        if known.is_none() && limit > 0 && entries.len() >= limit {
            return self.drop(path, format!("The provider takes at most {limit} tools."));
        }
        let flat = match known {
            Some(at) => entries[at].tool.flat.clone(),
            None => self.unique(flat_name(namespace.as_deref(), &name)),
        };
        let entry = Entry {
            definition: definition(&flat),
            tool: Tool {
                flat,
                namespace,
                name,
                kind,
            },
            offered: true,
        };
        match known {
            Some(at) => self.toolbox.entries[at] = entry,
            None => self.toolbox.entries.push(entry),
        }
    }

    /// `flat`, or with a number behind it if another tool has that name already.
    fn unique(&self, flat: String) -> String {
        let taken = |name: &str| self.toolbox.entries.iter().any(|e| e.tool.flat == name);
        let mut candidate = flat.clone();
        let mut n = 2;
        while taken(&candidate) {
            let suffix = format!("_{n}");
            let keep = flat.len().min(NAME_BYTES_MAX - suffix.len());
            candidate = format!("{}{suffix}", &flat[..keep]);
            n += 1;
        }
        candidate
    }
}

fn define(flat: &str, description: &[u8], parameters: &[u8], strict: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(description.len() + parameters.len() + flat.len() + 96);
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    write::string(&mut out, flat);
    if !description.is_empty() {
        out.extend_from_slice(b",\"description\":");
        write::quoted(&mut out, description);
    }
    out.extend_from_slice(b",\"parameters\":");
    out.extend_from_slice(parameters);
    if strict {
        out.extend_from_slice(b",\"strict\":true");
    }
    out.extend_from_slice(b"}}");
    out
}

/// A freeform tool for a provider that knows them.
fn define_custom(flat: &str, description: &[u8], tool: Value<'_>) -> Vec<u8> {
    let mut out = b"{\"type\":\"custom\",\"custom\":{\"name\":".to_vec();
    write::string(&mut out, flat);
    if !description.is_empty() {
        out.extend_from_slice(b",\"description\":");
        write::quoted(&mut out, description);
    }
    let format = tool.present("format");
    let grammar = format.map(|f| f.present("grammar").unwrap_or(f));
    if let Some(definition) = grammar.and_then(|g| g.str("definition")) {
        out.extend_from_slice(b",\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"");
        match grammar.and_then(|g| g.str("syntax")) {
            Some(syntax) => syntax.splice(&mut out),
            None => out.extend_from_slice(b"lark"),
        }
        out.extend_from_slice(b"\",\"definition\":\"");
        definition.splice(&mut out);
        out.extend_from_slice(b"\"}}");
    }
    out.extend_from_slice(b"}}");
    out
}

/// The description of a tool, after that of its namespace; escaped.
fn describe(space: Option<Value<'_>>, tool: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in [
        space.and_then(|s| s.str("description")),
        tool.str("description"),
    ]
    .into_iter()
    .flatten()
    .filter(|t| !t.is_empty())
    {
        if !out.is_empty() {
            out.extend_from_slice(b"\\n\\n");
        }
        text.splice(&mut out);
    }
    out
}

/// A freeform tool becomes a function with one string, so its description has to say what the
/// string is, and which grammar it obeys.
fn describe_custom(out: &mut Vec<u8>, tool: Value<'_>) {
    if !out.is_empty() {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(b"The input is raw text, not JSON.");
    let Some(format) = tool.present("format") else {
        return;
    };
    // Chat completions nest the grammar once more.
    let grammar = format.present("grammar").unwrap_or(format);
    let Some(definition) = grammar.str("definition") else {
        return;
    };
    out.extend_from_slice(b" It must obey this grammar:\\n```");
    if let Some(syntax) = grammar.str("syntax") {
        syntax.splice(out);
    }
    out.extend_from_slice(b"\\n");
    definition.splice(out);
    out.extend_from_slice(b"\\n```");
}
