//! How providers say that something is wrong, each in its own shape.

use super::Dialect;
use serde_json::{Value, json};

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    Key,
    Rate,
    Overflow,
    Overload,
    /// Half way through a stream.
    Midway,
    /// Anything else about the request.
    Refused,
}

/// Status, header fields and body of an error answer. `why` is the text of [`Fault::Refused`].
pub fn fault(d: &Dialect, fault: Fault, why: &str) -> (u16, &'static str, Value) {
    let (status, code, message) = words(d, fault);
    let message = if fault == Fault::Refused {
        why
    } else {
        message
    };
    let fields = match (fault, d.family) {
        (Fault::Rate, "openai" | "azure" | "groq" | "anthropic") => "retry-after: 7\r\n",
        _ => "",
    };
    let body = match d.family {
        "zhipu" | "xiaomi" => json!({"error":{"code":code,"message":message}}),
        "minimax" if d.model == "MiniMax-M3" && status == 200 => {
            let number: i64 = code.parse().unwrap_or(2013);
            return (
                200,
                "",
                json!({"id":"0","choices":null,"created":0,"model":d.model,"object":"","base_resp":{"status_code":number,"status_msg":message}}),
            );
        }
        "minimax" => {
            json!({"type":"error","error":{"type":code,"message":message,"http_code":status.to_string()},"request_id":"0"})
        }
        "kimi" => json!({"error":{"message":message,"type":code}}),
        "qwen" if d.model.starts_with("qwen3.7") => {
            json!({"code":code,"message":message,"request_id":"r-1"})
        }
        "qwen" => {
            json!({"error":{"code":code,"param":null,"message":message,"type":code},"id":"chatcmpl-1","request_id":"r-1"})
        }
        "openrouter" if fault == Fault::Midway => {
            json!({"id":"gen-1","object":"chat.completion.chunk","created":1,"model":d.model,"provider":"Somebody","error":{"code":code,"message":message},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]})
        }
        "openrouter" if fault == Fault::Rate => {
            json!({"error":{"message":"Provider returned error","code":429,"metadata":{"raw":message,"provider_name":"Somebody"}},"user_id":"u"})
        }
        "openrouter" => json!({"error":{"message":message,"code":status}}),
        "mistral" if fault == Fault::Key => json!({"detail":message}),
        "mistral" if fault == Fault::Refused => {
            json!({"detail":[{"type":"extra_forbidden","loc":["body"],"msg":message,"input":null}]})
        }
        "mistral" => {
            json!({"object":"error","message":message,"type":code,"param":null,"code":"3000"})
        }
        "gemini" if fault == Fault::Rate => {
            json!([{"error":{"code":429,"message":message,"status":code,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}])
        }
        "gemini" => json!([{"error":{"code":status,"message":message,"status":code}}]),
        "anthropic" => {
            json!({"type":"error","error":{"type":code,"message":message},"request_id":"req_1"})
        }
        "ollama" => json!({"error":message}),
        "vllm" if fault == Fault::Midway => {
            json!({"error":{"object":"error","message":message,"type":code,"param":null,"code":500}})
        }
        "vllm" if fault == Fault::Key => json!({"error":message}),
        "vllm" => {
            json!({"object":"error","message":message,"type":code,"param":null,"code":status})
        }
        "llama.cpp" => {
            json!({"error":{"code":status,"message":message,"type":code,"n_prompt_tokens":5000,"n_ctx":4096}})
        }
        "lmstudio" => json!({"error":{"message":message}}),
        "cerebras" if fault != Fault::Midway => {
            json!({"message":message,"type":"invalid_request_error","param":"x","code":code})
        }
        "fireworks" => json!({"detail":message}),
        "xai" => json!({"code":code,"error":message}),
        _ => json!({"error":{"message":message,"type":code,"param":null,"code":code}}),
    };
    (status, fields, body)
}

/// What the client is told of an overload: some providers call it a rate limit.
pub fn overload_status(d: &Dialect) -> u16 {
    match d.family {
        "zhipu" | "kimi" => 429,
        _ => 503,
    }
}

/// Status, code and text.
fn words(d: &Dialect, fault: Fault) -> (u16, &'static str, &'static str) {
    use Fault::{Key, Midway, Overflow, Overload, Rate, Refused};
    match (d.family, fault) {
        ("deepseek", Key) => (
            401,
            "authentication_error",
            "Authentication Fails, Your api key: ****abcd is invalid",
        ),
        ("deepseek", Overload) => (
            503,
            "service_unavailable_error",
            "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers.",
        ),
        ("zhipu", Key) => (
            401,
            "1002",
            "Authorization Token非法，请确认Authorization Token正确传递。",
        ),
        ("zhipu", Rate) => (429, "1302", "您的账户已达到速率限制，请您控制请求频率"),
        ("zhipu", Overflow) => (400, "1261", "Prompt 超长"),
        ("zhipu", Overload) => (429, "1305", "该模型当前访问量过大，请您稍后再试"),
        ("zhipu", Midway) => (200, "1234", "网络错误，错误id：x，请联系客服。"),
        ("zhipu", Refused) => (400, "1210", ""),
        ("minimax", _) => minimax(d, fault),
        ("xiaomi", Key) => (401, "401", "Invalid API Key"),
        ("xiaomi", Rate) => (429, "429", "Too many requests"),
        ("xiaomi", Overflow) => (
            400,
            "400",
            "This model's maximum context length is 1048576 tokens. However, your messages resulted in 1100000 tokens.",
        ),
        ("xiaomi", Overload) => (
            503,
            "503",
            "The server is overloaded, please try again later",
        ),
        ("xiaomi", Refused) => (400, "400", ""),
        ("kimi", Key) => (
            401,
            "invalid_authentication_error",
            "Invalid Authentication",
        ),
        ("kimi", Rate) => (
            429,
            "rate_limit_reached_error",
            "Your account org-x<ak-y> request reached max organization concurrency: 3, please try again after 1 seconds",
        ),
        ("kimi", Overflow) => (
            400,
            "invalid_request_error",
            "Invalid request: Your request exceeded model token limit: 262144",
        ),
        ("kimi", Overload) => (
            429,
            "engine_overloaded_error",
            "The engine is currently overloaded, please try again later",
        ),
        ("qwen", Key) => (401, "invalid_api_key", "Incorrect API key provided. "),
        ("qwen", Rate) => (
            429,
            "limit_requests",
            "You exceeded your current request limit. For details, see: https://help.aliyun.com",
        ),
        ("qwen", Overflow) => (
            400,
            "invalid_parameter_error",
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 983616]",
        ),
        ("qwen", Overload) => (
            503,
            "ModelServingError",
            "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        ),
        ("openrouter", Key) => (401, "401", "No auth credentials found"),
        ("openrouter", Rate) => (
            429,
            "429",
            "somebody/model is temporarily rate-limited upstream. Please retry shortly",
        ),
        ("openrouter", Overflow) => (
            400,
            "400",
            "This endpoint's maximum context length is 1000000 tokens. However, you requested about 1100000 tokens",
        ),
        ("openrouter", Overload) => (
            503,
            "503",
            "There is no available model provider that meets your routing requirements",
        ),
        ("openrouter", Midway) => (200, "server_error", "Provider disconnected unexpectedly"),
        ("groq", Overflow) => (
            400,
            "context_length_exceeded",
            "Please reduce the length of the messages or completion.",
        ),
        ("groq", Overload) => (
            503,
            "internal_server_error",
            "openai/gpt-oss-120b is currently over capacity. Please try again and back off exponentially.",
        ),
        ("mistral", Key) => (401, "", "Unauthorized"),
        ("mistral", Rate) => (429, "rate_limited", "Requests rate limit exceeded"),
        ("mistral", Overflow) => (
            400,
            "invalid_request_error",
            "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 262144 maximum context length",
        ),
        ("mistral", Refused) => (422, "", ""),
        ("gemini", Key) => (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
        ),
        ("gemini", Rate) => (
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details. Please retry in 33.2s.",
        ),
        ("gemini", Overflow) => (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        ("gemini", Overload) => (
            503,
            "UNAVAILABLE",
            "The model is overloaded. Please try again later.",
        ),
        ("anthropic", Key) => (401, "authentication_error", "invalid x-api-key"),
        ("anthropic", Rate) => (
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit",
        ),
        ("anthropic", Overflow) => (
            400,
            "invalid_request_error",
            "prompt is too long: 1000001 tokens > 1000000 maximum",
        ),
        ("anthropic", Overload) => (529, "overloaded_error", "Overloaded"),
        ("ollama", Key) => (401, "", "unauthorized"),
        ("ollama", Overflow) => (400, "", "the input length exceeds the context length"),
        ("ollama", Overload) => (
            503,
            "",
            "server busy, please try again.  maximum pending requests exceeded",
        ),
        ("vllm", Key) => (401, "", "Unauthorized"),
        ("vllm", Overflow) => (
            400,
            "BadRequestError",
            "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens in the messages.",
        ),
        ("vllm", Overload) => (503, "ServiceUnavailableError", "The request queue is full."),
        ("vllm", Midway) => (
            200,
            "InternalServerError",
            "EngineCore encountered an issue.",
        ),
        ("llama.cpp", Key) => (401, "authentication_error", "Invalid API Key"),
        ("llama.cpp", Overflow) => (
            400,
            "exceed_context_size_error",
            "the request exceeds the available context size, try increasing it",
        ),
        ("llama.cpp", Overload) => (503, "unavailable_error", "Loading model"),
        ("llama.cpp", Midway) => (500, "server_error", "Compute error."),
        ("lmstudio", Overflow) => (
            400,
            "",
            "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
        ),
        ("cerebras", Key) => (401, "wrong_api_key", "Wrong API Key"),
        ("cerebras", Rate) => (
            429,
            "queue_exceeded",
            "We're experiencing high traffic right now! Please try again soon.",
        ),
        ("cerebras", Overflow) => (
            400,
            "context_length_exceeded",
            "Please reduce the length of the messages or completion. Current length is 140000 while limit is 131072",
        ),
        ("together", Overflow) => (
            403,
            "invalid_request_error",
            "Input token count + `max_tokens` parameter exceeds model context length",
        ),
        ("fireworks", Overflow) => (
            400,
            "",
            "The prompt is too long: 1200000, model maximum context length: 1048573",
        ),
        ("azure", Key) => (
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint.",
        ),
        ("azure", Rate) => (
            429,
            "429",
            "Requests have exceeded call rate limit of your current tier. Please retry after 7 seconds.",
        ),
        ("xai", Key) => (
            400,
            "Client specified an invalid argument",
            "Incorrect API key provided: xa***op. You can obtain an API key from https://console.x.ai.",
        ),
        ("xai", Overflow) => (
            400,
            "Client specified an invalid argument",
            "This model's maximum prompt length is 500000 but the request contains 600000 tokens.",
        ),
        (_, Key) => (401, "invalid_api_key", "Incorrect API key provided."),
        (_, Rate) => (
            429,
            "rate_limit_exceeded",
            "Rate limit reached for requests.",
        ),
        (_, Overflow) => (
            400,
            "context_length_exceeded",
            "This model's maximum context length is 128000 tokens.",
        ),
        (_, Overload) => (
            503,
            "service_unavailable",
            "The server is overloaded or not ready yet.",
        ),
        (_, Midway) => (
            200,
            "server_error",
            "The server had an error while processing your request.",
        ),
        (_, Refused) => (400, "invalid_request_error", ""),
    }
}

/// M3 answers under status 200, older models by status.
fn minimax(d: &Dialect, fault: Fault) -> (u16, &'static str, &'static str) {
    let embedded = d.model == "MiniMax-M3";
    match (fault, embedded) {
        (Fault::Key, true) => (
            200,
            "1004",
            "login fail: Please carry the API secret key in the 'Authorization' field of the request header",
        ),
        (Fault::Key, false) => (401, "authorized_error", "invalid api key (2049)"),
        (Fault::Rate, true) => (200, "1002", "rate limit exceeded(RPM)"),
        (Fault::Rate, false) => (429, "rate_limit_error", "rate limit exceeded (1002)"),
        (Fault::Overflow, true) => (200, "1039", "token limit exceeded"),
        (Fault::Overflow, false) => (
            400,
            "bad_request_error",
            "invalid params, context window exceeds limit (2013)",
        ),
        (Fault::Overload, _) => (
            529,
            "overloaded_error",
            "The server cluster is currently under high load. Please retry after a short wait. (2064)",
        ),
        (Fault::Midway, true) => (200, "1000", "unknown error, the model stumbled"),
        (Fault::Midway, false) => (
            500,
            "server_error",
            "unknown error, the model stumbled (1000)",
        ),
        (Fault::Refused, true) => (200, "2013", ""),
        (Fault::Refused, false) => (400, "bad_request_error", ""),
    }
}
