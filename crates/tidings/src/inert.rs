//! Makes text that somebody else wrote harmless on a terminal: what would steer it, or turn letters round, is shown as an escape.
//!
//! People see `\u{1b}`, programs get JSON's own `\u001b`.

/// `text` for one line: line breaks are escaped too.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` with its line breaks kept as line breaks, every other steering character escaped.
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// JSON text with every steering character in its strings as a JSON escape; it says the same.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character does something to a terminal or to the order of its neighbours instead of standing for itself.
pub fn steers(c: char) -> bool {
    match c {
        // C0, DEL, C1: line breaks, escape sequences, bells.
        c if c.is_control() => true,
        // Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9), the Arabic letter mark.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => true,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' => true,
        // Invisible: soft hyphen, zero-width space, word joiner and invisible operators, deprecated format characters, byte order mark,
        // the Mongolian separator, Hangul fillers, interlinear annotations, tags. The joiners U+200C and U+200D stay: scripts and emoji
        // are written with them.
        '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{180e}' => true,
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["hello", "Grüße, Ελλάδα, 日本語, שלום, می‌خواهم", "👩‍👩‍👧 🏳️‍🌈 é e\u{301}", "a \\ b", ""]
        {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
        }
    }

    #[test]
    fn escape_codes_never_reach_the_terminal() {
        assert_eq!(line("\u{1b}[2J\u{1b}]0;owned\u{7}"), "\\u{1b}[2J\\u{1b}]0;owned\\u{7}");
        assert_eq!(line("\u{9b}31m red"), "\\u{9b}31m red", "C1 has a control sequence introducer of its own");
        assert_eq!(line("a\rb\u{8}c\u{7f}"), "a\\u{d}b\\u{8}c\\u{7f}");
        assert_eq!(line("tab\there"), "tab\\u{9}here");
    }

    #[test]
    fn letters_are_not_turned_round_or_hidden() {
        assert_eq!(line("alice\u{202e}bob"), "alice\\u{202e}bob");
        for hidden in ['\u{200b}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{ad}', '\u{e0041}', '\u{2028}', '\u{61c}', '\u{3164}'] {
            assert_eq!(line(&format!("a{hidden}b")), format!("a{}b", hidden.escape_unicode()));
        }
    }

    #[test]
    fn nothing_that_is_left_is_a_control_character() {
        let everything: String = (0..=0x10ffff).filter_map(char::from_u32).collect();
        assert!(!line(&everything).chars().any(char::is_control));
        assert!(!lines(&everything).chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let everything: String = (0..=0x10ffff).filter_map(char::from_u32).collect();
        let text = json(&serde_json::to_string(&everything).unwrap());
        assert!(!text.chars().any(steers));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), everything);
        assert_eq!(json("\"\u{9b}\u{e0041}\""), "\"\\u009b\\udb40\\udc41\"");
    }

    #[test]
    fn a_line_break_is_kept_only_where_asked() {
        assert_eq!(line("one\ntwo"), "one\\u{a}two");
        assert_eq!(lines("one\ntwo\r\n"), "one\ntwo\\u{d}\n");
    }
}
