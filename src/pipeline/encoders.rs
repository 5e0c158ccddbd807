//! Threads that encode, at a lower priority than those that answer puts: while a buffer is encoded on every core, an
//! acknowledgement need not wait for its turn behind it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

/// How much lower: at 3 a thread gets about half of what one at 0 gets, when both want the same core. Lower still, and
/// delivery falls behind a producer that never pauses.
const NICENESS: i32 = 3;

type Job = Box<dyn FnOnce() + Send>;

/// The handle; the threads end with its last clone. Who hands a job in holds a processor of
/// [`Capacity`](super::Capacity), so there are never more jobs waiting than threads.
#[derive(Clone)]
pub(super) struct Encoders(Sender<Job>);

impl Encoders {
    /// Starts `count` threads. Where none can be started, jobs answer with an error, and delivery tries again.
    pub(super) fn start(count: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("encoder-{number}")).spawn(move || work(&queue));
            if let Err(error) = thread {
                tracing::error!(%error, "an encoder's thread cannot be started");
            }
        }
        Encoders(jobs)
    }

    /// Has `job` done; the answer comes through what is returned.
    pub(super) fn give<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Encoded<T> {
        let (reply, answer) = oneshot::channel();
        // Should the threads be gone, the job and with it `reply` is dropped, and the answer is an error.
        let _ = self.0.send(Box::new(move || _ = reply.send(job())));
        Encoded(answer)
    }

    /// Has `jobs` done one after the other, on one thread, and `end` after the last.
    pub(super) fn give_all<T: Send + 'static>(
        &self,
        jobs: Vec<impl FnOnce() -> T + Send + 'static>,
        end: impl FnOnce() + Send + 'static,
    ) -> Vec<Encoded<T>> {
        let (replies, answers): (Vec<_>, _) =
            jobs.iter().map(|_| oneshot::channel()).map(|(reply, answer)| (reply, Encoded(answer))).unzip();
        let all = move || {
            for (job, reply) in jobs.into_iter().zip(replies) {
                // One that panics takes its own answer with it, not those of the others.
                let _ = catch_unwind(AssertUnwindSafe(move || reply.send(job())));
            }
            end();
        };
        let _ = self.0.send(Box::new(all));
        answers
    }
}

/// A job under way.
pub(super) struct Encoded<T>(oneshot::Receiver<T>);

impl<T> Encoded<T> {
    /// The same for a later job, on an encoder's thread: jobs are begun in their order.
    pub(super) fn wait(self) -> Option<T> {
        self.0.blocking_recv().ok()
    }

    /// What became of it; an error when it panicked.
    pub(super) async fn done(self) -> Result<T> {
        self.0.await.map_err(|_| Error::new(Kind::Internal, "encoding a chunk panicked"))
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    // Where it is not allowed, encoding is as important as everything else.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics takes its own answer with it, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_is_an_error_and_the_next_is_done() {
        let encoders = Encoders::start(1);
        assert_eq!(encoders.give(|| 1).done().await.unwrap(), 1);
        let panicked = encoders.give(|| -> u8 { panic!("a poison record") }).done().await.unwrap_err();
        assert_eq!(panicked.kind(), Kind::Internal);
        assert_eq!(encoders.give(|| 2).done().await.unwrap(), 2);
        let (ended, end) = oneshot::channel();
        let job = |number: u8| move || if number == 1 { panic!("a poison record") } else { number };
        let all = encoders.give_all((0..3).map(job).collect(), move || ended.send(()).unwrap());
        end.await.unwrap();
        let done: Vec<_> = futures_util::future::join_all(all.into_iter().map(Encoded::done)).await;
        assert_eq!(done.into_iter().map(Result::ok).collect::<Vec<_>>(), [Some(0), None, Some(2)]);
        let none = Encoders::start(0);
        assert_eq!(none.give(|| 3).done().await.unwrap_err().kind(), Kind::Internal);
    }
}
