//! The rules of change, table by table.

use std::time::Duration;

use super::*;
use crate::error::{Kind, Result};
use crate::stream::data::Settings;

const NOW_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn settings() -> Settings {
    Settings {
        account_id: "000000000000".into(),
        region: "us-east-1".into(),
        shards_max: 10,
        state_delay: Duration::ZERO,
        can_encrypt: true,
    }
}

fn stream() -> Definition {
    let mut definition = Definition::new(StreamId(1), "s", Origin::Api, NOW_MS);
    definition.fill(2, None);
    definition
}

#[track_caller]
fn refused<T>(result: Result<T>, kind: Kind, said: &str) {
    let Err(error) = result else { panic!("it is refused: {said}") };
    assert_eq!((error.kind(), error.message()), (kind, said));
}

fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_hash_key_has_its_shard() {
    let mut stream = stream();
    let half = 1_u128 << 127;
    let at = |stream: &Definition, hash| stream.route(hash).map(|shard| shard.index);
    assert_eq!([0, half - 1, half, u128::MAX].map(|hash| at(&stream, hash)), [Some(0), Some(0), Some(1), Some(1)]);
    let steps = stream.to_count(1);
    stream.reshard(&steps, &[(0, 5), (1, 6)].into(), NOW_MS).unwrap();
    assert_eq!([0, u128::MAX].map(|hash| at(&stream, hash)), [Some(2), Some(2)]);
    assert_eq!(Definition::new(StreamId(1), "s", Origin::Api, NOW_MS).route(0), None);
}

#[test]
fn retention_is_between_a_day_and_a_year_and_goes_the_way_it_says() {
    let (mut stream, settings) = (stream(), settings());
    let hours = |stream: &Definition| stream.retention.as_secs() / 3_600;
    stream.increase_retention(48, &settings, NOW_MS).unwrap();
    stream.increase_retention(48, &settings, NOW_MS).unwrap();
    for (asked, said) in [
        (
            i64::MIN,
            "Minimum allowed retention period is 24 hours. Requested retention period (-9223372036854775808 hours) is too short.",
        ),
        (23, "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."),
        (8_761, "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long."),
        (
            47,
            "Requested retention period (47 hours) for stream s can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.",
        ),
    ] {
        refused(stream.increase_retention(asked, &settings, NOW_MS), Kind::Invalid, said);
    }
    let said = "Requested retention period (49 hours) for stream s can not be longer than existing retention period (48 \
                hours). Use IncreaseRetentionPeriod API.";
    refused(stream.decrease_retention(49, &settings, NOW_MS), Kind::Invalid, said);
    assert_eq!(hours(&stream), 48);
    stream.decrease_retention(24, &settings, NOW_MS).unwrap();
    stream.increase_retention(8_760, &settings, NOW_MS).unwrap();
    assert_eq!(hours(&stream), 8_760);
    assert_eq!(stream.horizon_ms(NOW_MS + 1), NOW_MS);
    assert_eq!(stream.horizon_ms(NOW_MS + 400 * DAY_MS), NOW_MS + 35 * DAY_MS);
}

#[test]
fn an_update_passes_through_updating_and_wants_active() {
    let settings = Settings { state_delay: Duration::from_secs(1), ..settings() };
    let mut stream = stream();
    stream.increase_retention(48, &settings, NOW_MS).unwrap();
    assert_eq!(stream.status(NOW_MS + 999), Status::Updating);
    assert!(stream.takes_puts(NOW_MS));
    let said = "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING";
    refused(stream.set_record_kib_max(2_048, &settings, NOW_MS + 999), Kind::Conflict, said);
    assert_eq!(stream.status(NOW_MS + 1_000), Status::Active);
    stream.set_record_kib_max(2_048, &settings, NOW_MS + 1_000).unwrap();
    assert_eq!(stream.record_bytes_max, 2 << 20);
}

#[test]
fn tags_are_counted_and_plain() {
    let (mut stream, settings) = (stream(), settings());
    stream.add_tags(tags(&[("b", "1"), ("a", ""), ("Grün ß_.:/=+-@", "日本 語")]), &settings).unwrap();
    stream.add_tags(tags(&[("b", "2")]), &settings).unwrap();
    assert_eq!(stream.tags, tags(&[("Grün ß_.:/=+-@", "日本 語"), ("a", ""), ("b", "2")]));
    let long = "k".repeat(129);
    let longer = "v".repeat(257);
    for wrong in [("", "v"), ("k", "%"), ("k\0", ""), ("k,", ""), ("k", "*"), (&*long, ""), ("k", &*longer)] {
        let error = stream.add_tags(tags(&[wrong]), &settings).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{wrong:?}");
    }
    let many = (0..47).map(|number| (format!("t{number}"), String::new()));
    stream.add_tags(many.collect(), &settings).unwrap();
    let said = "Failed to add tags to stream s under account 000000000000 because a given stream cannot have more than \
                50 tags associated with it.";
    refused(stream.add_tags(tags(&[("more", "")]), &settings), Kind::Invalid, said);
    stream.add_tags(tags(&[("t0", "again")]), &settings).unwrap();
    stream.remove_tags(&["t0".into(), "unknown".into()]);
    assert_eq!(stream.tags.len(), 49);
}

#[test]
fn keys_are_named_as_kms_names_them() {
    let (mut stream, settings) = (stream(), settings());
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let (key, alias) = (format!("arn:aws:kms:us-east-1:111122223333:key/{id}"), "alias/aws/kinesis");
    let alias_arn = "arn:aws-cn:kms:cn-north-1:111122223333:alias/MyAliasName";
    for fine in [id, &key, alias, alias_arn, "mrk-1234abcd12ab34cd56ef1234567890ab"] {
        stream.start_encryption(fine, &settings, NOW_MS).unwrap();
        assert_eq!(stream.encryption_key.as_deref(), Some(fine));
    }
    let long = format!("alias/{}", "a".repeat(2_048));
    let elsewhere = format!("arn:aws:s3:us-east-1:111122223333:key/{id}");
    let nobodys = format!("arn:aws:kms:us-east-1:me:key/{id}");
    for wrong in ["", "alias/", "key", "a b", "alias/a b", "alias/ä", &long, &elsewhere, &nobodys, &id[1..], "other/x"]
    {
        let error = stream.start_encryption(wrong, &settings, NOW_MS).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
    }
    stream.stop_encryption(alias, &settings, NOW_MS).unwrap();
    assert_eq!(stream.encryption_key, None);
    let without = Settings { can_encrypt: false, ..settings };
    let said = "encryption is not available: the configuration has no encryption_key";
    refused(stream.start_encryption(alias, &without, NOW_MS), Kind::Invalid, said);
}

#[test]
fn metrics_are_switched_one_by_one_or_all() {
    let (mut stream, settings) = (stream(), settings());
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let both = named(&["IncomingBytes", "OutgoingBytes"]);
    let (before, after) = stream.enable_metrics(&named(&["OutgoingBytes", "IncomingBytes"]), &settings).unwrap();
    assert_eq!((before, after), (Vec::new(), both.clone()));
    let (before, after) = stream.enable_metrics(&named(&["ALL"]), &settings).unwrap();
    assert_eq!((before, after.len()), (both, 7));
    let (_, after) = stream.disable_metrics(&named(&["IncomingBytes"]), &settings).unwrap();
    assert_eq!(after.len(), 6);
    assert!(stream.enable_metrics(&named(&["Incoming"]), &settings).is_err());
    stream.disable_metrics(&named(&["ALL"]), &settings).unwrap();
    assert_eq!(stream.metrics, named(&[]));
}

#[test]
fn the_mode_is_changed_twice_a_day_and_brings_what_belongs_to_it() {
    let (mut stream, settings) = (stream(), settings());
    let unsuitable = |result: Result<()>| assert!(Validation::is_behind(&result.unwrap_err()));
    unsuitable(stream.set_warm_throughput(10, &settings, NOW_MS));
    unsuitable(stream.set_distribution(Distribution::Auto, &settings, NOW_MS));
    unsuitable(stream.set_mode(Mode::Provisioned, Some(1), &settings, NOW_MS));
    stream.set_mode(Mode::OnDemand, Some(10), &settings, NOW_MS).unwrap();
    stream.set_mode(Mode::OnDemand, None, &settings, NOW_MS).unwrap();
    stream.set_distribution(Distribution::Auto, &settings, NOW_MS).unwrap();
    assert_eq!((stream.warm_mibps, stream.open_shards().count()), (Some(10), 2));
    stream.set_warm_throughput(10_240, &settings, NOW_MS).unwrap();
    assert_eq!(stream.set_warm_throughput(10_241, &settings, NOW_MS).unwrap_err().kind(), Kind::Invalid);
    stream.set_mode(Mode::Provisioned, None, &settings, NOW_MS + 1).unwrap();
    assert_eq!((stream.warm_mibps, stream.distribution), (None, Distribution::PartitionKey));
    let again = stream.set_mode(Mode::OnDemand, None, &settings, NOW_MS + DAY_MS - 1);
    assert_eq!(again.unwrap_err().kind(), Kind::Throttled);
    stream.set_mode(Mode::OnDemand, None, &settings, NOW_MS + DAY_MS).unwrap();
    assert_eq!(stream.mode_changed_ms, [NOW_MS + 1, NOW_MS + DAY_MS]);
}

#[test]
fn record_sizes_have_bounds() {
    let (mut stream, settings) = (stream(), settings());
    for kib in [i64::MIN, -1, 0, 1_023, 10_241, i64::MAX] {
        assert!(Validation::is_behind(&stream.set_record_kib_max(kib, &settings, NOW_MS).unwrap_err()), "{kib}");
    }
    for kib in [1_024, 10_240] {
        stream.set_record_kib_max(kib, &settings, NOW_MS).unwrap();
        assert_eq!(i64::try_from(stream.record_bytes_max).unwrap(), kib << 10);
    }
}

#[test]
fn consumers_are_found_by_name_and_by_the_end_of_their_arn() {
    let (mut stream, settings) = (stream(), settings());
    for number in (0..20).rev() {
        stream.register_consumer(&format!("c{number}"), Vec::new(), &settings, NOW_MS).unwrap();
    }
    assert!(stream.consumers.is_sorted_by(|a, b| a.name < b.name));
    let said = "Stream s under account 000000000000 has 20 registered consumers, which is the most there may be.";
    refused(stream.register_consumer("more", Vec::new(), &settings, NOW_MS), Kind::Throttled, said);
    let said = "Consumer arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c7:1700000000 already exists.";
    refused(stream.register_consumer("c7", Vec::new(), &settings, NOW_MS), Kind::Conflict, said);
    for which in ["c7", "c7:1700000000"] {
        assert_eq!(stream.consumer(which, &settings).unwrap().name, "c7");
    }
    for which in ["c70", "", "c7:", "c7:1700000001", "c7:x", "C7"] {
        let said = format!("Consumer {which}, account 000000000000 not found.");
        refused(stream.consumer(which, &settings).map(drop), Kind::NotFound, &said);
        refused(stream.deregister_consumer(which, &settings).map(drop), Kind::NotFound, &said);
    }
    stream.add_consumer_tags("c7", tags(&[("a", "b")]), &settings).unwrap();
    stream.set_consumer_policy("c7", Some("{}".into()), &settings).unwrap();
    assert_eq!(stream.consumer("c7", &settings).unwrap().tags, tags(&[("a", "b")]));
    stream.remove_consumer_tags("c7", &["a".into()], &settings).unwrap();
    let gone = stream.deregister_consumer("c7:1700000000", &settings).unwrap();
    assert_eq!((gone.tags.len(), gone.policy.as_deref(), stream.consumers.len()), (0, Some("{}"), 19));
    for name in ["", "a b", &"a".repeat(129)] {
        let error = stream.register_consumer(name, Vec::new(), &settings, NOW_MS).unwrap_err();
        assert!(Validation::is_behind(&error), "{name}");
    }
    let slow = Settings { state_delay: Duration::from_secs(1), ..settings };
    assert_eq!(gone.status(&slow, NOW_MS + 999), Status::Creating);
    assert_eq!(gone.status(&slow, NOW_MS + 1_000), Status::Active);
}

#[test]
fn a_policy_is_a_json_object_of_some_size() {
    let mut stream = stream();
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for wrong in ["", "no", "[]", "{} {}", &nested] {
        assert!(Validation::is_behind(&stream.set_policy(Some(wrong.into())).unwrap_err()));
    }
    let large = format!("{{\"a\":\"{}\"}}", "a".repeat(20 << 10));
    assert_eq!(stream.set_policy(Some(large)).unwrap_err().kind(), Kind::Throttled);
    stream.set_policy(Some("{\"Version\":\"2012-10-17\"}".into())).unwrap();
    assert!(stream.policy.is_some());
    stream.set_policy(None).unwrap();
    assert_eq!(stream.policy, None);
}
