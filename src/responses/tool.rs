//! The tools of one exchange: what the client calls them, and what the provider calls them.

/// What a tool is to the client, and so what a call of it must look like on the way back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ToolKind {
    /// `apply_patch`, the hosted form: `apply_patch_call` with an `operation`.
    ApplyPatch,
    /// A freeform tool: `custom_tool_call` with raw text.
    Custom,
    /// A function: `function_call`.
    Function,
    /// `local_shell`: `local_shell_call` with an `action`.
    LocalShell,
    /// `shell`: `shell_call` with an `action`.
    Shell,
    /// `tool_search`: `tool_search_call` with an arguments object.
    ToolSearch,
}

/// One tool as offered to the provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tool {
    /// The name the provider sees: `^[A-Za-z0-9_-]{1,64}$`, unique in its table.
    pub flat: String,
    /// The client's namespace, if any.
    pub namespace: Option<String>,
    /// The client's name.
    pub name: String,
    /// What a call becomes on the way back.
    pub kind: ToolKind,
}

/// The tools of one exchange, in the order the provider sees them.
#[derive(Clone, Debug, Default)]
pub struct ToolTable {
    tools: Vec<Tool>,
}

impl ToolTable {
    /// The tool that the provider calls `flat`.
    pub fn by_flat(&self, flat: &str) -> Option<&Tool> {
        self.tools.iter().find(|t| t.flat == flat)
    }

    /// The tool that the client calls `name` in `namespace`.
    pub fn by_name(&self, namespace: Option<&str>, name: &str) -> Option<&Tool> {
        self.tools
            .iter()
            .find(|t| t.namespace.as_deref() == namespace && t.name == name)
    }

    /// All tools, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter()
    }

    /// Adds a tool whose flat name is already legal and unique.
    pub fn push(&mut self, tool: Tool) {
        self.tools.push(tool);
    }
}
