//! What is known of each provider, as data.

pub mod profile;

pub use profile::Profile;
