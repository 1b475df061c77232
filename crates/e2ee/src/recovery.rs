//! The recovery code: 24 words (BIP 39, English) that stand for 256 random bits and a checksum.

use bip39::Mnemonic;
use rand_core::{OsRng, RngCore};
use std::fmt;
use zeroize::Zeroizing;

/// The way back in when the password is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

/// Not a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recovery code is 24 words from its list; one of these is wrong, missing or in the wrong place")]
pub struct NotACode;

impl RecoveryCode {
    /// A new code.
    pub fn generate() -> RecoveryCode {
        let mut entropy = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *entropy);
        let words = Mnemonic::from_entropy(&*entropy).expect("32 bytes are 24 words");
        RecoveryCode(Zeroizing::new(words.to_string()))
    }

    /// Reads a code as a person types it: capitals and spaces do not matter.
    pub fn parse(text: &str) -> Result<RecoveryCode, NotACode> {
        let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
        let words = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_normalized(&words).map_err(|_| NotACode)?;
        if mnemonic.word_count() == 24 { Ok(RecoveryCode(words)) } else { Err(NotACode) }
    }

    /// The words, to be written down.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    /// What goes into OPAQUE.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate();
        assert_eq!(code.words().count(), 24);
        let typed = code.words().map(str::to_uppercase).collect::<Vec<_>>().join("  \n ");
        assert_eq!(RecoveryCode::parse(&typed), Ok(code.clone()));
        assert_ne!(code, RecoveryCode::generate());
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let words: Vec<String> = RecoveryCode::generate().words().map(str::to_owned).collect();
        let mut wrong = words.clone();
        wrong[3] = if wrong[3] == "zoo" { "zone".into() } else { "zoo".into() };
        wrong[4] = "tidings".into();
        for text in ["", "zoo", &words[..23].join(" "), &wrong.join(" "), &words[..12].join(" ")] {
            assert_eq!(RecoveryCode::parse(text), Err(NotACode));
        }
    }
}
