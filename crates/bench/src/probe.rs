//! What the disk does meanwhile: a small file beside the servers' folders is synced again and again, and how long that takes is kept.
//! It tells a server's latency from its disk's; it measures nothing of Tidings.

use anyhow::Result;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two syncs: seldom enough to cost the server nothing.
const APART: Duration = Duration::from_millis(50);

/// A thread that syncs until it is stopped, or dropped.
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Duration>>>,
}

impl Probe {
    /// Begins, in this folder.
    pub fn start(folder: &Path) -> Result<Probe> {
        let mut file = tempfile::tempfile_in(folder)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            loop {
                let begun = Instant::now();
                if file.rewind().and_then(|()| file.write_all(&[0x5a; 4096])).and_then(|()| file.sync_data()).is_err() {
                    break;
                }
                took.push(begun.elapsed());
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(APART);
            }
            took
        });
        Ok(Probe { stop, thread: Some(thread) })
    }

    /// Ends, and says in words what it saw.
    pub fn stop(mut self) -> String {
        told(self.ended())
    }

    fn ended(&mut self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.ended();
    }
}

fn told(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let Some(longest) = took.last() else { return "the disk could not be probed".into() };
    let ms = |took: &Duration| took.as_secs_f64() * 1e3;
    format!("a sync of the disk took {:.1} ms in the median of {}, and {:.0} ms once", ms(&took[took.len() / 2]), took.len(), ms(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_says_how_long_syncs_took() {
        let folder = tempfile::tempdir().unwrap();
        let said = Probe::start(folder.path()).unwrap().stop();
        assert!(said.contains("ms in the median of"), "{said}");
        let took = [1, 400, 2].map(Duration::from_millis).to_vec();
        assert_eq!(told(took), "a sync of the disk took 2.0 ms in the median of 3, and 400 ms once");
        assert_eq!(told(Vec::new()), "the disk could not be probed");
    }
}
