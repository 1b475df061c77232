//! How addresses and server keys are written by people. Names have their one grammar in `proto`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tidings_proto::ServerKey;

/// The port where none is given.
pub const DEFAULT_PORT: u16 = 5555;

/// Reads where to dial: `host` or `host:port`; an IPv6 address that has a port is in brackets. Gives `host:port`.
pub fn address(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "a host or host:port is expected, such as 192.168.1.10 or chat.example.org:5555";
    if text.contains('/') {
        return Err("a host or host:port is expected, without anything like https:// before it and without a path after it");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{text}]:{DEFAULT_PORT}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    if !is_host {
        return Err(EXPECTED);
    }
    let port = port.map_or(Ok(DEFAULT_PORT), read_port)?;
    if port == 0 { Err(PORT) } else { Ok(format!("{host}:{port}")) }
}

const PORT: &str = "after the colon a port is expected, 1 to 65535";

fn read_port(text: &str) -> Result<u16, &'static str> {
    // `parse` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(PORT)
}

/// Reads where to listen: an IP address of this machine, and a port; port 0 lets the system choose.
pub fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let without_port = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
    text.parse().or_else(|_| without_port()).map_err(|_| {
        "an IP address of this machine and a port are expected, such as 0.0.0.0:5555 for all addresses or 127.0.0.1:5555 for this machine alone"
    })
}

/// Reads a server's key: 43 characters of base64url without padding.
pub fn server_key(text: &str) -> Result<ServerKey, &'static str> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| ServerKey::from_slice(&bytes))
        .ok_or("a server's key is 43 characters of base64url, as `tidings peer show` prints it")
}

/// A server's key as people see it.
pub fn show_server_key(key: &ServerKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind() {
        for (written, read) in [
            ("chat.example.org:443", "chat.example.org:443"),
            ("chat.example.org", "chat.example.org:5555"),
            ("10.13.97.12:5555", "10.13.97.12:5555"),
            ("s2_host", "s2_host:5555"),
            ("::1", "[::1]:5555"),
            ("[::1]", "[::1]:5555"),
            ("[2001:db8::7]:7000", "[2001:db8::7]:7000"),
            ("h:1", "h:1"),
            ("h:65535", "h:65535"),
        ] {
            assert_eq!(address(written).as_deref(), Ok(read));
        }
        for bad in ["", ":5555", "https://x", "x/y", "a b", "h:0", "h:65536", "h:+7", "h:", "h:x", "[::1", "[h]:1", "::1:x", "hü:1", "a@b"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listening_wants_an_address_of_numbers() {
        let read = |text| listen(text).map(|address| address.to_string());
        assert_eq!(read("0.0.0.0:7000").as_deref(), Ok("0.0.0.0:7000"));
        assert_eq!(read("127.0.0.1").as_deref(), Ok("127.0.0.1:5555"));
        assert_eq!(read("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert_eq!(read("::").as_deref(), Ok("[::]:5555"));
        for bad in ["", "localhost:5555", "5555", ":5555", "0.0.0.0:65536", "0.0.0.0:"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_key_is_read_as_it_is_shown() {
        let key = ServerKey([0xfb; 32]);
        let shown = show_server_key(&key);
        assert_eq!((shown.len(), server_key(&shown)), (43, Ok(key)));
        for bad in ["", "abc", &shown[..42], &format!("{shown}A"), &format!("{shown}="), &shown.replace('-', "+")] {
            assert!(server_key(bad).is_err(), "{bad}");
        }
    }
}
