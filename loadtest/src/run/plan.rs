//! What a run is to do.

use crate::answers::{Api, MODEL, TOOL};
use crate::script::{HOLE, MARK, Pattern, Script};
use clap::ValueEnum;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// When requests of an open load come.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Arrivals {
    /// At random moments.
    Poisson,
    /// Evenly.
    Uniform,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// So many connections, each asking again when it has its answer.
    Closed {
        /// Connections.
        connections: usize,
        /// The pause between an answer and the next request.
        think: Duration,
    },
    /// So many requests a second, whether answers come or not.
    Open {
        /// Requests per second.
        rate: f64,
        /// When they come.
        arrivals: Arrivals,
        /// Connections at most; beyond it, requests wait, and their waiting counts.
        connections_max: usize,
    },
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// The `host` field.
    pub host: String,
    /// The path.
    pub path: String,
    /// Which interface it is.
    pub api: Api,
    /// The model to ask for.
    pub model: String,
    /// Further fields of the head.
    pub headers: Vec<(String, String)>,
    /// The body, with {{model}}, {{mark}}, {{stream}} and {{tools}}; `None`: the usual one.
    pub body: Option<String>,
}

impl Target {
    /// A target from a URL such as `http://127.0.0.1:8787/v1`; without a path, the usual one.
    pub fn parse(url: &str, api: Api) -> Result<Target, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| format!("{url}: only http:// is measured"))?;
        let (host, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/"),
        };
        let wanted = match host.contains(':') {
            true => host.to_owned(),
            false => format!("{host}:80"),
        };
        let address = wanted
            .to_socket_addrs()
            .map_err(|e| format!("{host}: {e}"))?
            .next()
            .ok_or_else(|| format!("{host}: no address"))?;
        let path = match path.trim_end_matches('/') {
            "" => api.path().to_owned(),
            "/v1" => api.path().to_owned(),
            other => other.to_owned(),
        };
        Ok(Target {
            address,
            host: host.to_owned(),
            path,
            api,
            model: MODEL.to_owned(),
            headers: Vec::new(),
            body: None,
        })
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to ask.
    pub target: Target,
    /// What the provider says.
    pub script: Script,
    /// Streaming answers, or whole ones.
    pub streaming: bool,
    /// How requests follow each other.
    pub load: Load,
    /// A new connection for every request.
    pub fresh: bool,
    /// How long new requests are made.
    pub duration: Duration,
    /// How long after that the last answers may take.
    pub drain: Duration,
    /// Over how long the connections of a closed load begin.
    pub ramp: Duration,
    /// When one request is given up.
    pub timeout: Duration,
    /// Requests at most; 0: no limit.
    pub requests_max: u64,
    /// The number of the first request.
    pub first_number: u32,
}

impl Plan {
    /// A closed load with one connection for a second; change what should differ.
    pub fn new(target: Target, script: Script) -> Plan {
        Plan {
            target,
            script,
            streaming: true,
            load: Load::Closed {
                connections: 1,
                think: Duration::ZERO,
            },
            fresh: false,
            duration: Duration::from_secs(1),
            drain: Duration::from_secs(10),
            ramp: Duration::ZERO,
            timeout: Duration::from_secs(60),
            requests_max: 0,
            first_number: 1,
        }
    }

    /// Connections at most.
    pub fn connections_max(&self) -> usize {
        match self.load {
            Load::Closed { connections, .. } => connections,
            Load::Open {
                connections_max, ..
            } => connections_max,
        }
    }

    /// The bytes of a request.
    pub(super) fn template(&self) -> Result<Template, String> {
        let target = &self.target;
        let body = target.body.as_deref().unwrap_or(match target.api {
            Api::Chat => CHAT,
            Api::Responses => RESPONSES,
        });
        let tools = match (self.script.tool_deltas, target.api) {
            (0, _) => String::new(),
            (_, Api::Chat) => format!(
                r#","tools":[{{"type":"function","function":{{"name":"{TOOL}","description":"Looks up.","parameters":{PARAMETERS}}}}}]"#
            ),
            (_, Api::Responses) => format!(
                r#","tools":[{{"type":"function","name":"{TOOL}","description":"Looks up.","strict":false,"parameters":{PARAMETERS}}}]"#
            ),
        };
        let mark = format!("{MARK}{}", String::from_utf8_lossy(HOLE));
        let options = match (self.streaming, target.api) {
            (true, Api::Chat) => r#","stream_options":{"include_usage":true}"#,
            _ => "",
        };
        let body = body
            .trim()
            .replace("{{model}}", &target.model)
            .replace("{{mark}}", &mark)
            .replace("{{stream}}", &format!("{}{options}", self.streaming))
            .replace("{{tools}}", &tools);
        serde_json::from_str::<serde_json::Value>(&body)
            .map_err(|e| format!("the body is no JSON: {e}: {body}"))?;
        if !body.contains(&mark) {
            return Err("the body has no {{mark}}".into());
        }
        let accept = match self.streaming {
            true => "text/event-stream",
            false => "application/json",
        };
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: {accept}\r\n\
             content-length: {}\r\n",
            target.path,
            target.host,
            body.len()
        );
        for (name, value) in &target.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.push_str(&body);
        Ok(Template(Pattern::new(head.into_bytes())))
    }
}

const PARAMETERS: &str = r#"{"type":"object","properties":{"id":{"type":"string"},"text":{"type":"string"}},"required":["id","text"]}"#;

const CHAT: &str = r#"{"model":"{{model}}","messages":[{"role":"system","content":"You are a load test."},{"role":"user","content":"{{mark}} please"}],"stream":{{stream}}{{tools}}}"#;

const RESPONSES: &str = r#"{"model":"{{model}}","instructions":"You are a load test.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"{{mark}} please"}]}],"store":false,"stream":{{stream}}{{tools}}}"#;

/// A request with a hole for its number.
#[derive(Clone, Debug)]
pub struct Template(Pattern);

impl Template {
    /// Appends request `id` to `out`.
    pub(super) fn fill(&self, id: &[u8; 8], out: &mut Vec<u8>) {
        self.0.copy(0..self.0.bytes.len(), id, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read() {
        let target = Target::parse("http://127.0.0.1:8787", Api::Responses).unwrap();
        assert_eq!(target.path, "/v1/responses");
        assert_eq!(target.address.port(), 8787);
        let target = Target::parse("http://127.0.0.1:1/x/chat/completions", Api::Chat).unwrap();
        assert_eq!(target.path, "/x/chat/completions");
        assert!(Target::parse("https://127.0.0.1:1", Api::Chat).is_err());
    }

    #[test]
    fn a_request_says_its_number_and_its_length() {
        for (api, tools) in [
            (Api::Chat, 0),
            (Api::Chat, 2),
            (Api::Responses, 0),
            (Api::Responses, 2),
        ] {
            let script = Script {
                tool_deltas: tools,
                ..Script::default()
            };
            let target = Target::parse("http://127.0.0.1:1", api).unwrap();
            let mut out = Vec::new();
            Plan::new(target, script)
                .template()
                .unwrap()
                .fill(b"0000002a", &mut out);
            let mut reader = crate::http::Reader::new(crate::http::Side::Requests);
            let mut body = Vec::new();
            let used = reader.read(&out, &mut |_, b| body.extend_from_slice(b));
            assert_eq!(used, Ok(out.len()));
            assert!(reader.is_done());
            assert_eq!(&crate::script::find_id(&body), b"0000002a");
        }
    }
}
