//! Secrets, certificates and policies: what the configuration takes from the environment and from other files.

use std::path::PathBuf;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use zeroize::Zeroize as _;

use super::super::at::{At, TextOr};
use super::super::load::{mode_open_to_others, read_named};
use super::super::{Secret, raw};
use super::Checker;

impl Checker<'_> {
    /// A secret from where it is; never empty.
    pub(super) fn secret(&mut self, key: &str, secret: &At<raw::Secret>) -> Option<Secret<String>> {
        let found = match &secret.value {
            TextOr::Text(text) => {
                self.has_literal_secrets = true;
                Ok(text.clone())
            }
            TextOr::Table(raw::SecretFrom { env: Some(name), file: None }) => {
                match (self.surroundings.env)(&name.value) {
                    Some(value) => Ok(value),
                    None => Err(format!("environment variable {:?} is not set", name.value)),
                }
            }
            TextOr::Table(raw::SecretFrom { env: None, file: Some(path) }) => self.secret_file(&path.value),
            TextOr::Table(_) => Err("write { env = \"NAME\" } or { file = \"path\" }".to_owned()),
        };
        let fault = match found {
            Ok(value) if !value.is_empty() => return Some(Secret::new(value)),
            Ok(_) => "is empty".to_owned(),
            Err(fault) => fault,
        };
        self.findings.add(secret.span.clone(), format!("{key}: {fault}"));
        None
    }

    /// A secret that is sent in a header: visible ASCII.
    pub(super) fn token(&mut self, key: &str, secret: &At<raw::Secret>) -> Option<Secret<String>> {
        let token = self.secret(key, secret)?;
        if token.reveal().bytes().all(|b| b.is_ascii_graphic()) {
            return Some(token);
        }
        self.findings.add(secret.span.clone(), format!("{key}: must have visible ASCII characters only"));
        None
    }

    /// 32 bytes in base64.
    pub(super) fn encryption_key(&mut self, secret: &At<raw::Secret>) -> Option<Secret<[u8; 32]>> {
        let text = self.secret("encryption_key", secret)?;
        let fault = match base64_simd::STANDARD.decode_to_vec(text.reveal().trim()) {
            Ok(mut bytes) => {
                let key = <[u8; 32]>::try_from(bytes.as_slice());
                bytes.zeroize();
                match key {
                    Ok(key) => return Some(Secret::new(key)),
                    Err(_) => format!("these are {}", bytes_text(text.reveal())),
                }
            }
            Err(_) => "this is not base64".to_owned(),
        };
        self.findings.add(secret.span.clone(), format!("encryption_key: must be 32 bytes in base64, {fault}"));
        None
    }

    fn secret_file(&mut self, written: &str) -> Result<String, String> {
        let path = self.surroundings.path(written);
        let bytes = read_named(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        if let Some(mode) = mode_open_to_others(&path) {
            self.warnings
                .push(format!("{} holds a secret and can be read by others (mode {mode:04o})", path.display()));
        }
        Ok(text.trim_end().to_owned())
    }

    /// A PEM file with at least one certificate.
    pub(super) fn certificates(&mut self, key: &str, path: &At<String>) -> Option<PathBuf> {
        self.pem(key, path, "certificate", |bytes| {
            let mut found = CertificateDer::pem_slice_iter(bytes).peekable();
            found.peek().is_some() && found.all(|certificate| certificate.is_ok())
        })
    }

    /// A PEM file with a private key.
    pub(super) fn private_key(&mut self, key: &str, path: &At<String>) -> Option<PathBuf> {
        self.pem(key, path, "private key", |bytes| PrivateKeyDer::from_pem_slice(bytes).is_ok())
    }

    fn pem(&mut self, key: &str, path: &At<String>, what: &str, holds: fn(&[u8]) -> bool) -> Option<PathBuf> {
        let file = self.path(key, path)?;
        let fault = match read_named(&file) {
            Ok(mut bytes) => {
                let good = holds(&bytes);
                bytes.zeroize();
                if good {
                    return Some(file);
                }
                format!("{} has no {what} in PEM form", file.display())
            }
            Err(fault) => fault,
        };
        self.findings.add(path.span.clone(), format!("{key}: {fault}"));
        None
    }

    /// The text of an IAM policy document; its statements are read by `api/policy`.
    pub(super) fn policy(&mut self, key: &str, path: &At<String>) -> Option<String> {
        let file = self.path(key, path)?;
        let fault = match read_named(&file).map(String::from_utf8) {
            Ok(Ok(text)) => match serde_json::from_str::<Value>(&text) {
                Ok(document) if document.get("Statement").is_some() => return Some(text),
                Ok(_) => format!("{} is not a policy document: it has no \"Statement\"", file.display()),
                Err(error) => format!("{} is not JSON: {error}", file.display()),
            },
            Ok(Err(_)) => format!("{} is not UTF-8", file.display()),
            Err(fault) => fault,
        };
        self.findings.add(path.span.clone(), format!("{key}: {fault}"));
        None
    }
}

/// How many bytes a base64 text stands for.
fn bytes_text(base64: &str) -> String {
    let digits = base64.trim().trim_end_matches('=').len();
    format!("{} bytes", digits * 3 / 4)
}
