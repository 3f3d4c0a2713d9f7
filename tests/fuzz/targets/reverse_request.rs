//! `translate::reverse::request` on arbitrary JSON, for one of several dialects: never panics,
//! refuses with 400 and names the parameter, and what it accepts is a request that the Responses
//! API takes: legal items, ids of legal length, nothing of the other dialect
//! (`strait_fuzz::reverse`).

use strait_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| strait_fuzz::reverse::check_bytes(data, false));
