//! Request and response heads.

/// How a message's body is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyKind {
    /// No body.
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// Header fields in order; names in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers {
    fields: Vec<(String, String)>,
}

impl Headers {
    /// The value of the first field called `name` (given in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Adds a field; `name` must be in lower case.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.fields.push((name.into(), value.into()));
    }
}

/// The head of a request, already judged: framing is unambiguous.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// As sent, e.g. `POST`.
    pub method: String,
    /// The target's path, without the query.
    pub path: String,
    /// The target's query, without `?`.
    pub query: Option<String>,
    /// HTTP/1.1 (else 1.0).
    pub http11: bool,
    /// All fields.
    pub headers: Headers,
    /// How the body is delimited; never [`BodyKind::UntilClose`].
    pub body: BodyKind,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub expect_continue: bool,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// All fields.
    pub headers: Headers,
    /// How the body is delimited.
    pub body: BodyKind,
    /// Whether the connection can be used again once the body was read whole.
    pub keep_alive: bool,
}
