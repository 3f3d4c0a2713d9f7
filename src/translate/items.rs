//! The item list becomes messages: turns, calls and their outputs, reasoning (SPEC 1.2, 1.3).
//!
//! A chat history has one legal shape: an assistant message with all calls of its turn, directly
//! followed by one answer per call. Items have no such shape, so outputs are paired with calls
//! first, and every turn is then written as one block. A block depends only on the items up to
//! its end, so that a growing history keeps its bytes and the provider's prompt cache its worth.

use super::calls::{self, Answer, Pairs, Scratch};
use super::compaction;
use super::diagnostic::Diagnostic;
use super::hosted;
use super::item::{Item, ItemKind};
use super::parts::{self, Media, Piece, Pieces, Place};
use super::request::Context;
use super::seal;
use super::tools::Toolbox;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::profile::{MidSystem, Replay};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// One call of a turn, with its answer.
pub(super) struct Call<'a> {
    /// Unique in the whole history, as the provider knows it.
    pub(super) id: Cow<'a, str>,
    /// As the client knows it.
    pub(super) client_id: Cow<'a, str>,
    pub(super) flat: Cow<'a, str>,
    /// JSON text; for a freeform call its input.
    pub(super) arguments: Piece<'a>,
    pub(super) freeform: bool,
    pub(super) answer: Option<Pieces<'a>>,
}

/// The model's turn that is being collected.
#[derive(Default)]
pub(super) struct Turn<'a> {
    pub(super) reasoning: Option<Vec<u8>>,
    /// What else the provider wants back: an array of [`seal::Sealed::extra`], not closed.
    pub(super) extra: Vec<u8>,
    /// Escaped.
    pub(super) text: Vec<u8>,
    pub(super) calls: Vec<Call<'a>>,
    /// Whether an output was seen; the next thing the model says is then another turn.
    pub(super) answered: bool,
}

impl Turn<'_> {
    /// Makes it a turn in which nothing was said yet.
    pub(super) fn clear(&mut self) {
        self.reasoning = None;
        self.extra.clear();
        self.text.clear();
        self.calls.clear();
        self.answered = false;
    }
}

/// Appends messages, in order, to one array.
pub(super) struct Messages<'a, 'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) cx: Context<'a>,
    pub(super) tools: &'a Toolbox,
    pub(super) diagnostics: &'o mut Vec<Diagnostic>,
    /// What stands in the one leading system message; `None` once that is written.
    pub(super) leading: Option<Vec<u8>>,
    /// What is appended to it.
    pub(super) note: Option<Vec<u8>>,
    pub(super) first: bool,
    pub(super) turn: Turn<'a>,
    ids: HashSet<Cow<'a, str>, RandomState>,
    /// How often the client gave an id, for those that it gave again.
    repeated: HashMap<String, usize>,
    scratch: Scratch,
    /// Whether the last message is the assistant's.
    pub(super) open_end: bool,
    /// Where the content of the last message begins, if that is a user's.
    pub(super) user_content: Option<usize>,
}

impl<'a, 'o> Messages<'a, 'o> {
    pub fn new(
        out: &'o mut Vec<u8>,
        cx: Context<'a>,
        tools: &'a Toolbox,
        diagnostics: &'o mut Vec<Diagnostic>,
    ) -> Self {
        Messages {
            out,
            cx,
            tools,
            diagnostics,
            leading: Some(Vec::new()),
            note: None,
            first: true,
            turn: Turn::default(),
            ids: HashSet::default(),
            repeated: HashMap::new(),
            scratch: Scratch::default(),
            open_end: false,
            user_content: None,
        }
    }

    /// Appends the whole array. `note` goes to the end of the leading system message.
    pub fn write(
        mut self,
        instructions: Option<Str<'a>>,
        input: Option<Str<'a>>,
        items: &[Item<'a>],
        note: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        self.note = note;
        self.out.push(b'[');
        if let Some(text) = instructions {
            self.system(&[Piece::Text(text)]);
        }
        if let Some(text) = input {
            self.user(&[Piece::Text(text)]);
        }
        self.items(items)?;
        self.flush();
        self.close_leading();
        if self.first {
            self.user_message(&[Piece::Made(Vec::new())]);
        }
        if self.open_end {
            self.diagnostic(
                "input.ends_with_assistant",
                "input".into(),
                "The history ends with the assistant's text; providers differ in what they do.",
            );
        }
        self.out.push(b']');
        Ok(())
    }

    fn items(&mut self, items: &[Item<'a>]) -> Result<(), Error> {
        let pairs = Pairs::of(items)?;
        for (i, again) in &pairs.repeated {
            let message =
                format!("The call has another output at input[{again}]; that one is used.");
            self.diagnostic("item.dropped", format!("input[{i}]"), &message);
        }
        for (i, item) in items.iter().enumerate() {
            self.item(item, i, items, &pairs)?;
        }
        Ok(())
    }

    fn item(
        &mut self,
        item: &Item<'a>,
        i: usize,
        items: &[Item<'a>],
        pairs: &Pairs,
    ) -> Result<(), Error> {
        let path = Place(i, "");
        let value = item.value();
        if value.kind() != Kind::Object {
            return Err(
                Error::bad_request("An input item must be an object.").with_param(path.to_string())
            );
        }
        if item.kind.is_call() {
            return self.call(item, i, items, pairs);
        }
        if item.kind.is_output() {
            return self.output(item, i, pairs);
        }
        match item.kind {
            ItemKind::Message => self.message(item, i),
            ItemKind::Reasoning => {
                self.reasoning(item);
                Ok(())
            }
            // Read by the toolbox, and by the request's fields.
            ItemKind::AdditionalTools | ItemKind::ConfigurationUpdate => Ok(()),
            ItemKind::McpListTools => Ok(()),
            ItemKind::WebSearchCall => {
                self.searched(value, items.get(i + 1));
                Ok(())
            }
            ItemKind::CodeInterpreterCall => {
                self.assistant(&[hosted::code(value)]);
                Ok(())
            }
            ItemKind::ImageGenerationCall => {
                let media = Media::of(self.cx.profile, self.cx.profile.images_user);
                let pieces = hosted::image(value, media);
                if pieces.iter().any(Piece::is_media) {
                    self.flush();
                    self.user(&pieces);
                } else {
                    self.assistant(&pieces);
                }
                Ok(())
            }
            ItemKind::FileSearchCall => {
                if let Some(found) = hosted::files(value) {
                    self.flush();
                    self.user(&[found]);
                }
                Ok(())
            }
            ItemKind::McpApprovalRequest => {
                self.assistant(&[hosted::approval_request(value)]);
                self.degraded(path.to_string());
                Ok(())
            }
            ItemKind::McpApprovalResponse => {
                self.flush();
                self.user(&[hosted::approval_response(value)]);
                self.degraded(path.to_string());
                Ok(())
            }
            ItemKind::ItemReference => {
                let id = item.id().unwrap_or(Str::EMPTY).text();
                Err(
                    Error::bad_request(format!("Item with id '{id}' not found."))
                        .with_code("item_not_found")
                        .with_param(path.to_string()),
                )
            }
            ItemKind::Compaction => {
                let text = compaction::expand(item.encrypted_content(), self.cx.seal_key);
                if text.is_none() {
                    self.diagnostics
                        .push(compaction::unreadable(path.to_string()));
                }
                let text = text.unwrap_or_else(|| compaction::UNREADABLE.to_vec());
                self.flush();
                self.user(&[Piece::Made(text)]);
                Ok(())
            }
            // What came of it follows.
            ItemKind::CompactionTrigger
                if items
                    .get(i + 1)
                    .is_some_and(|n| n.kind == ItemKind::Compaction) =>
            {
                Ok(())
            }
            ItemKind::CompactionTrigger => Err(Error::bad_request(
                "A compaction_trigger can only be the last item, and only of a request for a response.",
            )
            .with_param(path.to_string())),
            _ => {
                let other = item.type_name().text();
                let message = format!("Items of type '{other}' cannot be given to the provider.");
                self.diagnostic("item.dropped", path.to_string(), &message);
                Ok(())
            }
        }
    }

    fn message(&mut self, item: &Item<'a>, i: usize) -> Result<(), Error> {
        let role = item.role().unwrap_or(Str::EMPTY).bytes();
        let content = item.content();
        let path = Place(i, ".content");
        match &*role {
            b"assistant" => {
                let pieces = parts::read(content, Media::NONE, true, path, self.diagnostics)?;
                self.assistant(&pieces);
            }
            b"user" => {
                let media = Media::of(self.cx.profile, self.cx.profile.images_user);
                let pieces = parts::read(content, media, false, path, self.diagnostics)?;
                self.flush();
                self.user(&pieces);
            }
            b"system" | b"developer" => {
                let pieces = parts::read(content, Media::NONE, false, path, self.diagnostics)?;
                self.flush();
                self.system(&pieces);
            }
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(Error::bad_request(format!(
                    "A message cannot have the role '{other}'."
                ))
                .with_param(Place(i, ".role").to_string()));
            }
        }
        Ok(())
    }

    /// What a search found is in the message that follows; without one, only that there was a
    /// search can be said.
    fn searched(&mut self, item: Value<'a>, next: Option<&Item<'a>>) {
        let told = next.is_some_and(|next| {
            let assistant = || next.role().is_some_and(|r| r == "assistant");
            next.kind == ItemKind::Message && assistant() || next.kind == ItemKind::WebSearchCall
        });
        if !told && let Some(piece) = hosted::search(item) {
            self.assistant(&[piece]);
        }
    }

    fn degraded(&mut self, path: String) {
        let message = "The provider knows no such item; it is told as text.";
        self.diagnostic("item.degraded", path, message);
    }

    fn assistant(&mut self, pieces: &[Piece<'a>]) {
        if parts::is_blank(pieces) {
            return;
        }
        if self.turn.answered {
            self.flush();
        }
        if !self.turn.text.is_empty() {
            self.turn.text.extend_from_slice(b"\\n\\n");
        }
        // Its parts are pieces of one text, unlike those of other roles.
        for piece in pieces {
            parts::write_text(&mut self.turn.text, std::slice::from_ref(piece));
        }
    }

    fn reasoning(&mut self, item: &Item<'a>) {
        if self.turn.answered {
            self.flush();
        }
        if self.cx.profile.replays() == Replay::None
            && self.cx.profile.call_extra_missing.is_empty()
        {
            return;
        }
        let Some(text) = self.reasoning_text(item).filter(|t| !t.is_empty()) else {
            return;
        };
        match &mut self.turn.reasoning {
            Some(reasoning) => {
                reasoning.extend_from_slice(b"\\n");
                reasoning.extend_from_slice(&text);
            }
            None => self.turn.reasoning = Some(text),
        }
    }

    /// The text of a reasoning item, escaped, if this provider may see it. What another vendor
    /// encrypted is never looked at, and what another profile thought is not this one's business.
    fn reasoning_text(&mut self, item: &Item<'a>) -> Option<Vec<u8>> {
        let envelope = item.encrypted_content();
        if let Some(sealed) = envelope.and_then(|e| seal::unseal(self.cx.seal_key, &e.text())) {
            if sealed.profile != self.cx.profile.name {
                return None;
            }
            if !sealed.extra.is_empty() {
                let begin: &[u8] = if self.turn.extra.is_empty() {
                    b"["
                } else {
                    b","
                };
                self.turn.extra.extend_from_slice(begin);
                self.turn.extra.extend_from_slice(&sealed.extra);
            }
            return Some(sealed.escaped_text);
        }
        let mut text = Vec::new();
        for part in item.content().filter(|c| !c.is_null())?.items() {
            if let Some(part) = part.str("text") {
                part.splice(&mut text);
            }
        }
        Some(text)
    }

    fn call(
        &mut self,
        item: &Item<'a>,
        i: usize,
        items: &[Item<'a>],
        pairs: &Pairs,
    ) -> Result<(), Error> {
        if self.turn.answered {
            self.flush();
        }
        let native = self.cx.profile.custom_tools;
        let call = calls::read(item, i, self.tools, native, &mut self.scratch)?;
        let answer = match pairs.answer_of(i) {
            Answer::Own => Some(calls::mcp_output(item.value())),
            Answer::At(at) => Some(self.read_output(&items[at], at)?),
            Answer::Missing | Answer::Orphan => None,
        };
        let id = self.unique_id(&call.id);
        self.turn.answered |= matches!(pairs.answer_of(i), Answer::Own);
        self.turn.calls.push(Call {
            id,
            client_id: call.id,
            flat: call.flat,
            arguments: call.arguments,
            freeform: call.freeform,
            answer,
        });
        Ok(())
    }

    fn output(&mut self, item: &Item<'a>, i: usize, pairs: &Pairs) -> Result<(), Error> {
        if !pairs.is_orphan(i) {
            self.turn.answered = true;
            return Ok(());
        }
        self.diagnostic(
            "output.orphaned",
            format!("input[{i}]"),
            "No call has this output's id; it is sent as a user message.",
        );
        let id = item.answered_id().unwrap_or(Str::EMPTY);
        let mut head = b"[output of tool call ".to_vec();
        id.splice(&mut head);
        head.push(b']');
        let mut pieces = Pieces::from_iter([Piece::Made(head)]);
        pieces.extend(self.read_output(item, i)?);
        if !self.cx.profile.images_user {
            for piece in pieces.iter_mut().filter(|p| p.is_media()) {
                *piece = Piece::Made(parts::NO_VISION.to_vec());
            }
        }
        self.flush();
        self.user(&pieces);
        Ok(())
    }

    fn read_output(&mut self, item: &Item<'a>, i: usize) -> Result<Pieces<'a>, Error> {
        let value = item.value();
        match item.kind {
            ItemKind::ShellCallOutput => Ok(calls::shell_output(value)),
            ItemKind::ApplyPatchCallOutput => Ok(calls::patch_output(value)),
            ItemKind::ToolSearchOutput => Ok(calls::search_output(value, self.tools)),
            _ => {
                let profile = self.cx.profile;
                let media = Media::of(profile, profile.images_user || profile.images_tool);
                let path = Place(i, ".output");
                parts::read(item.output(), media, true, path, self.diagnostics)
            }
        }
    }

    /// An id that no earlier call of the history has: some clients and models repeat theirs.
    fn unique_id(&mut self, id: &Cow<'a, str>) -> Cow<'a, str> {
        let profile = self.cx.profile;
        let wanted = calls::wire_id(profile, id.clone());
        if self.ids.insert(wanted.clone()) {
            return wanted;
        }
        // A history that repeats one id must not be searched from its start every time.
        let n = self.repeated.entry(id.to_string()).or_insert(1);
        loop {
            *n += 1;
            let numbered = calls::wire_id(profile, Cow::Owned(format!("{id}_{n}")));
            if self.ids.insert(numbered.clone()) {
                return numbered;
            }
        }
    }

    fn user(&mut self, pieces: &[Piece<'a>]) {
        if !parts::is_blank(pieces) {
            self.user_message(pieces);
        }
    }

    pub(super) fn user_message(&mut self, pieces: &[Piece<'a>]) {
        if self.cx.profile.merge_adjacent
            && let Some(at) = self.user_content
        {
            return self.join_user(at, pieces);
        }
        self.open("user");
        self.raw(",\"content\":");
        self.user_content = Some(self.out.len());
        parts::write_content(self.out, pieces);
        self.raw("}");
    }

    /// Adds to the last message, a user's with its content at `at`: the provider wants roles to
    /// alternate.
    fn join_user(&mut self, at: usize, pieces: &[Piece<'a>]) {
        let list = self.out[at] == b'[';
        self.out.truncate(self.out.len() - 2);
        if !list && !pieces.iter().any(Piece::is_media) {
            self.raw("\\n\\n");
            parts::write_text(self.out, pieces);
            return self.raw("\"}");
        }
        if !list {
            let text = self.out.split_off(at + 1);
            self.out.truncate(at);
            self.raw("[{\"type\":\"text\",\"text\":\"");
            self.out.extend_from_slice(&text);
            self.raw("\"}");
        }
        for piece in pieces {
            self.raw(",");
            piece.write_part(self.out);
        }
        self.raw("]}");
    }

    /// A system message: part of the leading one, or in mid conversation as the dialect has it.
    fn system(&mut self, pieces: &[Piece<'a>]) {
        if parts::is_blank(pieces) {
            return;
        }
        if let Some(leading) = &mut self.leading {
            if !leading.is_empty() {
                leading.extend_from_slice(b"\\n\\n");
            }
            parts::write_text(leading, pieces);
            return;
        }
        if self.cx.profile.mid_system == MidSystem::User {
            let mut note = vec![Piece::Made(b"<system_note>".to_vec())];
            note.extend_from_slice(pieces);
            note.push(Piece::Made(b"</system_note>".to_vec()));
            return self.user_message(&note);
        }
        self.open(self.system_role());
        self.raw(",\"content\":\"");
        parts::write_text(self.out, pieces);
        self.raw("\"}");
    }

    fn system_role(&self) -> &'static str {
        if self.cx.profile.developer_role {
            "developer"
        } else {
            "system"
        }
    }

    pub(super) fn close_leading(&mut self) {
        let Some(mut leading) = self.leading.take() else {
            return;
        };
        if let Some(note) = self.note.take() {
            if !leading.is_empty() {
                leading.extend_from_slice(b"\\n\\n");
            }
            leading.extend_from_slice(&note);
        }
        if !leading.is_empty() {
            self.open(self.system_role());
            self.raw(",\"content\":");
            write::quoted(self.out, &leading);
            self.raw("}");
        }
    }

    fn diagnostic(&mut self, code: &'static str, path: String, message: &str) {
        self.diagnostics.push(Diagnostic {
            code,
            path,
            message: message.to_owned(),
        });
    }
}
