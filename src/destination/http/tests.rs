//! Requests over real connections: what arrives, and what is made of each way not to answer.

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::config::HttpEndpoint;
use crate::limits::ENDPOINT_TIME_MAX;

#[path = "../../../tests/support/endpoint.rs"]
pub(crate) mod receiver;

use receiver::{Receiver, Reply};

const ARN: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/s";

async fn post(url: &str, gzip: bool) -> Result<(), Refusal> {
    let endpoint = HttpEndpoint::new(url);
    let body = RequestBody::new("id-1".into(), 7, ["YQ==", "Yg=="].into_iter(), gzip).unwrap();
    let sending = Sending { endpoint: &endpoint, source_arn: ARN };
    let client = EndpointClient::new(url.starts_with("https")).unwrap();
    let posted = Clock::real().within(Duration::from_secs(20), client.post(&sending, &body)).await;
    posted.unwrap_or_else(|| Err(Refusal::timeout()))
}

#[tokio::test]
async fn a_request_arrives_as_the_protocol_says() {
    for gzip in [false, true] {
        let receiver = Receiver::start(|_, _| Reply::Taken).await;
        post(&receiver.url(), gzip).await.unwrap();
        let [request] = receiver.requests().try_into().unwrap_or_else(|all| panic!("{all:?}"));
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/firehose?x=1"));
        assert_eq!(request.id(), "id-1");
        assert_eq!(request.records(), ["a", "b"]);
        assert_eq!(request.json["timestamp"], 7);
        assert_eq!(request.header("x-amz-firehose-source-arn"), ARN);
        assert_eq!(request.header("content-encoding"), if gzip { "gzip" } else { "" });
        assert_eq!(request.header("content-length"), request.sent_bytes.to_string());
    }
}

#[tokio::test]
async fn each_wrong_answer_has_its_code() {
    let invalid = "HttpEndpoint.InvalidResponseFromDestination";
    let exception = "HttpEndpoint.DestinationException";
    let cases: [(Reply, &str, bool); 16] = [
        (Reply::Status(201), exception, false),
        (Reply::Status(204), invalid, false),
        (Reply::Status(302), exception, false),
        (Reply::Status(400), exception, false),
        (Reply::Status(413), exception, true),
        (Reply::Status(500), exception, false),
        (Reply::Body("<html>".into()), invalid, false),
        (Reply::Body(String::new()), invalid, false),
        (Reply::Body("{\"requestId\":\"other\",\"timestamp\":1}".into()), invalid, false),
        (Reply::Body("{\"requestId\":\"id-1\",\"timestamp\":\"1\"}".into()), invalid, false),
        (Reply::Body("{\"requestId\":\"id-1\",\"timestamp\":1,\"status\":\"ok\"}".into()), invalid, false),
        (Reply::ContentType("text/plain"), invalid, false),
        (Reply::Chunked, invalid, false),
        (Reply::Gzipped, invalid, false),
        (Reply::Body(" ".repeat((1 << 20) + 1)), "HttpEndpoint.ResponseTooLarge", false),
        (Reply::Hangup, "HttpEndpoint.ConnectionReset", false),
    ];
    for (reply, code, permanent) in cases {
        let shown = format!("{reply:?}").chars().take(60).collect::<String>();
        let receiver = Receiver::start(move |_, _| reply.clone()).await;
        let refusal = post(&receiver.url(), false).await.expect_err(&shown);
        assert_eq!((refusal.code, refusal.permanent), (code, permanent), "{shown}: {}", refusal.message);
        assert_eq!(receiver.requests().len(), 1, "{shown}: it is the pipeline that tries again, and nobody follows");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let receiver = Receiver::start(|_, _| Reply::Endless).await;
    let refusal = post(&receiver.url(), false).await.unwrap_err();
    assert_eq!(refusal.code, "HttpEndpoint.ResponseTooLarge");
}

#[tokio::test]
async fn who_is_not_there_or_speaks_no_tls_is_told_apart() {
    let receiver = Receiver::start(|_, _| Reply::Taken).await;
    let refusal = post(&receiver.url().replace("http:", "https:"), false).await.unwrap_err();
    assert_eq!(refusal.code, "HttpEndpoint.SSLHandshakeFailure", "{}", refusal.message);
    let url = receiver.url();
    drop(receiver);
    let refusal = post(&url, false).await.unwrap_err();
    assert_eq!(refusal.code, "HttpEndpoint.ConnectionFailed", "{}", refusal.message);
}

#[tokio::test]
async fn a_client_can_be_dropped_while_it_waits() {
    let receiver = Receiver::start(|_, _| Reply::Never).await;
    let url = receiver.url();
    let waiting = post(&url, false);
    assert!(Clock::real().within(Duration::from_millis(200), waiting).await.is_none());
    assert!(ENDPOINT_TIME_MAX == Duration::from_mins(3));
}
