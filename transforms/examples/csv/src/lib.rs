//! Turns CSV into JSON: every line becomes an object.
//!
//! Configuration: `columns`, their names with commas between; `numbers`, the names of those that are numbers; `separator`,
//! if it is not a comma. A line that repeats the names is a header and is left out; a record may hold several lines.
use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Number, Value};
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Record, Transform, export};

struct Csv {
    columns: Vec<String>,
    numbers: HashSet<String>,
    separator: u8,
}

impl Transform for Csv {
    fn init(facts: Facts) -> Result<Self, String> {
        let names = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let separator = match facts.get("separator").unwrap_or(",").as_bytes() {
            [byte] => *byte,
            _ => return Err("config value \"separator\" must be one character".to_owned()),
        };
        let columns = names(facts.require("columns")?);
        let numbers = facts.get("numbers").map(|list| names(list).into_iter().collect()).unwrap_or_default();
        Ok(Csv { columns, numbers, separator })
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            if let Err(message) = self.convert(&record, out) {
                out.fail(&record, message);
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Csv);

impl Csv {
    fn convert(&self, record: &Record<'_>, out: &mut Outcome) -> Result<(), String> {
        let mut lines =
            ReaderBuilder::new().delimiter(self.separator).has_headers(false).flexible(true).from_reader(record.data());
        let mut line = StringRecord::new();
        let mut rows = 0;
        while lines.read_record(&mut line).map_err(|error| error.to_string())? {
            if line.iter().eq(&self.columns) {
                continue;
            }
            out.emit(record, self.object(&line)?.to_string() + "\n");
            rows += 1;
        }
        if rows == 0 {
            out.drop(record);
        }
        Ok(())
    }

    fn object(&self, line: &StringRecord) -> Result<Value, String> {
        if line.len() != self.columns.len() {
            return Err(format!("{} fields where there are {} columns", line.len(), self.columns.len()));
        }
        let fields =
            self.columns.iter().zip(line).map(|(column, field)| Ok((column.clone(), self.value(column, field)?)));
        Ok(Value::Object(fields.collect::<Result<Map<_, _>, String>>()?))
    }

    fn value(&self, column: &str, field: &str) -> Result<Value, String> {
        if field.is_empty() {
            Ok(Value::Null)
        } else if self.numbers.contains(column) {
            let number = field.trim().parse::<Number>();
            number.map(Value::Number).map_err(|_| format!("column {column:?}: {field:?} is no number"))
        } else {
            Ok(field.into())
        }
    }
}
