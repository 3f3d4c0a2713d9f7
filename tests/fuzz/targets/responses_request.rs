//! `translate::request` on arbitrary JSON, for one of several profiles: never panics, refuses
//! with 400, and what it accepts is a chat request that strict providers take: every tool message
//! answers a call of the assistant message before it, each id exactly once; no list of calls is
//! empty; names and arguments are legal. The echo of the request is JSON on one line.

use strait_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| strait_fuzz::request::check_bytes(data, false));
