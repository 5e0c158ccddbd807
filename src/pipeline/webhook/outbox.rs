//! Messages that wait for a receiver, on disk, so that each is sent at least once, whatever crashes.
//!
//! # Format
//! A message is a file `webhook/<stream>/<plan, 20 digits>-<id>` of one line:
//!
//! ```text
//! <CRC-32C of what follows, 8 digits> <id> <when it was written, ms since 1970> <body>
//! ```
//!
//! A plan that is carried out again may have another outcome, and other objects: an id is that of one object, so a repeat finds its own
//! messages and takes no other's for them.
//!
//! A file appears whole, and durable, or not at all, and is removed once its message was taken or given up. A removal is not made
//! durable: what comes back after a crash is sent once more, under its old id.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::disk::{Disk, Open};
use crate::error::{Error, Result};
use crate::ledger::PlanId;
use crate::limits::{WEBHOOK_MESSAGE_BYTES_MAX, WEBHOOK_WAITING_BYTES_MAX, WEBHOOK_WAITING_MAX};
use crate::record::StreamId;

use super::super::stage::blocking;

const DIR: &str = "webhook";

/// The outboxes of all delivery streams. Cheap to clone.
#[derive(Clone)]
pub struct Outboxes(Arc<All>);

struct All {
    disk: Arc<dyn Disk>,
    open: Mutex<BTreeMap<StreamId, Arc<Outbox>>>,
}

impl Outboxes {
    /// Those on `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Outboxes(Arc::new(All { disk, open: Mutex::default() }))
    }

    /// How many messages of a delivery stream wait, and why the last attempt at one failed, and when, if it did.
    pub fn seen(&self, stream: StreamId) -> (u64, Option<(String, u64)>) {
        let outbox = self.0.open.lock().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned();
        outbox.map_or((0, None), |outbox| {
            let waits = outbox.waits.borrow();
            (waits.files.len() as u64, waits.fault.clone())
        })
    }

    /// Removes the outbox of a delivery stream that is gone.
    pub async fn forget(&self, stream: StreamId) -> Result<()> {
        let outbox = self.of(stream);
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        outbox.clear().await.map(drop)
    }

    /// The outbox of a delivery stream; made on first use.
    pub(in super::super) fn of(&self, stream: StreamId) -> Arc<Outbox> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(stream).or_insert_with(|| Arc::new(Outbox::new(self.0.disk.clone(), stream))).clone()
    }
}

/// A message: what a receiver tells its repeats by, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Message {
    pub id: String,
    pub body: Bytes,
}

/// A message as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub message: Message,
    /// When it was written.
    pub made_ms: u64,
}

/// Which message: they are sent in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub plan: PlanId,
    pub id: String,
}

/// Bytes of a file, and whether it is durable.
#[derive(Clone, Copy)]
struct Held {
    bytes: u64,
    is_ready: bool,
}

/// What waits, for those who wait for it.
#[derive(Default)]
pub(super) struct Waits {
    files: BTreeMap<Name, Held>,
    bytes: u64,
    is_read: bool,
    /// Why the last attempt at a message failed, and when.
    pub fault: Option<(String, u64)>,
}

impl Waits {
    /// The next to be sent.
    pub(super) fn next(&self) -> Option<Name> {
        self.files.iter().find(|(_, held)| held.is_ready).map(|(name, _)| name.clone())
    }

    /// Whether nothing is left that would be taken now.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_read && self.files.is_empty() || self.fault.is_some()
    }

    fn has_room(&self, bytes: u64) -> bool {
        let is_readable = bytes <= WEBHOOK_MESSAGE_BYTES_MAX as u64;
        is_readable && self.files.len() < WEBHOOK_WAITING_MAX && self.bytes + bytes <= WEBHOOK_WAITING_BYTES_MAX
    }

    fn insert(&mut self, name: Name, held: Held) {
        self.bytes += held.bytes;
        self.files.insert(name, held);
    }

    fn remove(&mut self, name: &Name) {
        self.bytes -= self.files.remove(name).map_or(0, |held| held.bytes);
    }
}

/// The outbox of one delivery stream.
pub(in super::super) struct Outbox {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Whether the directory is there, durably.
    is_made: AtomicBool,
    waits: watch::Sender<Waits>,
}

impl Outbox {
    fn new(disk: Arc<dyn Disk>, stream: StreamId) -> Self {
        Outbox {
            disk,
            dir: Path::new(DIR).join(stream.to_string()),
            is_made: AtomicBool::new(false),
            waits: watch::Sender::default(),
        }
    }

    /// What waits, for whoever wants to hear of it.
    pub(super) fn waits(&self) -> watch::Receiver<Waits> {
        self.waits.subscribe()
    }

    /// Says how the last attempt ended.
    pub(super) fn note(&self, fault: Option<(String, u64)>) {
        self.waits.send_modify(|waits| waits.fault = fault);
    }

    /// Finds what an earlier process left, once. Before that nothing is kept, and nothing is there to be sent.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) async fn open(self: &Arc<Self>) -> Result<()> {
        if self.waits.borrow().is_read {
            return Ok(());
        }
        let outbox = self.clone();
        let found = blocking(move || outbox.list()).await?;
        self.waits.send_if_modified(|waits| {
            // Who was first may have kept and removed messages since.
            if waits.is_read {
                return false;
            }
            for (name, bytes) in found {
                waits.insert(name, Held { bytes, is_ready: true });
            }
            waits.is_read = true;
            true
        });
        Ok(())
    }

    /// Keeps the messages of a plan; how many there was no room for. When it returns, the others are durable.
    ///
    /// # Errors
    /// When the disk fails: then none of them is kept.
    pub(super) async fn keep(self: &Arc<Self>, plan: PlanId, made_ms: u64, messages: Vec<Message>) -> Result<u64> {
        self.open().await?;
        let outbox = self.clone();
        // It goes to its end, also when nobody waits for it any more: what is noted of a file must be so.
        blocking(move || outbox.keep_now(plan, made_ms, &messages)).await
    }

    fn keep_now(&self, plan: PlanId, made_ms: u64, messages: &[Message]) -> Result<u64> {
        let (mut files, mut dropped) = (Vec::new(), 0);
        for message in messages {
            let (name, line) = (Name { plan, id: message.id.clone() }, line(message, made_ms));
            let bytes = line.len() as u64;
            self.waits.send_if_modified(|waits| {
                match waits.files.get(&name) {
                    // The plan was carried out before, and not committed.
                    Some(held) if held.is_ready => {}
                    Some(_) => files.push((name, line)),
                    None if waits.has_room(bytes) => {
                        waits.insert(name.clone(), Held { bytes, is_ready: false });
                        files.push((name, line));
                    }
                    None => dropped += 1,
                }
                false
            });
        }
        let written = if files.is_empty() { Ok(()) } else { self.write(&files) };
        if written.is_err() {
            // What was linked all the same: it is counted as dropped.
            for (name, _) in &files {
                _ = self.disk.remove(&self.path(name));
            }
        }
        self.waits.send_modify(|waits| {
            for (name, _) in &files {
                match (&written, waits.files.get_mut(name)) {
                    (Ok(()), Some(held)) => held.is_ready = true,
                    (Ok(()), None) => {}
                    (Err(_), _) => waits.remove(name),
                }
            }
        });
        written.map(|()| dropped).map_err(|error| failed("written", error))
    }

    /// What is kept under a name; nothing if it is gone or damaged.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) async fn read(self: &Arc<Self>, name: &Name) -> Result<Option<Letter>> {
        let (outbox, path) = (self.clone(), self.path(name));
        blocking(move || match outbox.read_now(&path) {
            Ok(line) => Ok(letter(&line)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", error)),
        })
        .await
    }

    /// Removes a message. One that cannot be removed is sent again by the next process.
    pub(super) async fn remove(self: &Arc<Self>, name: &Name) {
        let (outbox, path) = (self.clone(), self.path(name));
        let removed = blocking(move || outbox.disk.remove(&path).map_err(|error| failed("removed", error)));
        if let Err(error) = removed.await {
            tracing::warn!(%error, "a webhook's message is sent again after the next start");
        }
        self.waits.send_modify(|waits| waits.remove(name));
    }

    /// Removes everything; how many messages that were.
    pub(super) async fn clear(self: &Arc<Self>) -> Result<usize> {
        let outbox = self.clone();
        let removed = blocking(move || outbox.clear_now()).await;
        self.waits.send_modify(|waits| *waits = Waits { is_read: removed.is_ok(), ..Waits::default() });
        removed
    }

    fn clear_now(&self) -> Result<usize> {
        self.is_made.store(false, Ordering::Release);
        let found = match self.disk.list(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(failed("listed", error)),
        };
        for entry in &found {
            self.disk.remove(&self.dir.join(&entry.name)).map_err(|error| failed("removed", error))?;
        }
        self.disk.remove_dir(&self.dir).map_err(|error| failed("removed", error))?;
        Ok(found.len())
    }

    fn list(&self) -> Result<Vec<(Name, u64)>> {
        match self.disk.list(&self.dir) {
            Ok(entries) => Ok(entries.iter().filter_map(|entry| Some((name(&entry.name)?, entry.len))).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("listed", error)),
        }
    }

    fn write(&self, files: &[(Name, Vec<u8>)]) -> io::Result<()> {
        if !self.is_made.load(Ordering::Acquire) {
            self.disk.create_dirs(&self.dir)?;
            [DIR, ""].into_iter().try_for_each(|dir| self.disk.sync_dir(Path::new(dir)))?;
            self.is_made.store(true, Ordering::Release);
        }
        for (name, line) in files {
            let file = self.disk.unnamed(&self.dir)?;
            file.write_at(0, &[line])?;
            file.sync()?;
            match file.link(&self.path(name)) {
                // By an earlier attempt, whose pipeline did not wait for it; what has a name was synced.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => linked?,
            }
        }
        self.disk.sync_dir(&self.dir)
    }

    fn read_now(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path, Open::Read)?;
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(WEBHOOK_MESSAGE_BYTES_MAX);
        let mut line = vec![0; len];
        file.read_at(0, &mut line)?;
        Ok(line)
    }

    fn path(&self, Name { plan, id }: &Name) -> PathBuf {
        self.dir.join(format!("{plan:020}-{id}"))
    }
}

fn name(file: &str) -> Option<Name> {
    let (plan, id) = file.split_once('-')?;
    let name = Name { plan: plan.parse().ok()?, id: id.to_owned() };
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_id && plan == format!("{:020}", name.plan)).then_some(name)
}

fn line(Message { id, body }: &Message, made_ms: u64) -> Vec<u8> {
    let text = [format!("{id} {made_ms} ").as_bytes(), body].concat();
    [format!("{:08x} ", crc32c::crc32c(&text)).as_bytes(), &text, b"\n"].concat()
}

fn letter(line: &[u8]) -> Option<Letter> {
    let (sum, text) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    if format!("{:08x}", crc32c::crc32c(text.as_bytes())) != sum {
        return None;
    }
    let (id, rest) = text.split_once(' ')?;
    let (made_ms, body) = rest.split_once(' ')?;
    let message = Message { id: id.to_owned(), body: Bytes::copy_from_slice(body.as_bytes()) };
    Some(Letter { message, made_ms: made_ms.parse().ok()? })
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::unavailable(format!("a webhook's messages cannot be {what} in {DIR}")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::{Op, SimDisk};

    const STREAM: StreamId = StreamId(7);

    fn message(text: &str) -> Message {
        Message { id: format!("id-{text}"), body: format!("{{\"text\":\"{text}\"}}").into() }
    }

    fn name_of(plan: PlanId, text: &str) -> Name {
        Name { plan, id: message(text).id }
    }

    async fn open(disk: &SimDisk) -> Arc<Outbox> {
        let outbox = Outboxes::new(Arc::new(disk.clone())).of(STREAM);
        outbox.open().await.unwrap();
        outbox
    }

    async fn all(outbox: &Arc<Outbox>) -> Vec<(Name, Letter)> {
        let mut all = Vec::new();
        let names: Vec<_> = outbox.waits.borrow().files.keys().cloned().collect();
        for name in names {
            let letter = outbox.read(&name).await.unwrap().unwrap();
            all.push((name, letter));
        }
        all
    }

    #[tokio::test]
    async fn messages_wait_in_the_order_of_their_plans_until_they_are_removed() {
        let disk = SimDisk::new(1);
        let outbox = open(&disk).await;
        assert_eq!(outbox.keep(12, 5, vec![message("c")]).await.unwrap(), 0);
        assert_eq!(outbox.keep(3, 6, vec![message("a"), message("b")]).await.unwrap(), 0);
        // The plan is carried out again: what waits of it is not told twice.
        assert_eq!(outbox.keep(3, 9, vec![message("a"), message("b")]).await.unwrap(), 0);
        disk.crash();
        let outbox = open(&disk).await;
        let letter = |plan, text, made_ms| (name_of(plan, text), Letter { message: message(text), made_ms });
        assert_eq!(all(&outbox).await, [letter(3, "a", 6), letter(3, "b", 6), letter(12, "c", 5)]);
        let first = outbox.waits.borrow().next().unwrap();
        outbox.remove(&first).await;
        assert_eq!(outbox.waits.borrow().next(), Some(name_of(3, "b")));
        assert_eq!(outbox.clear().await.unwrap(), 2);
        assert!(disk.files().is_empty() && outbox.waits.borrow().is_at_rest());
        assert_eq!(outbox.clear().await.unwrap(), 0, "there is no directory any more");
        assert_eq!(outbox.keep(13, 7, vec![message("d")]).await.unwrap(), 0, "it is made again");
    }

    #[tokio::test]
    async fn a_plan_that_ends_otherwise_when_it_is_repeated_has_each_object_told() {
        let disk = SimDisk::new(2);
        open(&disk).await.keep(3, 5, vec![message("b"), message("c")]).await.unwrap();
        disk.crash();
        let outbox = open(&disk).await;
        assert_eq!(outbox.keep(3, 6, vec![message("a"), message("c"), message("d")]).await.unwrap(), 0);
        let told = all(&outbox).await.into_iter().map(|(name, letter)| (name.id, letter.message, letter.made_ms));
        let expected = [("a", 6), ("b", 5), ("c", 5), ("d", 6)];
        let expected = expected.map(|(text, made_ms)| (message(text).id, message(text), made_ms));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn before_it_is_known_what_is_there_nothing_is_kept() {
        let disk = SimDisk::new(2);
        open(&disk).await.keep(3, 5, vec![message("a")]).await.unwrap();
        let outbox = Outboxes::new(Arc::new(disk.clone())).of(STREAM);
        disk.fail_from(Op::List, 1, io::ErrorKind::PermissionDenied);
        outbox.open().await.unwrap_err();
        outbox.keep(4, 5, vec![message("b")]).await.unwrap_err();
        assert!(!outbox.waits.borrow().is_at_rest(), "there may be something to be sent");
        disk.heal();
        assert_eq!(outbox.keep(5, 5, vec![message("c")]).await.unwrap(), 0);
        outbox.open().await.unwrap();
        let names: Vec<_> = all(&outbox).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [name_of(3, "a"), name_of(5, "c")]);
    }

    #[tokio::test]
    async fn whatever_operation_the_power_fails_at_what_was_kept_is_there_whole() {
        let mut crashes = 0;
        for at in 0.. {
            let disk = SimDisk::new(at);
            disk.crash_after(at);
            let outbox = open(&disk).await;
            let (mut kept, mut removed) = (Vec::new(), Vec::new());
            let mut failed = false;
            for plan in 0..4 {
                let texts = [format!("{plan}-a"), format!("{plan}-b")];
                failed |= outbox.keep(plan, plan, texts.iter().map(|text| message(text)).collect()).await.is_err();
                if failed {
                    break;
                }
                kept.extend(texts.iter().map(|text| (name_of(plan, text), message(text))));
                if plan % 2 == 1 {
                    let name = outbox.waits.borrow().next().unwrap();
                    outbox.remove(&name).await;
                    removed.push(name);
                }
            }
            disk.crash();
            let found = all(&open(&disk).await).await;
            for (name, letter) in &found {
                let text = name.id.strip_prefix("id-").unwrap();
                assert_eq!(letter.message, message(text), "crash at {at}");
            }
            for (name, message) in kept {
                let is_there = found.iter().any(|(found, letter)| *found == name && letter.message == message);
                assert!(is_there || removed.contains(&name), "crash at {at}: {name:?} is lost");
            }
            if !failed {
                break;
            }
            crashes += 1;
        }
        assert!(crashes > 20, "{crashes}");
    }

    #[tokio::test]
    async fn a_disk_that_fails_keeps_nothing_and_a_later_message_is_kept() {
        for op in [Op::CreateDirs, Op::Create, Op::Write, Op::Sync, Op::Link, Op::SyncDir] {
            let disk = SimDisk::new(3);
            let outbox = open(&disk).await;
            disk.fail(op, 0, io::ErrorKind::StorageFull);
            outbox.keep(1, 1, vec![message("a")]).await.unwrap_err();
            assert!(outbox.waits.borrow().files.is_empty(), "{op:?}");
            outbox.keep(1, 1, vec![message("a")]).await.unwrap();
            assert_eq!(all(&open(&disk).await).await.len(), 1, "{op:?}");
        }
    }

    #[tokio::test]
    async fn beyond_its_bounds_the_oldest_are_kept() {
        let disk = SimDisk::new(4);
        let outbox = open(&disk).await;
        let large = Message { id: "l".into(), body: "x".repeat(WEBHOOK_MESSAGE_BYTES_MAX - 100).into() };
        let fit = WEBHOOK_WAITING_BYTES_MAX / (WEBHOOK_MESSAGE_BYTES_MAX as u64 - 50);
        for plan in 0..fit {
            assert_eq!(outbox.keep(plan, 1, vec![large.clone()]).await.unwrap(), 0, "{plan}");
        }
        assert_eq!(outbox.keep(fit + 1, 1, vec![large.clone(), message("small")]).await.unwrap(), 1);
        let last = outbox.waits.borrow().files.keys().last().cloned();
        assert_eq!(last, Some(name_of(fit + 1, "small")));
        let larger = Message { body: "x".repeat(WEBHOOK_MESSAGE_BYTES_MAX).into(), ..large };
        assert_eq!(outbox.keep(fit + 2, 1, vec![larger]).await.unwrap(), 1, "it could not be read again");
        let mut full = Waits::default();
        for plan in 0..WEBHOOK_WAITING_MAX as u64 {
            assert!(full.has_room(1));
            full.insert(name_of(plan, "a"), Held { bytes: 1, is_ready: true });
        }
        assert!(!full.has_room(1));
    }

    #[tokio::test]
    async fn what_is_damaged_or_is_not_ours_is_not_sent() {
        let disk = SimDisk::new(5);
        open(&disk).await.keep(1, 1, vec![message("a")]).await.unwrap();
        let file = disk.files()[0].clone();
        let whole = disk.read(&file).unwrap();
        assert_eq!(whole, b"a2e50e20 id-a 1 {\"text\":\"a\"}\n", "{}", String::from_utf8_lossy(&whole));
        for bit in 0..whole.len() * 8 {
            disk.overwrite(&file, 0, &whole);
            disk.flip(&file, bit);
            let outbox = open(&disk).await;
            let name = outbox.waits.borrow().next().unwrap();
            assert_eq!(outbox.read(&name).await.unwrap(), None, "bit {bit}");
        }
        assert_eq!(letter(b""), None);
        for strange in
            [".tmp-1", "1-2", "00000000000000000001-", "00000000000000000001-a.b", "+0000000000000000001-a", "x"]
        {
            assert_eq!(name(strange), None, "{strange}");
        }
    }
}
