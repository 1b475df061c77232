//! Panics that nobody would see: one in a server's task ends that task, and no test with it.

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Mutex, Once};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on panics outside of tests are remembered, and shown like all others.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if let Some(place) = place(info) {
                SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(place);
            }
            before(info);
        }));
    });
}

/// Where there were panics since [`watch`], in this process.
pub fn seen() -> Vec<String> {
    SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

/// Where it happened, unless that is a test's own assertion.
fn place(info: &PanicHookInfo<'_>) -> Option<String> {
    let location = info.location()?;
    let is_a_tests = location.file().contains("tests/") || location.file().contains("testbed/");
    (!is_a_tests).then(|| location.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_in_a_task_is_seen_and_a_tests_own_is_not() {
        super::watch();
        assert!(std::panic::catch_unwind(|| panic!("a test's own")).is_err());
        let _ = std::thread::spawn(|| Vec::<u8>::with_capacity(usize::MAX)).join();
        assert!(matches!(&super::seen()[..], [one] if one.contains("/alloc/") || one.contains("/library/")), "{:?}", super::seen());
    }
}
