//! Names with hashes in them, and the files that mention them.
//!
//! In a file of ours `{{page.css}}` stands for the name under which `page.css` is served, `{{page.css#}}` for its integrity (SRI), and
//! `{{*}}` for a JSON list of all files with a hash in their name. A file's hash is that of what it says once all of these are filled in, so files are settled in
//! the order in which they mention each other.

use anyhow::{bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256, Sha384};
use std::collections::BTreeMap;
use std::path::Path;

/// Files whose names others know by heart: browsers, and whoever types an address.
const KEEP: [&str; 3] = ["index.html", "sw.js", "manifest.webmanifest"];

/// A file before it has its name.
#[derive(Debug, Clone)]
pub struct Source {
    /// What others mention it by.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Source {
    /// A binding's snippets lie in folders; here all files lie in one.
    pub fn point_to_snippets(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let mut out = String::with_capacity(text.len());
        for (at, part) in text.split("./snippets/").enumerate() {
            match part.find(['\'', '"']).filter(|_| at > 0) {
                Some(end) => out.push_str(&format!("./{{{{{}}}}}{}", flat(&part[..end]), &part[end..])),
                None => out.push_str(part),
            }
        }
        self.bytes = out.into_bytes();
    }
}

fn flat(path: &str) -> String {
    path.replace('/', "-")
}

/// Every file in a folder, those in `snippets` under flat names.
pub fn folder(folder: &Path) -> anyhow::Result<Vec<Source>> {
    let mut all = Vec::new();
    let mut left = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = left.pop() {
        for file in std::fs::read_dir(&folder)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if file.file_type()?.is_dir() {
                left.push((file.path(), if name == "snippets" { String::new() } else { format!("{prefix}{name}-") }));
            } else {
                all.push(Source { name: format!("{prefix}{name}"), bytes: std::fs::read(file.path())? });
            }
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// What a settled file is called, and its integrity.
struct Settled {
    name: String,
    integrity: String,
}

/// Gives every file its name.
pub fn settle(mut left: Vec<Source>) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let (mut settled, mut done) = (BTreeMap::<String, Settled>::new(), Vec::new());
    while !left.is_empty() {
        let before = left.len();
        let all_hashed = left.iter().all(|source| KEEP.contains(&&*source.name));
        let mut later = Vec::new();
        for source in left {
            match filled(&source, &settled, all_hashed)? {
                Some(bytes) => {
                    ensure!(!settled.contains_key(&source.name), "there are two files called {}", source.name);
                    let name = if KEEP.contains(&&*source.name) { source.name.clone() } else { hashed(&source.name, &bytes) };
                    let integrity = format!("sha384-{}", BASE64_STANDARD.encode(Sha384::digest(&bytes)));
                    settled.insert(source.name, Settled { name: name.clone(), integrity });
                    done.push((name, bytes));
                }
                None => later.push(source),
            }
        }
        left = later;
        if left.len() == before {
            let names: Vec<&str> = left.iter().map(|source| &*source.name).collect();
            bail!("these files mention each other in a circle, or something that is not there: {}", names.join(", "));
        }
    }
    done.sort();
    Ok(done)
}

/// A file with everything filled in; none while something that it mentions has no name yet.
fn filled(source: &Source, settled: &BTreeMap<String, Settled>, all_hashed: bool) -> anyhow::Result<Option<Vec<u8>>> {
    let Ok(text) = std::str::from_utf8(&source.bytes) else { return Ok(Some(source.bytes.clone())) };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let mention = after.split_once("}}").filter(|(name, _)| is_mention(name));
        let Some((name, after)) = mention else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        let (file, wants_integrity) = name.strip_suffix('#').map_or((name, false), |file| (file, true));
        match (file, settled.get(file)) {
            ("*", _) if all_hashed => {
                let names = settled.values().map(|file| &*file.name).filter(|name| !KEEP.contains(name));
                out.push_str(&serde_json::to_string(&names.collect::<Vec<_>>())?);
            }
            (_, Some(file)) => out.push_str(if wants_integrity { &file.integrity } else { &file.name }),
            (_, None) => return Ok(None),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Some(out.into_bytes()))
}

/// Whether this can be a file's name: scripts have braces of their own.
fn is_mention(name: &str) -> bool {
    let file = name.strip_suffix('#').unwrap_or(name);
    file == "*" || (file.contains('.') && file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))
}

/// `page.css` as `page-0123456789abcdef.css`.
fn hashed(name: &str, bytes: &[u8]) -> String {
    let digits = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..8]);
    match name.rsplit_once('.') {
        Some((stem, end)) => format!("{stem}-{digits}.{end}"),
        None => format!("{name}-{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.into(), bytes: text.into() }
    }

    fn settled(sources: Vec<Source>) -> BTreeMap<String, String> {
        settle(sources).unwrap().into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
    }

    #[test]
    fn whoever_mentions_a_file_has_its_name_and_integrity() {
        let files = settled(vec![
            source("index.html", "<script src=/{{page.js}} integrity={{page.js#}}>"),
            source("page.js", "import './{{glue.js}}'; let a = {{}}; let b = {{ x }};"),
            source("glue.js", "1"),
            source("sw.js", "const files = {{*}};"),
        ]);
        let glue = hashed("glue.js", b"1");
        let page = files.keys().find(|name| name.starts_with("page-")).unwrap();
        assert_eq!(files[page], format!("import './{glue}'; let a = {{{{}}}}; let b = {{{{ x }}}};"));
        let integrity = BASE64_STANDARD.encode(Sha384::digest(&files[page]));
        assert_eq!(files["index.html"], format!("<script src=/{page} integrity=sha384-{integrity}>"));
        assert_eq!(files["sw.js"], format!("const files = [\"{glue}\",\"{page}\"];"));
    }

    #[test]
    fn another_text_is_another_name() {
        assert_ne!(hashed("a.js", b"1"), hashed("a.js", b"2"));
        assert_eq!(hashed("a.b.js", b"").len(), "a.b-0123456789abcdef.js".len());
    }

    #[test]
    fn what_is_not_there_is_said() {
        for files in [vec![source("a.js", "{{b.js}}")], vec![source("a.js", "{{b.js}}"), source("b.js", "{{a.js}}")]] {
            assert!(settle(files).unwrap_err().to_string().contains("a.js"));
        }
        assert!(settle(vec![source("a.js", ""), source("a.js", "")]).is_err());
    }

    #[test]
    fn snippets_lie_beside_what_imports_them() {
        let mut glue = source("glue.js", "import { f } from './snippets/leptos-1/inline0.js';\nimport x from \"./snippets/b/c.js\";");
        glue.point_to_snippets();
        let text = String::from_utf8(glue.bytes).unwrap();
        assert_eq!(text, "import { f } from './{{leptos-1-inline0.js}}';\nimport x from \"./{{b-c.js}}\";");
    }
}
