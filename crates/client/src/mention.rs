//! Whether a text names somebody: `@alice`, `@alice@s1` or `alice@s1`, as a word of its own.

use tidings_proto::UserName;

/// Whether `text` names `user`.
pub fn names(text: &str, user: &UserName) -> bool {
    let (local, full) = (user.local(), user.to_string());
    let between = |c: char| !(c.is_alphanumeric() || matches!(c, '@' | '.' | '-' | '_'));
    text.split(between).map(|word| word.trim_end_matches(['.', '-'])).any(|word| match word.strip_prefix('@') {
        Some(name) => name == local || name == full,
        None => word == full,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_of_its_own() {
        let alice: UserName = "alice@s1".parse().unwrap();
        for text in ["@alice", "hello @alice!", "(@alice@s1)", "ask alice@s1.", "@alice, you?", "a\n@alice\nb"] {
            assert!(names(text, &alice), "{text:?}");
        }
        for text in ["", "alice", "@alicea", "@alice2", "malice@s1", "alice@s12", "@alice@s2", "x@alice", "@ alice", "@alice.b"] {
            assert!(!names(text, &alice), "{text:?}");
        }
    }
}
