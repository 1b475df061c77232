//! Where a password comes from: a file, standard input, the environment or a prompt. Never the command line, which everybody on the
//! machine can read.

use crate::failure::Failure;
use clap::Args;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use tidings_client::Zeroizing;

/// The variable that may hold a password.
pub const VARIABLE: &str = "TIDINGS_PASSWORD";

/// Where the password comes from. Without any of these, `TIDINGS_PASSWORD`, or a prompt on a terminal.
#[derive(Debug, Args)]
pub struct PasswordFrom {
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// More than anybody types; a file that was meant for something else is noticed.
const LONGEST: u64 = 4096;

impl PasswordFrom {
    /// The secret. `what` names it in the prompt; `twice` asks again, for one that is being chosen.
    pub fn read(&self, what: &str, twice: bool) -> Result<Zeroizing<String>, Failure> {
        if let Some(file) = &self.password_file {
            let opened = std::fs::File::open(file).map_err(|error| Failure::config(format!("{}: {error}", file.display())))?;
            return first_line(opened, &file.display().to_string());
        }
        if self.password_stdin {
            return first_line(std::io::stdin().lock(), "standard input");
        }
        match std::env::var(VARIABLE) {
            Ok(secret) => return refuse_empty(Zeroizing::new(secret), VARIABLE),
            Err(std::env::VarError::NotUnicode(_)) => return Err(Failure::auth(format!("{VARIABLE} is not UTF-8"))),
            Err(std::env::VarError::NotPresent) => {}
        }
        prompt(what, twice)
    }
}

fn prompt(what: &str, twice: bool) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        let ways = format!("--password-file, --password-stdin or {VARIABLE}");
        return Err(Failure::auth(format!("no {what} was given, and there is no terminal to ask on: use {ways}")));
    }
    let ask = |label: String| {
        rpassword::prompt_password(label).map(Zeroizing::new).map_err(|error| Failure::auth(format!("no {what} was given: {error}")))
    };
    let secret = refuse_empty(ask(format!("{}: ", capital(what)))?, "what you typed")?;
    if twice && *ask(format!("{} again: ", capital(what)))? != *secret {
        return Err(Failure::auth(format!("you typed two different {what}s")));
    }
    Ok(secret)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn first_line(from: impl Read, whence: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 1));
    from.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| Failure::auth(format!("{whence} cannot be read: {error}")))?;
    let line = text.split('\n').next().unwrap_or_default();
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.len() as u64 > LONGEST {
        return Err(Failure::auth(format!("{whence} has more than {LONGEST} bytes in its first line; that is no password")));
    }
    refuse_empty(Zeroizing::new(line.to_owned()), whence)
}

fn refuse_empty(secret: Zeroizing<String>, whence: &str) -> Result<Zeroizing<String>, Failure> {
    if secret.is_empty() { Err(Failure::auth(format!("the password is empty ({whence})"))) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, u8> {
        first_line(bytes, "a test").map(|secret| secret.to_string()).map_err(|failure| failure.code)
    }

    #[test]
    fn the_first_line_is_the_secret_as_it_is() {
        assert_eq!(read(b"pass word \nsecond"), Ok("pass word ".into()));
        assert_eq!(read(b"no newline"), Ok("no newline".into()));
        assert_eq!(read(b"windows\r\n"), Ok("windows".into()));
        assert_eq!(read(&vec![b'x'; LONGEST as usize]), Ok("x".repeat(LONGEST as usize)));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for bytes in [&b""[..], b"\n", b"\r\n", b"\nsecond line", b"\xff\xfe", &[b'x'; LONGEST as usize + 1]] {
            assert_eq!(read(bytes), Err(4));
        }
    }
}
