//! Writes a file that somebody else named: always inside of the folder that was chosen, never over anything that is there.
//!
//! What the sender calls it is a text. [`harmless`] makes a name of it that is one on every system, and nothing but a name.

use crate::inert;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes in a name, its number and its ending included: some file systems take no more than 143.
const LONGEST: usize = 120;
/// Bytes after the last dot that still are an ending, and are kept when a name is cut.
const LONGEST_ENDING: usize = 16;
/// How many files of one name a folder may have.
const MOST_ALIKE: u32 = 1000;

/// A file's name out of what its sender calls it: one component, visible, not special to any system, never empty.
pub fn harmless(called: &str) -> String {
    // A path is not followed; its last part is what is meant by it.
    let last = called.split(['/', '\\']).rfind(|part| !part.trim().is_empty()).unwrap_or_default();
    let replaced: String = last.chars().map(harmless_char).collect();
    let words: Vec<&str> = replaced.split(' ').filter(|word| !word.is_empty()).collect();
    // A dot in front hides it, a hyphen makes it an option, a tilde a home. Dots and spaces at the end are lost on Windows.
    let name = words.join(" ");
    let name = name.trim_start_matches(['.', ' ', '-', '~']).trim_end_matches(['.', ' ']);
    match name {
        "" => "file".into(),
        name if is_reserved(name) => cut(&format!("_{name}"), ""),
        // Joiners, marks, signs: nothing that one could see or say for sure.
        name if !name.chars().any(char::is_alphanumeric) => cut(&format!("file_{name}"), ""),
        name => cut(name, ""),
    }
}

fn harmless_char(c: char) -> char {
    match c {
        // What splits paths, or does on Windows once letters are folded; what Windows refuses; what only looks like these.
        '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
        '⁄' | '∕' | '⧸' | '／' | '⧵' | '＼' | '﹨' | '⟋' | '⟍' | '：' | '﹕' | '∶' | '꞉' | '․' | '‥' | '．' | '｜' | '＂' | '＜' | '＞'
        | '？' | '＊' => '_',
        c if c.is_whitespace() && !c.is_control() => ' ',
        c if inert::steers(c) => '_',
        // A letter without ink, and what is nobody's letter.
        '\u{2800}' => ' ',
        '\u{fdd0}'..='\u{fdef}' => '_',
        c if u32::from(c) & 0xfffe == 0xfffe => '_',
        c => c,
    }
}

/// The names of devices, which Windows finds in every folder and whatever the ending.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = |device: &str| {
        let number = stem.strip_prefix(device).unwrap_or_default();
        let mut digits = number.chars();
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") || numbered("COM") || numbered("LPT")
}

/// `name` with `number` before its ending, and as much of it as may be there.
fn cut(name: &str, number: &str) -> String {
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= LONGEST_ENDING => name.split_at(dot),
        _ => (name, ""),
    };
    let room = LONGEST - number.len() - ending.len();
    let end = (0..=room.min(stem.len())).rev().find(|end| stem.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{number}{ending}", stem[..end].trim_end_matches(['.', ' ']))
}

/// Writes `bytes` into `folder`, under a harmless form of what its sender calls it, with a number where that is taken. Nothing that is
/// there is opened, followed or changed; the file is its owner's alone.
///
/// # Errors
/// The folder is not there or cannot be written to, or has a thousand files of that name.
pub fn save(folder: &Path, called: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    // One handle for the folder: whatever is renamed meanwhile, the file is in the folder that was opened.
    let opened = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = harmless(called);
    for number in 1..=MOST_ALIKE {
        let name = if number == 1 { name.clone() } else { cut(&name, &format!(" ({number})")) };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&opened, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::EXIST) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut file = File::from(file);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a file is none. It is ours: nothing was there before.
            let _ = rustix::fs::unlinkat(&opened, &name, AtFlags::empty());
            return Err(error);
        }
        return Ok(folder.join(name));
    }
    Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, format!("there are {MOST_ALIKE} files called {name} already")))
}

#[cfg(test)]
mod tests;
