//! The style sheet and the script: one file each, named by their content.

use super::reply;
use crate::route::operator::Reply;
use ring::digest::{SHA256, digest};
use std::sync::OnceLock;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

/// The paths of the style sheet and of the script.
pub(super) fn paths() -> &'static (String, String) {
    static PATHS: OnceLock<(String, String)> = OnceLock::new();
    PATHS.get_or_init(|| {
        let name = |text: &str, suffix: &str| {
            let digest = digest(&SHA256, text.as_bytes());
            let mut name = "/admin/assets/".to_owned();
            crate::json::write::hex(&mut name, &digest.as_ref()[..8]);
            name + suffix
        };
        (name(STYLE, ".css"), name(SCRIPT, ".js"))
    })
}

/// The asset at a path. Nothing in them is secret.
pub(super) fn find(path: &str) -> Option<Reply> {
    let (style, script) = paths();
    if path == style {
        return Some(reply::asset("text/css; charset=utf-8", STYLE));
    }
    (path == script).then(|| reply::asset("text/javascript; charset=utf-8", SCRIPT))
}
