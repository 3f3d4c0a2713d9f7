//! The demo's scripted chat provider: HTTP/1.1 on a loopback port, a thread a connection.

use super::show::Show;
use crate::json::{Tape, Value, write};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Largest request body the demo's provider reads, in bytes.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The pace of its deltas: slow enough to be watched.
const PACE: Duration = Duration::from_millis(40);

/// Starts the provider; it lives as long as the process.
pub fn start(show: Arc<Show>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let show = Arc::clone(&show);
            // A client that leaves mid-answer is no news here.
            std::thread::spawn(move || drop(serve(stream, &show)));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, show: &Show) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(body) = read_request(&mut reader)? {
        answer(&mut writer, &body, show)?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length.min(BODY_BYTES_MAX)];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

/// The parts of the scripted answer.
struct Script {
    reasoning: &'static str,
    text: String,
    call: Option<(&'static str, &'static str)>,
}

fn script(request: Value<'_>) -> Script {
    let offered = |name: &str| {
        request.get("tools").is_some_and(|tools| {
            tools.items().any(|t| {
                t.get("function")
                    .and_then(|f| f.str("name"))
                    .is_some_and(|n| n == *name)
            })
        })
    };
    let last = request.get("messages").and_then(|m| m.items().last());
    let answered = last
        .and_then(|m| m.str("role"))
        .is_some_and(|r| r == *"tool");
    if answered {
        return Script {
            reasoning: "The tool has answered, so I can too.",
            text: "It works: your command ran, and its output came back through Strait.".into(),
            call: None,
        };
    }
    let call = if offered("exec_command") {
        Some((
            "exec_command",
            r#"{"cmd":"echo hello from the other side of the strait"}"#,
        ))
    } else if offered("get_weather") {
        Some(("get_weather", r#"{"place":"Gibraltar"}"#))
    } else {
        None
    };
    Script {
        reasoning: "The user asks something; a tool would know.",
        text: match call {
            Some((name, _)) => format!("Let me ask {name}."),
            None => "Hello from a chat model, spoken to in Responses.".into(),
        },
        call,
    }
}

fn answer(writer: &mut TcpStream, body: &[u8], show: &Show) -> io::Result<()> {
    let mut tape = Tape::new();
    let Ok(request) = tape.parse(body) else {
        let text = r#"{"error":{"message":"not JSON"}}"#;
        return write!(
            writer,
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
    };
    let script = script(request);
    if !request
        .get("stream")
        .and_then(|s| s.as_bool())
        .unwrap_or(false)
    {
        return whole(writer, &script);
    }
    writer.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    let mut send = |delta: &str, finish: &str| {
        let data = format!(
            r#"{{"id":"demo","object":"chat.completion.chunk","created":1,"model":"demo","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
        );
        std::thread::sleep(PACE);
        show.chunk(&data);
        frame(writer, &data)
    };
    send(r#"{"role":"assistant","content":""}"#, "null")?;
    for piece in pieces(script.reasoning) {
        send(
            &format!(r#"{{"reasoning_content":{}}}"#, quoted(piece)),
            "null",
        )?;
    }
    for piece in pieces(&script.text) {
        send(&format!(r#"{{"content":{}}}"#, quoted(piece)), "null")?;
    }
    if let Some((name, arguments)) = script.call {
        send(
            &format!(
                r#"{{"tool_calls":[{{"index":0,"id":"call_demo1","type":"function","function":{{"name":"{name}","arguments":""}}}}]}}"#
            ),
            "null",
        )?;
        let (a, b) = arguments.split_at(arguments.len() / 2);
        for part in [a, b] {
            send(
                &format!(
                    r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{}}}}}]}}"#,
                    quoted(part)
                ),
                "null",
            )?;
        }
    }
    send(
        "{}",
        if script.call.is_some() {
            r#""tool_calls""#
        } else {
            r#""stop""#
        },
    )?;
    let usage = r#"{"id":"demo","object":"chat.completion.chunk","created":1,"model":"demo","choices":[],"usage":{"prompt_tokens":42,"completion_tokens":23,"total_tokens":65,"completion_tokens_details":{"reasoning_tokens":9}}}"#;
    show.chunk(usage);
    frame(writer, usage)?;
    frame(writer, "[DONE]")?;
    writer.write_all(b"0\r\n\r\n")
}

fn whole(writer: &mut TcpStream, script: &Script) -> io::Result<()> {
    let calls = script.call.map_or(String::new(), |(name, arguments)| {
        let arguments = quoted(arguments);
        format!(r#","tool_calls":[{{"id":"call_demo1","type":"function","function":{{"name":"{name}","arguments":{arguments}}}}}]"#)
    });
    let (text, reasoning) = (quoted(&script.text), quoted(script.reasoning));
    let finish = if script.call.is_some() {
        "tool_calls"
    } else {
        "stop"
    };
    let body = format!(
        r#"{{"id":"demo","object":"chat.completion","created":1,"model":"demo","choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"reasoning_content":{reasoning}{calls}}},"finish_reason":"{finish}"}}],"usage":{{"prompt_tokens":42,"completion_tokens":23,"total_tokens":65}}}}"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    write!(writer, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn frame(writer: &mut TcpStream, data: &str) -> io::Result<()> {
    let frame = format!("data: {data}\n\n");
    writer.write_all(format!("{:x}\r\n{frame}\r\n", frame.len()).as_bytes())
}

/// Words with the space before them, in twos and threes, as a model would stream them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .filter(|(_, c)| *c == ' ')
            .map(|(at, _)| at)
            .nth(3);
        let (piece, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        Some(piece)
    })
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write::string(&mut out, text);
    String::from_utf8(out).expect("an escaped str is UTF-8")
}
