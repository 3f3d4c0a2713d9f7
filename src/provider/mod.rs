//! What is known of each provider, as data.

pub mod builtin;
pub mod profile;

pub use profile::Profile;
