//! Reads the values at plain paths out of a JSON document: all in one pass, without making a tree of it. The whole document is
//! checked to be JSON. Of members with the same name the last counts, as in jq.

use crate::config::query::{Path, Segment};
use crate::json::{Broken, Scan, Text, check_escapes, unescape};

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

    /// What stands at each of the paths, as it is written; `found` has as many places as there are paths. An error says in words
    /// why the document is no JSON.
    pub(super) fn read<'d>(&self, document: &'d str, found: &mut [Option<&'d str>]) -> Result<(), String> {
        found.fill(None);
        let mut reading = Reading { document, scan: Scan::lenient(document.as_bytes()), found };
        reading.document(&self.root).map_err(|Broken { at, what }| format!("{what} at byte {at}"))
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let at = children.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        children.push((key.clone(), Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

struct Reading<'d, 'f> {
    document: &'d str,
    scan: Scan<'d>,
    found: &'f mut [Option<&'d str>],
}

impl Reading<'_, '_> {
    fn document(&mut self, root: &Node) -> Result<(), Broken> {
        self.value(root)?;
        if self.scan.peek() == 0 && self.scan.at == self.document.len() {
            return Ok(());
        }
        Err(self.scan.broken("expected the end"))
    }

    /// Reads a value that stands where `node` is. It calls itself as often as a path is long.
    fn value(&mut self, node: &Node) -> Result<(), Broken> {
        let first = self.scan.peek();
        let start = self.scan.at;
        match first {
            b'{' if !node.fields.is_empty() => self.object(&node.fields)?,
            b'[' if !node.elements.is_empty() => self.list(&node.elements)?,
            _ => self.scan.skip(0)?,
        }
        for end in &node.ends {
            self.found[*end] = Some(&self.document[start..self.scan.at]);
        }
        Ok(())
    }

    fn object(&mut self, fields: &[(String, Node)]) -> Result<(), Broken> {
        self.scan.at += 1;
        if self.scan.take(b'}') {
            return Ok(());
        }
        loop {
            if self.scan.peek() != b'"' {
                return Err(self.scan.broken("expected a key"));
            }
            let start = self.scan.at + 1;
            let key = self.scan.string()?;
            self.scan.expect(b':', "expected ':'")?;
            match field(fields, key, start)? {
                Some(node) => {
                    self.forget(node);
                    self.value(node)?;
                }
                None => self.scan.skip(0)?,
            }
            if !self.scan.take(b',') {
                return self.scan.expect(b'}', "expected ',' or '}'");
            }
        }
    }

    fn list(&mut self, elements: &[(usize, Node)]) -> Result<(), Broken> {
        self.scan.at += 1;
        if self.scan.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            match elements.iter().find(|(wanted, _)| *wanted == index) {
                Some((_, node)) => self.value(node)?,
                None => self.scan.skip(0)?,
            }
            if !self.scan.take(b',') {
                break;
            }
        }
        self.scan.expect(b']', "expected ',' or ']'")
    }

    /// Forgets what an earlier member of the same name had.
    fn forget(&mut self, node: &Node) {
        for end in &node.ends {
            self.found[*end] = None;
        }
        node.fields.iter().for_each(|(_, below)| self.forget(below));
        node.elements.iter().for_each(|(_, below)| self.forget(below));
    }
}

/// What the member with this key, whose inside begins at byte `start`, is to `fields`.
fn field<'n>(fields: &'n [(String, Node)], key: Text<'_>, start: usize) -> Result<Option<&'n Node>, Broken> {
    let named = |name: &[u8]| fields.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, node)| node);
    if !key.escaped {
        return Ok(named(key.raw));
    }
    check_escapes(key.raw, start)?;
    let mut name = Vec::new();
    // Half of a surrogate pair is in no path.
    let is_whole = unescape(key.raw, start, &mut |piece| name.extend_from_slice(piece)).is_ok();
    Ok(if is_whole { named(&name) } else { None })
}
