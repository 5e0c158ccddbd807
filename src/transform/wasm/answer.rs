//! What a plugin answers, held against the rules of the contract. Nothing of it is used before all of it is checked.

use super::bindings::standpipe::transform::types::{KeyColumn as RawColumn, Outcome as Raw};
use super::fault::{DUPLICATED_RECORD, Fault, INVALID_OUTPUT, MISSING_RECORD, OUTPUT_TOO_LARGE};
use crate::limits::{PLUGIN_KEY_NAME_BYTES_MAX, PLUGIN_KEYS_MAX};
use crate::transform::KeyColumn;

/// An answer that keeps every rule.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) data: Vec<u8>,
    pub(super) ends: Vec<u32>,
    /// The row of the batch that each row was made of.
    pub(super) inputs: Vec<u32>,
    pub(super) statuses: Vec<Status>,
    pub(super) keys: Vec<KeyColumn>,
}

/// What is to become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Dropped,
    Failed,
}

/// What an answer is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// Rows of the batch.
    pub(super) records: usize,
    /// Bytes that the answer may have.
    pub(super) bytes_max: u64,
    /// Partition keys that earlier batches and steps brought.
    pub(super) keys: &'a [KeyColumn],
}

/// Checks an answer.
pub(super) fn check(raw: Raw, rules: &Rules<'_>) -> Result<Answer, Fault> {
    let bytes = raw.data.len() + raw.keys.iter().map(|key| key.data.len()).sum::<usize>();
    if bytes as u64 > rules.bytes_max {
        let max = rules.bytes_max;
        return Err(Fault::new(OUTPUT_TOO_LARGE, format!("the plugin gave {bytes} bytes, at most {max} are granted")));
    }
    let rows = raw.ends.len();
    for (column, length) in [("inputs", raw.inputs.len()), ("statuses", raw.statuses.len())] {
        if length != rows {
            return Err(invalid(format!("{rows} rows end, and there are {length} {column}")));
        }
    }
    check_ends("data", &raw.ends, raw.data.len())?;
    let statuses = raw.statuses.iter().enumerate().map(|(row, status)| status_of(row, *status));
    let statuses = statuses.collect::<Result<Vec<_>, _>>()?;
    check_inputs(&raw.inputs, &statuses, rules.records)?;
    let keys = check_keys(raw.keys, rows, rules)?;
    Ok(Answer { data: raw.data, ends: raw.ends, inputs: raw.inputs, statuses, keys })
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(INVALID_OUTPUT, message)
}

/// Ends rise, lie within the data, and leave nothing of it over.
fn check_ends(column: &str, ends: &[u32], bytes: usize) -> Result<(), Fault> {
    let mut start = 0;
    for (row, &end) in ends.iter().enumerate() {
        if end < start {
            return Err(invalid(format!("row {row} of {column} ends at {end}, before it begins at {start}")));
        }
        if end as usize > bytes {
            return Err(invalid(format!("row {row} of {column} ends at {end}, past its {bytes} bytes")));
        }
        start = end;
    }
    if start as usize != bytes {
        return Err(invalid(format!("the last row of {column} ends at {start}, and there are {bytes} bytes")));
    }
    Ok(())
}

fn status_of(row: usize, status: u8) -> Result<Status, Fault> {
    match status {
        0 => Ok(Status::Ok),
        1 => Ok(Status::Dropped),
        2 => Ok(Status::Failed),
        other => Err(invalid(format!("row {row} has the unknown status {other}"))),
    }
}

/// Inputs never fall and miss none; one that is dropped has that row alone.
fn check_inputs(inputs: &[u32], statuses: &[Status], records: usize) -> Result<(), Fault> {
    let mut next = 0;
    for (row, &input) in inputs.iter().enumerate() {
        if input as usize >= records {
            return Err(invalid(format!("row {row} is made of record {input}, and the batch has {records}")));
        }
        let before = next;
        next = input as usize + 1;
        if next < before {
            return Err(Fault::new(
                DUPLICATED_RECORD,
                format!("row {row} is made of record {input}, and a row of a later record stands before it"),
            ));
        }
        if next == before {
            let both = [statuses[row - 1], statuses[row]];
            if both.contains(&Status::Dropped) && !both.contains(&Status::Failed) {
                return Err(Fault::new(DUPLICATED_RECORD, format!("record {input} is dropped and has another row")));
            }
        } else if next > before + 1 {
            return Err(missing(before));
        }
    }
    if next < records { Err(missing(next)) } else { Ok(()) }
}

fn missing(record: usize) -> Fault {
    Fault::new(MISSING_RECORD, format!("record {record} of the batch has no row"))
}

fn check_keys(raw: Vec<RawColumn>, rows: usize, rules: &Rules<'_>) -> Result<Vec<KeyColumn>, Fault> {
    let mut keys: Vec<KeyColumn> = Vec::with_capacity(raw.len().min(PLUGIN_KEYS_MAX));
    let mut known = rules.keys.len();
    for column in raw {
        let name = column.name;
        check_name(&name)?;
        if keys.iter().any(|key| key.name == name) {
            return Err(invalid(format!("the partition key {name:?} is there twice")));
        }
        known += usize::from(rules.keys.iter().all(|key| key.name != name));
        if known > PLUGIN_KEYS_MAX {
            return Err(invalid(format!("there are {known} partition keys, at most {PLUGIN_KEYS_MAX} are taken")));
        }
        if column.ends.len() != rows {
            let values = column.ends.len();
            return Err(invalid(format!("the partition key {name:?} has {values} values for {rows} rows")));
        }
        check_ends(&format!("the partition key {name:?}"), &column.ends, column.data.len())?;
        let utf8 = || invalid(format!("a value of the partition key {name:?} is not UTF-8"));
        let data = String::from_utf8(column.data).map_err(|_| utf8())?;
        if !column.ends.iter().all(|&end| data.is_char_boundary(end as usize)) {
            return Err(utf8());
        }
        keys.push(KeyColumn { name, data, ends: column.ends });
    }
    Ok(keys)
}

fn check_name(name: &str) -> Result<(), Fault> {
    if !(1..=PLUGIN_KEY_NAME_BYTES_MAX).contains(&name.len()) {
        let length = name.len();
        let max = PLUGIN_KEY_NAME_BYTES_MAX;
        return Err(invalid(format!("the name of a partition key has {length} bytes, it may have 1 to {max}")));
    }
    // It stands between `!{partitionKeyFromLambda:` and `}` in a prefix.
    if name.contains(|c: char| c.is_control() || matches!(c, '{' | '}')) {
        return Err(invalid(format!("the partition key {name:?} has a control character or a brace in its name")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two records, three rows.
    fn good() -> Raw {
        let key = RawColumn { name: "k".into(), data: "aäb".into(), ends: vec![1, 3, 4] };
        Raw {
            data: b"abc".into(),
            ends: vec![1, 1, 3],
            inputs: vec![0, 0, 1],
            statuses: vec![0, 0, 1],
            keys: vec![key],
        }
    }

    fn fault(change: impl FnOnce(&mut Raw)) -> Fault {
        let mut raw = good();
        change(&mut raw);
        check(raw, &Rules { records: 2, bytes_max: 100, keys: &[] }).expect_err("it breaks a rule")
    }

    #[test]
    fn a_good_answer_is_taken_as_it_is() {
        let answer = check(good(), &Rules { records: 2, bytes_max: 7, keys: &[] }).unwrap();
        assert_eq!(answer.statuses, [Status::Ok, Status::Ok, Status::Dropped]);
        assert_eq!((answer.keys[0].get(1), answer.inputs), ("ä", vec![0, 0, 1]));
        let empty = Raw { data: vec![], ends: vec![], inputs: vec![], statuses: vec![], keys: vec![] };
        assert!(check(empty, &Rules { records: 0, bytes_max: 0, keys: &[] }).is_ok());
    }

    #[test]
    fn each_rule_has_its_words() {
        type Change = fn(&mut Raw);
        let table: &[(Change, &str, &str)] = &[
            (|raw| raw.data.extend([0; 100]), OUTPUT_TOO_LARGE, "103 bytes|107 bytes"),
            (|raw| raw.ends[2] = 4, INVALID_OUTPUT, "row 2 of data ends at 4, past its 3 bytes"),
            (|raw| raw.ends[1] = 0, INVALID_OUTPUT, "row 1 of data ends at 0, before it begins at 1"),
            (|raw| raw.ends[2] = 2, INVALID_OUTPUT, "the last row of data ends at 2"),
            (|raw| raw.ends[2] = u32::MAX, INVALID_OUTPUT, "past its 3 bytes"),
            (|raw| raw.inputs.truncate(2), INVALID_OUTPUT, "3 rows end, and there are 2 inputs"),
            (|raw| raw.statuses.push(0), INVALID_OUTPUT, "3 rows end, and there are 4 statuses"),
            (|raw| raw.statuses[0] = 3, INVALID_OUTPUT, "row 0 has the unknown status 3"),
            (|raw| raw.inputs[2] = 2, INVALID_OUTPUT, "row 2 is made of record 2, and the batch has 2"),
            (|raw| raw.inputs[2] = u32::MAX, INVALID_OUTPUT, "and the batch has 2"),
            (|raw| raw.inputs[2] = 0, DUPLICATED_RECORD, "record 0 is dropped and has another row"),
            (|raw| raw.inputs = vec![0, 1, 0], DUPLICATED_RECORD, "a row of a later record stands before it"),
            (|raw| raw.inputs = vec![1, 1, 1], MISSING_RECORD, "record 0 of the batch has no row"),
            (|raw| (raw.inputs[2], raw.statuses[2]) = (0, 0), MISSING_RECORD, "record 1 of the batch has no row"),
            (|raw| raw.keys[0].ends = vec![1, 3], INVALID_OUTPUT, "\"k\" has 2 values for 3 rows"),
            (|raw| raw.keys[0].ends[2] = 9, INVALID_OUTPUT, "past its 4 bytes"),
            (|raw| raw.keys[0].ends[0] = 2, INVALID_OUTPUT, "is not UTF-8"),
            (|raw| raw.keys[0].data[0] = 0xff, INVALID_OUTPUT, "is not UTF-8"),
            (|raw| raw.keys[0].name = String::new(), INVALID_OUTPUT, "has 0 bytes"),
            (|raw| raw.keys[0].name = "x".repeat(129), INVALID_OUTPUT, "has 129 bytes"),
            (|raw| raw.keys[0].name = "a}".into(), INVALID_OUTPUT, "a brace in its name"),
            (|raw| raw.keys.push(raw.keys[0].clone()), INVALID_OUTPUT, "is there twice"),
            (
                |raw| raw.keys = (0..51).map(|n| RawColumn { name: n.to_string(), ..raw.keys[0].clone() }).collect(),
                OUTPUT_TOO_LARGE,
                "",
            ),
        ];
        for (change, code, words) in table {
            let fault = fault(change);
            assert_eq!(fault.code, *code, "{fault:?}");
            assert!(words.split('|').any(|words| fault.message.contains(words)), "{fault:?} has not {words}");
        }
    }

    #[test]
    fn keys_of_earlier_steps_count_too() {
        let column = |name: usize| KeyColumn { name: name.to_string(), ..KeyColumn::default() };
        let full: Vec<_> = (0..PLUGIN_KEYS_MAX).map(column).collect();
        let check = |keys: &[KeyColumn]| check(good(), &Rules { records: 2, bytes_max: 100, keys });
        assert!(check(&full[1..]).is_ok());
        assert!(check(&full).unwrap_err().message.contains("51 partition keys"));
    }

    #[test]
    fn a_failed_record_may_have_any_other_rows() {
        for statuses in [[0, 2], [2, 0], [1, 2], [2, 1], [2, 2]] {
            let raw =
                Raw { data: vec![], ends: vec![0, 0], inputs: vec![0, 0], statuses: statuses.into(), keys: vec![] };
            assert!(check(raw, &Rules { records: 1, bytes_max: 0, keys: &[] }).is_ok(), "{statuses:?}");
        }
    }
}
