//! `strait.toml` as written.

use super::admin::AdminDraft;
use super::audit::AuditDraft;
use super::keys::KeyDraft;
use super::log::LogDraft;
use super::metrics::Metrics;
use super::routing::{BreakerDraft, ChainDraft, RetryDraft};
use super::store::StoreDraft;
use super::tls::TlsDraft;
use super::traces::TracesDraft;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Spanned, Table};

/// The file, before anything is resolved.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draft {
    pub listen: Vec<Spanned<String>>,
    pub workers: usize,
    pub tls: Option<TlsDraft>,
    pub keys: Vec<Spanned<KeyDraft>>,
    pub providers: BTreeMap<String, Spanned<ProviderDraft>>,
    pub profiles: BTreeMap<String, Spanned<Table>>,
    pub models: BTreeMap<String, Spanned<ChainDraft>>,
    pub seal_key: Option<Spanned<String>>,
    pub timeouts: TimeoutsDraft,
    pub ca_file: Option<Spanned<String>>,
    pub websocket: Option<bool>,
    pub trusted_proxies: Vec<Spanned<String>>,
    pub log: LogDraft,
    pub metrics: Metrics,
    pub store: StoreDraft,
    pub traces: TracesDraft,
    pub admin: AdminDraft,
    pub audit: AuditDraft,
    pub retry: RetryDraft,
    pub breaker: BreakerDraft,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderDraft {
    pub profile: Option<String>,
    pub base_url: Option<String>,
    pub api_key: Option<String>,
    pub api_keys: Vec<String>,
    pub auth_file: Option<String>,
    pub token_url: Option<String>,
    pub proxy: Option<String>,
    #[serde(rename = "override")]
    pub overrides: Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsDraft {
    pub connect_s: Option<Spanned<f64>>,
    pub first_byte_s: Option<Spanned<f64>>,
    pub silence_s: Option<Spanned<f64>>,
    pub keepalive_s: Option<Spanned<f64>>,
    pub hold_s: Option<Spanned<f64>>,
    pub drain_s: Option<Spanned<f64>>,
}
