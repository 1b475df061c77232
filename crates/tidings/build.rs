//! Puts the web client that `cargo xtask web` has built into the program: one row for each file in `target/pages`. Without it the program
//! is built all the same, and its page says how to get one that has it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    // One fixed place, whatever cargo's own target folder is called: a plain `cargo build` must find what `cargo xtask web` has made.
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pages");
    // A folder that is not there counts as changed, each time. Where none can be made that costs time and nothing else.
    let _ = std::fs::create_dir_all(&built);
    println!("cargo::rerun-if-changed={}", built.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&built).map(|all| all.flatten().map(|file| file.path()).collect()).unwrap_or_default();
    files.sort();
    let mut rows = String::from("[\n");
    for file in files.iter().filter(|file| file.extension().is_none_or(|end| end != "br")) {
        let (name, path) = (file.file_name().unwrap_or_default().to_string_lossy(), file.display().to_string());
        println!("cargo::rerun-if-changed={path}");
        let packed = format!("{path}.br");
        let packed = if Path::new(&packed).exists() { format!("Some(include_bytes!({packed:?}))") } else { "None".to_owned() };
        writeln!(rows, "    tidings_site::File {{ name: {name:?}, bytes: include_bytes!({path:?}), packed: {packed} }},")
            .expect("a string takes all");
    }
    rows.push(']');
    let out = std::env::var_os("OUT_DIR").expect("cargo says where");
    std::fs::write(Path::new(&out).join("pages.rs"), rows).expect("cargo's folder can be written to");
}
