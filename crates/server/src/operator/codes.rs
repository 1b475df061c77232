//! Codes that let people register: how they are made and called. Only their hashes are kept.

use data_encoding::BASE32_NOPAD;
use rand_core::{OsRng, RngCore};
use tidings_proto::Hash;
use zeroize::Zeroizing;

/// Characters of a hash that name a code; two codes are called the same once in 2^50.
const ID: usize = 10;

/// A code nobody can guess: 120 random bits, in groups that can be typed. No letter in it is taken for a digit.
pub fn new_code() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 15]);
    OsRng.fill_bytes(&mut *bytes);
    let letters = Zeroizing::new(BASE32_NOPAD.encode(&*bytes).to_ascii_lowercase());
    let mut code = Zeroizing::new(String::with_capacity(letters.len() + letters.len() / 4));
    for (at, letter) in letters.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(letter);
    }
    code
}

/// What a code is called: it tells nothing of the code.
pub fn id_of(hash: &Hash) -> String {
    let mut id = BASE32_NOPAD.encode(hash.as_bytes()).to_ascii_lowercase();
    id.truncate(ID);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_can_be_typed() {
        let (one, two) = (new_code(), new_code());
        assert_ne!(*one, *two);
        let groups: Vec<&str> = one.split('-').collect();
        assert_eq!(groups.len(), 6);
        assert!(groups.iter().all(|group| group.len() == 4 && group.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))), "{groups:?}");
        assert_eq!(id_of(&Hash::of(one.as_bytes())).len(), ID);
    }
}
