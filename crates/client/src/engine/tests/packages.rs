//! This device's own key packages: as many as there is room for, and with each refill another one of last resort.

use super::bench::Bench;
use std::time::Instant;
use tidings_proto::frame::{KeyPackagesLeft, KeyPackagesPut};
use tidings_proto::{Frame, limits};

#[tokio::test]
async fn with_each_refill_comes_another_key_package_of_last_resort() {
    let mut bench = Bench::new().await;
    let (refill, most) = (limits::KEY_PACKAGES_REFILL as u32, limits::KEY_PACKAGES as u32);
    let mut brought = Vec::new();
    for (single_use, last_resort, expected) in [
        (most, true, None),
        (refill + 1, true, None),
        (refill, true, Some(most - refill)),
        // All are gone, so the last one may be in many hands.
        (0, true, Some(most)),
        (refill + 1, false, Some(0)),
    ] {
        bench.engine.handle(vec![KeyPackagesLeft { req: 0, single_use, last_resort }.into()], Instant::now()).await.unwrap();
        let put =
            bench.engine.take_out().into_iter().find_map(|frame| if let Frame::KeyPackagesPut(put) = frame { Some(put) } else { None });
        let made = put.as_ref().map(|KeyPackagesPut { packages, .. }| packages.len() as u32);
        assert_eq!(made, expected, "{single_use} left");
        let Some(KeyPackagesPut { req, last_resort, .. }) = put else { continue };
        let last_resort = last_resort.expect("one of last resort");
        assert!(!brought.contains(&last_resort), "another one");
        brought.push(last_resort);
        bench.comes(vec![KeyPackagesLeft { req, single_use: most, last_resort: true }.into()]).await.unwrap();
    }
}
