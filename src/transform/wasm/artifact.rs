//! Machine code that was compiled before, in a file of ours: a mark, the SHA-256 of what follows, and what the engine made.
//! Here stands the only unsafe line of the house.

use aws_lc_rs::digest::{SHA256, digest};
use wasmtime::Engine;
use wasmtime::component::Component;

const MARK: &[u8; 8] = b"standcw1";
const DIGEST_BYTES: usize = 32;

/// What the file of `component` holds.
pub(super) fn write(component: &Component) -> wasmtime::Result<Vec<u8>> {
    let code = component.serialize()?;
    Ok([MARK, digest(&SHA256, &code).as_ref(), &code].concat())
}

/// The component in a file of ours; an error where it holds anything but what was written, or is of another engine.
pub(super) fn read(engine: &Engine, file: &[u8]) -> wasmtime::Result<Component> {
    let code = verified(file).ok_or_else(|| wasmtime::format_err!("the checksum differs"))?;
    // SAFETY: the code must be what `Component::serialize` gave. It is: `write` alone makes files of this name, in a
    // directory that belongs to the service, and the checksum, over the very bytes in memory that are handed over, shows
    // that neither a crash nor the disk changed them. The engine itself refuses code of other versions and settings. Who
    // can forge file and checksum can write into the data directory, and so could replace all that the service relies on.
    #[expect(unsafe_code, reason = "compiling a large module anew at each start takes seconds")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

fn verified(file: &[u8]) -> Option<&[u8]> {
    let (sum, code) = file.strip_prefix(MARK)?.split_at_checked(DIGEST_BYTES)?;
    (digest(&SHA256, code).as_ref() == sum).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_bit_is_seen_before_anything_is_run() {
        let engine = Engine::default();
        let file = write(&Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap()).unwrap();
        assert!(read(&engine, &file).is_ok());
        for at in [0, MARK.len(), MARK.len() + DIGEST_BYTES, file.len() - 1] {
            let mut wrong = file.clone();
            wrong[at] ^= 1;
            assert!(read(&engine, &wrong).is_err(), "byte {at}");
            assert!(read(&engine, &file[..at]).is_err(), "cut at {at}");
        }
    }
}
