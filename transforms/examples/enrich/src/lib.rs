//! Adds to each record what a table knows of it: by default of the customer whom the field `customer` names, from
//! `customers.json` beside this file, which becomes part of the module.
//!
//! Configuration: `field`, the field to look up; `table`, another table, a JSON object of objects.
use serde_json::{Map, Value};
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, count, export};

const CUSTOMERS: &str = include_str!("customers.json");

struct Enrich {
    field: String,
    table: Map<String, Value>,
}

impl Transform for Enrich {
    fn init(facts: Facts) -> Result<Self, String> {
        let table = serde_json::from_str(facts.get("table").unwrap_or(CUSTOMERS));
        Ok(Enrich {
            field: facts.get("field").unwrap_or("customer").to_owned(),
            table: table.map_err(|error| format!("config value \"table\": {error}"))?,
        })
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match serde_json::from_slice::<Map<String, Value>>(record.data()) {
                Ok(mut fields) => {
                    self.enrich(&mut fields);
                    out.emit(&record, Value::Object(fields).to_string() + "\n");
                }
                Err(error) => out.fail(&record, format!("no JSON object: {error}")),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Enrich);

impl Enrich {
    /// Adds what is known; what the record says itself stands.
    fn enrich(&self, fields: &mut Map<String, Value>) {
        let known = fields.get(&self.field).and_then(Value::as_str).and_then(|name| self.table.get(name));
        let Some(Value::Object(known)) = known else {
            count("unknown", 1);
            return;
        };
        for (name, value) in known {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    }
}
