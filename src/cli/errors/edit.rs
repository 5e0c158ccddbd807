//! Mending a record on its way: by a file that is sent in its place, or by a command of the user's.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::cli::terminal::harmless;
use crate::error::{Error, Result};
use crate::limits::RECORD_BYTES_MAX;

/// What is done to each record.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Nothing.
    None,
    /// These bytes are sent in its place.
    Replace(Bytes),
    /// A shell command gets it on its standard input and prints the mended one.
    Command(String),
}

impl Edit {
    /// The mended record; `None` where the command says, by an exit code that is not 0, that it is to be left out.
    ///
    /// A mended record ends as the record did, with a line feed or without: editors and tools add one.
    pub(super) async fn apply(&self, record: Bytes, code: &str) -> Result<Option<Bytes>> {
        let mended = match self {
            Edit::None => return Ok(Some(record)),
            Edit::Replace(bytes) => Some(bytes.clone()),
            Edit::Command(command) => {
                let (command, input, code) = (command.clone(), record.clone(), code.to_owned());
                let ran = tokio::task::spawn_blocking(move || run(&command, &input, &code)).await;
                ran.map_err(io::Error::other)
                    .and_then(|ran| ran)
                    .map_err(|error| Error::invalid(format!("the command of --edit cannot be run: {error}")))?
            }
        };
        Ok(mended.map(|mended| ends_as(mended, &record)))
    }
}

fn ends_as(mended: Bytes, record: &[u8]) -> Bytes {
    match (record.ends_with(b"\n"), mended.ends_with(b"\n")) {
        (true, false) => [&mended[..], b"\n"].concat().into(),
        (false, true) => mended.slice(..mended.len() - 1),
        _ => mended,
    }
}

fn run(command: &str, record: &[u8], code: &str) -> io::Result<Option<Bytes>> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("STANDPIPE_ERROR_CODE", harmless(code))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let mut mended = Vec::new();
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            // One that does not want to read all of it may well know enough.
            input.map(|mut input| input.write_all(record))
        });
        // One byte more than can be sent shows that it is too much; what follows is let go.
        output.map_or(Ok(0), |output| output.take(RECORD_BYTES_MAX as u64 + 2).read_to_end(&mut mended))
    });
    let ended = child.wait()?;
    read?;
    Ok(ended.success().then(|| mended.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn edit(command: &str, record: &'static [u8]) -> Option<Bytes> {
        Edit::Command(command.to_owned()).apply(Bytes::from_static(record), "A.B").await.unwrap()
    }

    #[tokio::test]
    async fn a_command_mends_or_leaves_out() {
        assert_eq!(edit("sed s/NaN/null/", b"{\"a\":NaN}").await.unwrap(), "{\"a\":null}");
        assert_eq!(edit("cat; echo $STANDPIPE_ERROR_CODE", b"x\n").await.unwrap(), "x\nA.B\n");
        assert_eq!(edit("printf y", b"x\n").await.unwrap(), "y\n");
        assert_eq!(edit("echo y", b"x").await.unwrap(), "y");
        assert_eq!(edit("grep -q nothing", b"x").await, None);
        assert_eq!(edit("exit 3", "x".repeat(1 << 20).leak().as_bytes()).await, None);
        assert_eq!(edit("printf ''", b"x").await.unwrap(), "");
        let much = edit("head -c 5000000 /dev/zero", b"x").await.map_or(0, |mended| mended.len());
        assert!(much == 0 || much == RECORD_BYTES_MAX + 2, "too much is not kept: {much}");
    }

    #[tokio::test]
    async fn a_file_takes_the_place_of_a_record() {
        let replace = Edit::Replace(Bytes::from_static(b"new\n"));
        assert_eq!(replace.apply(Bytes::from_static(b"old"), "").await.unwrap().unwrap(), "new");
        assert_eq!(replace.apply(Bytes::from_static(b"old\n"), "").await.unwrap().unwrap(), "new\n");
    }
}
