//! Where traces are sent, in the words of `strait.toml` or of OpenTelemetry's own variables.

use super::Origin;
use super::load::{ConfigError, Loader, parse_url};
use super::proxy::of_environment;
use crate::auth::secret::Secret;
use serde::Deserialize;
use toml::Spanned;

/// `[traces]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TracesDraft {
    endpoint: Option<Spanned<String>>,
    service: Option<String>,
    ratio: Option<Spanned<f64>>,
}

/// Where traces are sent, over OTLP/HTTP, and which.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The collector.
    pub origin: Origin,
    /// Its path, as a rule `/v1/traces`.
    pub path: String,
    /// What Strait is called there.
    pub service: String,
    /// Further fields of each request, such as a key.
    pub headers: Vec<(String, Secret)>,
    /// The part of the traces that begin here that is recorded, from 0 to 1. What a caller began
    /// is recorded if the caller does.
    pub ratio: f64,
}

impl PartialEq for Traces {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |t: &Self| -> Vec<(String, String)> {
            let fields = t.headers.iter();
            fields
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect()
        };
        (&self.origin, &self.path, &self.service, self.ratio)
            == (&other.origin, &other.path, &other.service, other.ratio)
            && exposed(self) == exposed(other)
    }
}

impl Traces {
    /// All traces, to the collector at `url`, whose maker is the caller.
    pub fn to(url: &str) -> Traces {
        let (origin, path) = parse_url(url).expect("the caller gives a URL of its own making");
        Traces {
            origin,
            path,
            service: "strait".to_owned(),
            headers: Vec::new(),
            ratio: 1.0,
        }
    }

    /// Whether a trace that begins here is recorded: the same answer wherever it is asked with the
    /// same ratio (OpenTelemetry's `TraceIdRatioBased`).
    pub fn samples(&self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.ratio >= 1.0 || number < (self.ratio * (1_u64 << 63) as f64) as u64
    }
}

impl Loader<'_> {
    /// The collector, where one is named.
    pub(super) fn traces(&self, draft: &TracesDraft) -> Result<Option<Traces>, ConfigError> {
        let var = |name: &str| (self.env)(name).filter(|value| !value.is_empty());
        let off = var("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
            || var("OTEL_TRACES_EXPORTER").is_some_and(|v| v == "none");
        let (at, key, url) = match &draft.endpoint {
            Some(url) => {
                let at = url.span().start;
                let key = "traces.endpoint";
                (at, key, self.expand(at, key, url.get_ref())?)
            }
            None if off => return Ok(None),
            None => {
                let (own, base) = (
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                );
                match (var(own), var(base)) {
                    (Some(url), _) => (0, own, url),
                    (None, Some(url)) => {
                        let url = format!("{}/v1/traces", url.trim_end_matches('/'));
                        (0, base, url)
                    }
                    (None, None) => return Ok(None),
                }
            }
        };
        let (mut origin, path) = parse_url(&url).map_err(|what| {
            let mend = "write it like \"http://127.0.0.1:4318/v1/traces\".";
            self.error(at, key, format!("{url:?} {what}."), mend)
        })?;
        origin.proxy = of_environment(self.env, &origin)?;
        let service = draft.service.clone().or_else(|| var("OTEL_SERVICE_NAME"));
        let headers = match var("OTEL_EXPORTER_OTLP_TRACES_HEADERS") {
            Some(own) => ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", own),
            None => {
                let name = "OTEL_EXPORTER_OTLP_HEADERS";
                (name, var(name).unwrap_or_default())
            }
        };
        Ok(Some(Traces {
            origin,
            path,
            service: service.unwrap_or_else(|| "strait".to_owned()),
            headers: self.fields(headers.0, &headers.1)?,
            ratio: self.ratio(draft)?,
        }))
    }

    /// `name=value` pairs, values percent-encoded, as OpenTelemetry has them.
    fn fields(&self, key: &str, text: &str) -> Result<Vec<(String, Secret)>, ConfigError> {
        let mut fields = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            // The value is a secret, so it is not shown.
            let wrong = || {
                let mend = "write it like \"name=value,other=value\".";
                self.error(0, key, "is no list of header fields.", mend)
            };
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let value = decoded(value.trim()).ok_or_else(wrong)?;
            let name = name.trim().to_ascii_lowercase();
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let legal = |b: u8| matches!(b, b' '..=b'~');
            if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(legal) {
                return Err(wrong());
            }
            fields.push((name, Secret::new(value)));
        }
        Ok(fields)
    }

    fn ratio(&self, draft: &TracesDraft) -> Result<f64, ConfigError> {
        if let Some(ratio) = &draft.ratio {
            let legal = (0.0..=1.0).contains(ratio.get_ref());
            return legal.then_some(*ratio.get_ref()).ok_or_else(|| {
                let mend = "a number from 0 to 1.";
                self.error(ratio.span().start, "traces.ratio", "is out of range.", mend)
            });
        }
        let sampler = (self.env)("OTEL_TRACES_SAMPLER").unwrap_or_default();
        // The parent always decides where there is one.
        match sampler.trim_start_matches("parentbased_") {
            "always_off" => Ok(0.0),
            "traceidratio" => {
                let name = "OTEL_TRACES_SAMPLER_ARG";
                let given = (self.env)(name).filter(|text| !text.is_empty());
                let ratio = given.map_or(Some(1.0), |text| text.parse().ok());
                ratio
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
                    .ok_or_else(|| self.error(0, name, "is out of range.", "a number from 0 to 1."))
            }
            _ => Ok(1.0),
        }
    }
}

pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                bytes.push((digit()? * 16 + digit()?) as u8);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(text: &str, vars: &[(&str, &str)]) -> Result<Option<Traces>, String> {
        let env = |name: &str| {
            let known = vars.iter().find(|(known, _)| *known == name);
            let own = (name == "DEEPSEEK_API_KEY").then_some("k");
            known.map(|(_, value)| *value).or(own).map(str::to_owned)
        };
        parse("f", text, &env)
            .map(|snapshot| snapshot.traces)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn traces_are_off_unless_a_collector_is_named() {
        assert_eq!(read("", &[]), Ok(None));
        let named = read("[traces]\nendpoint = \"http://c:4318/v1/traces\"", &[]);
        let named = named.unwrap().unwrap();
        assert_eq!((named.origin.port, &*named.path), (4318, "/v1/traces"));
        assert_eq!((&*named.service, named.ratio), ("strait", 1.0));
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp/");
        let vars = [
            base,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, X=y"),
            ("OTEL_SERVICE_NAME", "gate"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        let named = read("", &vars).unwrap().unwrap();
        assert_eq!(named.path, "/otlp/v1/traces");
        let fields = named.headers.iter();
        let fields: Vec<_> = fields.map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(fields, [("api-key", "a b"), ("x", "y")]);
        assert_eq!((&*named.service, named.ratio), ("gate", 0.25));
        assert!(!format!("{named:?}").contains("a b"));
        assert_eq!(read("", &[base, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(
            read("", &[base, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(None)
        );
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
        for (text, vars, expected) in [
            (
                "[traces]\nendpoint = \"c:1\"",
                vec![],
                "f:2: traces.endpoint",
            ),
            (
                "[traces]\nendpoint = \"http://c\"\nratio = 2.0",
                vec![],
                "f:3: traces.ratio",
            ),
            (
                "",
                vec![base, ("OTEL_EXPORTER_OTLP_HEADERS", "sesame")],
                "HEADERS",
            ),
            (
                "",
                vec![base, ("OTEL_EXPORTER_OTLP_HEADERS", "a=sesame%0a")],
                "HEADERS",
            ),
        ] {
            let said = read(text, &vars).unwrap_err();
            assert!(said.contains(expected) && said.contains("Mend"), "{said}");
            assert!(!said.contains("sesame"), "{said}");
        }
    }

    #[test]
    fn a_part_of_the_traces_is_that_part() {
        let mut traces = Traces::to("http://c/");
        traces.ratio = 0.25;
        let sampled = (0..=255_u8).filter(|n| traces.samples([*n; 16])).count();
        assert_eq!(sampled, 64);
        traces.ratio = 0.0;
        assert!(!traces.samples([0; 16]));
    }
}
