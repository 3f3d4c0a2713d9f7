//! Tools and the choice among them (SPEC 2): chat nests what the Responses API has flat.

use super::body::Body;
use super::fields::strict;
use super::request::{missing, wrong_type};
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::translate::snapshot::compact;

/// What a function takes if its author does not say.
const NO_PARAMETERS: &[u8] = br#"{"type":"object","properties":{}}"#;

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// JSON, separated by commas.
    definitions: Vec<u8>,
    count: usize,
    functions: Vec<String>,
    /// Names of the custom ones.
    pub custom: Vec<String>,
    /// The client speaks of `functions` only.
    pub legacy: bool,
}

impl Tools {
    /// Reads `tools` and the older `functions`.
    pub fn collect(request: Value<'_>, body: &mut Body<'_>) -> Result<Tools, Error> {
        let mut tools = Tools::default();
        let listed = request.present("tools");
        for (i, tool) in listed.iter().flat_map(|t| t.items()).enumerate() {
            let path = format!("tools[{i}]");
            let kind = tool.str("type").unwrap_or(Str::plain("function")).text();
            match &*kind {
                "function" => {
                    let path = format!("{path}.function");
                    let inner = tool.present("function").ok_or_else(|| missing(&path))?;
                    tools.function(inner, &path, body)?;
                }
                "custom" => {
                    let path = format!("{path}.custom");
                    let inner = tool.present("custom").ok_or_else(|| missing(&path))?;
                    tools.custom(inner, &path, body)?;
                }
                other => {
                    let message = format!("A tool of type '{other}' is not known.");
                    body.note("tool.dropped", path, message);
                }
            }
        }
        tools.legacy = tools.count == 0;
        let older = request.present("functions");
        for (i, function) in older.iter().flat_map(|f| f.items()).enumerate() {
            tools.function(function, &format!("functions[{i}]"), body)?;
        }
        tools.legacy &= tools.count > 0;
        Ok(tools)
    }

    fn function(
        &mut self,
        function: Value<'_>,
        path: &str,
        body: &mut Body<'_>,
    ) -> Result<(), Error> {
        let name = name(function, path)?;
        if !self.begin("function", name, path, body) {
            return Ok(());
        }
        self.functions.push(name.text().into_owned());
        let out = &mut self.definitions;
        describe(out, function);
        out.extend_from_slice(b",\"parameters\":");
        match function.present("parameters") {
            Some(schema) if schema.kind() == Kind::Object => compact(out, schema),
            _ => out.extend_from_slice(NO_PARAMETERS),
        }
        // Absent means true where possible here, and false in the client's dialect.
        out.extend_from_slice(strict(function));
        out.push(b'}');
        Ok(())
    }

    fn custom(&mut self, tool: Value<'_>, path: &str, body: &mut Body<'_>) -> Result<(), Error> {
        let name = name(tool, path)?;
        if !self.begin("custom", name, path, body) {
            return Ok(());
        }
        self.custom.push(name.text().into_owned());
        let out = &mut self.definitions;
        describe(out, tool);
        if let Some(format) = tool.present("format") {
            out.extend_from_slice(b",\"format\":");
            match format.present("grammar") {
                Some(grammar) => {
                    out.extend_from_slice(b"{\"type\":\"grammar\"");
                    for key in ["syntax", "definition"] {
                        if let Some(text) = grammar.str(key) {
                            out.extend_from_slice(b",\"");
                            out.extend_from_slice(key.as_bytes());
                            out.extend_from_slice(b"\":\"");
                            text.splice(out);
                            out.push(b'"');
                        }
                    }
                    out.push(b'}');
                }
                None => compact(out, format),
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn begin(&mut self, kind: &str, name: Str<'_>, path: &str, body: &mut Body<'_>) -> bool {
        let limit = body.profile.tools_max;
        if limit > 0 && self.count >= limit {
            let message = format!("The provider takes at most {limit} tools.");
            body.note("tool.dropped", path, message);
            return false;
        }
        let out = &mut self.definitions;
        if self.count > 0 {
            out.push(b',');
        }
        self.count += 1;
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"name\":\"");
        name.splice(out);
        out.push(b'"');
        true
    }

    /// Appends `tools`, `tool_choice` and `parallel_tool_calls`, if there are tools at all.
    pub fn write(&self, request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
        let choice = match request.present("tool_choice") {
            Some(choice) => self.choice(choice, "tool_choice")?,
            None => match request.present("function_call") {
                Some(choice) => self.choice(choice, "function_call")?,
                None => None,
            },
        };
        if self.count == 0 {
            return Ok(());
        }
        if body.open("tools", "tools") {
            body.out.push(b'[');
            body.out.extend_from_slice(&self.definitions);
            body.out.push(b']');
        }
        if let Some(choice) = choice {
            body.raw("tool_choice", "tool_choice", &choice);
        }
        if self.legacy {
            // A message of that dialect has room for one call.
            body.own("parallel_tool_calls", b"false");
        } else if let Some(parallel) = request.present("parallel_tool_calls") {
            body.raw("parallel_tool_calls", "parallel_tool_calls", parallel.raw());
        }
        Ok(())
    }

    /// The choice in the provider's words.
    fn choice(&self, choice: Value<'_>, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut out = Vec::new();
        if let Some(mode) = choice.as_str() {
            let known = ["none", "auto", "required"].iter().any(|k| mode == *k);
            if !known {
                return Err(wrong_type(path, "'none', 'auto', 'required' or an object"));
            }
            if self.count == 0 && mode == "required" {
                return Err(self.not_found("required", path));
            }
            write::quoted(&mut out, mode.raw());
            return Ok(Some(out));
        }
        let kind = choice.str("type").unwrap_or(Str::plain("function")).text();
        if kind == "allowed_tools" {
            // Some clients leave out the inner object.
            let inner = choice.present("allowed_tools").unwrap_or(choice);
            self.allowed(inner, path, &mut out)?;
            return Ok(Some(out));
        }
        self.named(choice, path, &mut out)?;
        Ok(Some(out))
    }

    /// Appends `{"type":…,"name":…}` for a tool that is named in the client's way.
    fn named(&self, tool: Value<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let kind = tool.str("type").unwrap_or(Str::plain("function")).text();
        let known = match &*kind {
            "function" => &self.functions,
            "custom" => &self.custom,
            _ => {
                return Err(wrong_type(
                    path,
                    "a function, a custom tool or allowed_tools",
                ));
            }
        };
        let inner = tool.present(&kind).unwrap_or(tool);
        let name = name(inner, path)?;
        if !known.iter().any(|n| name == **n) {
            return Err(self.not_found(&name.text(), path));
        }
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"name\":\"");
        name.splice(out);
        out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn allowed(&self, inner: Value<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let list = format!("{path}.allowed_tools.tools");
        let tools = inner
            .present("tools")
            .filter(|t| t.kind() == Kind::Array)
            .ok_or_else(|| wrong_type(&list, "an array"))?;
        let required = inner.str("mode").is_some_and(|m| m == "required");
        out.extend_from_slice(b"{\"type\":\"allowed_tools\",\"mode\":\"");
        out.extend_from_slice(if required { b"required" } else { b"auto" });
        out.extend_from_slice(b"\",\"tools\":[");
        for (i, tool) in tools.items().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            self.named(tool, &format!("{list}[{i}]"), out)?;
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }

    fn not_found(&self, name: &str, path: &str) -> Error {
        Error::bad_request(format!(
            "Tool choice '{name}' not found in 'tools' parameter."
        ))
        .with_param(path)
    }
}

fn name<'a>(tool: Value<'a>, path: &str) -> Result<Str<'a>, Error> {
    tool.str("name")
        .filter(|n| !n.is_empty())
        .ok_or_else(|| missing(&format!("{path}.name")))
}

fn describe(out: &mut Vec<u8>, tool: Value<'_>) {
    if let Some(description) = tool.str("description") {
        out.extend_from_slice(b",\"description\":\"");
        description.splice(out);
        out.push(b'"');
    }
}
