//! A document that is always there whole: the old one or the new one, whatever crashes.
//!
//! # Format
//! A directory holds files `<20 digits>.json`; the one with the highest number is the document. Each is
//! `{"format": 1, "crc32c": <number>, "<name>": {...}}`, where the checksum is over the bytes of the last member as they
//! stand in the file.
//!
//! Each save writes a new file with the next number: without a name, synced, then linked, then the directory synced.
//! So a file that has a name is whole, and the old document or the new one is there after a crash, never none. The
//! file before the newest is kept for a person; older ones are removed.
//!
//! A newest file that is damaged is therefore never a torn write, and the service refuses to start with it: the
//! changes in it were acknowledged, and the file before lacks them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Disk, Open};
use crate::error::{Error, Kind, Result};

const DIGITS: usize = 20;

/// Where a document is, and what it may be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The directory, which nothing else uses.
    pub dir: &'static str,
    /// What it is called in its files, and in errors after an article: "a catalog".
    pub name: &'static str,
    /// The number of its format; another one is refused.
    pub format: u32,
    /// Bytes of a file.
    pub bytes_max: usize,
}

/// The saved states of one document. There is one writer: whoever holds this.
pub struct Documents {
    disk: Arc<dyn Disk>,
    place: Place,
    /// The number of the next file.
    next: u64,
}

impl Documents {
    /// Reads the newest state; the default where there is none.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Invalid` when it has another format; `Unavailable` when the disk fails.
    pub async fn open<T>(disk: Arc<dyn Disk>, place: Place) -> Result<(Self, T)>
    where
        T: DeserializeOwned + Default + Send + 'static,
    {
        blocking(place, move || {
            let (newest, state) = place.load(disk.as_ref())?;
            Ok((Documents { disk, place, next: newest + 1 }, state))
        })
        .await
    }

    /// Makes `state` the document; durable when it returns `Ok`. After an error it may or may not be: the next save takes
    /// another number, so nothing is written twice.
    ///
    /// # Errors
    /// `Throttled` when it would have too many bytes, and then nothing is changed; `Unavailable` when the disk fails.
    pub async fn save<T: Serialize>(&mut self, state: &T) -> Result<()> {
        let bytes = self.place.encode(state)?;
        let (disk, place, number) = (self.disk.clone(), self.place, self.next);
        self.next += 1;
        blocking(place, move || {
            place.write(disk.as_ref(), number, &bytes).map_err(|error| {
                Error::unavailable(format!("cannot store {}", place.path(number).display())).because(error)
            })?;
            place.remove_before(disk.as_ref(), number - 1);
            Ok(())
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(place: Place, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::new(Kind::Internal, format!("the disk work of {} was stopped", place.dir)).because(error))
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

impl Place {
    fn path(self, number: u64) -> PathBuf {
        Path::new(self.dir).join(format!("{number:0DIGITS$}.json"))
    }

    fn encode<T: Serialize>(self, state: &T) -> Result<Vec<u8>> {
        let Place { name, format, bytes_max, .. } = self;
        let text = serde_json::to_string(state).expect("a document has string keys only");
        let crc32c = crc32c::crc32c(text.as_bytes());
        let bytes = format!("{{\"format\":{format},\"crc32c\":{crc32c},\"{name}\":{text}}}").into_bytes();
        if bytes.len() > bytes_max {
            let said = format!("the {name} would have {} bytes, more than {bytes_max}", bytes.len());
            return Err(Error::new(Kind::Throttled, said));
        }
        Ok(bytes)
    }

    fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        let name = self.name;
        let damaged = |what: &str| Error::corrupt(format!("damaged: {what}"));
        let not_one = format!("not a {name}");
        let members: BTreeMap<&str, &RawValue> =
            serde_json::from_slice(bytes).map_err(|error| damaged(&not_one).because(error))?;
        let number = |member: &str| members.get(member).and_then(|value| value.get().parse::<u32>().ok());
        let (Some(format), Some(crc32c), Some(content)) = (number("format"), number("crc32c"), members.get(name))
        else {
            return Err(damaged(&not_one));
        };
        if format != self.format {
            return Err(Error::invalid(format!("has format {format}, this version reads {}", self.format)));
        }
        let text = content.get();
        if crc32c::crc32c(text.as_bytes()) != crc32c {
            return Err(damaged("its checksum does not match"));
        }
        serde_json::from_str(text)
            .map_err(|error| damaged(&format!("its content is not that of a {name}")).because(error))
    }

    fn load<T: DeserializeOwned + Default>(self, disk: &dyn Disk) -> Result<(u64, T)> {
        let dir = Path::new(self.dir);
        let failed =
            |error: std::io::Error| Error::unavailable(format!("cannot read directory {}", self.dir)).because(error);
        disk.create_dirs(dir).map_err(failed)?;
        disk.sync_dir(Path::new("")).map_err(failed)?;
        let entries = disk.list(dir).map_err(failed)?;
        let files = entries.iter().filter(|entry| !entry.is_dir);
        let Some(newest) = files.filter_map(|entry| number_of(&entry.name)).max() else {
            return Ok((0, T::default()));
        };
        let path = self.path(newest);
        let bytes = self
            .read(disk, &path)
            .map_err(|error| Error::unavailable(format!("cannot read {}", path.display())).because(error))?;
        let state = self.decode(&bytes).map_err(|error| {
            let said = format!(
                "{} {}; restore it from a backup, or remove it to go back to the file before, which lacks the last \
                 change",
                path.display(),
                error.message()
            );
            Error::new(error.kind(), said).because(error)
        })?;
        Ok((newest, state))
    }

    fn read(self, disk: &dyn Disk, path: &Path) -> std::io::Result<Vec<u8>> {
        let file = disk.open(path, Open::Read)?;
        let (len, bytes_max) = (file.len()?, self.bytes_max);
        if len > bytes_max as u64 {
            return Err(std::io::Error::other(format!("it has {len} bytes, more than {bytes_max}")));
        }
        let mut bytes = vec![0; usize::try_from(len).expect("bounded above")];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn write(self, disk: &dyn Disk, number: u64, bytes: &[u8]) -> std::io::Result<()> {
        let dir = Path::new(self.dir);
        let file = disk.unnamed(dir)?;
        file.write_at(0, &[bytes])?;
        file.sync()?;
        file.link(&self.path(number))?;
        disk.sync_dir(dir)
    }

    /// Removes files older than `number`. What cannot be removed now is removed by a later save.
    fn remove_before(self, disk: &dyn Disk, number: u64) {
        let Ok(entries) = disk.list(Path::new(self.dir)) else { return };
        for old in entries.iter().filter_map(|entry| number_of(&entry.name)).filter(|&old| old < number) {
            let path = self.path(old);
            if let Err(error) = disk.remove(&path) {
                tracing::warn!(%error, file = %path.display(), "cannot remove an old state");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sim::SimDisk;
    use super::*;

    const PLACE: Place = Place { dir: "things", name: "thing", format: 3, bytes_max: 200 };
    const FIRST: &str = "things/00000000000000000001.json";

    async fn open(disk: &SimDisk) -> Result<(Documents, Vec<u32>)> {
        Documents::open(Arc::new(disk.clone()), PLACE).await
    }

    /// A file of its own, as this format has always been.
    fn file(format: u32, crc32c: u32, content: &str) -> Vec<u8> {
        format!("{{\"format\":{format},\"crc32c\":{crc32c},\"thing\":{content}}}").into_bytes()
    }

    #[tokio::test]
    async fn what_was_saved_is_there_and_one_before_it() {
        let disk = SimDisk::new(1);
        let (mut documents, state) = open(&disk).await.unwrap();
        assert!(state.is_empty());
        for number in 1..5 {
            documents.save(&vec![number]).await.unwrap();
        }
        let names = [3, 4].map(|number| format!("things/{number:020}.json"));
        assert_eq!(disk.files(), names);
        disk.crash();
        let (mut documents, state) = open(&disk).await.unwrap();
        assert_eq!(state, [4]);
        documents.save(&vec![5]).await.unwrap();
        assert_eq!(open(&disk).await.unwrap().1, [5]);
    }

    #[tokio::test]
    async fn the_format_is_what_it_was() {
        let disk = SimDisk::new(2);
        disk.put(FIRST, &file(3, crc32c::crc32c(b"[7, 8]"), "[7, 8]"));
        let (mut documents, state) = open(&disk).await.unwrap();
        assert_eq!(state, [7, 8]);
        documents.save(&state).await.unwrap();
        let second = disk.read("things/00000000000000000002.json").unwrap();
        assert_eq!(second, file(3, crc32c::crc32c(b"[7,8]"), "[7,8]"));
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_refused_by_name() {
        let sum = crc32c::crc32c(b"[7]");
        let of_words = crc32c::crc32c(b"\"seven\"");
        for (bytes, kind, said) in [
            (Vec::new(), Kind::Corrupt, "not a thing"),
            (b"[]".to_vec(), Kind::Corrupt, "not a thing"),
            (b"{\"format\":3,\"crc32c\":1}".to_vec(), Kind::Corrupt, "not a thing"),
            (file(4, sum, "[7]"), Kind::Invalid, "has format 4, this version reads 3"),
            (file(3, sum ^ 1, "[7]"), Kind::Corrupt, "its checksum does not match"),
            (file(3, sum, "[8]"), Kind::Corrupt, "its checksum does not match"),
            (file(3, of_words, "\"seven\""), Kind::Corrupt, "its content is not that of a thing"),
            (vec![b' '; 201], Kind::Unavailable, "cannot read"),
        ] {
            let disk = SimDisk::new(3);
            disk.put(FIRST, &bytes);
            let error = open(&disk).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(said) && error.message().contains(FIRST), "{error}");
        }
    }

    #[tokio::test]
    async fn too_much_is_refused_and_changes_nothing() {
        let disk = SimDisk::new(4);
        let (mut documents, _) = open(&disk).await.unwrap();
        documents.save(&vec![1]).await.unwrap();
        let error = documents.save(&vec![u32::MAX; 100]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Throttled);
        assert_eq!(open(&disk).await.unwrap().1, [1]);
    }

    #[tokio::test]
    async fn after_a_crash_the_old_one_or_the_new_one_is_there() {
        for at in 0..40 {
            let disk = SimDisk::new(at);
            disk.crash_after(at);
            let mut saved = 0;
            if let Ok((mut documents, _)) = open(&disk).await {
                while saved < 6 && documents.save(&vec![saved + 1]).await.is_ok() {
                    saved += 1;
                }
            }
            disk.crash();
            let state = open(&disk).await.unwrap().1.first().copied().unwrap_or_default();
            assert!(state == saved || state == saved + 1, "crash at {at}: {state} after {saved}");
        }
    }
}
