//! A scripted chat provider: plain threads and sockets, a queue of answers, a record of requests.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// What the provider answers to one request.
pub enum Answer {
    /// SSE data lines, then the end of the body.
    Stream(Vec<String>),
    /// SSE data lines, then a reset.
    Reset(Vec<String>),
    /// SSE data lines, then nothing until the client leaves.
    Silence(Vec<String>),
    /// Nothing at all until the client leaves.
    Mute,
    /// A status, more header lines (each ending in CRLF), and a body.
    Plain(u16, &'static str, String),
    /// The first bytes of a JSON body that was announced longer, then a reset.
    Short(String),
    /// Raw bytes behind an SSE head.
    Raw(Vec<u8>),
    /// The same, with more header lines (each ending in CRLF).
    RawWith(&'static str, Vec<u8>),
}

/// A request as the provider saw it.
pub struct Seen {
    pub head: String,
    pub raw: Vec<u8>,
    pub body: Value,
}

/// What decides on the answer to a request, from its head and body.
pub type Decide = dyn Fn(&Seen) -> Answer + Send + Sync;

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
    deepseek_rules: bool,
    decide: Option<Arc<Decide>>,
}

/// A running provider.
pub struct Provider {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// A connection was closed by the other side while the provider was silent.
    pub gone: Receiver<()>,
    /// A request was read whole.
    pub arrived: Receiver<()>,
}

impl Provider {
    pub fn start(answers: Vec<Answer>) -> Provider {
        Self::with(Script {
            answers: answers.into(),
            ..Script::default()
        })
    }

    /// Answers every request as `decide` says.
    pub fn answering(decide: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Provider {
        Self::with(Script {
            decide: Some(Arc::new(decide)),
            ..Script::default()
        })
    }

    /// Also answers 400 to what DeepSeek answers 400 to.
    pub fn deepseek(answers: Vec<Answer>) -> Provider {
        Self::with(Script {
            answers: answers.into(),
            deepseek_rules: true,
            ..Script::default()
        })
    }

    fn with(script: Script) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script));
        let (tell, gone) = channel();
        let (tell_arrival, arrived) = channel();
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, tell) = (Arc::clone(&shared), (tell.clone(), tell_arrival.clone()));
                std::thread::spawn(move || drop(serve(stream, &script, &tell)));
            }
        });
        Provider {
            address,
            script,
            gone,
            arrived,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.script.lock().unwrap().seen)
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.take_seen().into_iter().map(|s| s.body).collect()
    }
}

fn serve(
    stream: TcpStream,
    script: &Mutex<Script>,
    tell: &(Sender<()>, Sender<()>),
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let Some(seen) = read(&mut reader)? else {
            return Ok(());
        };
        let answer = {
            let mut script = script.lock().unwrap();
            let decided = script.decide.as_ref().map(|decide| decide(&seen));
            let refused = script.deepseek_rules.then(|| refusal(&seen.body)).flatten();
            script.seen.push(seen);
            let _ = tell.1.send(());
            match refused {
                Some(message) => {
                    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": "invalid_request_error"}});
                    Answer::Plain(400, "", body.to_string())
                }
                None => decided
                    .or_else(|| script.answers.pop_front())
                    .unwrap_or_else(|| Answer::Stream(text("END OF SCRIPT"))),
            }
        };
        match answer {
            Answer::Plain(status, fields, body) => {
                write!(
                    writer,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
            Answer::Stream(data) => {
                begin(&mut writer)?;
                frames(&mut writer, &data)?;
                writer.write_all(b"0\r\n\r\n")?;
            }
            Answer::Raw(bytes) => raw(&mut writer, "", &bytes)?,
            Answer::RawWith(fields, bytes) => raw(&mut writer, fields, &bytes)?,
            Answer::Reset(data) => {
                begin(&mut writer)?;
                frames(&mut writer, &data)?;
                return reset(&writer);
            }
            Answer::Short(body) => {
                write!(
                    writer,
                    "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len() + 1
                )?;
                return reset(&writer);
            }
            Answer::Silence(data) => {
                begin(&mut writer)?;
                frames(&mut writer, &data)?;
                return wait(&mut reader, &tell.0);
            }
            Answer::Mute => return wait(&mut reader, &tell.0),
        }
    }
}

/// Makes the coming close a reset.
fn reset(writer: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(writer).set_linger(Some(std::time::Duration::ZERO))
}

fn wait(reader: &mut BufReader<TcpStream>, tell: &Sender<()>) -> std::io::Result<()> {
    let mut byte = [0];
    while reader.read(&mut byte).is_ok_and(|n| n > 0) {}
    let _ = tell.send(());
    Ok(())
}

fn begin(writer: &mut TcpStream) -> std::io::Result<()> {
    begin_with(writer, "")
}

fn begin_with(writer: &mut TcpStream, fields: &str) -> std::io::Result<()> {
    write!(
        writer,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{fields}transfer-encoding: chunked\r\n\r\n",
    )
}

fn raw(writer: &mut TcpStream, fields: &str, bytes: &[u8]) -> std::io::Result<()> {
    begin_with(writer, fields)?;
    write!(writer, "{:x}\r\n", bytes.len())?;
    writer.write_all(bytes)?;
    writer.write_all(b"\r\n0\r\n\r\n")
}

fn frames(writer: &mut TcpStream, data: &[String]) -> std::io::Result<()> {
    for data in data {
        let frame = format!("data: {data}\n\n");
        writer.write_all(format!("{:x}\r\n{frame}\r\n", frame.len()).as_bytes())?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut raw = vec![0; length];
    reader.read_exact(&mut raw)?;
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    Ok(Some(Seen { head, raw, body }))
}

/// The fields that DeepSeek takes.
pub const DEEPSEEK_FIELDS: &[&str] = &[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "thinking",
    "reasoning_effort",
    "response_format",
    "stop",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "user_id",
];

/// What DeepSeek refuses, and with which words.
fn refusal(body: &Value) -> Option<String> {
    if let Some(field) = body
        .as_object()?
        .keys()
        .find(|k| !DEEPSEEK_FIELDS.contains(&k.as_str()))
    {
        return Some(format!("unknown field {field}"));
    }
    let tools = body["tools"].as_array();
    if tools.is_some_and(|t| t.iter().any(|t| t["type"] != "function")) {
        return Some("'type' of tool must be 'function'".into());
    }
    let mut open: Vec<&str> = Vec::new();
    for message in body["messages"].as_array()? {
        let role = message["role"].as_str()?;
        if role == "tool" {
            let id = message["tool_call_id"].as_str()?;
            let at = open.iter().position(|o| *o == id);
            open.remove(at.or_else(|| panic!("tool message without a call: {id}"))?);
            continue;
        }
        if !open.is_empty() {
            return Some(
                "An assistant message with 'tool_calls' must be followed by tool messages".into(),
            );
        }
        if !["system", "user", "assistant"].contains(&role) {
            return Some(format!("unknown variant `{role}`"));
        }
        let Some(calls) = message["tool_calls"].as_array() else {
            continue;
        };
        if message.get("reasoning_content").is_none() {
            return Some(
                "The `reasoning_content` in the thinking mode must be passed back to the API."
                    .into(),
            );
        }
        open = calls.iter().filter_map(|c| c["id"].as_str()).collect();
    }
    (!open.is_empty()).then(|| "insufficient tool messages".into())
}

pub fn delta(delta: Value) -> String {
    json!({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":delta,"finish_reason":null}]}).to_string()
}

pub fn finish(reason: &str) -> Vec<String> {
    vec![
        json!({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":reason}]}).to_string(),
        json!({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":5}}}).to_string(),
        "[DONE]".into(),
    ]
}

/// A whole answer of text.
pub fn text(text: &str) -> Vec<String> {
    let mut data = vec![delta(json!({"role":"assistant","content":""}))];
    for piece in text.split_inclusive(' ') {
        data.push(delta(json!({"content":piece})));
    }
    data.extend(finish("stop"));
    data
}

/// A whole answer of reasoning and calls, arguments in small fragments.
pub fn calls(reasoning: &str, calls: &[(&str, &str, &str)]) -> Vec<String> {
    let mut data = vec![delta(
        json!({"role":"assistant","content":null,"reasoning_content":reasoning}),
    )];
    for (i, (id, name, arguments)) in calls.iter().enumerate() {
        data.push(delta(json!({"tool_calls":[{"index":i,"id":id,"type":"function","function":{"name":name,"arguments":""}}]})));
        let chars: Vec<char> = arguments.chars().collect();
        for piece in chars.chunks(7) {
            let piece: String = piece.iter().collect();
            data.push(delta(
                json!({"tool_calls":[{"index":i,"function":{"arguments":piece}}]}),
            ));
        }
    }
    data.extend(finish("tool_calls"));
    data
}
