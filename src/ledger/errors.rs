//! Error output is told apart by why records failed: an object of a plan for each type, under a key that the plan fixes.
//!
//! The names are Firehose's (spec: Amazon Data Firehose developer guide, "Understand custom prefixes", and of decompression
//! "Decompress CloudWatch Logs"), but for `dynamic-partitioning-failed`: that its errors are told apart is documented, how
//! they are called is not.

use serde::{Deserialize, Serialize};

use super::{Plan, Tally};

/// Why records are in the error output: the value of `!{firehose:error-output-type}`. What an HTTP endpoint does not take
/// has one more, which is no plan's error output but its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorType {
    /// A step refused them that is none of the others.
    #[serde(rename = "processing-failed")]
    Processing,
    /// They could not be decompressed.
    #[serde(rename = "decompression-failed")]
    Decompression,
    /// They have no value of a partition key, or none that can be in a key.
    #[serde(rename = "dynamic-partitioning-failed")]
    Partitioning,
    /// They do not fit the schema.
    #[serde(rename = "format-conversion-failed")]
    Conversion,
}

impl ErrorType {
    /// Each of them.
    pub const ALL: [ErrorType; 4] =
        [ErrorType::Processing, ErrorType::Decompression, ErrorType::Partitioning, ErrorType::Conversion];

    /// As it stands in keys.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Processing => "processing-failed",
            ErrorType::Decompression => "decompression-failed",
            ErrorType::Partitioning => "dynamic-partitioning-failed",
            ErrorType::Conversion => "format-conversion-failed",
        }
    }
}

/// An object of a plan's error output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorOutput<'a> {
    /// What is in it; of [`Processing`](ErrorType::Processing) also all that has no key of its own in the plan.
    pub of: ErrorType,
    /// Its key.
    pub key: &'a str,
    /// How many records are in it.
    pub records: u64,
}

impl Plan {
    /// In which object of the plan failures of a type are.
    pub fn error_type(&self, of: ErrorType) -> ErrorType {
        if self.error_keys.contains_key(&of) { of } else { ErrorType::Processing }
    }

    /// All objects of error output that it may have.
    pub fn error_types(&self) -> impl Iterator<Item = (ErrorType, &str)> {
        let apart = self.error_keys.iter().map(|(of, key)| (*of, key.as_str()));
        std::iter::once((ErrorType::Processing, self.error_key.as_str())).chain(apart)
    }

    /// Those that there must be where so much failed.
    pub fn error_output(&self, tally: &Tally) -> Vec<ErrorOutput<'_>> {
        let apart: u64 = self.error_keys.keys().map(|of| tally.failed_apart(*of)).sum();
        let records = |of| match of {
            ErrorType::Processing => (tally.failed + tally.unpacked_failed).saturating_sub(apart),
            of => tally.failed_apart(of),
        };
        let all = self.error_types().map(|(of, key)| ErrorOutput { of, key, records: records(of) });
        all.filter(|output| output.records > 0).collect()
    }

    /// The keys of all objects that it may have.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.key.as_str()).chain(self.error_types().map(|(_, key)| key))
    }
}

impl Tally {
    /// Counts one more record in the error output, for its type alone: `failed` and `unpacked_failed` count positions.
    pub fn count_failure(&mut self, of: ErrorType) {
        match of {
            ErrorType::Processing => {}
            ErrorType::Decompression => self.decompression_failed += 1,
            ErrorType::Partitioning => self.partitioning_failed += 1,
            ErrorType::Conversion => self.conversion_failed += 1,
        }
    }

    /// How many are of a type that is counted apart.
    fn failed_apart(&self, of: ErrorType) -> u64 {
        match of {
            ErrorType::Processing => 0,
            ErrorType::Decompression => self.decompression_failed,
            ErrorType::Partitioning => self.partitioning_failed,
            ErrorType::Conversion => self.conversion_failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::plan;
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally { failed: 5, unpacked_failed: 2, ..Tally::default() };
        for of in [ErrorType::Conversion, ErrorType::Processing, ErrorType::Conversion, ErrorType::Partitioning] {
            tally.count_failure(of);
        }
        tally
    }

    #[test]
    fn each_type_has_an_object_where_the_plan_has_a_key_for_it() {
        let apart = [(ErrorType::Conversion, "c".to_owned()), (ErrorType::Decompression, "d".to_owned())];
        let plan = Plan { error_keys: apart.into(), ..plan(1, 0, 0, 9) };
        let text = serde_json::to_string(&plan).unwrap();
        assert!(text.contains(r#""error_keys":{"decompression-failed":"d","format-conversion-failed":"c"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        let output = |of, key, records| ErrorOutput { of, key, records };
        let rest = output(ErrorType::Processing, plan.error_key.as_str(), 5);
        assert_eq!(plan.error_output(&tally()), [rest, output(ErrorType::Conversion, "c", 2)]);
        let all = Tally { failed: 1, conversion_failed: 1, ..Tally::default() };
        assert_eq!(plan.error_output(&all), [output(ErrorType::Conversion, "c", 1)]);
        assert_eq!(plan.keys().collect::<Vec<_>>(), [&plan.key, &plan.error_key, "d", "c"]);
    }

    #[test]
    fn a_plan_of_an_earlier_version_has_one_object_of_error_output() {
        let mut old = serde_json::to_value(plan(1, 0, 0, 9)).unwrap();
        assert!(old.as_object_mut().unwrap().remove("error_keys").is_none(), "it is not written where there is none");
        let old: Plan = serde_json::from_value(old).unwrap();
        let whole = ErrorOutput { of: ErrorType::Processing, key: &old.error_key, records: 7 };
        assert_eq!(old.error_output(&tally()), [whole]);
        assert_eq!(old.error_type(ErrorType::Conversion), ErrorType::Processing);
        assert_eq!(old.error_output(&Tally::default()), []);
    }

    #[test]
    fn names_are_those_of_keys() {
        for of in ErrorType::ALL {
            assert_eq!(serde_json::to_value(of).unwrap(), of.name());
        }
    }
}
