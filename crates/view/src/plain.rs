//! Texts of others, so that nothing in them is hidden: what turns the direction of what stands around it, or has no shape, is shown by name.

/// Several lines as they are, with what is hidden made visible.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' => {}
            // A picture of it exists in Unicode.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => shown.push('\u{2421}'),
            _ if is_hidden(c) => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            _ => shown.push(c),
        }
        shown
    })
}

/// The same in one line: a title, a file's name.
pub fn visible_line(text: &str) -> String {
    visible(&text.replace(['\n', '\t', '\u{2028}', '\u{2029}'], " "))
}

/// C1 controls; embeddings, overrides and isolates; separators; what has no width. Joiners and marks that scripts need are no part of it.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{200b}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e001f}'
    )
}
