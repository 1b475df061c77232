//! What people write, as a tree that a browser and a terminal draw: paragraphs, lists, code, links.
//!
//! Not here: HTML. A tag in a message is text like any other, a picture is a link, and a link leads to the web or to a mailbox.

use crate::plain::visible;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

/// Something that stands by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Text.
    Paragraph(Vec<Inline>),
    /// A heading, whatever its level: a message has no chapters.
    Heading(Vec<Inline>),
    /// Somebody else's words.
    Quote(Vec<Block>),
    /// A list.
    List {
        /// The first number; none for points.
        start: Option<u64>,
        /// Its items.
        items: Vec<Vec<Block>>,
    },
    /// Code, verbatim.
    Code(String),
    /// A line across.
    Rule,
}

/// Part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// As it is.
    Text(String),
    /// `**this**`
    Strong(Vec<Inline>),
    /// `*this*`
    Emphasis(Vec<Inline>),
    /// `~~this~~`
    Struck(Vec<Inline>),
    /// `` `this` ``
    Code(String),
    /// A link, to `http:`, `https:` or `mailto:` and nothing else.
    Link {
        /// Where to.
        to: String,
        /// What is to be read.
        text: Vec<Inline>,
    },
    /// The next line.
    Break,
}

/// Quotes and lists in each other; what is deeper is shown without its frame. Whoever draws the tree does it by recursion.
const DEPTH: usize = 8;

/// Reads a message. Every text is a message; none is refused.
pub fn parse(text: &str) -> Vec<Block> {
    let mut building = Building { open: vec![Open::default()] };
    for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH) {
        building.take(event);
    }
    building.finish()
}

/// The text of a message in one line, for lists and notifications.
pub fn line(text: &str) -> String {
    text.split_whitespace().map(visible).collect::<Vec<_>>().join(" ")
}

/// Whether a link may lead there.
fn is_safe(to: &str) -> bool {
    let scheme = to.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https" | "mailto")) && !to.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Something that has begun: what of it is there already.
#[derive(Default)]
struct Open {
    wrap: Wrap,
    blocks: Vec<Block>,
    inlines: Vec<Inline>,
    items: Vec<Vec<Block>>,
}

/// What an [`Open`] becomes.
#[derive(Default)]
enum Wrap {
    /// Nothing of its own: its content goes to what it stands in.
    #[default]
    Nothing,
    Paragraph,
    Heading,
    Quote,
    List(Option<u64>),
    Item,
    Code,
    Strong,
    Emphasis,
    Struck,
    Link(String),
}

impl Open {
    fn block(&mut self, block: Block) {
        self.settle();
        self.blocks.push(block);
    }

    /// Text that stands among blocks is a paragraph.
    fn settle(&mut self) {
        if !self.inlines.is_empty() {
            self.blocks.push(Block::Paragraph(std::mem::take(&mut self.inlines)));
        }
    }

    fn settled(mut self) -> Vec<Block> {
        self.settle();
        self.blocks
    }

    /// Text runs together: a parser hands it over in pieces.
    fn text(&mut self, text: &str) {
        match self.inlines.last_mut() {
            Some(Inline::Text(before)) => before.push_str(text),
            _ => self.inlines.push(Inline::Text(text.into())),
        }
    }
}

struct Building {
    open: Vec<Open>,
}

impl Building {
    fn top(&mut self) -> &mut Open {
        self.open.last_mut().expect("the first is never closed")
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(_) => self.end(),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.top().text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.top().inlines.push(Inline::Code(visible(&text)));
            }
            // As typed: whoever begins a new line wants one.
            Event::SoftBreak | Event::HardBreak => self.top().inlines.push(Inline::Break),
            Event::Rule => self.top().block(Block::Rule),
            Event::FootnoteReference(text) => self.top().text(&text),
            Event::TaskListMarker(_) => {}
        }
    }

    fn begin(&mut self, tag: Tag) {
        let wrap = match tag {
            Tag::Paragraph => Wrap::Paragraph,
            Tag::Heading { .. } => Wrap::Heading,
            Tag::BlockQuote(_) => Wrap::Quote,
            Tag::List(start) => Wrap::List(start),
            Tag::Item => Wrap::Item,
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => Wrap::Code,
            Tag::Strong => Wrap::Strong,
            Tag::Emphasis => Wrap::Emphasis,
            Tag::Strikethrough => Wrap::Struck,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => Wrap::Link(dest_url.into_string()),
            _ => Wrap::Nothing,
        };
        // An item without its list, or a list without its items, would have nowhere to go: both are frames, and both are left out.
        let wrap = if self.open.len() > 2 * DEPTH { wrap.flattened() } else { wrap };
        self.open.push(Open { wrap, ..Open::default() });
    }

    fn end(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let mut closed = self.open.pop().expect("there are two");
        let wrap = std::mem::take(&mut closed.wrap);
        let top = self.top();
        match wrap {
            Wrap::Nothing => {
                for block in std::mem::take(&mut closed.blocks) {
                    top.block(block);
                }
                top.inlines.append(&mut closed.inlines);
            }
            Wrap::Paragraph => top.block(Block::Paragraph(finished(closed.inlines))),
            Wrap::Heading => top.block(Block::Heading(finished(closed.inlines))),
            Wrap::Quote => top.block(Block::Quote(closed.settled())),
            Wrap::List(start) => top.block(Block::List { start, items: closed.items }),
            Wrap::Item => top.items.push(closed.settled()),
            Wrap::Code => top.block(Block::Code(visible(&plain(&closed.inlines)).trim_end_matches('\n').to_owned())),
            Wrap::Strong => top.inlines.push(Inline::Strong(closed.inlines)),
            Wrap::Emphasis => top.inlines.push(Inline::Emphasis(closed.inlines)),
            Wrap::Struck => top.inlines.push(Inline::Struck(closed.inlines)),
            Wrap::Link(to) if is_safe(&to) => top.inlines.push(Inline::Link { to, text: closed.inlines }),
            Wrap::Link(to) => {
                top.inlines.append(&mut closed.inlines);
                top.text(&format!(" ({to})"));
            }
        }
    }

    fn finish(mut self) -> Vec<Block> {
        while self.open.len() > 1 {
            self.end();
        }
        let mut blocks = self.open.pop().expect("the first is never closed").settled();
        blocks.iter_mut().for_each(finish_loose);
        blocks
    }
}

impl Wrap {
    fn flattened(self) -> Wrap {
        match self {
            Wrap::Quote | Wrap::List(_) | Wrap::Item | Wrap::Strong | Wrap::Emphasis | Wrap::Struck => Wrap::Nothing,
            wrap => wrap,
        }
    }
}

/// Paragraphs that came about among blocks have their links and characters looked at here.
fn finish_loose(block: &mut Block) {
    match block {
        Block::Paragraph(inlines) | Block::Heading(inlines) => *inlines = finished(std::mem::take(inlines)),
        Block::Quote(blocks) => blocks.iter_mut().for_each(finish_loose),
        Block::List { items, .. } => items.iter_mut().flatten().for_each(finish_loose),
        Block::Code(_) | Block::Rule => {}
    }
}

/// Finds addresses in text, and makes visible what would be hidden.
fn finished(inlines: Vec<Inline>) -> Vec<Inline> {
    inlines.into_iter().flat_map(|inline| finished_one(inline, true)).collect()
}

fn finished_one(inline: Inline, linking: bool) -> Vec<Inline> {
    let all = |inlines: Vec<Inline>, linking| inlines.into_iter().flat_map(|inline| finished_one(inline, linking)).collect();
    match inline {
        Inline::Text(text) if linking => linked(&text),
        Inline::Text(text) => vec![Inline::Text(visible(&text))],
        Inline::Strong(inner) => vec![Inline::Strong(all(inner, linking))],
        Inline::Emphasis(inner) => vec![Inline::Emphasis(all(inner, linking))],
        Inline::Struck(inner) => vec![Inline::Struck(all(inner, linking))],
        Inline::Link { to, text } => vec![Inline::Link { to, text: all(text, false) }],
        other => vec![other],
    }
}

/// Text with the web addresses in it.
fn linked(text: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = next_address(rest) {
        let length = address_length(&rest[at..]);
        let to = &rest[at..at + length];
        if at > 0 {
            found.push(Inline::Text(visible(&rest[..at])));
        }
        found.push(Inline::Link { to: to.to_owned(), text: vec![Inline::Text(visible(to))] });
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        found.push(Inline::Text(visible(rest)));
    }
    found
}

/// Where the next address begins: at the beginning of a word, with something behind the scheme.
fn next_address(text: &str) -> Option<usize> {
    let starts = |at: usize| {
        let before = text[..at].chars().next_back();
        let scheme = ["https://", "http://"].into_iter().find(|scheme| text[at..].starts_with(scheme));
        scheme.is_some_and(|scheme| text[at + scheme.len()..].starts_with(|c: char| c.is_alphanumeric()))
            && !before.is_some_and(char::is_alphanumeric)
    };
    text.match_indices("http").map(|(at, _)| at).find(|at| starts(*at))
}

/// How long the address is that begins here: up to what cannot be in one, without the full stop that ends the sentence.
fn address_length(text: &str) -> usize {
    let hidden = |c: char| visible(c.encode_utf8(&mut [0; 4])).chars().ne([c]);
    let end = text.find(|c: char| c.is_whitespace() || hidden(c) || matches!(c, '<' | '>' | '"' | '`')).unwrap_or(text.len());
    let mut address = &text[..end];
    loop {
        let shorter = address.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        // A bracket belongs to the address if it was opened in it.
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if inner.matches('(').count() <= inner.matches(')').count() => inner,
            _ => shorter,
        };
        if shorter.len() == address.len() {
            return address.len();
        }
        address = shorter;
    }
}

fn plain(inlines: &[Inline]) -> String {
    inlines.iter().map(|inline| if let Inline::Text(text) = inline { text.as_str() } else { "\n" }).collect()
}
