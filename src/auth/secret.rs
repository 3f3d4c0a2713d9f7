//! Bytes that cannot be printed.

use std::fmt;

/// A secret: no `Display`, and a `Debug` that shows nothing.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The secret itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The key that seals what travels through the client; see `translate::seal`.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A key of exactly 32 bytes.
    pub fn new(key: [u8; 32]) -> Self {
        SealKey(key)
    }

    /// The key's bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}
