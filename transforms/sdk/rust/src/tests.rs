//! The columns, natively.
use crate::testing::{self, Fate};
use crate::{Batch, Facts, Lifetime, Outcome, Transform};

/// Does to each record what its text says.
struct Obedient;

impl Transform for Obedient {
    fn init(facts: Facts) -> Result<Self, String> {
        facts.require("who").map(|_| Obedient)
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        assert_eq!(batch.len(), batch.clone().count());
        for record in batch {
            match record.data() {
                b"drop" => out.drop(&record),
                b"fail" => out.fail(&record, "as told"),
                b"forget" => {}
                b"twice" => {
                    out.emit(&record, "one").key("n", "1");
                    out.emit_with(&record, |text| text.extend_from_slice(b"two")).key("n", "2").key("late", "x");
                }
                b"two keys" => {
                    out.emit(&record, "").key("n", "1").key("n", "2");
                }
                other => {
                    out.emit(&record, other);
                }
            }
        }
    }
}

fn ok(data: &str, keys: &[(&str, &str)]) -> Fate {
    Fate::Ok(data.to_owned(), keys.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

#[test]
fn every_record_gets_what_it_asks_for() {
    let fates = testing::run(&mut Obedient, &["plain", "drop", "twice", "", "fail", "twice"]);
    let twice = vec![ok("one", &[("n", "1")]), ok("two", &[("n", "2"), ("late", "x")])];
    let failed = vec![Fate::Failed("as told".to_owned())];
    assert_eq!(fates, [vec![ok("plain", &[])], vec![Fate::Dropped], twice.clone(), vec![ok("", &[])], failed, twice]);
}

#[test]
fn no_records_are_no_rows() {
    assert_eq!(testing::run(&mut Obedient, &[] as &[&str]), Vec::<Vec<Fate>>::new());
}

#[test]
#[should_panic(expected = "every record is answered")]
fn a_forgotten_record_is_noticed() {
    testing::run(&mut Obedient, &["plain", "forget"]);
}

#[test]
#[should_panic(expected = "one value of the key \"n\"")]
fn a_row_has_one_value_of_a_key() {
    testing::run(&mut Obedient, &["plain", "two keys"]);
}

#[test]
fn configuration_is_found_or_named() {
    assert_eq!(testing::init::<Obedient>(&[]).err().as_deref(), Some("config value \"who\" is missing"));
    assert!(testing::init::<Obedient>(&[("what", ""), ("who", "")]).is_ok());
    assert_eq!(Obedient.lifetime(), Lifetime::Batch);
}
