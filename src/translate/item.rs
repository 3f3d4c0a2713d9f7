//! The items of a request's input, each read once: what it is, and the members that matter.

use crate::json::{Members, Names, Str, Value};

/// What an item is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ItemKind {
    AdditionalTools,
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    Compaction,
    CompactionTrigger,
    ConfigurationUpdate,
    CustomToolCall,
    CustomToolCallOutput,
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    ImageGenerationCall,
    ItemReference,
    LocalShellCall,
    LocalShellCallOutput,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    /// Of a type that is not known, or none.
    Other,
    Reasoning,
    ShellCall,
    ShellCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
    WebSearchCall,
}

const KINDS: [(&str, ItemKind); 29] = [
    ("additional_tools", ItemKind::AdditionalTools),
    ("apply_patch_call", ItemKind::ApplyPatchCall),
    ("apply_patch_call_output", ItemKind::ApplyPatchCallOutput),
    ("code_interpreter_call", ItemKind::CodeInterpreterCall),
    ("compaction", ItemKind::Compaction),
    // Names that Codex has or had for it.
    ("compaction_summary", ItemKind::Compaction),
    ("compaction_trigger", ItemKind::CompactionTrigger),
    ("configuration_update", ItemKind::ConfigurationUpdate),
    ("context_compaction", ItemKind::Compaction),
    ("custom_tool_call", ItemKind::CustomToolCall),
    ("custom_tool_call_output", ItemKind::CustomToolCallOutput),
    ("file_search_call", ItemKind::FileSearchCall),
    ("function_call", ItemKind::FunctionCall),
    ("function_call_output", ItemKind::FunctionCallOutput),
    ("image_generation_call", ItemKind::ImageGenerationCall),
    ("item_reference", ItemKind::ItemReference),
    ("local_shell_call", ItemKind::LocalShellCall),
    ("local_shell_call_output", ItemKind::LocalShellCallOutput),
    ("mcp_approval_request", ItemKind::McpApprovalRequest),
    ("mcp_approval_response", ItemKind::McpApprovalResponse),
    ("mcp_call", ItemKind::McpCall),
    ("mcp_list_tools", ItemKind::McpListTools),
    ("message", ItemKind::Message),
    ("reasoning", ItemKind::Reasoning),
    ("shell_call", ItemKind::ShellCall),
    ("shell_call_output", ItemKind::ShellCallOutput),
    ("tool_search_call", ItemKind::ToolSearchCall),
    ("tool_search_output", ItemKind::ToolSearchOutput),
    ("web_search_call", ItemKind::WebSearchCall),
];

static KIND_NAMES: Names<29> = Names::new({
    let mut names = [""; KINDS.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = KINDS[n].0;
        n += 1;
    }
    names
});

impl ItemKind {
    fn of(members: &Members<'_, 11>) -> ItemKind {
        if let Some(kind) = members.str(TYPE) {
            let known = KIND_NAMES.position(kind);
            return known.map_or(ItemKind::Other, |n| KINDS[n].1);
        }
        // An object without a type but with a role is a message, and one that has only an id
        // refers to another.
        if members.present(ROLE).is_some() {
            ItemKind::Message
        } else if members.present(ID).is_some() {
            ItemKind::ItemReference
        } else {
            ItemKind::Other
        }
    }

    pub fn is_call(self) -> bool {
        matches!(
            self,
            ItemKind::FunctionCall
                | ItemKind::CustomToolCall
                | ItemKind::LocalShellCall
                | ItemKind::ShellCall
                | ItemKind::ApplyPatchCall
                | ItemKind::ToolSearchCall
                | ItemKind::McpCall
        )
    }

    pub fn is_output(self) -> bool {
        matches!(
            self,
            ItemKind::FunctionCallOutput
                | ItemKind::CustomToolCallOutput
                | ItemKind::LocalShellCallOutput
                | ItemKind::ShellCallOutput
                | ItemKind::ApplyPatchCallOutput
                | ItemKind::ToolSearchOutput
        )
    }
}

const TYPE: usize = 0;
const ROLE: usize = 1;
const ID: usize = 2;

static NAMES: Names<11> = Names::new([
    "type",
    "role",
    "id",
    "call_id",
    "content",
    "output",
    "name",
    "namespace",
    "arguments",
    "input",
    "encrypted_content",
]);

/// An item. What is not an object has no members.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub kind: ItemKind,
    members: Members<'a, 11>,
}

impl<'a> Item<'a> {
    pub fn of(value: Value<'a>) -> Self {
        let members = Members::of(value, &NAMES);
        Item {
            kind: ItemKind::of(&members),
            members,
        }
    }

    /// All items of a request's input, nothing where that is no list.
    pub fn list(request: Value<'a>) -> Vec<Item<'a>> {
        let input = request.present("input");
        input.iter().flat_map(|v| v.items()).map(Item::of).collect()
    }

    /// The whole item, for members that few items have.
    pub fn value(&self) -> Value<'a> {
        self.members.object()
    }

    /// The type as the client wrote it.
    pub fn type_name(&self) -> Str<'a> {
        self.members.str(TYPE).unwrap_or(Str::EMPTY)
    }

    pub fn role(&self) -> Option<Str<'a>> {
        self.members.str(ROLE)
    }

    pub fn id(&self) -> Option<Str<'a>> {
        self.members.str(ID)
    }

    pub fn content(&self) -> Option<Value<'a>> {
        self.members.get(4)
    }

    pub fn output(&self) -> Option<Value<'a>> {
        self.members.get(5)
    }

    pub fn name(&self) -> Option<Str<'a>> {
        self.members.str(6)
    }

    pub fn namespace(&self) -> Option<Str<'a>> {
        self.members.str(7)
    }

    pub fn arguments(&self) -> Option<Value<'a>> {
        self.members.get(8)
    }

    pub fn input(&self) -> Option<Str<'a>> {
        self.members.str(9)
    }

    pub fn encrypted_content(&self) -> Option<Str<'a>> {
        self.members.str(10)
    }

    /// The id of a call.
    pub fn call_id(&self) -> Option<Str<'a>> {
        let id = self.members.str(3).or_else(|| self.id());
        id.filter(|id| !id.is_empty())
    }

    /// The id of the call that an output answers. `local_shell_call_output` carries it as `id`.
    pub fn answered_id(&self) -> Option<Str<'a>> {
        let id = match self.kind {
            ItemKind::LocalShellCallOutput => self.members.str(3).or_else(|| self.id()),
            _ => self.members.str(3),
        };
        id.filter(|id| !id.is_empty())
    }
}
