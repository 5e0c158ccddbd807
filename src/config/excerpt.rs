//! A line of the file as it is shown under a fault: fit for a terminal, with secrets hidden.
//!
//! Keys may be misspelled, so what is a secret cannot be known from the schema: the value of any key whose name is like
//! that of a secret is hidden, and so are texts without a key beside them (elements of an array over several lines), and of
//! URLs credentials and query.

use std::borrow::Cow;
use std::ops::Range;

/// Characters of a line that are shown.
const WIDTH: usize = 120;
/// Of those, before the fault where the line is longer.
const BEFORE: usize = 40;
/// What the names of secrets contain.
const SECRET_WORDS: &[&str] = &["secret", "token", "password", "passwd", "credential", "encryption", "private"];
/// Names of secrets, to be recognised when they are misspelled.
const SECRET_KEYS: &[&str] =
    &["secret", "session_token", "encryption_key", "ingest_tokens", "secret_access_key", "credentials"];
/// Names that are only secret as they stand: those like them are none.
const EXACT_KEYS: &[&str] = &["access_key", "account_key", "service_account"];

/// A line and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) line: String,
    caret: usize,
    width: usize,
}

impl Excerpt {
    /// Line and column (in characters) of the start of `span`, both from 1, and the line.
    pub(super) fn of(text: &str, span: &Range<usize>) -> (usize, usize, Self) {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let number = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end)].chars().count().max(1);
        let shown = printable(&masked(text[line_start..line_end].trim_end()));
        (number, column + 1, Self::cut(&shown, column, width))
    }

    /// The carets, to be printed below the line.
    pub(super) fn marks(&self) -> String {
        " ".repeat(self.caret) + &"^".repeat(self.width)
    }

    fn cut(line: &str, caret: usize, width: usize) -> Self {
        if line.chars().count() <= WIDTH {
            return Excerpt { line: line.to_owned(), caret, width };
        }
        let from = caret.saturating_sub(BEFORE);
        let mut shown: String = line.chars().skip(from).take(WIDTH).collect();
        if line.chars().count() > from + WIDTH {
            shown.push('…');
        }
        if from > 0 {
            shown.insert(0, '…');
        }
        let caret = caret - from + usize::from(from > 0);
        Excerpt { line: shown, caret, width: width.min(WIDTH - BEFORE) }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Control characters (tabs too, for the carets below) become spaces.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The line with secrets as asterisks, character for character; what forgot its quotes is hidden too.
fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut key: Option<&str> = None;
    let mut before = ' ';
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let token = token(rest);
        rest = &rest[token.len()..];
        let is_quoted = matches!(first, '"' | '\'');
        let is_text = is_quoted || first.is_alphanumeric() || matches!(first, '_' | '-');
        // `]` ends the name of a table as well as an array of texts.
        let is_key = match rest.trim_start().chars().next() {
            Some('=' | '.') => true,
            Some(']') => before == '.',
            _ => false,
        };
        if is_text && !is_key && key.map_or(is_quoted, is_secret) {
            out.extend(token.chars().map(|c| if matches!(c, '"' | '\'') { c } else { '*' }));
        } else {
            out.push_str(&masked_url(token));
        }
        if is_text && is_key {
            key = Some(token);
        }
        if !first.is_whitespace() {
            before = first;
        }
    }
    out
}

/// A text with what a URL in it may have of secrets as asterisks.
fn masked_url(text: &str) -> Cow<'_, str> {
    let Some(from) = text.find("://").map(|at| at + 3) else { return Cow::Borrowed(text) };
    let (head, rest) = text.split_at(from);
    let (place, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let (who, host) = host.split_at(host.rfind('@').unwrap_or(0));
    let hidden = |text: &str| text.chars().map(|c| if matches!(c, '"' | '\'') { c } else { '*' }).collect::<String>();
    Cow::Owned([head, &hidden(who), host, path, &hidden(query)].concat())
}

/// The next word, quoted text or single character; a comment is one token.
fn token(rest: &str) -> &str {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut chars = rest.char_indices();
    let (_, first) = chars.next().expect("the caller saw a character");
    let end = match first {
        '#' => None,
        '"' => {
            let mut escaped = false;
            let closes = |(_, c): &(usize, char)| {
                let open = escaped;
                escaped = *c == '\\' && !open;
                *c == '"' && !open
            };
            chars.find(closes).map(|(at, _)| at + 1)
        }
        '\'' => chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1),
        c if word(c) => chars.find(|(_, c)| !word(*c)).map(|(at, _)| at),
        c => Some(c.len_utf8()),
    };
    &rest[..end.unwrap_or(rest.len())]
}

fn is_secret(key: &str) -> bool {
    let key = key.trim_matches(['"', '\'']).to_lowercase();
    EXACT_KEYS.contains(&key.as_str())
        || SECRET_WORDS.iter().any(|word| key.contains(word))
        || SECRET_KEYS.iter().any(|secret| strsim::normalized_damerau_levenshtein(secret, &key) > 0.6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_not() {
        for (line, shown) in [
            ("secret = \"hunter2\"", "secret = \"*******\""),
            ("secrte = 'hunter2' # why", "secrte = '*******' # why"),
            ("secret = hunter2", "secret = *******"),
            ("secret = { env = \"NAME\" }", "secret = { env = \"NAME\" }"),
            ("scret_acess_key=\"a\\\"b\", id = \"AKID\"", "scret_acess_key=\"**\"*\", id = \"AKID\""),
            ("    \"bare token\",", "    \"**********\","),
            ("    [\"nested\"]", "    [\"******\"]"),
            ("[delivery_stream.\"a b\"]", "[delivery_stream.\"a b\"]"),
            ("[delivery_stream.\"a b\".destination]", "[delivery_stream.\"a b\".destination]"),
            ("prefix = \"web/\"", "prefix = \"web/\""),
            ("ingest_tokens = [\"a\", \"bc\"]", "ingest_tokens = [\"*\", \"**\"]"),
            ("secret = \"open", "secret = \"****"),
            ("access_key_id = \"AKID\"", "access_key_id = \"AKID\""),
            ("request = { access_key = \"hunter2\", gzip = 1 }", "request = { access_key = \"*******\", gzip = 1 }"),
            ("account_key = \"k\", account = \"a\"", "account_key = \"*\", account = \"a\""),
            ("service_account = '{}'", "service_account = '**'"),
            ("url = \"https://me:pw@h:1/a@b?key=x\"", "url = \"https://*****@h:1/a@b******\""),
            ("url = 'https://h/in#x' # see", "url = 'https://h/in**' # see"),
            ("endpoint = \"http://me@h\"", "endpoint = \"http://**@h\""),
            ("endpoint = \"http://127.0.0.1:9000\"", "endpoint = \"http://127.0.0.1:9000\""),
        ] {
            assert_eq!(masked(line), shown);
        }
    }

    #[test]
    fn places_count_characters_and_long_lines_are_cut() {
        let text = "a = 1\n\tümlaut = \u{1b}[31m \"x\" oops\n";
        let start = text.find("oops").unwrap();
        let (line, column, excerpt) = Excerpt::of(text, &(start..start + 4));
        assert_eq!((line, column), (2, 21));
        assert_eq!(excerpt.line, " ümlaut =  [31m \"x\" oops");
        assert_eq!(excerpt.marks().len(), 24);
        let long = format!("{}=1", "k".repeat(500));
        let (_, column, excerpt) = Excerpt::of(&long, &(500..501));
        assert_eq!(column, 501);
        assert_eq!(excerpt.line.chars().nth(excerpt.caret), Some('='));
    }

    proptest! {
        #[test]
        fn any_text_and_span_have_an_excerpt(text in any::<String>(), start in 0..64usize, length in 0..64usize) {
            let (line, column, excerpt) = Excerpt::of(&text, &(start..start + length));
            prop_assert!(line >= 1 && column >= 1 && excerpt.marks().ends_with('^'));
            prop_assert!(!excerpt.line.chars().any(char::is_control));
        }

        #[test]
        fn masking_keeps_every_place(line in "[ -~é]*") {
            prop_assert_eq!(masked(&line).chars().count(), line.chars().count());
        }
    }
}
