//! The S3 server of the tests as a process of its own: `cargo run --example s3server -- --port 9000 --fault put:500:0.05`.
//!
//! Objects live in memory, so a test may kill everything but this. `HEAD` of an object tells in its metadata how often
//! it was made (`creations`) and whether with other bytes than before (`altered`).

#[path = "s3/mod.rs"]
mod s3;

use clap::Parser;

use s3::{Conditions, Fault, Op, Options, Server};

#[derive(Parser)]
#[command(about = "An S3 server in memory, with faults on order")]
struct Arguments {
    /// Port on 127.0.0.1; 0 for any that is free
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Buckets that exist; may be repeated
    #[arg(long, default_value = "lake")]
    bucket: Vec<String>,
    #[arg(long, default_value = "AKIDEXAMPLE")]
    access_key: String,
    #[arg(long, default_value = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")]
    secret_key: String,
    /// What to make of If-None-Match: honour, ignore or refuse
    #[arg(long, default_value = "honour", value_parser = conditions)]
    conditions: Conditions,
    /// Answer 400 to calls with a checksum header
    #[arg(long)]
    refuse_checksums: bool,
    /// CALL:FAULT:PROBABILITY, such as put:500:0.05 or any:store-close:0.01; may be repeated. Calls: put, begin, part,
    /// complete, abort, other, any. Faults: 500, 503, slowdown, 409, 412, 403, 200-error, store-500, store-close,
    /// garble, hang, cut-BYTES, delay-MS
    #[arg(long, value_parser = chance)]
    fault: Vec<Chance>,
    /// Of the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A fault with its probability, for calls of one kind or of any.
#[derive(Clone)]
struct Chance {
    op: Option<Op>,
    fault: Fault,
    probability: f64,
}

fn conditions(text: &str) -> Result<Conditions, String> {
    match text {
        "honour" => Ok(Conditions::Honour),
        "ignore" => Ok(Conditions::Ignore),
        "refuse" => Ok(Conditions::Refuse),
        _ => Err("not honour, ignore or refuse".to_owned()),
    }
}

fn chance(text: &str) -> Result<Chance, String> {
    let mut words = text.split(':');
    let (Some(op), Some(fault), Some(probability), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("not CALL:FAULT:PROBABILITY".to_owned());
    };
    let op = if op == "any" { None } else { Some(op.parse()?) };
    let probability: f64 = probability.parse().map_err(|_| format!("not a probability: {probability:?}"))?;
    if !(0.0..=1.0).contains(&probability) {
        return Err(format!("probability {probability} is not between 0 and 1"));
    }
    Ok(Chance { op, fault: fault.parse()?, probability })
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever started this waits for the line")]
async fn main() {
    let arguments = Arguments::parse();
    let options = Options {
        port: arguments.port,
        buckets: arguments.bucket,
        access_key: arguments.access_key,
        secret_key: arguments.secret_key,
        conditions: arguments.conditions,
        refuse_checksums: arguments.refuse_checksums,
        seed: arguments.seed,
    };
    let server = Server::start(options).await;
    for Chance { op, fault, probability } in arguments.fault {
        server.faults().by_chance(op, fault, probability);
    }
    println!("listening on {}", server.endpoint());
    server.serve().await;
}
