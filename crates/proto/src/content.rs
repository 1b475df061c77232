//! What a person wrote, once it is open: the same in a public post, and inside every suite's seal.

use crate::cbor::raw;
use crate::limits;
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode};

/// The content of one message. Its limits are checked when it is made and when it is decoded.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Content {
    /// What was typed; at most [`limits::TEXT`] bytes. Inert: markup in it is text until a front end parses it.
    #[cbor(n(0), decode_with = "short_text")]
    pub text: String,
    /// A file that travels whole.
    #[n(1)]
    pub file: Option<File>,
    /// The conversation is called this from now on; at most [`limits::TITLE`] bytes. In groups only.
    #[cbor(n(2), decode_with = "short_title")]
    pub title: Option<String>,
}

/// A small file, inside its message.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct File {
    /// What its sender calls it; at most [`limits::FILE_NAME`] bytes. A text like any other: nothing is written under it as it is.
    #[cbor(n(0), decode_with = "short_name")]
    pub name: String,
    /// What its sender says it is (RFC 6838); at most [`limits::FILE_NAME`] bytes.
    #[cbor(n(1), decode_with = "short_name")]
    pub media_type: String,
    /// The file; at most [`limits::FILE`] bytes.
    #[cbor(n(2), encode_with = "raw::encode", decode_with = "short_file")]
    pub bytes: Bytes,
}

/// A part of a message is longer than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is at most {limit} bytes long; this one has {size}")]
pub struct TooLong {
    /// Which part, to begin a sentence with.
    pub what: &'static str,
    /// How long it may be, in bytes.
    pub limit: usize,
    /// How long it is.
    pub size: usize,
}

fn fits(what: &'static str, size: usize, limit: usize) -> Result<(), TooLong> {
    if size > limit { Err(TooLong { what, limit, size }) } else { Ok(()) }
}

impl Content {
    /// A plain message.
    pub fn text(text: impl Into<String>) -> Result<Content, TooLong> {
        let text = text.into();
        fits("a message", text.len(), limits::TEXT)?;
        Ok(Content { text, ..Content::default() })
    }

    /// A file, with words to go with it.
    pub fn file(text: impl Into<String>, file: File) -> Result<Content, TooLong> {
        file.fits()?;
        Ok(Content { file: Some(file), ..Content::text(text)? })
    }

    /// Another title for a group.
    pub fn title(title: impl Into<String>) -> Result<Content, TooLong> {
        let title = title.into();
        fits("a title", title.len(), limits::TITLE)?;
        Ok(Content { title: Some(title), ..Content::default() })
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.file.is_none() && self.title.is_none()
    }
}

impl File {
    fn fits(&self) -> Result<(), TooLong> {
        fits("a file's name", self.name.len(), limits::FILE_NAME)?;
        fits("a media type", self.media_type.len(), limits::FILE_NAME)?;
        fits("a file inside a message", self.bytes.len(), limits::FILE)
    }
}

/// Sizes only: what people write is in no log, however it got there.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes", self.text.len())?;
        if let Some(file) = &self.file {
            write!(f, ", {file:?}")?;
        }
        write!(f, "{})", if self.title.is_some() { ", a title" } else { "" })
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({} bytes)", self.bytes.len())
    }
}

fn checked<T>(value: T, fits: Result<(), TooLong>) -> Result<T, minicbor::decode::Error> {
    fits.map(|()| value).map_err(minicbor::decode::Error::message)
}

fn short_text<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<String, minicbor::decode::Error> {
    let text = d.str()?;
    checked(text.to_owned(), fits("a message", text.len(), limits::TEXT))
}

fn short_title<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Option<String>, minicbor::decode::Error> {
    let title = d.str()?;
    checked(Some(title.to_owned()), fits("a title", title.len(), limits::TITLE))
}

fn short_name<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<String, minicbor::decode::Error> {
    let name = d.str()?;
    checked(name.to_owned(), fits("a file's name", name.len(), limits::FILE_NAME))
}

fn short_file<C>(d: &mut Decoder<'_>, c: &mut C) -> Result<Bytes, minicbor::decode::Error> {
    let bytes = raw::decode(d, c)?;
    let size = bytes.len();
    checked(bytes, fits("a file inside a message", size, limits::FILE))
}
