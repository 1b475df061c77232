//! A link: frames over a WebSocket over TLS, with both ends proved. The same for clients and peers.
//!
//! `accept` lets links in, `guests` counts those that nobody knows yet, `turns` keeps them from delaying the others, `dial` reaches out,
//! `handshake` proves both ends, `wire` moves frames, `pump` many at once; `channel` is what of it those need who know what they
//! mean. What the frames mean is the business of `api` and `federation`.

pub mod accept;
pub mod channel;
pub mod dial;
pub mod guests;
pub mod handshake;
pub mod pump;
pub mod tls;
pub mod turns;
pub mod wire;
