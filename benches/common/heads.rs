//! Heads as Codex and as providers behind Cloudflare send them.

/// What Codex sends.
pub const REQUEST: &[u8] = b"POST /v1/responses HTTP/1.1\r\n\
host: 127.0.0.1:8787\r\n\
authorization: Bearer sk-local-0123456789abcdef0123456789abcdef\r\n\
originator: codex_exec\r\n\
session_id: 01a1fa98-58e5-7113-89a6-44adf0a900d1\r\n\
x-codex-window-id: 01a1fa98-58e5-7113-89a6-44adf0a900d1:0\r\n\
x-codex-turn-metadata: {\"session_id\":\"01a1fa98-58e5-7113-89a6-44adf0a900d1\",\"turn_id\":\"01a1fa98-5949-7782-a590-b74d629287db\",\"sandbox\":\"none\"}\r\n\
user-agent: codex_exec/0.140.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.140.0)\r\n\
content-type: application/json\r\n\
accept: text/event-stream\r\n\
content-length: 18362\r\n\r\n";

/// What a provider answers.
pub const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Sat, 21 Nov 2026 11:16:29 GMT\r\n\
Content-Type: text/event-stream; charset=utf-8\r\n\
Transfer-Encoding: chunked\r\n\
Connection: keep-alive\r\n\
Cache-Control: no-cache\r\n\
vary: origin, access-control-request-method, access-control-request-headers\r\n\
access-control-allow-credentials: true\r\n\
x-request-id: req_011CVMx5wQnq6vYx2u1tZ9aB\r\n\
x-ratelimit-limit-requests: 10000\r\n\
x-ratelimit-remaining-requests: 9999\r\n\
strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n\
x-content-type-options: nosniff\r\n\
set-cookie: __cf_bm=0123456789abcdef0123456789abcdef-1763723789-1.0.1.1-abc; path=/; HttpOnly; Secure\r\n\
CF-Cache-Status: DYNAMIC\r\n\
Server: cloudflare\r\n\
CF-RAY: 9a1f2b3c4d5e6f70-FRA\r\n\r\n";
