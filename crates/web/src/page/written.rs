//! A message's text as elements: from the tree that `markdown` makes, so that nothing in it can be anything but text.

use leptos::html;
use leptos::prelude::*;
use tidings_view::markdown::{Block, Inline, parse};

/// The whole of it.
pub fn written(text: &str) -> AnyView {
    html::div().class("text").child(blocks(&parse(text))).into_any()
}

fn blocks(all: &[Block]) -> AnyView {
    all.iter().map(block).collect_view().into_any()
}

fn block(block: &Block) -> AnyView {
    match block {
        Block::Paragraph(all) => html::p().attr("dir", "auto").child(inlines(all)).into_any(),
        Block::Heading(all) => html::p().class("heading").attr("dir", "auto").child(inlines(all)).into_any(),
        Block::Quote(all) => html::blockquote().child(blocks(all)).into_any(),
        Block::List { start: None, items } => html::ul().child(list(items)).into_any(),
        Block::List { start: Some(start), items } => html::ol().attr("start", start.to_string()).child(list(items)).into_any(),
        Block::Code(text) => html::pre().attr("dir", "ltr").attr("tabindex", "-1").child(html::code().child(text.clone())).into_any(),
        Block::Rule => html::hr().into_any(),
    }
}

fn list(items: &[Vec<Block>]) -> AnyView {
    items.iter().map(|item| html::li().attr("dir", "auto").child(blocks(item))).collect_view().into_any()
}

fn inlines(all: &[Inline]) -> AnyView {
    all.iter().map(inline).collect_view().into_any()
}

fn inline(inline: &Inline) -> AnyView {
    match inline {
        Inline::Text(text) => text.clone().into_any(),
        Inline::Strong(all) => html::strong().child(inlines(all)).into_any(),
        Inline::Emphasis(all) => html::em().child(inlines(all)).into_any(),
        Inline::Struck(all) => html::s().child(inlines(all)).into_any(),
        Inline::Code(text) => html::code().attr("dir", "ltr").child(text.clone()).into_any(),
        Inline::Break => html::br().into_any(),
        Inline::Link { to, text } => link(to, text),
    }
}

/// A link that looks as if it led elsewhere says where it leads.
fn link(to: &str, text: &[Inline]) -> AnyView {
    let plain = matches!(text, [Inline::Text(text)] if text == to || to.strip_prefix("mailto:") == Some(text.as_str()));
    let host = to.split_once("://").map_or(to, |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let leads = (!plain).then(|| html::span().class("leads").child(format!(" ({host})")));
    let anchor = html::a()
        .attr("href", to.to_owned())
        .attr("rel", "noopener noreferrer nofollow")
        .attr("target", "_blank")
        .attr("title", to.to_owned())
        .child(inlines(text));
    html::bdi().child((anchor, leads)).into_any()
}
