//! What a process has used, from /proc.

use serde_json::{Value, json};

use super::{Failure, round};

/// Ticks of a second in /proc/PID/stat: the same on all Linux machines that matter.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process up to now.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    user_seconds: f64,
    system_seconds: f64,
    rss_peak_mib: f64,
}

impl Usage {
    /// Of the process `pid`.
    pub(crate) fn of(pid: u32) -> Result<Usage, Failure> {
        let stat =
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| format!("pid {pid}: {error}"))?;
        // The name in parentheses may hold anything; what follows it is numbers, user time the twelfth of them.
        let fields: Vec<_> = stat.rsplit_once(')').ok_or("no process name")?.1.split_whitespace().collect();
        let ticks =
            |index: usize| -> Result<f64, Failure> { Ok(fields.get(index).ok_or("too short")?.parse::<f64>()?) };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(Usage {
            user_seconds: ticks(11)? / TICKS_PER_SECOND,
            system_seconds: ticks(12)? / TICKS_PER_SECOND,
            rss_peak_mib: peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0,
        })
    }

    /// What was used since `before`; the peak of memory is that of the process's life.
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage {
            user_seconds: self.user_seconds - before.user_seconds,
            system_seconds: self.system_seconds - before.system_seconds,
            rss_peak_mib: self.rss_peak_mib,
        }
    }

    /// As JSON, with the seconds for each GB of `mb`.
    pub(crate) fn report(&self, mb: f64) -> Value {
        let seconds = self.user_seconds + self.system_seconds;
        json!({
            "cpu_user_seconds": round(self.user_seconds),
            "cpu_system_seconds": round(self.system_seconds),
            "cpu_seconds_per_gb": round(seconds / mb * 1_000.0),
            "rss_peak_mib": round(self.rss_peak_mib),
        })
    }
}

/// Seconds that the calling thread has been on a CPU.
pub(crate) fn thread_cpu_seconds() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e9)
}
