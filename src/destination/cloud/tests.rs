//! The suite that every destination passes: over the library's store in memory always, and over Azurite where one is named
//! by `STANDPIPE_TEST_AZURE` (a URL). No emulator of Google's that a registry has takes the XML API, which the library speaks.

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::HttpRequestBody;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::*;
use crate::config::{AzureCredentials, GcsCredentials, Secret};
use crate::destination::conformance;

/// The account and the key that all emulators of Azure have.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn memory() -> CloudDestination {
    let root = Root {
        store: Arc::new(InMemory::new()),
        kind: Cloud::Gcs,
        place: "gs://lake".to_owned(),
        storage_class: None,
        tags: Vec::new(),
    };
    CloudDestination::new(root, "")
}

/// The suite, below a folder that no run before has had.
async fn passes_the_suite(destination: CloudDestination) {
    let store = destination.root.store.clone();
    let read = |key: &str| {
        let get = async {
            match store.get(&path(key).unwrap()).await {
                Ok(found) => Some(found.bytes().await.unwrap().to_vec()),
                Err(object_store::Error::NotFound { .. }) => None,
                Err(error) => panic!("{key}: {error}"),
            }
        };
        block_in_place(|| Handle::current().block_on(get))
    };
    conformance::all(Arc::new(destination), read).await;
}

/// What a store keeps beside the bytes, and what is wrong with another's object and a place that is not there.
async fn keeps_what_is_said(destination: &CloudDestination, missing: &CloudDestination) {
    let root = &destination.root;
    let facts = ObjectFacts { content_encoding: Some("gzip") };
    let large: Vec<Bytes> = (0..3).map(|n| Bytes::from(vec![n; S3_PART_BYTES / 2])).collect();
    destination.create("facts/small", Body::whole("zz"), facts).await.unwrap();
    destination.create("facts/large", Body::ready(large.clone()), facts).await.unwrap();
    for key in ["facts/small", "facts/large"] {
        let found = root.store.get(&path(key).unwrap()).await.unwrap();
        assert_eq!(found.attributes.get(&Attribute::ContentEncoding).map(AsRef::as_ref), Some("gzip"), "{key}");
        assert_eq!(found.attributes.get(&Attribute::ContentType).map(AsRef::as_ref), Some(CONTENT_TYPE), "{key}");
    }
    let again = destination.create("facts/large", Body::ready(large.clone()), facts).await.unwrap();
    assert_eq!(again, Created::AlreadyThere);
    for body in [Body::whole("other"), Body::ready(large.into_iter().chain([Bytes::from_static(b"more")]))] {
        let key = if body.is_small() { "facts/small" } else { "facts/large" };
        let error = destination.create(key, body, facts).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
    }
    for len in [3, S3_PART_BYTES + 1] {
        let error = missing.create("k", Body::whole(vec![1; len]), facts).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
    }
    assert_eq!(missing.probe().await.unwrap_err().kind(), Kind::NotFound);
}

impl Body {
    fn is_small(&self) -> bool {
        self.ready.iter().map(Bytes::len).sum::<usize>() < S3_PART_BYTES
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_of_all_destinations() {
    passes_the_suite(memory()).await;
}

fn unique(name: &str) -> String {
    format!("{name}-{}", crate::clock::Clock::real().uuid())
}

async fn make_container(store: &AzureStore) {
    let uri = format!("{}/{}?restype=container", store.endpoint.as_ref().unwrap(), store.container);
    let request = http::Request::put(uri).header("content-length", "0").body(HttpRequestBody::empty());
    let mut request = request.unwrap();
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
    AzureAuthorizer::new(&credential, ACCOUNT).try_authorize(&mut request).unwrap();
    let (head, _) = request.into_parts();
    let request = http::Request::from_parts(head, http_body_util::Empty::<Bytes>::new());
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    assert_eq!(client.request(request).await.unwrap().status(), 201);
}

/// A container of an emulator; made if `make`.
async fn azure(endpoint: &str, make: bool) -> CloudDestination {
    let store = AzureStore {
        endpoint: Some(format!("{endpoint}/{ACCOUNT}")),
        credentials: AzureCredentials::AccountKey(Secret::new(KEY.to_owned())),
        storage_class: Some("Cool".to_owned()),
        tags: vec![("team".to_owned(), "web logs".to_owned())],
        ..AzureStore::new(ACCOUNT, unique("lake"))
    };
    if make {
        make_container(&store).await;
    }
    CloudDestination::azure(&store, "").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_of_azure_passes_it() {
    let Ok(endpoint) = std::env::var("STANDPIPE_TEST_AZURE") else { return };
    keeps_what_is_said(&azure(&endpoint, true).await, &azure(&endpoint, false).await).await;
    passes_the_suite(azure(&endpoint, true).await).await;
    let wrong = AzureStore {
        endpoint: Some(format!("{endpoint}/{ACCOUNT}")),
        credentials: AzureCredentials::AccountKey(Secret::new("d3Jvbmc=".to_owned())),
        ..AzureStore::new(ACCOUNT, "lake")
    };
    let error = CloudDestination::azure(&wrong, "").unwrap().probe().await.unwrap_err();
    assert!(error.kind() == Kind::Unavailable && error.message().contains("403"), "{error}");
}

#[test]
fn keys_that_the_library_would_change_are_refused() {
    for key in ["", "/a", "a/", "a//b", "a/../b", "./a", "a\nb", &"k".repeat(KEY_BYTES_MAX + 1)] {
        assert_eq!(path(key).unwrap_err().kind(), Kind::Invalid, "{key:?}");
    }
    for key in ["a", "a b/%2F%20\\{}", "...", "größe/日本"] {
        assert_eq!(path(key).unwrap().as_ref(), key);
    }
}

#[test]
fn what_is_configured_can_be_connected_to() {
    let key = "{\"private_key\":\"no PEM\",\"client_email\":\"a@b\",\"private_key_id\":\"1\",\"disable_oauth\":false}";
    let credentials = GcsCredentials::ServiceAccount(Secret::new(key.to_owned()));
    let error = CloudDestination::gcs(&GcsStore { credentials, ..GcsStore::new("lake") }, "").err().unwrap();
    assert!(error.kind() == Kind::Invalid && !error.to_string().contains("no PEM"), "{error}");
    let (tenant_id, client_id) = ("t".to_owned(), "c".to_owned());
    let all = [
        AzureCredentials::AccountKey(Secret::new(KEY.to_owned())),
        AzureCredentials::Sas(Secret::new("sv=2024&sig=a%2Bb".to_owned())),
        AzureCredentials::ClientSecret { tenant_id, client_id, client_secret: Secret::new("s".to_owned()) },
        AzureCredentials::ManagedIdentity { client_id: None },
        AzureCredentials::ManagedIdentity { client_id: Some("c".to_owned()) },
    ];
    for credentials in all {
        CloudDestination::azure(&AzureStore { credentials, ..AzureStore::new("logs", "lake") }, "").unwrap();
    }
}
