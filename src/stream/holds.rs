//! Who reads what is put into delivery streams themselves, and how far each has delivered: delivery, and the backup where there is one.
//! The journal is trimmed to where the last of them is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::StreamId;

/// All readers of direct puts. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Holds(Arc<Mutex<Readers>>);

/// By delivery stream: each of its readers, and up to where it has delivered.
type Readers = BTreeMap<StreamId, BTreeMap<StreamId, u64>>;

impl Holds {
    /// Holds what `by` has not delivered of `stream`: everything, until it says more.
    pub(super) fn hold(&self, stream: StreamId, by: StreamId) {
        self.with(|readers| _ = readers.entry(stream).or_default().entry(by).or_insert(0));
    }

    /// Lets go what `by` held.
    pub(super) fn release(&self, stream: StreamId, by: StreamId) {
        self.with(|readers| {
            if let Some(of_stream) = readers.get_mut(&stream) {
                of_stream.remove(&by);
                if of_stream.is_empty() {
                    readers.remove(&stream);
                }
            }
        });
    }

    /// Takes note that `by` has delivered everything before `position`; gives up to where all have.
    pub(super) fn past(&self, stream: StreamId, by: StreamId, position: u64) -> u64 {
        self.with(|readers| {
            let of_stream = readers.entry(stream).or_default();
            let past = of_stream.entry(by).or_insert(0);
            *past = position.max(*past);
            of_stream.values().copied().min().unwrap_or(position)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Readers) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reader_says_how_far() {
        let (holds, web) = (Holds::default(), StreamId(7));
        assert_eq!(holds.past(web, web, 5), 5, "it is alone");
        holds.hold(web, web.backup());
        assert_eq!(holds.past(web, web, 9), 0, "the backup has said nothing yet");
        assert_eq!(holds.past(web, web.backup(), 6), 6);
        holds.hold(web, web.backup());
        assert_eq!(holds.past(web, web, 8), 6, "nobody goes back, and a second hold changes nothing");
        holds.release(web, web.backup());
        assert_eq!(holds.past(web, web, 9), 9);
        assert_eq!(holds.past(StreamId(8), StreamId(8), 1), 1, "another stream is none of its concern");
    }
}
