//! The machine's side of a measurement: cores, CPU time and memory of a process, as Linux tells them. Nothing of Tidings.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Which core serves, and which one loads.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// The servers'.
    pub server: usize,
    /// The load's.
    pub load: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    pub fn choose() -> Result<Cores> {
        let allowed = sched_getaffinity(None).context("the cores of this process")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let (Some(server), Some(load)) = (cores.first(), cores.last()) else { anyhow::bail!("no core may be used") };
        Ok(Cores { server: *server, load: *load })
    }

    /// Whether the two have to share one.
    pub fn are_one(&self) -> bool {
        self.server == self.load
    }
}

/// From now on this thread, and every process and thread that it starts, runs on `core` alone.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("core {core} cannot be had"))
}

/// From now on this thread, and every process and thread that it starts, runs when nobody else wants its core. There is no way back.
pub fn step_back() -> Result<()> {
    nice(19).map(|_| ()).context("this thread cannot be given less of its core")
}

/// Raises the number of open files to what is allowed, also for the servers that are started, and says how many that are.
pub fn raise_files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).context("the number of open files")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The CPU time of one process, to the nanosecond: `/proc/PID/stat` counts in steps of 10 ms, which is the cost of ten logins.
pub struct Meter {
    pid: u32,
    /// What each thread had used when it was last looked at: a thread that has ended since is still counted.
    threads: Mutex<HashMap<String, u64>>,
}

impl Meter {
    /// Nothing has been looked at yet.
    pub fn new(pid: u32) -> Meter {
        Meter { pid, threads: Mutex::default() }
    }

    /// All that the process has used, in user and kernel mode. A thread that ends is seen only up to the last look, so look
    /// every few seconds: tokio's blocking threads end after ten idle ones.
    pub fn cpu(&self) -> Result<Duration> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = format!("/proc/{}/task", self.pid);
        for task in std::fs::read_dir(&folder).with_context(|| format!("{folder}: the server has ended"))? {
            let task = task?;
            // A thread may end between the two looks.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let ran = text.split_whitespace().next().and_then(|ran| ran.parse().ok()).context("/proc/PID/task/TID/schedstat")?;
            threads.insert(task.file_name().to_string_lossy().into_owned(), ran);
        }
        Ok(Duration::from_nanos(threads.values().sum()))
    }
}

/// The resident memory of a process, in bytes.
pub fn rss(pid: u32) -> Result<u64> {
    memory(pid, "Rss:")
}

/// What of it is the process's own, and not pages of its program that the kernel has at hand.
pub fn anonymous(pid: u32) -> Result<u64> {
    memory(pid, "Anonymous:")
}

fn memory(pid: u32, what: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{path}: the server has ended"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("{path} has no {what}"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("smaps_rollup")?;
    ensure!(kib > 0, "a process without memory");
    Ok(kib * 1024)
}

/// How many processes want a core, in the mean of the last minute: where it is more than two or three besides the benchmark, latencies
/// and throughput say more about the others than about the server.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}

/// What the machine is, for the report.
pub fn describe() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).map_or("?", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {count} cores, Linux {}, load {} before the run", kernel.trim(), load())
}
