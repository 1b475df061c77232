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

/// What stands behind a colon elsewhere, as a sentence by itself: a capital where a word begins it, and an end. A name or an address that begins
/// it stays as it is.
pub fn sentence(text: &str) -> String {
    let text = visible_line(text.trim());
    let begins = text.split(' ').next().unwrap_or_default();
    let is_word = begins.chars().all(|c| c.is_lowercase() || matches!(c, '\'' | '’' | ',' | ':'));
    let mut rest = text.chars();
    let mut said = match rest.next() {
        Some(first) if is_word => first.to_uppercase().chain(rest).collect(),
        _ => text,
    };
    if !said.is_empty() && !said.ends_with(['.', '!', '?', '…']) {
        said.push('.');
    }
    said
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_a_beginning_and_an_end() {
        for (words, said) in [
            ("the name or the password is wrong", "The name or the password is wrong."),
            ("bob@s2 is not known here", "bob@s2 is not known here."),
            ("127.0.0.1:5555 cannot be reached: it does not answer", "127.0.0.1:5555 cannot be reached: it does not answer."),
            ("It is whole already. Nothing is added.", "It is whole already. Nothing is added."),
            ("is it?", "Is it?"),
            ("éclair \u{202e}of", "Éclair ⟨U+202E⟩of."),
            (" a\nb ", "A b."),
            ("", ""),
        ] {
            assert_eq!(sentence(words), said);
        }
    }
}
