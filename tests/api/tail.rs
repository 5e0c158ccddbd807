//! Reading over plain HTTP: who may, and what is answered to what is wrong.

use crate::harness::{Answer, Call, Service, key, open, put_record, raw, start};
use standpipe::api::server::Bounds;

fn get(target: &str) -> Call {
    Call { method: "GET", target: target.into(), headers: Vec::new(), body: Vec::new() }
}

const WEB: &str = "/v1/streams/web/records?from=horizon&follow=false";

async fn status(call: Call, service: &Service) -> u16 {
    call.send(service).await.status
}

#[tokio::test]
async fn an_open_service_shows_records_to_all_but_web_pages() {
    let service = open().await;
    let answer = get(WEB).send(&service).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for page in [("origin", "http://example.com"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(status(get(WEB).with(page.0, page.1), &service).await, 403, "{page:?}");
    }
}

/// The call under another name of the service.
async fn send_to(host: &str, call: Call, service: &Service) -> Answer {
    let head = call.head(service).replace(&service.address.to_string(), host);
    let length = call.body.len();
    let head = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n");
    raw(service, head.as_bytes(), &call.body).await
}

#[tokio::test]
async fn no_page_comes_in_by_a_name_of_its_own_that_points_here() {
    let service = open().await;
    let calls = || [get(WEB), Call::ingest("web", "text/plain", "x"), put_record("web", "x")];
    for host in ["127.0.0.1:4573", "localhost:4573", "a.localhost", "[::1]:4573"] {
        for call in calls() {
            assert_eq!(send_to(host, call, &service).await.status, 200, "{host}");
        }
    }
    for host in ["evil.example:4573", "127.0.0.1.evil.example", "localhost.evil.example"] {
        for call in calls() {
            let is_aws = call.target == "/";
            let answer = send_to(host, call, &service).await;
            assert_eq!(answer.status, if is_aws { 400 } else { 403 }, "{host}: {answer:?}");
            let said = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(said.contains(host) && said.contains("configure access keys"), "{said}");
        }
    }
    // A key is proof enough, whatever the name.
    let guarded = start(vec![key("ROOT", None)], &[], Bounds::default()).await;
    let mut call = get(WEB).with("host", "standpipe.internal").signed(&guarded, "ROOT");
    call.headers.retain(|(name, _)| name != "host");
    assert_eq!(send_to("standpipe.internal", call, &guarded).await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let service = open().await;
    for (target, expected, said) in [
        ("/v1/streams/nothing/records", 404, "Firehose nothing under account 000000000000 not found."),
        ("/v1/data-streams/web/records", 404, "Stream web under account 000000000000 not found."),
        ("/v1/streams/web/records?from=newest", 400, "from: \"newest\" is no place to begin"),
        ("/v1/streams/web/records?limit=0", 400, "limit: \"0\" is not a number from 1 on"),
    ] {
        let answer = get(target).send(&service).await;
        assert_eq!(answer.status, expected, "{target}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with(said), "{target}: {answer:?}");
    }
    let with_body = Call { body: b"x".to_vec(), ..get(WEB) };
    assert_eq!(status(with_body, &service).await, 413);
}

#[tokio::test]
async fn a_signature_and_the_permission_are_needed() {
    let allow = |action: &str, resource: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}]}}"#
        )
    };
    let reader = allow("firehose:GetRecords", "arn:aws:firehose:us-east-1:000000000000:deliverystream/web");
    let writer = allow("firehose:Put*", "*");
    let keys = vec![key("READER", Some(&reader)), key("WRITER", Some(&writer)), key("ROOT", None)];
    let service = start(keys, &["token"], Bounds::default()).await;
    assert_eq!(status(get(WEB).signed(&service, "READER"), &service).await, 200);
    assert_eq!(status(get(WEB).signed(&service, "ROOT"), &service).await, 200);
    assert_eq!(status(get(WEB).signed(&service, "WRITER"), &service).await, 403);
    let other = "/v1/streams/web-2/records?follow=false";
    assert_eq!(status(get(other).signed(&service, "READER"), &service).await, 403);
    let data = "/v1/data-streams/web/records";
    assert_eq!(status(get(data).signed(&service, "READER"), &service).await, 403);
    for call in [get(WEB), get(WEB).with("authorization", "Bearer token"), get(WEB).signed(&service, "STRANGER")] {
        assert_eq!(status(call, &service).await, 401);
    }
    // What is asked for is signed too.
    let mut changed = get(WEB).signed(&service, "READER");
    changed.target = WEB.replace("horizon", "latest");
    assert_eq!(status(changed, &service).await, 401);
}
