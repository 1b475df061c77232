//! Markdown as people type it, and as somebody types it who means harm.

use tidings_view::markdown::{Block, Inline, line, parse};
use tidings_view::plain::{visible, visible_line};

fn text(text: &str) -> Inline {
    Inline::Text(text.into())
}

fn link(to: &str) -> Inline {
    Inline::Link { to: to.into(), text: vec![text(to)] }
}

fn paragraph(inlines: impl IntoIterator<Item = Inline>) -> Vec<Block> {
    vec![Block::Paragraph(inlines.into_iter().collect())]
}

/// Every text and every link's target in a tree.
fn leaves(blocks: &[Block]) -> (String, Vec<String>) {
    fn inlines(found: &mut (String, Vec<String>), all: &[Inline]) {
        for inline in all {
            match inline {
                Inline::Text(text) | Inline::Code(text) => found.0.push_str(text),
                Inline::Strong(all) | Inline::Emphasis(all) | Inline::Struck(all) => inlines(found, all),
                Inline::Link { to, text } => {
                    found.1.push(to.clone());
                    inlines(found, text);
                }
                Inline::Break => found.0.push('\n'),
            }
        }
    }
    fn blocks_(found: &mut (String, Vec<String>), all: &[Block]) {
        for block in all {
            match block {
                Block::Paragraph(all) | Block::Heading(all) => inlines(found, all),
                Block::Quote(all) => blocks_(found, all),
                Block::List { items, .. } => items.iter().for_each(|item| blocks_(found, item)),
                Block::Code(text) => found.0.push_str(text),
                Block::Rule => {}
            }
        }
    }
    let mut found = Default::default();
    blocks_(&mut found, blocks);
    found
}

#[test]
fn what_people_type() {
    assert_eq!(parse("a\nb"), paragraph([text("a"), Inline::Break, text("b")]));
    assert_eq!(
        parse("**a** *b* ~~c~~ `d`"),
        paragraph([
            Inline::Strong(vec![text("a")]),
            text(" "),
            Inline::Emphasis(vec![text("b")]),
            text(" "),
            Inline::Struck(vec![text("c")]),
            text(" "),
            Inline::Code("d".into()),
        ])
    );
    assert_eq!(parse("```rust\nfn f() {}\n\nx\n```"), [Block::Code("fn f() {}\n\nx".into())]);
    assert_eq!(parse("> a"), [Block::Quote(paragraph([text("a")]))]);
    assert_eq!(parse("3. a\n4. b"), [Block::List { start: Some(3), items: vec![paragraph([text("a")]), paragraph([text("b")])] }]);
    assert_eq!(parse("- a\n  - b").len(), 1);
    assert_eq!(parse("# a\n\n---"), [Block::Heading(vec![text("a")]), Block::Rule]);
    assert_eq!(parse(""), []);
}

#[test]
fn addresses_are_links() {
    assert_eq!(parse("see https://a.org/x."), paragraph([text("see "), link("https://a.org/x"), text(".")]));
    assert_eq!(parse("(https://a.org/b_(c))"), paragraph([text("("), link("https://a.org/b_(c)"), text(")")]));
    assert_eq!(parse("xhttps://a.org http:// https://"), paragraph([text("xhttps://a.org http:// https://")]));
    assert_eq!(parse("- http://a\n"), [Block::List { start: None, items: vec![paragraph([link("http://a")])] }]);
    assert_eq!(parse("[b](mailto:b@s2)"), paragraph([Inline::Link { to: "mailto:b@s2".into(), text: vec![text("b")] }]));
}

/// Only to the web and to mailboxes: any other link is text that says where it would have led.
#[test]
fn no_link_leads_anywhere_else() {
    for to in [
        "javascript:alert(1)",
        "JaVaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil",
        "/x",
        "blob:x",
        "vbscript:x",
        "java&#10;script:x",
    ] {
        for source in [format!("[a]({to})"), format!("![a]({to})"), format!("<{to}>"), format!("[a]: {to}\n\n[a]")] {
            assert_eq!(leaves(&parse(&source)).1, [""; 0], "{source}");
        }
    }
    assert_eq!(leaves(&parse("[a](javascript:alert)")).0, "a (javascript:alert)");
    assert_eq!(leaves(&parse("![a](https://evil/p.png)")).1, ["https://evil/p.png"], "a picture is a link that somebody may follow");
}

#[test]
fn a_tag_is_text() {
    for source in [
        "<b>x</b>",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <i onclick=x>b</i>",
        "<!-- x -->",
        "<svg><style>*{}</style></svg>",
    ] {
        assert_eq!(leaves(&parse(source)).0.trim_end(), source);
    }
}

/// A tree is walked by recursion, so it is never deep; and what is deep loses nothing but its frames.
#[test]
fn depth_is_bounded() {
    fn depth(blocks: &[Block]) -> usize {
        let inner = |block: &Block| match block {
            Block::Quote(all) => depth(all),
            Block::List { items, .. } => items.iter().map(|item| depth(item)).max().unwrap_or(0),
            _ => 0,
        };
        blocks.iter().map(inner).max().unwrap_or(0) + 1
    }
    for source in [">".repeat(30_000) + "end", "- ".repeat(30_000) + "end", "1. ".repeat(500) + "end", "*a ".repeat(10_000) + "end"] {
        let blocks = parse(&source);
        assert!(depth(&blocks) <= 20, "{}", depth(&blocks));
        assert!(leaves(&blocks).0.ends_with("end"));
    }
}

#[test]
fn nothing_is_hidden() {
    assert_eq!(visible("a\u{202e}b\u{0}c\td\n\u{1b}[2J\u{85}\u{200b}\r\n"), "a⟨U+202E⟩b␀c\td\n␛[2J⟨U+0085⟩⟨U+200B⟩\n");
    assert_eq!(visible("👨‍👩‍👧 שלום\u{200f} می‌خواهم é"), "👨‍👩‍👧 שלום\u{200f} می‌خواهم é", "what scripts and emoji need stays");
    assert_eq!(visible_line("a\nb\u{2028}c"), "a b c");
    let hidden = "\u{202e}gpj.exe\u{2066}`\u{202d}`\u{1b}";
    assert!(!leaves(&parse(hidden)).0.contains(['\u{202e}', '\u{2066}', '\u{202d}', '\u{1b}']));
    assert_eq!(leaves(&parse("https://a.org/\u{202e}moc")).1, ["https://a.org/"], "an address ends where something hidden begins");
    assert_eq!(line(" a\n\n b\u{202e} "), "a b⟨U+202E⟩");
}
