//! What is served at which path, under which headers, and whose pages get links.

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn header<'a>(response: &'a Response<Full<Bytes>>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

static PAGE: File = File { name: "page-0123456789abcdef.js", bytes: b"whole", packed: Some(b"br") };

#[test]
fn only_ones_own_pages_and_no_pages_open_links() {
    let judged = |pairs: &[(&'static str, &'static str)]| same_origin(&headers(pairs)).is_ok();
    assert!(judged(&[]));
    assert!(judged(&[("host", "s1:5555")]));
    assert!(judged(&[("host", "s1:5555"), ("origin", "https://s1:5555")]));
    assert!(judged(&[("host", "127.0.0.1:7000"), ("origin", "http://127.0.0.1:7000")]));
    for foreign in ["https://evil.example", "https://s1", "https://s1:5556", "https://s1:5555.evil.example", "null", "", "file://s1:5555"] {
        let pairs = [("host", "s1:5555"), ("origin", foreign)];
        assert!(!judged(&pairs), "{foreign}");
    }
    assert!(!judged(&[("origin", "https://s1:5555")]));
}

#[test]
fn brotli_goes_to_whoever_takes_it() {
    for (accepted, packed) in [
        ("gzip, deflate, br, zstd", true),
        ("br;q=0.5", true),
        ("BR", true),
        ("br;q=0", false),
        ("br; q=0.0", false),
        ("gzip", false),
        ("", false),
    ] {
        let response = file(&PAGE, &headers(&[("accept-encoding", accepted)]));
        assert_eq!(header(&response, "content-encoding") == "br", packed, "{accepted}");
        assert_eq!(header(&response, "vary"), "accept-encoding");
    }
    assert_eq!(header(&file(&PAGE, &HeaderMap::new()), "content-encoding"), "");
}

#[test]
fn what_has_a_hash_in_its_name_is_kept_and_nothing_else() {
    assert!(header(&file(&PAGE, &HeaderMap::new()), "cache-control").contains("immutable"));
    for name in ["index.html", "page-0123456789abcde.js", "page-0123456789abcdeg.js", "0123456789abcdef.js", "page-0123456789ABCDEF.js"] {
        assert!(!kinds::is_hashed(name), "{name}");
    }
}

#[test]
fn every_answer_carries_the_policy() {
    let home = Home { name: "s1".into(), key: None, registration: Some("open"), pinned: false };
    for path in ["/", "/tidings.json"] {
        let response = Pages::default().answer(&home, path, &HeaderMap::new()).unwrap();
        assert_eq!(header(&response, "content-security-policy"), POLICY);
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_ne!(header(&response, "content-type"), "application/octet-stream");
    }
    for path in ["/nothing", "/../index.html", "//", "", "index.html", "/tidings.json/"] {
        assert!(Pages::default().answer(&home, path, &HeaderMap::new()).is_none(), "{path}");
    }
    // What a script could try is tried in a browser; in whose frame a page stands is not a script's to try.
    assert!(POLICY.contains("frame-ancestors 'none'"));
    assert!(!POLICY.contains("unsafe-inline") && !POLICY.contains("'unsafe-eval'") && !POLICY.contains("http"));
}
