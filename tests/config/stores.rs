//! Stores of other clouds and HTTP endpoints: what they say, and each kind of mistake.

use std::time::Duration;

use standpipe::config::{AzureCredentials, Config, GcsCredentials, HttpEndpoint, Store};

use super::mistakes::each;
use super::{local, parse, with_data_dir};

/// A stream `s` whose destination is of this type, with `more` in it.
fn of(kind: &str, more: &str) -> String {
    format!("[delivery_stream.s.destination]\ntype = \"{kind}\"\n{more}")
}

fn right(text: &str) -> Config {
    parse(&with_data_dir(text)).unwrap_or_else(|faults| panic!("{text}: {faults}"))
}

fn store(text: &str) -> Store {
    right(text).delivery_streams[0].destination.store.clone()
}

#[test]
fn google_has_three_ways_to_say_who_we_are() {
    let key = "service_account = '{\"private_key\":\"k\",\"client_email\":\"e\"}'";
    for (more, storage_class) in [("", None), ("storage_class = \"NEARLINE\"\n", Some("NEARLINE"))] {
        let text = of("gcs", &format!("bucket = \"lake\"\n{more}"));
        let Store::Gcs(gcs) = store(&text) else { panic!("no bucket of Google's") };
        assert_eq!((gcs.bucket.as_str(), gcs.storage_class.as_deref()), ("lake", storage_class));
        assert_eq!((gcs.credentials, gcs.endpoint), (GcsCredentials::Default, None));
    }
    let Store::Gcs(gcs) = store(&of("gcs", &format!("bucket = \"lake\"\n{key}"))) else { panic!("no bucket") };
    assert!(matches!(gcs.credentials, GcsCredentials::ServiceAccount(_)));
    assert!(!format!("{gcs:?}").contains("private_key"), "a secret is not shown");
    let Store::Gcs(gcs) = store(&of("gcs", "bucket = \"lake\"\nendpoint = \"http://h:1/\"\nanonymous = true")) else {
        panic!("no bucket")
    };
    assert_eq!((gcs.credentials, gcs.endpoint.as_deref()), (GcsCredentials::Anonymous, Some("http://h:1")));
}

#[test]
fn azure_has_four() {
    let base = "account = \"logs\"\ncontainer = \"lake\"\n";
    let credentials = |more: &str| match store(&of("azure", &format!("{base}{more}"))) {
        Store::Azure(azure) => {
            assert_eq!((azure.account.as_str(), azure.container.as_str()), ("logs", "lake"));
            azure.credentials
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(credentials(""), AzureCredentials::Default);
    assert!(matches!(credentials("account_key = \"a2V5\""), AzureCredentials::AccountKey(_)));
    assert!(matches!(credentials("sas_token = \"sv=1&sig=x\""), AzureCredentials::Sas(_)));
    assert_eq!(credentials("identity = {}"), AzureCredentials::ManagedIdentity { client_id: None });
    let managed = AzureCredentials::ManagedIdentity { client_id: Some("c".to_owned()) };
    assert_eq!(credentials("identity = { client_id = \"c\" }"), managed);
    let all = "identity = { tenant_id = \"t\", client_id = \"c\", client_secret = { env = \"AZURE\" } }";
    assert!(matches!(credentials(all), AzureCredentials::ClientSecret { .. }));
    let endpoint = format!("{base}endpoint = \"http://127.0.0.1:10000/devstoreaccount1\"");
    assert!(matches!(store(&of("azure", &endpoint)), Store::Azure(azure) if azure.endpoint.is_some()));
}

#[test]
fn an_endpoint_has_a_store_for_what_fails() {
    let minimal = of("http", "url = \"https://h/x\"\nfailures = { type = \"local\", path = \"/srv/lake\" }");
    let config = right(&minimal);
    let destination = &config.delivery_streams[0].destination;
    assert_eq!(destination.http.as_deref(), Some(&HttpEndpoint::new("https://h/x")));
    assert_eq!(destination.store, Store::Local { path: "/srv/lake".into() });
    let request =
        "request = { access_key = { env = \"HOOK\" }, gzip = true, retry = \"2h\", attributes = { a = \"b\" } }";
    let config = right(&minimal.replace("failures", &format!("{request}\nfailures")));
    let http = config.delivery_streams[0].destination.http.as_deref().unwrap();
    assert_eq!(http.access_key.as_ref().unwrap().reveal(), "value-of-HOOK");
    assert_eq!((http.gzip, http.retry), (true, Duration::from_hours(2)));
    assert_eq!(http.attributes, [("a".to_owned(), "b".to_owned())]);
}

#[test]
fn mistakes_in_other_clouds() {
    let azure = |more: &str| of("azure", &format!("account = \"logs\"\ncontainer = \"lake\"\n{more}"));
    let gcs = |more: &str| of("gcs", &format!("bucket = \"lake\"\n{more}"));
    each(&[
        (of("gcs", ""), 2, "missing key \"bucket\": type = \"gcs\" needs it"),
        (of("azure", "account = \"logs\""), 2, "missing key \"container\": type = \"azure\" needs it"),
        (gcs("acl = \"private\""), 5, "key \"acl\" does not belong to type = \"gcs\""),
        (gcs("account = \"x\""), 5, "key \"account\" does not belong to type = \"gcs\""),
        (azure("checksum = \"crc32\""), 6, "key \"checksum\" does not belong to type = \"azure\""),
        (local("container = \"x\""), 5, "key \"container\" does not belong to type = \"local\""),
        (
            gcs("storage_class = \"GLACIER\""),
            5,
            "unknown storage_class \"GLACIER\": must be \"STANDARD\", \"NEARLINE\", \"COLDLINE\" or \"ARCHIVE\"",
        ),
        (
            gcs("service_account = \"{}\""),
            5,
            "service_account: is not the JSON key of a service account: it has no \"private_key\" and \"client_email\"",
        ),
        (azure("account_key = \"no base64!\""), 6, "account_key: is not base64"),
        (azure("account_key = \"a2V5\"\nsas_token = \"x\""), 7, "account_key and sas_token exclude one another"),
        (
            azure("identity = { tenant_id = \"t\" }"),
            6,
            "identity: a service principal has tenant_id, client_id and client_secret, a managed identity client_id or \
             nothing",
        ),
        (
            of("azure", "account = \"Logs\"\ncontainer = \"lake\""),
            4,
            "account: storage account \"Logs\" must have 3 to 24 lower-case letters or digits",
        ),
        (
            of("azure", "account = \"logs\"\ncontainer = \"a--b\""),
            5,
            "container: container \"a--b\" must have 3 to 63 lower-case letters, digits or \"-\", a letter or digit at both \
             ends",
        ),
        (
            gcs("prefix = \"/a/\""),
            2,
            "prefix \"/a/\" makes a key with an empty name in its path (a slash at the start or two in a row)",
        ),
    ]);
}

#[test]
fn mistakes_in_endpoints() {
    let http = |more: &str| {
        of("http", &format!("failures = {{ type = \"local\", path = \"/srv/lake\" }}\nurl = \"https://h/x\"\n{more}"))
    };
    each(&[
        (
            of("http", "failures = { type = \"local\", path = \"/srv/lake\" }"),
            2,
            "missing key \"url\": type = \"http\" needs it",
        ),
        (
            of("http", "url = \"https://h/x\""),
            2,
            "missing key \"failures\": type = \"http\" needs a store for what cannot be sent",
        ),
        (
            of("http", "url = \"https://h/x\"\nfailures = { type = \"http\" }"),
            5,
            "type = \"http\" is no store of objects",
        ),
        (http("prefix = \"x/\""), 6, "key \"prefix\" does not belong to type = \"http\""),
        (http("compression = \"gzip\""), 6, "key \"compression\" does not belong to type = \"http\""),
        (http("bucket = \"lake\""), 6, "key \"bucket\" does not belong to type = \"http\""),
        (local("url = \"https://h\""), 5, "key \"url\" does not belong to type = \"local\""),
        (http("request = { retry = \"3h\" }"), 6, "retry must be 0s to 2h, not 3h"),
        (http("request = { access_key = \"a\\nb\" }"), 6, "access_key: has a character that cannot stand in a header"),
        (
            of("http", "failures = { type = \"local\", path = \"/srv/lake\" }\nurl = \"https://u:p@h/\""),
            5,
            "url: url must not contain credentials: an endpoint is shown an access key",
        ),
        (
            format!("[delivery_stream.s.buffer]\nsize = \"65 MiB\"\n{}", http("")),
            4,
            "buffer size must be at most 64 MiB with type = \"http\", not 65 MiB",
        ),
        ("[buckets]\ntype = \"gcs\"".to_owned(), 2, "type = \"gcs\" cannot hold buckets: must be \"s3\" or \"local\""),
    ]);
}
