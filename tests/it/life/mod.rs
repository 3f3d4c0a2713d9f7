//! A process changes, or gives way to another, while it serves: nothing is lost.

mod hand_over;
mod load;
mod notify;
mod reload;
mod sockets;

use crate::client::respond;
use crate::strait::{Strait, at_home};
use serde_json::json;
use std::path::Path;
use std::process::Command;

pub const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// A configuration that listens at `listen`, and serves `common` and the names in `aliases`.
pub fn config(listen: &str, url: &str, aliases: &[&str]) -> String {
    let mut text = format!(
        "listen = [\"{listen}\"]\nworkers = 1\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n[models]\ncommon = \"mock/served\"\n"
    );
    for alias in aliases {
        text += &format!("{alias} = \"mock/served\"\n");
    }
    text
}

pub fn status_of(strait: &Strait, model: &str) -> u16 {
    let ask = json!({"model": model, "input": "hi", "stream": true});
    respond(strait.address, &ask).status
}

/// Runs `strait reload` for what runs in `dir`; its words, and whether it went well.
pub fn reload(dir: &Path, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    at_home(&mut command, dir);
    let output = command.arg("reload").args(more).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}
