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
    let stream = b"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_9\"}}\n\nevent: response.output_text.delta\ndata: {\"ty";
    let provider = Provider::start(vec![Answer::Raw(stream.to_vec())]);
    let strait = Strait::start("openai", &provider.url(), "epoll");
    let mut connection = Connection::open(strait.address);
    connection.send(post_with(
        "/v1/responses",
        "",
        b"{\"model\":\"gpt\",\"stream\":true,\"input\":\"x\"}",
    ));
    assert_eq!(connection.answer().terminals(), ["response.failed"]);
}
