//! Reads the values at plain paths out of a JSON document: all in one pass, without making a tree of it. The whole document is
//! checked to be JSON. Of members with the same name the last counts, as in jq.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::query::{Path, Segment};

/// Paths, joined where they begin alike.
#[derive(Debug, Default)]
pub(super) struct Paths {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    fields: Vec<(String, Node)>,
    elements: Vec<(usize, Node)>,
    /// The numbers of the paths that end here.
    ends: Vec<usize>,
}

impl Paths {
    /// Adds a path; what is found there has the number that this gives back.
    pub(super) fn add(&mut self, path: &Path) -> usize {
        let mut node = &mut self.root;
        for segment in &path.segments {
            node = match segment {
                Segment::Field(name) => child(&mut node.fields, name),
                Segment::Index(index) => child(&mut node.elements, index),
            };
        }
        node.ends.push(self.count);
        self.count += 1;
        self.count - 1
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// What stands at each of the paths, as it is written; `found` has as many places as there are paths.
    pub(super) fn read<'d>(&self, document: &'d str, found: &mut [Option<&'d str>]) -> serde_json::Result<()> {
        found.fill(None);
        scan(&self.root, document, found)
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let at = children.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        children.push((key.clone(), Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

fn scan<'d>(node: &Node, document: &'d str, found: &mut [Option<&'d str>]) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(document);
    Scan { node, found }.deserialize(&mut reader)?;
    reader.end()
}

/// The values below a node.
struct Scan<'s, 'd> {
    node: &'s Node,
    found: &'s mut [Option<&'d str>],
}

impl Scan<'_, '_> {
    /// Forgets what an earlier member of the same name had.
    fn forget(node: &Node, found: &mut [Option<&str>]) {
        for end in &node.ends {
            found[*end] = None;
        }
        let below = node.fields.iter().map(|(_, node)| node).chain(node.elements.iter().map(|(_, node)| node));
        below.for_each(|node| Scan::forget(node, found));
    }
}

impl<'d> DeserializeSeed<'d> for Scan<'_, 'd> {
    type Value = ();

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<(), D::Error> {
        let Scan { node, found } = self;
        if node.ends.is_empty() {
            return deserializer.deserialize_any(Scan { node, found });
        }
        let raw = <&'d RawValue>::deserialize(deserializer)?.get();
        for end in &node.ends {
            found[*end] = Some(raw);
        }
        if node.fields.is_empty() && node.elements.is_empty() {
            return Ok(());
        }
        // One path goes on where another ends: what is there is read once more. It is JSON by now.
        let below = serde_json::Deserializer::from_str(raw).deserialize_any(Scan { node, found });
        below.map_err(serde::de::Error::custom)
    }
}

impl<'d> Visitor<'d> for Scan<'_, 'd> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut members: A) -> Result<(), A::Error> {
        let Scan { node, found } = self;
        while let Some(at) = members.next_key_seed(Name(&node.fields))? {
            match at {
                Some(at) => {
                    let node = &node.fields[at].1;
                    Scan::forget(node, found);
                    members.next_value_seed(Scan { node, found })?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut elements: A) -> Result<(), A::Error> {
        let Scan { node, found } = self;
        for index in 0.. {
            let wanted = node.elements.iter().find(|(wanted, _)| *wanted == index);
            let is_there = match wanted {
                Some((_, node)) => elements.next_element_seed(Scan { node, found })?.is_some(),
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the name of a member: which of the fields it is, if any.
struct Name<'s>(&'s [(String, Node)]);

impl<'d> DeserializeSeed<'d> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(known, _)| known == name))
    }
}
