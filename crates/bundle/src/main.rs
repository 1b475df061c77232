//! The web client's last step (`cargo xtask web` runs it): bindings for each WebAssembly module, then every file under a name with its hash
//! in it, with the integrity that whoever loads it demands, and compressed once and well.
//!
//! Not here: compiling, and what is in the files.

mod names;

use anyhow::{Context, bail, ensure};
use names::Source;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasm_bindgen_cli_support::Bindgen;

/// All scripts and modules together, compressed: what somebody on a slow line waits for, once (design budget of the web client).
const BUDGET: usize = 1_600_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [out, parts @ ..] = &arguments[..] else { bail!("tidings-bundle OUT (FOLDER | MODULE.wasm)…") };
    let begun = Instant::now();
    let mut sources = Vec::new();
    for part in parts {
        let found = if part.is_dir() { names::folder(part) } else { bindings(part) };
        sources.extend(found.with_context(|| part.display().to_string())?);
    }
    let files = names::settle(sources)?;
    // Made beside and put in place at once: a build that is cut off leaves the folder before it.
    let parent = out.parent().context("a folder in a folder")?;
    std::fs::create_dir_all(parent)?;
    let fresh = tempfile::Builder::new().prefix("web-").tempdir_in(parent)?;
    let mut loaded = 0;
    for (name, bytes) in &files {
        std::fs::write(fresh.path().join(name), bytes)?;
        let packed = pack(bytes)?;
        if packed.len() < bytes.len() {
            std::fs::write(fresh.path().join(format!("{name}.br")), &packed)?;
        }
        if name.ends_with(".js") || name.ends_with(".wasm") {
            loaded += packed.len().min(bytes.len());
        }
        println!("{:>9} {:>9}  {name}", bytes.len(), packed.len());
    }
    ensure!(loaded <= BUDGET, "scripts and modules have {loaded} bytes compressed, and may have {BUDGET}");
    replace(fresh, out)?;
    println!("{loaded} bytes of scripts and modules (at most {BUDGET}), {} s", begun.elapsed().as_secs());
    Ok(())
}

/// A module, what calls it, and the snippets that go with it.
fn bindings(module: &Path) -> anyhow::Result<Vec<Source>> {
    let made = tempfile::tempdir()?;
    let stem = module.file_stem().context("a name")?.to_string_lossy().replace('-', "_");
    Bindgen::new()
        .input_path(module)
        .out_name(&stem)
        .web(true)?
        .typescript(false)
        // The names of functions, a fifth of what is loaded; a panic says its file and line without them.
        .remove_name_section(true)
        // What loads a module says where it is, since its name has a hash in it.
        .omit_default_module_path(true)
        .generate(made.path())?;
    let mut sources = names::folder(made.path())?;
    sources.iter_mut().filter(|source| source.name.ends_with(".js")).for_each(Source::point_to_snippets);
    Ok(sources)
}

fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    let best = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, size_hint: bytes.len(), ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &best)?;
    Ok(packed)
}

/// The folder takes the place of the one that was there; one that is the same is left, with the times that the compiler goes by.
fn replace(fresh: tempfile::TempDir, out: &Path) -> anyhow::Result<()> {
    if same(fresh.path(), out)? {
        return Ok(());
    }
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    std::fs::rename(fresh.keep(), out).with_context(|| out.display().to_string())
}

fn same(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let names = |folder: &Path| -> anyhow::Result<Vec<_>> {
        let mut names: Vec<_> = std::fs::read_dir(folder)?.map(|file| Ok(file?.file_name())).collect::<anyhow::Result<_>>()?;
        names.sort();
        Ok(names)
    };
    if !other.exists() || names(one)? != names(other)? {
        return Ok(false);
    }
    let mut all = names(one)?.into_iter().map(|name| anyhow::Ok(std::fs::read(one.join(&name))? == std::fs::read(other.join(&name))?));
    all.try_fold(true, |same, next| Ok(same && next?))
}
