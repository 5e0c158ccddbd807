//! Encryption at rest: the master key wraps a random data key for each segment, the data key seals its frames.
//!
//! A segment is written by one process life only and its frames are numbered, so that a pair of data key and nonce
//! never occurs twice, also where a torn tail was cut off.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::clock::Clock;

/// What may be told about a master key: it names it and says nothing about it.
pub(super) type KeyId = [u8; 8];

/// A data key as it stands in a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// The master key that opens it.
    pub(super) key_id: KeyId,
    /// Random.
    pub(super) nonce: [u8; NONCE_LEN],
    /// The data key, encrypted, and its tag.
    pub(super) sealed: [u8; 48],
}

/// The key from the configuration.
pub(super) struct Master {
    id: KeyId,
    key: LessSafeKey,
}

impl Master {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mut named = Zeroizing::new(b"standpipe journal master key id\0".to_vec());
        named.extend_from_slice(secret);
        let id = digest(&SHA256, &named).as_ref()[..8].try_into().expect("a SHA-256 has 32 bytes");
        Master { id, key: aes(secret) }
    }

    /// The key's public name.
    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// Makes a data key and wraps it, bound to `about` (the segment's identity).
    pub(super) fn generate(&self, clock: &Clock, about: &[u8]) -> (Cipher, Wrapped) {
        let mut data_key = Zeroizing::new([0; 32]);
        clock.fill(&mut *data_key);
        let mut nonce = [0; NONCE_LEN];
        clock.fill(&mut nonce);
        let mut sealed = Zeroizing::new(data_key.to_vec());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut *sealed)
            .expect("32 bytes are within the bounds of AES-GCM");
        let sealed = sealed[..].try_into().expect("32 bytes and a tag of 16");
        (Cipher::new(&data_key), Wrapped { key_id: self.id, nonce, sealed })
    }

    /// Opens a wrapped data key; `None` when it was wrapped by another key or for something else.
    pub(super) fn unwrap(&self, wrapped: &Wrapped, about: &[u8]) -> Option<Cipher> {
        let mut sealed = Zeroizing::new(wrapped.sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(wrapped.nonce);
        let data_key = self.key.open_in_place(nonce, Aad::from(about), &mut sealed).ok()?;
        Some(Cipher::new((&*data_key).try_into().ok()?))
    }
}

/// The data key of one segment.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// By how much sealing makes a body longer.
    pub(super) const TAG_BYTES: usize = 16;

    pub(super) fn new(key: &[u8; 32]) -> Self {
        Cipher(aes(key))
    }

    /// Encrypts `body` in place and appends the tag. `number` must never be used again with this key.
    pub(super) fn seal(&self, number: u64, head: &[u8], body: &mut Vec<u8>) {
        self.0
            .seal_in_place_append_tag(nonce_of(number), Aad::from(head), body)
            .expect("a put is bounded far below AES-GCM's 64 GiB");
    }

    /// Decrypts what [`Cipher::seal`] made; `None` when anything was changed.
    pub(super) fn open(&self, number: u64, head: &[u8], body: &[u8]) -> Option<Bytes> {
        let mut plain = body.to_vec();
        let len = self.0.open_in_place(nonce_of(number), Aad::from(head), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain.into())
    }
}

/// A key id as a person reads it.
pub(super) fn key_name(id: KeyId) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

fn aes(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

fn nonce_of(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_opens_only_under_its_master_and_for_its_segment() {
        let (right, wrong) = (Master::new(&[1; 32]), Master::new(&[2; 32]));
        assert_ne!(right.id(), wrong.id());
        let (cipher, wrapped) = right.generate(&Clock::real(), b"segment");
        let mut body = b"plain".to_vec();
        cipher.seal(1, b"head", &mut body);
        let again = right.unwrap(&wrapped, b"segment").unwrap();
        assert_eq!(again.open(1, b"head", &body).unwrap(), "plain");
        assert!(again.open(2, b"head", &body).is_none());
        assert!(right.unwrap(&wrapped, b"other").is_none());
        assert!(wrong.unwrap(&wrapped, b"segment").is_none());
    }
}
