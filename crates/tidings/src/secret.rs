//! Where a secret comes from: a file, standard input, the environment or a prompt. Never the command line, which everybody on the
//! machine can read.

use crate::failure::Failure;
use clap::{Args, ValueHint};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use tidings_client::Zeroizing;

/// The variable that may hold a password.
pub const VARIABLE: &str = "TIDINGS_PASSWORD";
/// The variable that may hold a password that is being chosen.
pub const NEW_VARIABLE: &str = "TIDINGS_NEW_PASSWORD";

/// Where the password comes from. Without any of these, `TIDINGS_PASSWORD`, or a prompt on a terminal.
#[derive(Debug, Args)]
pub struct PasswordFrom {
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// Read the password from standard input, a line of it
    #[arg(long)]
    pub password_stdin: bool,
}

/// Where another password comes from. Without any of these, `TIDINGS_NEW_PASSWORD`, or a prompt on a terminal.
#[derive(Debug, Args)]
pub struct NewPasswordFrom {
    /// Read the new password from the first line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "new_password_stdin", value_hint = ValueHint::FilePath)]
    pub new_password_file: Option<PathBuf>,
    /// Read the new password from standard input, the next line of it
    #[arg(long)]
    pub new_password_stdin: bool,
}

/// Where the recovery code comes from. Without any of these, a prompt on a terminal.
#[derive(Debug, Args)]
pub struct RecoveryFrom {
    /// Read the 24 words from the first line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "recovery_stdin", value_hint = ValueHint::FilePath)]
    pub recovery_file: Option<PathBuf>,
    /// Read the 24 words from standard input, a line of it
    #[arg(long)]
    pub recovery_stdin: bool,
}

/// More than anybody types; a file that was meant for something else is noticed.
const LONGEST: usize = 4096;

/// The three options of one secret, and what else may hold it.
struct Source<'a> {
    what: &'a str,
    option: &'a str,
    file: Option<&'a Path>,
    stdin: bool,
    variable: Option<&'a str>,
}

impl PasswordFrom {
    fn source(&self) -> Source<'_> {
        Source {
            what: "password",
            option: "--password",
            file: self.password_file.as_deref(),
            stdin: self.password_stdin,
            variable: Some(VARIABLE),
        }
    }

    /// The password of an account that exists.
    pub fn read(&self) -> Result<Zeroizing<String>, Failure> {
        self.source().read(false)
    }

    /// The password of an account that is being made: a prompt asks twice.
    pub fn choose(&self) -> Result<Zeroizing<String>, Failure> {
        self.source().read(true)
    }
}

impl NewPasswordFrom {
    /// The password that is being chosen: a prompt asks twice.
    pub fn choose(&self) -> Result<Zeroizing<String>, Failure> {
        let (file, stdin) = (self.new_password_file.as_deref(), self.new_password_stdin);
        Source { what: "new password", option: "--new-password", file, stdin, variable: Some(NEW_VARIABLE) }.read(true)
    }
}

impl RecoveryFrom {
    /// The 24 words.
    pub fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let (file, stdin) = (self.recovery_file.as_deref(), self.recovery_stdin);
        Source { what: "recovery code", option: "--recovery", file, stdin, variable: None }.read(false)
    }
}

/// An invitation, claim or reset code: the first line of a file; `-` is standard input, or a prompt on a terminal.
pub fn code(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let stdin = file.as_os_str() == "-";
    let stdin_is_pipe = stdin && !std::io::stdin().is_terminal();
    let file = Some(file).filter(|_| !stdin);
    Source { what: "invitation or code", option: "--code", file, stdin: stdin_is_pipe, variable: None }.read(false)
}

impl Source<'_> {
    fn read(&self, twice: bool) -> Result<Zeroizing<String>, Failure> {
        if let Some(file) = self.file {
            let opened = std::fs::File::open(file).map_err(|error| Failure::config(format!("{}: {error}", file.display())))?;
            return self.line(&mut BufReader::new(opened), &file.display().to_string());
        }
        if self.stdin {
            return self.line(&mut std::io::stdin().lock(), "standard input");
        }
        if let Some(variable) = self.variable {
            match std::env::var(variable) {
                Ok(secret) => return self.refuse_empty(Zeroizing::new(secret), variable),
                Err(std::env::VarError::NotUnicode(_)) => return Err(Failure::auth(format!("{variable} is not UTF-8"))),
                Err(std::env::VarError::NotPresent) => {}
            }
        }
        self.prompt(twice)
    }

    fn prompt(&self, twice: bool) -> Result<Zeroizing<String>, Failure> {
        let (what, option) = (self.what, self.option);
        if !std::io::stdin().is_terminal() {
            let ways = match self.variable {
                Some(variable) => format!("{option}-file, {option}-stdin or {variable}"),
                None => format!("{option}-file or {option}-stdin"),
            };
            return Err(Failure::auth(format!("no {what} was given, and there is no terminal to ask on: use {ways}")));
        }
        let ask = |label: String| {
            rpassword::prompt_password(label).map(Zeroizing::new).map_err(|error| Failure::auth(format!("no {what} was given: {error}")))
        };
        let secret = self.refuse_empty(ask(format!("{}: ", capital(what)))?, "what you typed")?;
        if twice && *ask(format!("{} again: ", capital(what)))? != *secret {
            return Err(Failure::auth(format!("you typed two different {what}s")));
        }
        Ok(secret)
    }

    /// The next line. What comes after it stays for the next secret.
    fn line(&self, from: &mut impl BufRead, whence: &str) -> Result<Zeroizing<String>, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
        let read = from.by_ref().take(LONGEST as u64 + 2).read_until(b'\n', &mut bytes);
        read.map_err(|error| Failure::auth(format!("{whence} cannot be read: {error}")))?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LONGEST {
            return Err(Failure::auth(format!("{whence} has more than {LONGEST} bytes in a line; that is no {}", self.what)));
        }
        let line = std::str::from_utf8(line).map_err(|_| Failure::auth(format!("{whence} is not UTF-8")))?;
        self.refuse_empty(Zeroizing::new(line.to_owned()), whence)
    }

    fn refuse_empty(&self, secret: Zeroizing<String>, whence: &str) -> Result<Zeroizing<String>, Failure> {
        if secret.is_empty() { Err(Failure::auth(format!("the {} is empty ({whence})", self.what))) } else { Ok(secret) }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A secret on its way to the process that holds the profile. It has no `Debug`, and is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<String>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(|secret| Secret(Zeroizing::new(secret)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source<'_> = Source { what: "password", option: "--password", file: None, stdin: true, variable: None };

    fn read(mut bytes: &[u8]) -> Result<String, u8> {
        SOURCE.line(&mut bytes, "a test").map(|secret| secret.to_string()).map_err(|failure| failure.code)
    }

    #[test]
    fn the_first_line_is_the_secret_as_it_is() {
        assert_eq!(read(b"pass word \nsecond"), Ok("pass word ".into()));
        assert_eq!(read(b"no newline"), Ok("no newline".into()));
        assert_eq!(read(b"windows\r\n"), Ok("windows".into()));
        assert_eq!(read(&vec![b'x'; LONGEST]), Ok("x".repeat(LONGEST)));
        assert_eq!(read(&[&vec![b'x'; LONGEST][..], b"\r\n"].concat()), Ok("x".repeat(LONGEST)));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for bytes in [&b""[..], b"\n", b"\r\n", b"\nsecond line", b"\xff\xfe", &[b'x'; LONGEST + 1]] {
            assert_eq!(read(bytes), Err(4));
        }
    }

    #[test]
    fn two_secrets_are_two_lines() {
        let mut input: &[u8] = b"the old one\nthe new one\n";
        assert_eq!(**SOURCE.line(&mut input, "a test").unwrap(), *"the old one");
        assert_eq!(**SOURCE.line(&mut input, "a test").unwrap(), *"the new one");
        assert!(SOURCE.line(&mut input, "a test").is_err());
    }

    #[test]
    fn a_secret_travels_as_it_is() {
        let sent = serde_json::to_string(&Secret(Zeroizing::new("hunter \"2\"".into()))).unwrap();
        assert_eq!(**serde_json::from_str::<Secret>(&sent).unwrap().0, *"hunter \"2\"");
    }
}
