//! `standpipe serve`: runs the service until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logs::{self, LogFormat};
use super::terminal::complain;
use super::{notify, setup};
use crate::app::{App, StopReport};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;

/// The command line of `serve`.
#[derive(Args)]
#[command(after_help = "Signals:
  SIGTERM, SIGINT  stop: take no more records, deliver what is buffered for as long as the grace period allows, and
                   say what stays in the journal for the next start. A second one exits at once. Nothing that was
                   acknowledged is lost either way.

Examples:
  standpipe serve --config standpipe.toml
  STANDPIPE_LOG=standpipe=debug standpipe serve --config standpipe.toml --log-format text

Exit codes:
  0  stopped as told
  1  could not start or not stop in order (standard error says why), or exited at once by a second signal
  2  the command line is wrong")]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "STANDPIPE_CONFIG", default_value = "standpipe.toml")]
    config: PathBuf,
    /// How log lines on standard error look; the environment variable STANDPIPE_LOG filters them
    #[arg(long, value_enum, env = "STANDPIPE_LOG_FORMAT", default_value = "json")]
    log_format: LogFormat,
}

/// Runs the service.
pub fn run(args: &ServeArgs) -> ExitCode {
    if let Err(fault) = logs::start(args.log_format) {
        complain(fault);
        return ExitCode::FAILURE;
    }
    match setup::load(&args.config) {
        Ok(config) => setup::block_on(true, serve(config)),
        Err(code) => code,
    }
}

async fn serve(config: Config) -> ExitCode {
    let grace = config.server.grace;
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            complain(format_args!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // A signal while it starts (a large journal is read) must stop it as well.
    let started = tokio::select! {
        started = App::start(config, Clock::real()) => started,
        () = stopped(&mut terminate, &mut interrupt) => {
            tracing::info!("told to stop while starting");
            return ExitCode::SUCCESS;
        }
    };
    let app = match started {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(error = %error, "cannot start");
            complain(format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %app.firehose_addr(), admin = %app.admin_addr(), "ready");
    notify::tell(notify::READY);
    stopped(&mut terminate, &mut interrupt).await;
    notify::tell(notify::STOPPING);
    tracing::info!(grace_seconds = grace.as_secs_f64(), "stopping; a second signal exits at once");
    tokio::select! {
        stopped = app.stop(grace) => report(stopped),
        () = stopped(&mut terminate, &mut interrupt) => {
            tracing::warn!("exited at once; what was not delivered is in the journal");
            ExitCode::FAILURE
        }
    }
}

fn report(stopped: Result<StopReport>) -> ExitCode {
    match stopped {
        Ok(report) => {
            tracing::info!(
                left_records = report.left.iter().map(|(_, records)| records).sum::<u64>(),
                "stopped: {report}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = %error, "stopped with a fault; what was not delivered is in the journal");
            ExitCode::FAILURE
        }
    }
}

async fn stopped(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
