//! All targets in one program, which links once: `STRAIT_FUZZ_TARGET` names the one that runs.
#![no_main]

use libfuzzer_sys::Corpus;
use std::sync::OnceLock;

type Target = fn(&[u8]) -> Corpus;

macro_rules! targets {
    ($($name:ident,)*) => {
        $(mod $name;)*

        const TARGETS: &[(&str, Target)] = &[$((stringify!($name), $name::fuzz),)*];
    };
}

targets! {
    chat_chunks,
    chat_error,
    chat_stream,
    coding,
    config,
    fold,
    http_request,
    http_response,
    json,
    login,
    passthrough,
    responses_items,
    responses_request,
    reverse_events,
    reverse_messages,
    reverse_request,
    reverse_stream,
    rewrite,
    round_trip,
    seal,
    sse,
    websocket_conversation,
    websocket_frames,
}

static CHOSEN: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("STRAIT_FUZZ_TARGET").unwrap_or_default();
        let target = TARGETS.iter().find(|(known, _)| *known == name);
        let (_, target) = target.expect("STRAIT_FUZZ_TARGET names a target");
        CHOSEN.get_or_init(|| *target);
    },
    |data: &[u8]| -> Corpus { CHOSEN.get().expect("chosen at the start")(data) }
);
