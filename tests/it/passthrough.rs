//! A Responses provider: byte for byte, both ways.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider};
use crate::strait::Strait;

#[test]
fn bytes_pass_untouched_and_the_key_is_ours() {
    let stream = b"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"odd\" : [1 , 2],\"response\":{\"id\":\"resp_9\"}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"id\":\"resp_9\",\"usage\":null}}\n\n";
    let provider = Provider::start(vec![Answer::Raw(stream.to_vec())]);
    let strait = Strait::start("openai", &provider.url(), "io_uring");
    let body = b"{ \"model\" : \"gpt\",\"stream\":true,  \"input\":\"\\u0041\", \"store\":false}";
    let mut connection = Connection::open(strait.address);
    connection.send(post_with(
        "/v1/responses",
        "authorization: Bearer client\r\n",
        body,
    ));
    assert_eq!(connection.answer().body, stream);
    let seen = &provider.take_seen()[0];
    assert_eq!(seen.raw, body);
    assert!(
        seen.head.contains("Bearer sk-test-provider-key"),
        "{}",
        seen.head
    );
    assert!(!seen.head.contains("client"));
}

#[test]
fn a_cut_stream_is_ended_properly() {
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_9\"}}\n\n";
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";
    let cut = "event: response.output_text.delta\ndata: {\"ty";
    let streams = [format!("{created}{delta}{cut}"), format!("{created}{cut}")];
    let provider = Provider::start(
        streams
            .into_iter()
            .map(|s| Answer::Raw(s.into_bytes()))
            .collect(),
    );
    let strait = Strait::start("openai", &provider.url(), "epoll");
    let ask = || {
        let mut connection = Connection::open(strait.address);
        let body = b"{\"model\":\"gpt\",\"stream\":true,\"input\":\"x\"}";
        connection.send(post_with("/v1/responses", "", body));
        connection.answer()
    };
    assert_eq!(ask().terminals(), ["response.failed"]);
    // Before there is output it is an honest status.
    assert_eq!(ask().status, 502);
}
