//! The data directory as a whole: one process at a time, and of a format that this program reads.

use std::io;
use std::path::Path;

use crate::disk::{Disk, Lock, Open};
use crate::error::{Error, Kind, Result};

/// The format of everything in the data directory that this program writes and reads.
const FORMAT: &str = "1";
const FORMAT_FILE: &str = "format";
const NEW_FORMAT_FILE: &str = "format.new";
const LOCK_FILE: &str = "lock";
/// A format file is a number and a line end.
const FORMAT_BYTES_MAX: u64 = 64;

/// Takes the data directory for this process, as long as the lock lives, and marks a new one with its format.
/// `Conflict` when another process has it, `Invalid` when it is of another format or is not a data directory.
pub fn claim(disk: &dyn Disk) -> Result<Box<dyn Lock>> {
    let lock = disk.lock(Path::new(LOCK_FILE)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(Kind::Conflict, "data directory is in use by another process"),
        _ => Error::unavailable("cannot lock the data directory").because(error),
    })?;
    match read_format(disk).map_err(|error| Error::unavailable("cannot read the data directory").because(error))? {
        Some(format) if format.trim_end() == FORMAT => {}
        Some(format) => {
            let format = format.trim_end();
            return Err(Error::invalid(format!("data directory is of format {format:?}, this program reads {FORMAT}")));
        }
        None => mark(disk)?,
    }
    Ok(lock)
}

fn read_format(disk: &dyn Disk) -> io::Result<Option<String>> {
    let file = match disk.open(Path::new(FORMAT_FILE), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; file.len()?.min(FORMAT_BYTES_MAX) as usize];
    file.read_at(0, &mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes the format of a directory that is new: where there is anything else in it, it is not ours.
fn mark(disk: &dyn Disk) -> Result<()> {
    let failed = |error: io::Error| Error::unavailable("cannot prepare the data directory").because(error);
    let known = [LOCK_FILE, NEW_FORMAT_FILE, "lost+found"];
    let entries = disk.list(Path::new("")).map_err(failed)?;
    if let Some(other) = entries.iter().find(|entry| !known.contains(&entry.name.as_str())) {
        return Err(Error::invalid(format!(
            "data directory has no file {FORMAT_FILE:?} and holds {:?}: it is not one of this program, or it was damaged",
            other.name
        )));
    }
    let write = || {
        super::keeper::remove_if_there(disk, Path::new(NEW_FORMAT_FILE))?;
        let file = disk.open(Path::new(NEW_FORMAT_FILE), Open::CreateNew)?;
        file.write_at(0, &[FORMAT.as_bytes(), b"\n"])?;
        file.sync()?;
        disk.rename(Path::new(NEW_FORMAT_FILE), Path::new(FORMAT_FILE))?;
        disk.sync_dir(Path::new(""))
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn one_process_at_a_time() {
        let disk = SimDisk::new(1);
        let lock = claim(&disk).unwrap();
        let error = claim(&disk).err().unwrap();
        assert_eq!(error.to_string(), "data directory is in use by another process");
        drop(lock);
        drop(claim(&disk).unwrap());
        disk.crash();
        assert!(claim(&disk).is_ok());
    }

    #[test]
    fn another_format_is_refused_and_so_is_a_foreign_directory() {
        let disk = SimDisk::new(1);
        disk.put("format", b"2\n");
        let error = claim(&disk).err().unwrap();
        assert_eq!(error.to_string(), "data directory is of format \"2\", this program reads 1");
        let disk = SimDisk::new(1);
        disk.put("holiday.jpg", b"");
        let error = claim(&disk).err().unwrap();
        assert!(error.to_string().contains("\"holiday.jpg\""), "{error}");
    }

    #[test]
    fn a_crash_at_any_step_of_the_first_start_is_harmless() {
        for seed in 0..20 {
            for step in 0..8 {
                let disk = SimDisk::new(seed);
                disk.crash_after(step);
                let _ = claim(&disk);
                disk.crash();
                assert!(claim(&disk).is_ok(), "seed {seed} step {step}");
                assert_eq!(disk.read("format").unwrap(), b"1\n");
            }
        }
    }
}
