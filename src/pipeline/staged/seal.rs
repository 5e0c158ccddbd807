//! Where the journal is encrypted, what functions made of its records is too. Each file has a key of its own, which follows
//! from the configured one and the file's name, and its parts are numbered: no pair of key and nonce occurs twice, for no
//! name does.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// What may be told about a key: it names it and says nothing about it.
pub(in crate::pipeline) type KeyId = [u8; 8];

/// The key from the configuration.
pub(in crate::pipeline) struct Master {
    id: KeyId,
    key: hmac::Key,
}

impl Master {
    pub(in crate::pipeline) fn new(secret: &[u8; 32]) -> Self {
        let mut named = Zeroizing::new(b"standpipe staged master key id\0".to_vec());
        named.extend_from_slice(secret);
        let id = digest(&SHA256, &named).as_ref()[..8].try_into().expect("a SHA-256 has 32 bytes");
        Master { id, key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// The key's public name.
    pub(in crate::pipeline) fn id(&self) -> KeyId {
        self.id
    }

    /// The key of one file.
    pub(in crate::pipeline) fn of_file(&self, name: &str) -> Seal {
        let tag = hmac::sign(&self.key, format!("standpipe staged file\0{name}").as_bytes());
        Seal(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, tag.as_ref()).expect("AES-256 takes 32 bytes")))
    }
}

/// The key of one file.
pub(in crate::pipeline) struct Seal(LessSafeKey);

impl Seal {
    /// Encrypts part `number`.
    pub(in crate::pipeline) fn close(&self, number: u64, body: &mut Vec<u8>) {
        self.0
            .seal_in_place_append_tag(nonce_of(number), Aad::empty(), body)
            .expect("a part is bounded far below AES-GCM's 64 GiB");
    }

    /// Decrypts it; nothing if it was changed.
    pub(in crate::pipeline) fn open(&self, number: u64, mut body: Vec<u8>) -> Option<Vec<u8>> {
        let len = self.0.open_in_place(nonce_of(number), Aad::empty(), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }
}

fn nonce_of(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
