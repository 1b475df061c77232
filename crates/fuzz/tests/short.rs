//! Each decoder against inputs bent from known ones, by a fixed seed: seconds, in every test run.
//!
//! `TIDINGS_FUZZ_SEED=7 cargo test -p tidings-fuzz` takes another seed; a failure prints the input and the seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tidings_fuzz::{Bender, Pace, TARGETS, Target};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short(target: &Target, seed: u64) {
    let seeds = (target.seeds)();
    let inputs = match target.pace {
        Pace::Fast => 20_000,
        Pace::Slow => 400,
    };
    let mut bender = Bender::new(seed, seeds.clone());
    let bent = (0..inputs).map(|_| bender.input());
    for input in seeds.into_iter().chain([vec![]]).chain(bent) {
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(ended.is_ok(), "{} with seed {seed}: {}", target.name, hex(&input));
    }
}

#[test]
fn no_decoder_panics_or_reads_twice_what_it_wrote_differently() {
    let seed = std::env::var("TIDINGS_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    std::thread::scope(|scope| {
        let runs: Vec<_> = TARGETS.iter().map(|target| (target.name, scope.spawn(move || short(target, seed)))).collect();
        for (name, run) in runs {
            assert!(run.join().is_ok(), "{name}: see above");
        }
    });
}

/// The control of all targets: what they are given at first gets through, so that bending it reaches deep.
#[test]
fn the_seeds_are_taken() {
    use tidings_proto::{Entry, Frame, Genesis, LogName, cbor, draft};
    let seeds = |name: &str| (TARGETS.iter().find(|target| target.name == name).unwrap().seeds)();
    assert!(seeds("cbor").iter().all(|seed| cbor::validate(seed).is_ok()));
    assert!(seeds("frame").iter().all(|seed| Frame::read(seed, usize::MAX).is_ok()) && seeds("frame").len() > 30);
    assert!(seeds("entry").iter().all(|seed| Entry::read(seed).is_ok()));
    assert!(seeds("draft").iter().all(|seed| draft::read(seed.clone().into()).is_ok()));
    assert!(seeds("genesis").iter().all(|seed| Genesis::read(seed).is_ok()));
    assert!(seeds("name").iter().any(|seed| std::str::from_utf8(seed).unwrap().parse::<LogName>().is_ok()));
    assert!(TARGETS.iter().all(|target| !(target.seeds)().is_empty()));
}

/// A target that fails is seen to fail.
#[test]
fn a_panic_is_found() {
    let brittle =
        Target { name: "brittle", run: |input| assert!(input.first() != Some(&0xff)), seeds: || vec![vec![1, 2, 3]], pace: Pace::Fast };
    assert!(catch_unwind(|| short(&brittle, 1)).is_err());
}
