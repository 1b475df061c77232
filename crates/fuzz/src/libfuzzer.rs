//! One target under libFuzzer: `TIDINGS_FUZZ_TARGET` names it, all arguments are libFuzzer's own. What it knows to begin with
//! goes to the folder `TIDINGS_FUZZ_SEEDS`.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use tidings_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TIDINGS_FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        panic!("TIDINGS_FUZZ_TARGET is one of {}, not {name:?}", names.join(", "))
    })
});

/// Before libFuzzer reads its folders.
fn plant() {
    let Some(folder) = std::env::var_os("TIDINGS_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, seed) in (TARGET.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the folder of seeds can be written");
    }
}

libfuzzer_sys::fuzz_target!(init: plant(), |input: &[u8]| (TARGET.run)(input));
