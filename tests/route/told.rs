//! The same with a webhook: whatever breaks, the receiver was told of each object that is in the lake.

use std::collections::BTreeMap;

use standpipe::config::Webhook;

use super::receiver::{Receiver, Reply};
use super::{Disaster, Machine, Producer, Way, process};

/// Breaks the route at operation `step` of the data directory; says whether there were that many.
fn told_after(disaster: Disaster, step: u64) -> bool {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    // Now and then it does not take what it is told.
    let receiver = runtime.block_on(Receiver::start(|_, before| match before {
        1 => Reply::Hangup,
        _ => Reply::Status(202),
    }));
    let mut machine = Machine::new(step, Way::Direct);
    machine.config.delivery_streams[0].webhook = Some(Box::new(Webhook::new(receiver.url())));
    machine.data.crash_after(step);
    let mut producer = Producer::default();
    let _ = process(machine.live(&mut producer, 0, 3));
    let reached = machine.data.operations() > step;
    match disaster {
        Disaster::Kill => machine.data.restart(),
        Disaster::PowerCut => machine.data.crash(),
    }
    let mut ended = process(machine.live(&mut producer, 3, 1));
    if machine.told(&receiver).is_err() {
        // A stop does not wait for a receiver that has just not taken something: that is told after the next start.
        ended = ended.and_then(|_| process(machine.live(&mut producer, 4, 0)));
    }
    ended.unwrap_or_else(|error| panic!("{disaster:?} at operation {step}: {error}"));
    machine.check(&producer, &format!("{disaster:?} at operation {step}"));
    machine.told(&receiver).unwrap_or_else(|fault| panic!("{disaster:?} at operation {step}: {fault}"));
    reached
}

impl Machine {
    /// Whether the receiver was told of each object as it is, under one id each time.
    fn told(&self, receiver: &Receiver) -> Result<(), String> {
        let mut ids = BTreeMap::new();
        let mut told = BTreeMap::new();
        for got in receiver.requests() {
            let object = &got.json["data"]["object"];
            let (key, id) = (object["key"].as_str().expect("a key").to_owned(), got.header("webhook-id").to_owned());
            assert_eq!(ids.entry(key.clone()).or_insert(id.clone()), &id, "{key} has two ids");
            told.insert(key, object["size"].as_u64().expect("a size"));
        }
        for key in self.lake.files() {
            let bytes = self.lake.read(&key).expect("it was listed").len() as u64;
            if told.get(&key) != Some(&bytes) {
                return Err(format!("{key} has {bytes} bytes, and the receiver was told {:?}", told.get(&key)));
            }
        }
        Ok(())
    }
}

fn told_everywhere(disaster: Disaster) {
    let steps = (0..10_000).take_while(|step| told_after(disaster, *step)).count();
    assert!(steps > 30, "only {steps} operations: the test no longer covers the route");
}

#[test]
fn killed_at_every_operation_with_a_webhook() {
    told_everywhere(Disaster::Kill);
}

#[test]
fn power_cut_at_every_operation_with_a_webhook() {
    told_everywhere(Disaster::PowerCut);
}
