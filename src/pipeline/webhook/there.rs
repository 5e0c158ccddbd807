//! Which objects of a plan are durable, and how large they are: noted where they are put, whatever puts them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::destination::{Body, Created, Destination, ObjectFacts};
use crate::error::Result;

/// The objects of one plan that are there, over all attempts of this process: bytes by key.
#[derive(Default)]
pub(in super::super) struct There(Mutex<BTreeMap<String, u64>>);

impl There {
    /// A store whose objects are noted here.
    pub(in super::super) fn watch<'a>(&'a self, store: &'a dyn Destination) -> Watched<'a> {
        Watched { store, there: self }
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, key: &str, bytes: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), bytes);
    }
}

/// A store that notes what of a plan is there.
pub(in super::super) struct Watched<'a> {
    store: &'a dyn Destination,
    there: &'a There,
}

#[async_trait]
impl Destination for Watched<'_> {
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created> {
        let taken = body.taken();
        let created = self.store.create(key, body, facts).await?;
        // Of one that was there already as well: a plan makes the same bytes each time, and a body is heard to its end.
        self.there.note(key, taken.load(Ordering::Relaxed));
        Ok(created)
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        let found = self.store.find(key).await?;
        if let Some(bytes) = found {
            self.there.note(key, bytes);
        }
        Ok(found)
    }

    async fn probe(&self) -> Result<String> {
        self.store.probe().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::destination::local::LocalDirectory;
    use crate::disk::sim::SimDisk;

    #[tokio::test]
    async fn what_was_put_or_found_is_noted_with_its_bytes() {
        let lake = LocalDirectory::new(Arc::new(SimDisk::new(1)));
        let body = || Body::ready(["one".into(), Bytes::new(), "two".into()]);
        let there = There::default();
        there.watch(&lake).create("a", body(), ObjectFacts::default()).await.unwrap();
        let expected = BTreeMap::from([("a".to_owned(), 6)]);
        assert_eq!(there.all(), expected);
        let again = There::default();
        let watched = again.watch(&lake);
        assert_eq!(watched.create("a", body(), ObjectFacts::default()).await.unwrap(), Created::AlreadyThere);
        assert_eq!(again.all(), expected);
        let found = There::default();
        assert_eq!(found.watch(&lake).find("b").await.unwrap(), None);
        assert_eq!(found.watch(&lake).find("a").await.unwrap(), Some(6));
        watched.create("a", Body::whole("else"), ObjectFacts::default()).await.unwrap_err();
        assert_eq!((found.all(), again.all()), (expected.clone(), expected));
    }
}
