//! Columns from a `CREATE TABLE` statement, of Hive, Athena or plain SQL. Only the list of columns is read: what follows it
//! (`PARTITIONED BY`, `STORED AS`, `LOCATION`, …) says nothing about what is in a file.

use super::{Column, ColumnType, TableSchema};
use crate::error::{Error, Result};
use crate::limits::TABLE_TYPES_MAX;

/// What begins a clause of the list that is no column.
const CLAUSES: &[&str] = &["primary", "foreign", "unique", "constraint", "check", "key", "index"];
/// What may follow a column's type.
const AFTER_TYPES: &[&str] = &[
    "comment",
    "not",
    "null",
    "default",
    "primary",
    "unique",
    "references",
    "check",
    "collate",
    "constraint",
    "encode",
    "generated",
];

/// Reads the first `CREATE TABLE` of a file.
pub(super) fn read(text: &str) -> Result<TableSchema> {
    let text = without_comments(text);
    let lower = text.to_ascii_lowercase();
    let create = lower.find("create");
    let table = create.and_then(|at| lower[at..].find("table").map(|more| at + more + 5));
    let open = table.and_then(|at| outside_quotes(&text[at..], '(').map(|more| at + more));
    let Some(open) = open else {
        return Err(Error::invalid("the file is no JSON and has no CREATE TABLE statement with columns"));
    };
    let columns = parts(&text[open + 1..])?;
    if columns.len() > TABLE_TYPES_MAX {
        return Err(Error::invalid(format!("a table may have {TABLE_TYPES_MAX} columns and fields")));
    }
    let columns: Vec<_> = columns.into_iter().filter_map(|part| column(part).transpose()).collect::<Result<_>>()?;
    TableSchema::new(columns)
}

/// One part of the list: a column, or a clause.
fn column(part: &str) -> Result<Option<Column>> {
    let (name, rest, quoted) = name(part.trim())?;
    if !quoted && CLAUSES.iter().any(|clause| name.eq_ignore_ascii_case(clause)) {
        return Ok(None);
    }
    let kind = kind(rest.trim()).map_err(|error| super::in_column(&name, &error))?;
    Ok(Some(Column { name, kind }))
}

/// A name that may be quoted in any way of SQL, what follows it, and whether it was quoted.
fn name(part: &str) -> Result<(String, &str, bool)> {
    for (open, close) in [('`', '`'), ('"', '"'), ('[', ']')] {
        let Some(rest) = part.strip_prefix(open) else { continue };
        let end =
            rest.find(close).ok_or_else(|| Error::invalid(format!("a name has no closing {close:?}: {part:?}")))?;
        return Ok((rest[..end].to_owned(), &rest[end + 1..], true));
    }
    let end = part.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(part.len());
    if end == 0 {
        return Err(Error::invalid("the list of columns has an empty part"));
    }
    Ok((part[..end].to_owned(), &part[end..], false))
}

/// The type that stands before `COMMENT`, `NOT NULL` and the like.
fn kind(text: &str) -> Result<ColumnType> {
    let (mut depth, mut end, mut in_word) = (0usize, text.len(), false);
    for (at, c) in text.char_indices() {
        let begins_word = c.is_ascii_alphabetic() && !in_word;
        in_word = c.is_ascii_alphanumeric() || c == '_';
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && begins_word && is_after_type(&text[at..]) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let text = text[..end].trim();
    plain_sql(text).map_or_else(|| text.parse(), Ok)
}

fn is_after_type(rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    AFTER_TYPES.iter().any(|word| rest[..end].eq_ignore_ascii_case(word))
}

/// Types of plain SQL that Hive calls otherwise.
fn plain_sql(text: &str) -> Option<ColumnType> {
    let lower = text.to_ascii_lowercase();
    let name = lower.split('(').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    Some(match name.as_str() {
        "text" | "json" | "jsonb" | "uuid" | "clob" | "nvarchar" | "nchar" => ColumnType::String,
        "varchar" | "char" | "character" | "character varying" if !lower.contains('(') => ColumnType::String,
        "character varying" | "character" => format!("varchar{}", &lower[lower.find('(')?..]).parse().ok()?,
        "bool" => ColumnType::Boolean,
        "int2" => ColumnType::SmallInt,
        "int4" => ColumnType::Int,
        "int8" | "long" => ColumnType::BigInt,
        "real" | "float4" => ColumnType::Float,
        "double precision" | "float8" => ColumnType::Double,
        "bytea" | "blob" | "varbinary" | "bytes" => ColumnType::Binary,
        "datetime" | "timestamptz" | "timestamp with time zone" | "timestamp without time zone" => {
            ColumnType::Timestamp
        }
        "timestamp" => ColumnType::Timestamp,
        _ => return None,
    })
}

/// The parts between the commas of a list, up to its closing parenthesis.
fn parts(list: &str) -> Result<Vec<&str>> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (at, c) in list.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(' | '<') => depth += 1,
            (None, ')') if depth == 0 => {
                parts.push(&list[start..at]);
                return Ok(parts);
            }
            (None, ')' | '>') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    Err(Error::invalid("the list of columns is not closed"))
}

/// Where `what` stands outside quotes.
fn outside_quotes(text: &str, what: char) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == what => return Some(at),
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            _ => {}
        }
    }
    None
}

/// The text with blanks in the place of comments.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quote) = (text, None);
    while let Some(c) = rest.chars().next() {
        let skip = match quote {
            None if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            None if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => 0,
        };
        if skip > 0 {
            out.push(' ');
            rest = &rest[skip..];
            continue;
        }
        quote = match quote {
            Some(open) if open == c => None,
            None if matches!(c, '\'' | '"' | '`') => Some(c),
            other => other,
        };
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}
