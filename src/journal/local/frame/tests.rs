//! Frames read back, and nothing else does.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::record::Keys;

const IDENT: Ident = Ident { stream: StreamId(9), shard: 3, nonce: 0xfeed };

fn head(offset: u32, encrypted: bool, call: Option<CallId>, count: usize) -> Head {
    Head {
        ident: IDENT,
        encrypted,
        keys: false,
        checkpoint: false,
        call,
        count: count as u32,
        first: 100,
        offset,
        durable: 7,
        arrived_ms: 1_700_000_000_123,
        seal: 5,
        body_len: 0,
        body_crc: 0,
    }
}

/// What frames are made of here: records with or without keys, with or without a checkpoint.
fn content(
    records: &[impl AsRef<[u8]>],
    keys: Option<&[impl AsRef<[u8]>]>,
    checkpoint: Option<(&str, &[u8])>,
) -> Content {
    let mut records = Records::from_slices(1_700_000_000_123, records);
    records.keys = keys.map(|keys| {
        let Records { ends, data, .. } = Records::from_slices(0, keys);
        Keys { ends, data }
    });
    let checkpoint =
        checkpoint.map(|(source, at)| Checkpoint { source: source.to_owned(), at: Bytes::copy_from_slice(at) });
    Content { records, checkpoint }
}

fn texts(texts: &[&str]) -> Content {
    content(texts, None::<&[&str]>, None)
}

fn encoded(content: &Content, cipher: Option<&Cipher>, call: Option<CallId>) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let Content { records, checkpoint } = content;
    encoder.push(head(1024, cipher.is_some(), call, records.len()), records, checkpoint.as_ref(), cipher);
    assert_eq!(encoder.len(), stored_bytes(records, checkpoint.as_ref(), cipher.is_some()));
    encoder.parts().concat()
}

fn decode(bytes: &[u8], cipher: Option<&Cipher>) -> Result<(Head, Content), Fault> {
    let head = Head::decode(bytes, IDENT, 1024)?;
    let body = bytes.get(HEAD_BYTES..HEAD_BYTES + head.body_len as usize).ok_or(Fault::Short)?;
    Ok((head, head.content(&Bytes::copy_from_slice(body), cipher)?))
}

proptest! {
    #[test]
    fn a_frame_reads_back(pairs in vec((vec(any::<u8>(), 0..40), ".{0,9}"), 1..20), keyed: bool, encrypt: bool,
                          checkpoint: Option<(String, Vec<u8>)>, call: Option<[u8; 16]>) {
        let (records, keys): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let checkpoint = checkpoint.as_ref().map(|(source, at)| (source.as_str(), &at[..]));
        let checkpoint = checkpoint.filter(|(source, _)| !source.is_empty());
        let content = content(&records, keyed.then_some(&keys[..]), checkpoint);
        let cipher = encrypt.then(|| Cipher::new(&[7; 32]));
        let call = call.map(CallId);
        let bytes = encoded(&content, cipher.as_ref(), call);
        let (head, read) = decode(&bytes, cipher.as_ref()).unwrap();
        prop_assert_eq!(read, content);
        prop_assert_eq!((head.call, head.end_offset()), (call, 1024 + bytes.len() as u64));
        prop_assert_eq!((head.keys, head.checkpoint), (keyed, checkpoint.is_some()));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes, None).is_err());
    }

    /// Every checksum is right; what the numbers in head and body say is not. What is read is never more than there is.
    #[test]
    fn lying_lengths_never_panic(body in vec(prop_oneof![Just(0), 0..5_u8, any::<u8>()], 0..60),
                                 count in prop_oneof![1..6_u32, any::<u32>()], keys: bool, checkpoint: bool) {
        let body_crc = crc32c::crc32c(&body);
        let lies = Head { count, keys, checkpoint, body_len: body.len() as u32, body_crc, ..head(1024, false, None, 1) };
        let bytes = [&lies.encode()[..], &body].concat();
        if let Ok((_, Content { records, .. })) = decode(&bytes, None) {
            prop_assert_eq!(records.len(), count as usize);
            let keys_bytes: usize = records.keys.iter().map(|keys| (0..keys.ends.len()).map(|at| keys.get(at).len()).sum::<usize>()).sum();
            prop_assert!(records.iter().map(<[u8]>::len).sum::<usize>() + keys_bytes <= body.len());
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let full = content(&["one", "", "three"], Some(&["k1", "key 2", ""]), Some(("shard-7", b"0123")));
    for (content, encrypt) in [(&full, false), (&full, true), (&texts(&["one", "", "three"]), false)] {
        let cipher = encrypt.then(|| Cipher::new(&[1; 32]));
        let bytes = encoded(content, cipher.as_ref(), Some(CallId([4; 16])));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, cipher.as_ref()).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], cipher.as_ref()).is_err(), "cut at {len}");
        }
    }
}

#[test]
fn the_parts_stand_where_the_table_says() {
    let full = content(&["one", "two2"], Some(&["k", "ey"]), Some(("src", b"at")));
    let bytes = encoded(&full, None, None);
    let expected = [
        &3_u32.to_le_bytes()[..],
        &7_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &3_u32.to_le_bytes(),
        b"key",
        &3_u16.to_le_bytes(),
        &2_u16.to_le_bytes(),
        b"srcatonetwo2",
    ];
    assert_eq!(bytes[HEAD_BYTES..], expected.concat());
    assert_eq!(u32_at(&bytes, 4), HAS_KEYS | HAS_CHECKPOINT);
}

#[test]
fn the_data_is_not_copied() {
    let full = content(&["one", "two2"], Some(&["k", "ey"]), Some(("src", b"at")));
    let mut encoder = Encoder::default();
    encoder.push(head(1024, false, None, 2), &full.records, full.checkpoint.as_ref(), None);
    let parts = encoder.parts();
    assert_eq!(parts.last().map(|part| part.as_ptr()), Some(full.records.data.as_ptr()));
}

#[test]
fn nothing_of_an_encrypted_body_is_seen() {
    let full = content(&["secret"], Some(&["secret"]), Some(("secret", b"secret")));
    let bytes = encoded(&full, Some(&Cipher::new(&[1; 32])), None);
    assert!(memchr::memmem::find(&bytes, b"secret").is_none());
}

#[test]
fn a_frame_is_valid_in_one_place_only() {
    let bytes = encoded(&texts(&["x"]), None, None);
    assert!(Head::decode(&bytes, IDENT, 1024).is_ok());
    assert_eq!(Head::decode(&bytes, IDENT, 1025), Err(Fault::Misplaced));
    for ident in [Ident { stream: StreamId(8), ..IDENT }, Ident { shard: 0, ..IDENT }, Ident { nonce: 1, ..IDENT }] {
        assert_eq!(Head::decode(&bytes, ident, 1024), Err(Fault::Misplaced));
    }
}

#[test]
fn a_flag_that_nobody_knows_is_refused() {
    let mut bytes = encoded(&texts(&["x"]), None, None);
    bytes[4] |= 16;
    let crc = crc32c::crc32c(&bytes[..88]).to_le_bytes();
    bytes[88..92].copy_from_slice(&crc);
    assert_eq!(decode(&bytes, None).unwrap_err(), Fault::Head);
}

#[test]
fn another_key_or_a_changed_head_opens_nothing() {
    let mut key = [0; 32];
    Clock::real().fill(&mut key);
    let (right, wrong) = (Cipher::new(&key), Cipher::new(&[0; 32]));
    let bytes = encoded(&texts(&["secret"]), Some(&right), None);
    assert!(decode(&bytes, Some(&right)).is_ok());
    assert_eq!(decode(&bytes, Some(&wrong)).unwrap_err(), Fault::Content);
    assert_eq!(decode(&bytes, None).unwrap_err(), Fault::Content);
    // Forged: the checksum is right again, the authentication is not.
    let mut forged = bytes;
    forged[48] ^= 1;
    let crc = crc32c::crc32c(&forged[..88]).to_le_bytes();
    forged[88..92].copy_from_slice(&crc);
    assert_eq!(decode(&forged, Some(&right)).unwrap_err(), Fault::Content);
}
