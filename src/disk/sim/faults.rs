//! Which operation fails, when, and how.

use std::io;

/// The kinds of operations that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Opening a file that exists; also asking for the space on the disk.
    Open,
    /// Making a file, named or not.
    Create,
    /// `File::write_at`.
    Write,
    /// `File::read_at`.
    Read,
    /// `File::sync`.
    Sync,
    /// `File::set_len`.
    SetLen,
    /// `Unnamed::link`.
    Link,
    /// `Disk::list`.
    List,
    /// `Disk::create_dirs`.
    CreateDirs,
    /// `Disk::rename`.
    Rename,
    /// `Disk::remove` and `Disk::remove_dir`.
    Remove,
    /// `Disk::sync_dir`.
    SyncDir,
    /// `Disk::lock`.
    Lock,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// With an error of this kind.
    Kind(io::ErrorKind),
    /// With this error number.
    Errno(i32),
}

impl From<io::ErrorKind> for Fault {
    fn from(kind: io::ErrorKind) -> Self {
        Fault::Kind(kind)
    }
}

impl From<i32> for Fault {
    fn from(errno: i32) -> Self {
        Fault::Errno(errno)
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Kind(kind) => io::Error::new(kind, "a fault that the test ordered"),
            Fault::Errno(errno) => io::Error::from_raw_os_error(errno),
        }
    }
}

/// What becomes of an operation.
pub(super) enum Fate {
    /// It is carried out.
    Done,
    /// It fails without any effect.
    Refused(io::Error),
    /// It fails and may have had its effect, or part of it.
    Failed(io::Error),
}

struct Order {
    op: Op,
    /// How many of this kind are to be let through before.
    before: u64,
    fault: Fault,
    stays: bool,
}

/// The faults that were ordered, and the count of operations.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) operations: u64,
    /// Everything fails from this count on.
    crash_at: Option<u64>,
    crashed: bool,
    orders: Vec<Order>,
}

impl Faults {
    pub(super) fn crash_after(&mut self, n: u64) {
        self.crash_at = Some(self.operations + n);
    }

    pub(super) fn order(&mut self, op: Op, nth: u64, fault: Fault, stays: bool) {
        self.orders.push(Order { op, before: nth.saturating_sub(1), fault, stays });
    }

    pub(super) fn heal(&mut self) {
        self.orders.clear();
    }

    pub(super) fn reset(&mut self) {
        self.orders.clear();
        self.crash_at = None;
        self.crashed = false;
    }

    /// The fate of an operation that changes something; counts it.
    pub(super) fn change(&mut self, op: Op) -> Fate {
        if self.crashed {
            return Fate::Refused(crashed());
        }
        let number = self.operations;
        self.operations += 1;
        if self.crash_at.is_some_and(|at| number >= at) {
            self.crashed = true;
            return Fate::Failed(crashed());
        }
        self.ordered(op).map_or(Fate::Done, Fate::Failed)
    }

    /// The fate of an operation that only looks.
    pub(super) fn observe(&mut self, op: Op) -> io::Result<()> {
        if self.crashed {
            return Err(crashed());
        }
        self.ordered(op).map_or(Ok(()), Err)
    }

    fn ordered(&mut self, op: Op) -> Option<io::Error> {
        let mut failed = None;
        self.orders.retain_mut(|order| {
            if order.op != op || failed.is_some() {
                return true;
            }
            if order.before > 0 {
                order.before -= 1;
                return true;
            }
            failed = Some(order.fault.error());
            order.stays
        });
        failed
    }
}

pub(super) fn crashed() -> io::Error {
    io::Error::other("crashed")
}
