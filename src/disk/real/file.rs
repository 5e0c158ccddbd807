//! An open file of the real file system.

use std::io::{self, IoSlice};

use rustix::fd::OwnedFd;
use rustix::fs::{Advice, fadvise, fdatasync, fstat, ftruncate};
use rustix::io::{pread, pwritev, retry_on_intr};

use crate::disk::File;

/// How many parts Linux takes in one call (UIO_MAXIOV).
const PARTS_MAX: usize = 1024;

pub(super) struct RealFile(pub(super) OwnedFd);

impl File for RealFile {
    fn write_at(&self, mut offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let now = &rest[..rest.len().min(PARTS_MAX)];
            let written = retry_on_intr(|| pwritev(&self.0, now, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn read_at(&self, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            let read = retry_on_intr(|| pread(&self.0, &mut *into, offset))?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += read as u64;
            into = &mut into[read..];
        }
        Ok(())
    }

    /// Not tried again when interrupted: the trait forbids it after any failure.
    fn sync(&self) -> io::Result<()> {
        Ok(fdatasync(&self.0)?)
    }

    /// Advice that Linux follows for every page that is clean and not mapped: after a sync, all of ours.
    fn forget(&self) -> io::Result<()> {
        Ok(fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| ftruncate(&self.0, len))?)
    }

    fn len(&self) -> io::Result<u64> {
        u64::try_from(fstat(&self.0)?.st_size).map_err(io::Error::other)
    }
}
