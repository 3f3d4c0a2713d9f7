//! What the demo prints: the provider's chunks on the left, Strait's events on the right.

use crate::cli::codex;
use crate::json::Tape;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Prints both sides of the demo, one line at a time.
pub struct Show {
    since: Instant,
    colour: bool,
    live: AtomicBool,
    line: Mutex<()>,
}

impl Show {
    /// Times are shown since `since`.
    pub fn new(since: Instant) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Show {
            since,
            colour,
            live: AtomicBool::new(true),
            line: Mutex::new(()),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn say(&self, side: &str, colour: &str, text: &str) {
        let ms = self.since.elapsed().as_secs_f64() * 1000.0;
        let text: String = text.chars().take(150).collect();
        let _turn = self.line.lock();
        println!(
            "{} {} {text}",
            self.paint("2", &format!("{ms:8.1} ms")),
            self.paint(colour, side)
        );
    }

    /// One chunk left the provider.
    pub fn chunk(&self, data: &str) {
        if !self.live.load(Ordering::Relaxed) {
            return;
        }
        let shown = data.find("\"delta\":").map_or(data, |at| &data[at..]);
        self.say("chat chunk  ─▶", "33", shown);
    }

    /// One event reached the client.
    pub fn event(&self, data: &str) {
        let mut tape = Tape::new();
        let shown = match tape.parse(data.as_bytes()) {
            Err(_) => data.to_owned(),
            Ok(event) => {
                let kind = event
                    .str("type")
                    .map(|k| k.text().into_owned())
                    .unwrap_or_default();
                let rest = ["delta", "text", "arguments", "item"]
                    .iter()
                    .find_map(|name| event.get(name))
                    .or_else(|| event.get("response").and_then(|r| r.present("usage")));
                let rest = rest.map(|v| String::from_utf8_lossy(v.raw()).into_owned());
                format!("{kind:<42} {}", rest.unwrap_or_default())
            }
        };
        self.say("       event ─▶", "36", &shown);
    }

    /// Says who is who.
    pub fn introduce(&self, provider: SocketAddr, strait: SocketAddr) {
        println!();
        println!("  A chat provider, scripted, on http://{provider}");
        println!("  Strait before it,          on http://{strait}");
        println!("  One POST /v1/responses with \"stream\": true. Left: what the provider sends.");
        println!("  Right: what the client gets, as it gets it.");
        println!();
    }

    /// Says what can be done now.
    pub fn invite(&self, strait: SocketAddr) {
        self.live.store(false, Ordering::Relaxed);
        println!();
        println!("Still serving. Try it yourself:");
        println!();
        println!("  curl -N http://{strait}/v1/responses -H 'content-type: application/json' \\");
        println!("    -d '{{\"model\":\"demo\",\"stream\":true,\"input\":\"hello\"}}'");
        println!();
        println!("  codex exec --skip-git-repo-check \\");
        for (key, value) in codex::settings(&format!("http://{strait}/v1"), "demo", true, true) {
            println!("    -c '{key}={value}' \\");
        }
        println!("    'say hello through the strait'");
        println!();
        println!("Ctrl-C ends it.");
    }
}
