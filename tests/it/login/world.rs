//! A scripted Codex backend and its token server, a login in a directory of its own, and Strait
//! before them.

use crate::client::{Answer as Got, Connection, post_with};
use crate::provider::{Answer, Provider, Seen};
use crate::strait::scratch;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What every token and the account hold, so that a log can be searched for it.
pub const SECRET: &str = "s3cr3t";
pub const ACCOUNT: &str = "acc-s3cr3t-0001";

/// The parameters that the backend refuses.
pub const REFUSED: [&str; 16] = [
    "frequency_penalty",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "metadata",
    "presence_penalty",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "stop",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A token of which `name` tells it from others.
pub fn token(name: &str, exp: u64) -> String {
    let claims = json!({"exp": exp, "jti": name, "of": SECRET,
        "https://api.openai.com/auth": {"chatgpt_account_id": ACCOUNT}});
    format!(
        "e30.{}.{SECRET}",
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

/// A login, with members that nobody here knows.
pub fn login(access: &str, refresh: &str) -> Value {
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": {"id_token": token("id", 1), "access_token": access,
            "refresh_token": refresh, "account_id": ACCOUNT, "inner": {"kept": [1, null]}},
        "last_refresh": "2026-01-01T00:00:00Z", "outer": "kept",
    })
}

/// The events of one small answer, as the backend sends them.
pub fn hello() -> Vec<Value> {
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello there", "annotations": []}]});
    vec![
        json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "object": "response", "created_at": 7, "model": "gpt-5.5", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}),
        json!({"type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello there"}),
        json!({"type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": message}),
        completed(4),
    ]
}

/// The end of an answer: the backend lists no output there.
pub fn completed(sequence: u64) -> Value {
    json!({"type": "response.completed", "sequence_number": sequence, "response": {"id": "resp_1", "object": "response", "created_at": 7,
        "model": "gpt-5.5", "status": "completed", "output": [], "error": null,
        "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 120}}})
}

pub fn sse(events: &[Value]) -> Vec<u8> {
    let frame = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
    events.iter().map(frame).collect::<String>().into_bytes()
}

/// What decides on the answer of the token server; `None`: as it should be.
type Whim = dyn Fn(&Value) -> Option<Answer> + Send + Sync;

/// How the backend and the token server stand.
pub struct State {
    /// Access tokens that the backend takes.
    pub valid: Vec<String>,
    /// The refresh token that the token server takes, once.
    pub refresh: String,
    /// Bodies of the requests to the token server.
    pub refreshes: Vec<Value>,
    /// Requests that the backend took.
    pub taken: Vec<Seen>,
    /// Requests that the backend refused for their token.
    pub unauthorized: usize,
    /// What the backend says.
    pub events: Vec<Value>,
    /// Header lines before them.
    pub fields: &'static str,
    /// A status, header lines and a body that it answers instead of a stream.
    pub instead: Option<(u16, &'static str, String)>,
}

/// The backend, its token server, and a login.
pub struct World {
    pub state: Arc<Mutex<State>>,
    pub home: PathBuf,
    provider: Provider,
}

impl World {
    /// With a login whose access token ends in `seconds` from now.
    pub fn new(seconds: i64) -> World {
        Self::with(seconds, |_| None)
    }

    /// The same; `whim` is asked first what the token server answers.
    pub fn with(
        seconds: i64,
        whim: impl Fn(&Value) -> Option<Answer> + Send + Sync + 'static,
    ) -> World {
        let access = token("first", now().saturating_add_signed(seconds));
        let refresh = format!("rt_{SECRET}_0");
        let state = Arc::new(Mutex::new(State {
            valid: vec![access.clone()],
            refresh: refresh.clone(),
            refreshes: Vec::new(),
            taken: Vec::new(),
            unauthorized: 0,
            events: hello(),
            fields: "",
            instead: None,
        }));
        let (shared, whim): (_, Box<Whim>) = (Arc::clone(&state), Box::new(whim));
        let provider = Provider::answering(move |seen| answer(&shared, &whim, seen));
        let home = scratch("login");
        let world = World {
            state,
            home,
            provider,
        };
        world.write(&login(&access, &refresh));
        world
    }

    pub fn file(&self) -> PathBuf {
        self.home.join("auth.json")
    }

    pub fn write(&self, login: &Value) {
        std::fs::write(self.file(), format!("{login:#}")).unwrap();
    }

    pub fn read(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    pub fn refreshes(&self) -> Vec<Value> {
        self.state.lock().unwrap().refreshes.clone()
    }

    pub fn taken(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().taken)
    }

    /// Strait's configuration for this world; `top` are top-level keys, `more` stands behind the
    /// provider.
    pub fn config(&self, top: &str, more: &str) -> PathBuf {
        let token_url = format!("http://{}/oauth/token", self.provider.address);
        self.config_with(top, &token_url, more)
    }

    /// The same with another token server.
    pub fn config_with(&self, top: &str, token_url: &str, more: &str) -> PathBuf {
        let text = format!(
            "{top}\n[providers.codex]\nauth_file = {:?}\nbase_url = \"http://{}/backend-api/codex\"\n\
             token_url = {token_url:?}\n{more}",
            self.file(),
            self.provider.address
        );
        let config = scratch("login-config").join("strait.toml");
        std::fs::write(&config, text).unwrap();
        config
    }

    pub fn serve(&self, driver: &str) -> Server {
        self.serve_with(driver, "", "")
    }

    pub fn serve_with(&self, driver: &str, top: &str, more: &str) -> Server {
        let top = format!("listen = [\"127.0.0.1:0\"]\nworkers = 2\n{top}");
        Server::start(&self.config(&top, more), driver)
    }
}

fn answer(state: &Mutex<State>, whim: &Whim, seen: &Seen) -> Answer {
    if seen.head.starts_with("POST /oauth/token ") {
        let whim = whim(&seen.body);
        let mut state = state.lock().unwrap();
        state.refreshes.push(seen.body.clone());
        return whim.unwrap_or_else(|| refreshed(&mut state, &seen.body));
    }
    let mut state = state.lock().unwrap();
    if !seen.head.starts_with("POST /backend-api/codex/responses ") {
        return Answer::Plain(404, "", json!({"detail": "Not Found"}).to_string());
    }
    let presented = field(&seen.head, "authorization").unwrap_or_default();
    let presented = presented.strip_prefix("Bearer ").unwrap_or_default();
    if !state.valid.iter().any(|t| t == presented) {
        state.unauthorized += 1;
        let body = json!({"error": {"message": "Your authentication token has expired.", "code": "token_expired"}});
        return Answer::Plain(401, "", body.to_string());
    }
    if let Some(why) = refusal(seen) {
        return Answer::Plain(400, "", json!({"detail": why}).to_string());
    }
    let events = sse(&state.events);
    state.taken.push(again(seen));
    match &state.instead {
        Some((status, fields, body)) => Answer::Plain(*status, fields, body.clone()),
        None => Answer::RawWith(state.fields, events),
    }
}

fn again(seen: &Seen) -> Seen {
    Seen {
        head: seen.head.clone(),
        raw: seen.raw.clone(),
        body: seen.body.clone(),
    }
}

/// What the backend answers 400 to, in its words.
fn refusal(seen: &Seen) -> Option<String> {
    let body = &seen.body;
    if field(&seen.head, "chatgpt-account-id").as_deref() != Some(ACCOUNT) {
        return Some("Unknown account".into());
    }
    if field(&seen.head, "session-id").is_none_or(|s| s.is_empty()) {
        return Some("No session".into());
    }
    if let Some(name) = REFUSED.iter().find(|name| body.get(**name).is_some()) {
        return Some(format!("Unsupported parameter: {name}"));
    }
    if body["stream"] != true {
        return Some("Stream must be set to true".into());
    }
    if body["store"] != false {
        return Some("Store must be set to false".into());
    }
    let Some(input) = body["input"].as_array() else {
        return Some("Input must be a list".into());
    };
    if input.iter().any(|item| item["role"] == "system") {
        return Some("System messages are not allowed".into());
    }
    let codex = field(&seen.head, "originator").is_some_and(|o| o.starts_with("codex"));
    if !codex && body["instructions"].as_str().is_none_or(str::is_empty) {
        return Some("Instructions are required".into());
    }
    None
}

/// Gives the next tokens for the one that is good, once.
fn refreshed(state: &mut State, asked: &Value) -> Answer {
    if asked["grant_type"] != "refresh_token"
        || asked["client_id"] != "app_EMoamEEZ73f0CkXaXp7hrann"
    {
        return Answer::Plain(400, "", json!({"error": "invalid_client"}).to_string());
    }
    if asked["refresh_token"] != state.refresh {
        let used = asked["refresh_token"].as_str().unwrap_or_default();
        let body = json!({"error": {"message": format!("{used} was used"), "code": "refresh_token_reused"}});
        return Answer::Plain(401, "", body.to_string());
    }
    let n = state.refreshes.len();
    let access = token(&format!("fresh-{n}"), now() + 3600);
    state.refresh = format!("rt_{SECRET}_{n}");
    state.valid = vec![access.clone()];
    let body = json!({"access_token": access, "refresh_token": state.refresh, "id_token": token("id", 2), "expires_in": 3600});
    Answer::Plain(200, "", body.to_string())
}

/// A header of a request as it was seen.
pub fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// A running `strait serve`; its log is searched for secrets.
pub struct Server {
    pub address: SocketAddr,
    pub child: Child,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    pub fn start(config: &Path, driver: &str) -> Server {
        Self::spawn(
            &mut Command::new(env!("CARGO_BIN_EXE_strait")),
            config,
            driver,
        )
    }

    pub fn spawn(command: &mut Command, config: &Path, driver: &str) -> Server {
        let mut child = command
            .args(["serve", "--driver", driver, "--config"])
            .arg(config)
            .env("XDG_STATE_HOME", crate::strait::scratch("login-state"))
            .env_remove("STATE_DIRECTORY")
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let at = loop {
            let from = said.len();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "ended: {said}");
            if let Some(at) = said[from..].find("http://") {
                break from + at + 7;
            }
        };
        let address = said[at..].split([' ', ',', '\n']).next().unwrap();
        let address = address.parse().unwrap();
        let log = std::thread::spawn(move || {
            let _ = stderr.read_to_string(&mut said);
            said
        });
        Server {
            address,
            child,
            log: Some(log),
        }
    }

    pub fn post(&self, path: &str, fields: &str, body: &Value) -> Got {
        let mut connection = Connection::open(self.address);
        connection.send(post_with(path, fields, body.to_string().as_bytes()));
        connection.answer()
    }

    pub fn respond(&self, body: &Value) -> Got {
        self.post("/v1/responses", "", body)
    }

    /// Stops it, by the signal if one is named; gives its log.
    pub fn log(mut self, signal: Option<&str>) -> String {
        self.end(signal)
    }

    fn end(&mut self, signal: Option<&str>) -> String {
        let _ = match signal {
            Some(signal) => Command::new("kill")
                .args(["-s", signal, &self.child.id().to_string()])
                .status()
                .map(drop),
            None => self.child.kill(),
        };
        let _ = self.child.wait();
        let log = self.log.take().map(|log| log.join().unwrap());
        log.unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let log = self.end(None);
        if !std::thread::panicking() {
            assert!(!log.contains(SECRET), "a secret was logged: {log}");
        }
    }
}

/// A request that wants one object.
pub fn ask() -> Value {
    json!({"model": "gpt-5.5", "input": "Say hello."})
}

/// The text of the answer.
pub fn text(got: &Got) -> String {
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
    let text = &got.json()["output"][0]["content"][0]["text"];
    text.as_str().unwrap().to_owned()
}
