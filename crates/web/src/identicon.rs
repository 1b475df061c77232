//! A small picture for each name, so that people and groups are told apart at a glance. It proves nothing: names do not either; keys do.

use sha2::{Digest, Sha256};

/// A picture of five by five squares, the right half the mirror of the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identicon {
    /// Which of the style sheet's colours.
    pub colour: u8,
    /// An SVG path in a box of 0 to 5.
    pub path: String,
}

/// How many colours there are.
pub const COLOURS: u8 = 12;

/// The picture of a name.
pub fn identicon(name: &str) -> Identicon {
    let hash = Sha256::digest(name.as_bytes());
    let mut path = String::new();
    for (row, byte) in hash[1..6].iter().enumerate() {
        for column in 0..5_usize {
            if byte >> column.min(4 - column) & 1 == 1 {
                path += &format!("M{column} {row}h1v1h-1z");
            }
        }
    }
    Identicon { colour: hash[0] % COLOURS, path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_picture_and_names_differ() {
        assert_eq!(identicon("alice@s1"), identicon("alice@s1"));
        let mut all: Vec<String> = (0..100).map(|n| identicon(&format!("user{n}@s1")).path).collect();
        all.sort();
        all.dedup();
        assert!(all.len() > 95, "{}", all.len());
    }
}
