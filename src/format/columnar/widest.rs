//! Whether a record fits every table that may be found in rows: it is asked before its own is known.
//!
//! A row has no more values than the table is wide, and so has each object in a list, and each null that stands for
//! one; beside them each item of a list is one. Of several values of one key each object counts. So no table makes more of a record
//! than its objects and those nulls times the widest table, and its items.

use super::fault::{Fault, Misfit};
use crate::limits::{CONVERT_VALUES_MAX, INFER_TYPES_MAX};

/// Columns and fields of the widest table: those that are found, and one for the rest.
const WIDTH: usize = INFER_TYPES_MAX + 1;

/// Whether `record`, which is one JSON object or several, makes few enough values in any table.
pub(super) fn check(record: &[u8]) -> Result<(), Misfit> {
    // Most are too short for more: an object has two bytes.
    if (record.len() / 2 + 1) * (WIDTH + 1) <= CONVERT_VALUES_MAX {
        return Ok(());
    }
    let (objects, items) = count(record);
    if objects.saturating_mul(WIDTH).saturating_add(items) <= CONVERT_VALUES_MAX {
        return Ok(());
    }
    let most = CONVERT_VALUES_MAX / WIDTH;
    let why = format!(
        "holds {objects} objects, and nulls in lists, beside up to {items} items, where the schema is found in the rows: that may make more than \
         {CONVERT_VALUES_MAX} values, as {most} objects do in the widest table"
    );
    Err(Fault::unfit(0, why).misfit(record))
}

/// Objects, with the nulls in lists; and no fewer than the items of lists.
fn count(record: &[u8]) -> (usize, usize) {
    let (mut objects, mut items, mut before) = (0, 0, 0);
    let mut bytes = record.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => pass_string(&mut bytes),
            b'{' => objects += 1,
            b'n' if matches!(before, b'[' | b',') => objects += 1,
            b'[' | b',' => items += 1,
            _ => {}
        }
        before = byte;
    }
    (objects, items)
}

/// Passes what is left of a string; blanks in it do not matter.
fn pass_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_wide_is_counted() {
        for (record, objects, items) in [
            ("{}", 1, 0),
            ("{} {}\n{}", 3, 0),
            (r#"{"a":null,"b":{}}"#, 2, 1),
            (r#"{"a":[null , null,{},[null]]}"#, 5, 5),
            (r#"{"a{[,\"null{":"{[\\","b\\":"{,"}"#, 1, 1),
        ] {
            assert_eq!(count(record.as_bytes()), (objects, items), "{record}");
        }
    }

    #[test]
    fn a_record_that_could_be_too_wide_says_why() {
        let most = CONVERT_VALUES_MAX / WIDTH;
        assert_eq!(check("{}".repeat(most).as_bytes()), Ok(()));
        let misfit = check("{}".repeat(most + 1).as_bytes()).unwrap_err();
        assert!(misfit.message.contains("holds 8385 objects"), "{misfit:?}");
        let list = |items: usize| format!("{{\"a\":[{}{{}}]}}", "null,".repeat(items));
        assert_eq!(check(list(most - 10).as_bytes()), Ok(()));
        assert!(check(list(most).as_bytes()).is_err());
        // Plain values are no matter.
        assert_eq!(check(format!("{{\"a\":[{}1]}}", "1,".repeat(1 << 20)).as_bytes()), Ok(()));
    }
}
