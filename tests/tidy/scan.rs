//! Reads Rust, roughly: enough to see functions, imports and calls, and not to be fooled by comments and strings.

use std::fs;
use std::path::PathBuf;

use super::{is_test, root};

/// What the compiler sees for tests only: the files and folders of modules that are declared behind `#[cfg(test)]`,
/// without extension.
pub(super) fn test_modules(source: &Source) -> Vec<PathBuf> {
    let own = source.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = match own {
        "mod.rs" | "lib.rs" | "main.rs" => source.path.parent().map(PathBuf::from).unwrap_or_default(),
        _ => source.path.with_extension(""),
    };
    let after = offsets(&source.code, "#[cfg(test)]").into_iter().map(|at| &source.code[at + "#[cfg(test)]".len()..]);
    let declared = after.filter_map(|code| {
        let code = code.trim_start();
        let code = code
            .strip_prefix("pub")
            .map_or(code, |code| code.trim_start_matches("(crate)").trim_start_matches("(super)"));
        let name = word_at(code.trim_start().strip_prefix("mod ")?, 0);
        Some(folder.join(name))
    });
    declared.collect()
}

/// One Rust file.
pub(super) struct Source {
    /// From the package's root.
    pub(super) path: PathBuf,
    /// As it is.
    pub(super) text: String,
    /// The text with comments, strings and characters blanked out; same lines, same columns.
    pub(super) code: String,
    /// `code` without what is compiled for tests only.
    pub(super) product: String,
}

impl Source {
    /// Reads `path`, from the package's root.
    pub(super) fn read(path: PathBuf) -> Source {
        let text = fs::read_to_string(root().join(&path)).expect("a source is UTF-8");
        let code = blank(&text);
        let product = if is_test(&path) { String::new() } else { without_tests(&code) };
        Source { path, text, code, product }
    }

    /// The names of the modules that lead to this file: `["api", "sigv4"]` for `src/api/sigv4.rs`.
    pub(super) fn module(&self) -> Vec<String> {
        let Ok(inside) = self.path.strip_prefix("src") else { return Vec::new() };
        let mut names: Vec<_> =
            inside.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
        names.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
        names
    }

    /// `path:line` of a byte offset.
    pub(super) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path.display(), 1 + self.text[..offset].matches('\n').count())
    }
}

/// Replaces comments and the inside of strings and characters by blanks.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        let keep = usize::from(bytes[at] != b'/');
        if end > at + 1 {
            for byte in &mut out[at + keep..end - keep] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole tokens were blanked")
}

/// Where the comment, string or character that begins at `at` ends; `at` itself if none does.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let line_end = || rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
    match rest {
        [b'/', b'/', ..] => line_end(),
        [b'/', b'*', ..] => find(bytes, at + 2, b"*/").map_or(bytes.len(), |found| found + 2),
        [b'"', ..] => escaped_end(bytes, at + 1, b'"'),
        [b'r', b'"' | b'#', ..] if at == 0 || !is_word(bytes[at - 1]) || bytes[at - 1] == b'b' => raw_end(bytes, at),
        [b'\'', b'\\', ..] => escaped_end(bytes, at + 1, b'\''),
        [b'\'', rest @ ..] => {
            // A character ends after one; otherwise it is a lifetime.
            let width = std::str::from_utf8(&rest[..rest.len().min(4)])
                .or_else(|error| std::str::from_utf8(&rest[..error.valid_up_to()]))
                .ok()
                .and_then(|text| text.chars().next())
                .map_or(1, char::len_utf8);
            if rest.get(width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn escaped_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return at;
    }
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    find(bytes, at + 2 + hashes, &close).map_or(bytes.len(), |found| found + close.len())
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Blanks every item behind `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let body = start + out[start..].find(['{', ';']).unwrap_or(out.len() - start - 1);
        let end = if out.as_bytes()[body] == b'{' { matching(out.as_bytes(), body) } else { body };
        let end = (end + 1).min(out.len());
        let blanks: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        // Same bytes, or the offsets would move: what is not ASCII was in comments and strings.
        assert_eq!(blanks.len(), end - start);
        out.replace_range(start..end, &blanks);
    }
    out
}

/// The offset of the brace that closes the one at `open`.
fn matching(code: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

/// The identifier at `at`.
pub(super) fn word_at(code: &str, at: usize) -> &str {
    let length = code.as_bytes()[at..].iter().take_while(|byte| is_word(**byte)).count();
    &code[at..at + length]
}

/// Every offset of `what`, where it does not continue a longer word.
pub(super) fn offsets(code: &str, what: &str) -> Vec<usize> {
    let starts_word = is_word(what.as_bytes()[0]);
    let free = |at: &usize| !starts_word || *at == 0 || !is_word(code.as_bytes()[at - 1]);
    code.match_indices(what).map(|(at, _)| at).filter(free).collect()
}

/// The top-level modules that a file's product code names, each with an offset.
pub(super) fn imports(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in offsets(&source.product, "crate::") {
        names_after(&source.product, at + "crate::".len(), &mut found);
    }
    let depth = source.module().len();
    let climb = "super::".repeat(depth);
    if depth > 0 {
        for at in offsets(&source.product, &climb) {
            let inside_longer = source.product[..at].ends_with("super::");
            let next = at + climb.len();
            if !inside_longer && !source.product[next..].starts_with("super::") {
                names_after(&source.product, next, &mut found);
            }
        }
    }
    found
}

/// The name at `at`, or each name of the group there.
fn names_after(code: &str, at: usize, found: &mut Vec<(String, usize)>) {
    if !code[at..].starts_with('{') {
        found.push((word_at(code, at).to_owned(), at));
        return;
    }
    let (mut depth, mut fresh) = (0, false);
    for offset in at..=matching(code.as_bytes(), at) {
        match code.as_bytes()[offset] {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            byte if fresh && depth == 1 && is_word(byte) => {
                found.push((word_at(code, offset).to_owned(), offset));
                fresh = false;
            }
            _ => {}
        }
        fresh = (fresh || matches!(code.as_bytes()[offset], b',' | b'{')) && depth == 1;
    }
}

/// Name, offset and length in lines of each function.
pub(super) fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let code = &source.code;
    let mut found = Vec::new();
    for at in offsets(code, "fn ") {
        let name = word_at(code, at + 3);
        let Some(body) = code[at..].find(['{', ';']).map(|length| at + length) else { continue };
        if name.is_empty() || code.as_bytes()[body] == b';' {
            continue;
        }
        let end = matching(code.as_bytes(), body).min(code.len());
        found.push((name.to_owned(), at, 1 + code[at..end].matches('\n').count()));
    }
    found
}

#[test]
fn the_scanner_sees_what_it_should() {
    let code = blank("let a = \"fn x\\\" {\"; // {\nlet b = '{'; let c: &'static str = r#\"}\"#; /* { */ fn y() {}\n");
    assert_eq!(code.matches('{').count(), 1, "{code}");
    assert_eq!(code.matches("fn ").count(), 1, "{code}");
    assert_eq!(
        without_tests("a();\n#[cfg(test)]\nmod t { b(); }\nc();").trim_end(),
        "a();\n            \n              \nc();"
    );
    let text = "use crate::{api::{x, y}, config::Z};\nfn f() { super::super::error::g(); super::here(); }".to_owned();
    let source = Source { path: "src/api/put.rs".into(), code: text.clone(), product: text.clone(), text };
    let names: Vec<_> = imports(&source).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["api", "config", "error"]);
    assert_eq!(
        functions(&source).iter().map(|(name, _, lines)| (name.as_str(), *lines)).collect::<Vec<_>>(),
        [("f", 1)]
    );
}
