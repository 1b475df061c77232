//! The web client, as it was built into this program ([`build.rs`](../build.rs)).

use tidings_site::Pages;

/// Its files; none in a program that was built without.
pub const PAGES: Pages = Pages(&include!(concat!(env!("OUT_DIR"), "/pages.rs")));
