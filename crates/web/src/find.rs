//! How well a name fits what somebody types: for the switcher and for filters.

/// The better the higher; none where it does not fit. The letters must be there in order; the beginning, the beginnings of words and
/// letters that stand together count for more.
pub fn score(typed: &str, name: &str) -> Option<u32> {
    let mut wanted = typed.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).peekable();
    let (mut score, mut run, mut before) = (0, 0, None);
    for (at, c) in name.chars().flat_map(char::to_lowercase).enumerate() {
        if wanted.next_if_eq(&c).is_some() {
            run += 1;
            let begins = before.is_none_or(|before: char| !before.is_alphanumeric());
            score += 1 + 2 * run + if at == 0 { 8 } else { 0 } + if begins { 4 } else { 0 };
        } else {
            run = 0;
        }
        before = Some(c);
    }
    wanted.peek().is_none().then_some(score)
}

/// What fits, best first; what fits equally well stays in its order.
pub fn best<T>(typed: &str, all: impl IntoIterator<Item = T>, name: impl Fn(&T) -> String, most: usize) -> Vec<T> {
    let mut fitting: Vec<(u32, T)> = all.into_iter().filter_map(|one| Some((score(typed, &name(&one))?, one))).collect();
    fitting.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    fitting.into_iter().take(most).map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_comes_first() {
        let all = ["albert@s2", "Plans", "alice@s1", "public", "Malice"];
        let found = |typed| best(typed, all, |name| (*name).to_owned(), 9);
        assert_eq!(found("ali")[0], "alice@s1");
        assert_eq!(found("p"), ["Plans", "public"]);
        assert_eq!(found("AS2"), ["albert@s2"]);
        assert_eq!(found(""), all);
        assert_eq!(found("xyz"), [""; 0]);
        assert_eq!(best("", all, |name| (*name).to_owned(), 2).len(), 2);
    }
}
