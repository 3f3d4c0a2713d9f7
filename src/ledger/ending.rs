//! A response object that ends without its worker: cancelled by a client, or failed because
//! nobody works on it any more.

use super::stored::Status;
use serde_json::{Map, Value, json};

/// What is said of a response whose worker has gone.
const LOST: &str = "The gateway that worked on this response has stopped; ask again.";

/// The response object with another status: what it shows so far stays.
pub fn cancelled(response: &[u8]) -> Vec<u8> {
    ended(response, Status::Cancelled, None)
}

/// The response object of a response whose worker has gone.
pub fn lost(response: &[u8]) -> Vec<u8> {
    let error = json!({"code": "server_error", "message": LOST});
    ended(response, Status::Failed, Some(error))
}

fn ended(response: &[u8], status: Status, error: Option<Value>) -> Vec<u8> {
    // What is kept was written by us; an object that is not one still gets its status.
    let mut object: Map<String, Value> = serde_json::from_slice(response).unwrap_or_default();
    object.insert("status".to_owned(), status.name().into());
    if let Some(error) = error {
        object.insert("error".to_owned(), error);
    }
    Value::Object(object).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_stays() {
        let response = br#"{"id":"resp_1","status":"queued","error":null,"output":[]}"#;
        let said = String::from_utf8(cancelled(response)).unwrap();
        let expected = r#"{"id":"resp_1","status":"cancelled","error":null,"output":[]}"#;
        assert_eq!(said, expected);
        let lost: Value = serde_json::from_slice(&lost(response)).unwrap();
        assert_eq!(lost["status"], "failed");
        assert_eq!(lost["error"]["code"], "server_error");
        assert_eq!(lost["id"], "resp_1");
    }

    #[test]
    fn what_is_no_object_gets_its_status() {
        assert_eq!(cancelled(b"[1"), br#"{"status":"cancelled"}"#);
    }
}
