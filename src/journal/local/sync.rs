//! Making a group durable: each file and folder that it touched is synced once, several of them at the same time.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::state::lock;
use crate::disk::{Disk, File};
use crate::limits::SYNC_THREADS;

/// What is to be synced.
#[derive(Clone)]
pub(super) enum Target {
    /// A file's bytes.
    File(Arc<dyn File>),
    /// A folder's names.
    Dir(PathBuf),
}

impl Target {
    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Target::File(file) => file.sync(),
            Target::Dir(dir) => disk.sync_dir(dir),
        }
    }
}

/// Syncs, with a few threads beside the caller's own.
pub(super) struct Syncer {
    disk: Arc<dyn Disk>,
    /// Never more than one group's targets wait here, each once.
    jobs: Option<Sender<Job>>,
}

type Job = (usize, Target, Sender<(usize, io::Result<()>)>);

impl Syncer {
    /// One that does it all itself, in order.
    pub(super) fn inline(disk: Arc<dyn Disk>) -> Self {
        Syncer { disk, jobs: None }
    }

    /// One with threads, which end when it is dropped.
    pub(super) fn with_threads(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..SYNC_THREADS {
            let (queue, disk) = (queue.clone(), disk.clone());
            std::thread::Builder::new()
                .name(format!("journal-sync-{number}"))
                .spawn(move || while help(&queue, &*disk) {})?;
        }
        Ok(Syncer { disk, jobs: Some(jobs) })
    }

    /// Syncs all targets; the results stand in their order.
    pub(super) fn sync(&self, targets: &[Target]) -> Vec<io::Result<()>> {
        let Some(jobs) = self.jobs.as_ref().filter(|_| targets.len() > 1) else {
            return targets.iter().map(|target| target.sync(&*self.disk)).collect();
        };
        let stopped = || Err(io::Error::other("a thread that syncs files has stopped"));
        let mut results: Vec<io::Result<()>> = targets.iter().map(|_| stopped()).collect();
        let (done, answers) = channel();
        for (at, target) in targets.iter().enumerate().skip(1) {
            // Where nobody takes it the result stays as it is: not synced.
            let _ = jobs.send((at, target.clone(), done.clone()));
        }
        drop(done);
        results[0] = targets[0].sync(&*self.disk);
        for (at, result) in answers {
            results[at] = result;
        }
        results
    }
}

fn help(queue: &Mutex<Receiver<Job>>, disk: &dyn Disk) -> bool {
    // The lock is held while waiting: the next job then goes to this thread, and another one takes the lock.
    let job = lock(queue).recv();
    let Ok((at, target, done)) = job else { return false };
    let _ = done.send((at, target.sync(disk)));
    true
}
