//! TLS: with and without client certificates, over certificates that the test makes for itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use standpipe::api::server::{Handler, Request, Response, Server, tls};
use standpipe::api::wire;
use standpipe::clock::Clock;
use standpipe::config::Tls;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// One ASN.1 value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).expect("a small certificate").to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7f) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], &content].concat()
}

/// A certificate for `localhost` that is its own authority, and its key, as PEM files.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("the key");
    // 1.2.840.10045.4.3.2, ecdsa-with-SHA256
    let algorithm = der(0x30, &[b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"]);
    // 2.5.4.3, the common name
    let common_name = der(0x30, &[b"\x06\x03\x55\x04\x03", &der(0x0c, &[name.as_bytes()])]);
    let subject = der(0x30, &[&der(0x31, &[&common_name])]);
    let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231235959Z"])]);
    // 1.2.840.10045.2.1 with 1.2.840.10045.3.1.7: a key on P-256
    let curve = der(0x30, &[b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"]);
    let public = der(0x30, &[&curve, &der(0x03, &[b"\0", pair.public_key().as_ref()])]);
    // 2.5.29.17, other names of the subject
    let names = der(0x04, &[&der(0x30, &[&der(0x82, &[b"localhost"])])]);
    let extensions = der(0xa3, &[&der(0x30, &[&der(0x30, &[b"\x06\x03\x55\x1d\x11", &names])])]);
    let version_and_serial = b"\xa0\x03\x02\x01\x02\x02\x01\x01";
    let signed = der(0x30, &[version_and_serial, &algorithm, &subject, &validity, &subject, &public, &extensions]);
    let signature = pair.sign(&random, &signed).expect("a signature");
    let whole = der(0x30, &[&signed, &algorithm, &der(0x03, &[b"\0", signature.as_ref()])]);
    (pem(folder, name, "CERTIFICATE", &whole), pem(folder, name, "PRIVATE KEY", pkcs8.as_ref()))
}

fn pem(folder: &Path, name: &str, what: &str, der: &[u8]) -> PathBuf {
    let path = folder.join(format!("{name} {what}.pem"));
    let text = base64_simd::STANDARD.encode_to_string(der);
    std::fs::write(&path, format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")).expect("a file");
    path
}

#[derive(Clone)]
struct Fine;

impl Handler for Fine {
    async fn handle(&self, _: Request) -> Response {
        wire::text(http::StatusCode::OK, "fine")
    }
}

/// Serves with `tls`, asks once as a client that trusts `root` and shows `identity`; what the answer ends with.
async fn ask(tls: &Tls, root: &Path, identity: Option<(&Path, &Path)>) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::new(Clock::real()).with_tls(tls::acceptor(tls).expect("files that are right"));
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(listener, Fine, stop.clone(), Duration::from_secs(5)));
    let _stop = stop.drop_guard();

    let load = |path: &Path| CertificateDer::from_pem_file(path).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(load(root)).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let builder = builder.with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(vec![load(cert)], PrivateKeyDer::from_pem_file(key).expect("a key"))
            .expect("a pair"),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await?;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

#[tokio::test]
async fn who_must_show_a_certificate_must() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path(), "server");
    let (client, client_key) = certificate(folder.path(), "client");
    let (stranger, stranger_key) = certificate(folder.path(), "stranger");
    let anybody = Tls { cert: cert.clone(), key: key.clone(), client_ca: None };
    assert_eq!(ask(&anybody, &cert, None).await.unwrap(), 200);
    assert!(ask(&anybody, &stranger, None).await.is_err());
    let friends = Tls { client_ca: Some(client.clone()), ..anybody };
    assert_eq!(ask(&friends, &cert, Some((&client, &client_key))).await.unwrap(), 200);
    assert!(ask(&friends, &cert, None).await.is_err());
    assert!(ask(&friends, &cert, Some((&stranger, &stranger_key))).await.is_err());
}

#[test]
fn files_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path(), "server");
    let (_, other) = certificate(folder.path(), "other");
    let gone = folder.path().join("gone.pem");
    let table = [
        (Tls { cert: gone.clone(), key: key.clone(), client_ca: None }, "gone.pem"),
        (Tls { cert: cert.clone(), key: gone.clone(), client_ca: None }, "tls.key"),
        (Tls { cert: cert.clone(), key: cert.clone(), client_ca: None }, "tls.key"),
        (Tls { cert: key.clone(), key: key.clone(), client_ca: None }, "holds no certificate"),
        (Tls { cert: cert.clone(), key: other, client_ca: None }, "tls.cert"),
        (Tls { cert, key, client_ca: Some(gone) }, "gone.pem"),
    ];
    for (tls, part) in table {
        let message = tls::acceptor(&tls).err().expect("must be refused").to_string();
        assert!(message.contains(part), "{message}");
    }
}
