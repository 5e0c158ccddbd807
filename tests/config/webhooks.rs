//! Webhooks: what they say, and each kind of mistake.

use super::mistakes::each;
use super::*;

fn webhook(text: &str) -> String {
    local(&format!("[delivery_stream.s.webhook]\n{text}"))
}

fn right(text: &str) -> standpipe::config::Webhook {
    let config = parse(&with_data_dir(&webhook(text))).unwrap_or_else(|faults| panic!("{faults}"));
    *config.delivery_streams[0].webhook.clone().expect("it has one")
}

#[test]
fn a_webhook_is_a_url_and_what_goes_with_it() {
    let least = right("url = \"http://127.0.0.1:8080/hook?x=1\"");
    assert_eq!(least, standpipe::config::Webhook::new("http://127.0.0.1:8080/hook?x=1"));
    assert_eq!((least.timeout, least.secret, least.headers), (Duration::from_secs(10), None, Vec::new()));
    let most = right(
        "url = \"https://h/x\"\ntimeout = \"60s\"\nsecret = { env = \"STANDPIPE_KEY\" }\n\
         headers = { Authorization = { env = \"TOKEN\" }, X-Team = \"lake\" }",
    );
    assert_eq!(most.timeout, Duration::from_mins(1));
    assert_eq!(most.secret.unwrap().reveal(), &[0; 32]);
    let headers: Vec<_> = most.headers.iter().map(|(name, value)| (name.as_str(), value.reveal().as_str())).collect();
    assert_eq!(headers, [("authorization", "value-of-TOKEN"), ("x-team", "lake")]);
    let prefixed = right(&format!("url = \"https://h/\"\nsecret = \"whsec_{KEY}\""));
    assert_eq!(prefixed.secret.unwrap().reveal().len(), 32);
    let of_backup = "[delivery_stream.s.backup]\ndestination = { type = \"local\", path = \"/srv/raw\" }\n";
    let text = with_data_dir(&format!("{}\n{of_backup}", webhook("url = \"https://h/\"")));
    let stream = parse(&text).unwrap().delivery_streams.remove(0);
    assert!(stream.webhook.is_some() && stream.of_backup().unwrap().webhook.is_none(), "of a backup nobody is told");
}

#[test]
fn mistakes_in_webhooks() {
    let of = |more: &str| webhook(&format!("url = \"https://h/x\"\n{more}"));
    let many: Vec<_> = (0..17).map(|n| format!("h{n} = \"x\"")).collect();
    each(&[
        (webhook("timeout = \"5s\""), 5, "missing key \"url\""),
        (
            webhook("url = \"ftp://h/\""),
            6,
            "url: url must begin with \"https://\" or \"http://\" and name a host, as \
             \"https://collector.example.com/firehose\" does",
        ),
        (webhook("url = 5"), 6, "must be a string, not an integer"),
        (of("timeout = \"500ms\""), 7, "timeout must be 1s to 60s, not 500ms"),
        (of("timeout = \"2m\""), 7, "timeout must be 1s to 60s, not 120s"),
        (
            of("retries = 3"),
            7,
            "unknown key \"retries\": known here are \"url\", \"headers\", \"secret\" and \"timeout\"",
        ),
        (
            of("secret = \"no base64!\""),
            7,
            "secret: must be 24 to 64 bytes in base64, with \"whsec_\" before it or not: this is not base64",
        ),
        (
            of("secret = { env = \"SHORT_KEY\" }"),
            7,
            "secret: must be 24 to 64 bytes in base64, with \"whsec_\" before it or not: these are 3",
        ),
        (of("secret = { env = \"NOT_SET\" }"), 7, "secret: environment variable \"NOT_SET\" is not set"),
        (of("headers = { \"a b\" = \"x\" }"), 7, "headers: header \"a b\" is not a header's name"),
        (of("headers = { x = \"a\\nb\" }"), 7, "headers: has a character that cannot stand in a header"),
        (of(&format!("headers = {{ x = \"{}\" }}", "x".repeat(4_097))), 7, "headers: has 4097 bytes, more than 4096"),
        (
            of("headers = { Content-Type = \"text/plain\" }"),
            7,
            "headers: header \"Content-Type\" says how the message is sent, and is set by the service",
        ),
        (
            of("headers = { Webhook-Id = \"1\" }"),
            7,
            "headers: header \"Webhook-Id\" says how the message is sent, and is set by the service",
        ),
        (of("headers = { x-a = \"1\", X-A = \"2\" }"), 7, "headers: header \"X-A\" is there twice"),
        (
            of(&format!("headers = {{ {} }}", many.join(", "))),
            7,
            "headers: header \"h16\" is one too many: there may be 16",
        ),
    ]);
}
