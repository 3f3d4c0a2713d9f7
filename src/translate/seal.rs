//! The authenticated, versioned envelope in which reasoning travels through the client.

use crate::auth::secret::SealKey;

/// What a sealed reasoning item holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The profile that produced the reasoning; it is given back to no other.
    pub profile: String,
    /// The reasoning text, as JSON string content that is still escaped.
    pub escaped_text: Vec<u8>,
}

/// Seals; `nonce` must never repeat under one key.
pub fn seal(_key: &SealKey, _nonce: [u8; 12], _sealed: &Sealed) -> String {
    unimplemented!()
}

/// Opens an envelope of [`seal`]; `None` for anything else.
pub fn unseal(_key: &SealKey, _envelope: &str) -> Option<Sealed> {
    unimplemented!()
}
