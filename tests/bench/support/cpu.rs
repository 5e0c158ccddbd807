//! CPU time by thread, from /proc: a benchmark of a path that waits for sockets and disks counts its work only.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a thread, or all threads of this process, have used.
pub enum Cpu {
    /// The thread with this directory in /proc.
    Thread(PathBuf),
    /// All threads that are there now.
    Process,
}

impl Cpu {
    /// The calling thread, whoever asks later.
    pub fn of_this_thread() -> Self {
        let link = fs::read_link("/proc/thread-self").expect("Linux has it");
        Cpu::Thread(Path::new("/proc").join(link))
    }

    /// CPU time up to now.
    pub fn used(&self) -> Duration {
        match self {
            Cpu::Thread(dir) => of(dir),
            Cpu::Process => {
                let threads = fs::read_dir("/proc/self/task").expect("Linux has it");
                threads.map(|thread| of(&thread.expect("a directory of threads").path())).sum()
            }
        }
    }
}

fn of(thread: &Path) -> Duration {
    let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
    // A thread that ended in between counts for nothing.
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Adds up what one benchmark has used over all its rounds.
#[derive(Default)]
pub struct Meter {
    mb: Cell<f64>,
    seconds: Cell<f64>,
}

impl Meter {
    /// Counts a run over so many bytes.
    pub fn add(&self, bytes: u64, cpu: Duration) {
        self.mb.set(self.mb.get() + bytes as f64 / 1e6);
        self.seconds.set(self.seconds.get() + cpu.as_secs_f64());
    }

    /// MB (10^6 bytes) in a second of CPU.
    pub fn mb_per_second(&self) -> f64 {
        self.mb.get() / self.seconds.get()
    }
}
