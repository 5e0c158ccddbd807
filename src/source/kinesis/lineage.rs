//! Which shards may be copied: a child only after all of its parents, so that what one key says stays in order. Pure.

use std::collections::BTreeSet;

/// One shard as the stream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name.
    pub(super) id: String,
    /// The names of those that it was made of.
    pub(super) parents: Vec<String>,
}

/// The shards that may be begun now: not done, and no parent that is still listed is left to copy.
pub(super) fn ready<'a>(listed: &'a [Listed], done: &BTreeSet<String>) -> Vec<&'a str> {
    let to_copy: BTreeSet<&str> =
        listed.iter().map(|shard| shard.id.as_str()).filter(|id| !done.contains(*id)).collect();
    let free = |shard: &&Listed| {
        to_copy.contains(shard.id.as_str()) && !shard.parents.iter().any(|parent| to_copy.contains(parent.as_str()))
    };
    listed.iter().filter(free).map(|shard| shard.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Listed {
        Listed { id: id.to_owned(), parents: parents.iter().map(|parent| (*parent).to_owned()).collect() }
    }

    #[test]
    fn children_wait_for_all_parents_that_are_listed() {
        let listed = [shard("1", &["gone"]), shard("2", &[]), shard("3", &["1", "2"]), shard("4", &["3"])];
        let done = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(ready(&listed, &done(&[])), ["1", "2"]);
        assert_eq!(ready(&listed, &done(&["1"])), ["2"]);
        assert_eq!(ready(&listed, &done(&["1", "2"])), ["3"]);
        assert_eq!(ready(&listed, &done(&["1", "2", "3"])), ["4"]);
        assert!(ready(&listed, &done(&["1", "2", "3", "4"])).is_empty());
    }
}
