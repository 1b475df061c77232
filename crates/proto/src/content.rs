//! What a person wrote, once it is open: the same in a public post, and inside every suite's seal.

use crate::limits;
use minicbor::{Decode, Decoder, Encode};

/// The content of one message.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Content {
    /// What was typed; at most [`limits::TEXT`] bytes, which decoding checks too. Inert: markup in it is text until a front
    /// end parses it.
    #[cbor(n(0), decode_with = "short_text")]
    pub text: String,
}

/// The text is longer than [`limits::TEXT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message is at most {limit} bytes long; this one has {0}", limit = limits::TEXT)]
pub struct TooLong(pub usize);

impl Content {
    /// A plain message.
    pub fn text(text: impl Into<String>) -> Result<Content, TooLong> {
        let text = text.into();
        if text.len() > limits::TEXT { Err(TooLong(text.len())) } else { Ok(Content { text }) }
    }
}

/// Its length only: what people write is in no log, however it got there.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.text.len())
    }
}

fn short_text<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<String, minicbor::decode::Error> {
    let text = d.str()?;
    if text.len() > limits::TEXT {
        return Err(minicbor::decode::Error::message(TooLong(text.len())));
    }
    Ok(text.to_owned())
}
