//! The safety number: what two people compare by another way, to know that nobody stands between them.

use crate::rsa::Fingerprint;
use tidings_proto::{Hash, UserName, label};

/// Groups of five digits in a safety number.
const GROUPS: usize = 12;

/// Sixty digits in twelve groups of five, the same on both sides: thirty for each person, made of the name and the identity's
/// fingerprint, the lesser first. Thirty digits stand for 99 bits of SHA-256(label ‖ name ‖ 0 ‖ fingerprint).
pub fn safety_number(a: (&UserName, &Fingerprint), b: (&UserName, &Fingerprint)) -> String {
    let mut halves = [half(a), half(b)];
    halves.sort();
    let digits = halves.concat();
    let groups: Vec<&str> = (0..GROUPS).map(|group| &digits[group * 5..group * 5 + 5]).collect();
    groups.join(" ")
}

fn half((user, fingerprint): (&UserName, &Fingerprint)) -> String {
    let mut bytes = label::marked(label::SAFETY_NUMBER);
    bytes.extend_from_slice(format!("{user}\0").as_bytes());
    bytes.extend_from_slice(fingerprint.0.as_bytes());
    let hash = Hash::of(&bytes);
    // Five bytes for five digits: the remainder of so large a number is as good as even.
    hash.0[..30].chunks(5).map(|five| format!("{:05}", five.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)) % 100_000)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn both_sides_see_the_same_number_and_nobody_else_s() {
        let (alice, bob) = (user("alice@s1"), user("bob@s2"));
        let (one, two) = (Fingerprint(Hash([1; 32])), Fingerprint(Hash([2; 32])));
        let number = safety_number((&alice, &one), (&bob, &two));
        insta::assert_snapshot!(number);
        assert_eq!(number, safety_number((&bob, &two), (&alice, &one)));
        assert_eq!(number.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
        assert_ne!(number, safety_number((&alice, &two), (&bob, &one)), "names and keys belong together");
        assert_ne!(number, safety_number((&user("alice@s2"), &one), (&bob, &two)));
        assert_ne!(number, safety_number((&alice, &Fingerprint(Hash([3; 32]))), (&bob, &two)));
    }
}
