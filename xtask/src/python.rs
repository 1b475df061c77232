//! A python with jwcrypto, in a virtual environment under `target/`: made once, from pinned hashes. Not a python for anything else.

use crate::{root, target};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why there is no such python here.
pub enum Missing {
    /// This machine cannot have it now: no python, no venv, no network. The step is skipped.
    Here(String),
    /// What was downloaded is not what is pinned. That is a finding.
    Changed(String),
}

/// The python, installed on the first call; later ones need no network.
pub fn with_jwcrypto() -> Result<PathBuf, Missing> {
    let requirements = root().join("crates/e2ee/tests/jwcrypto/requirements.txt");
    let pinned = std::fs::read(&requirements).map_err(|error| Missing::Here(format!("{}: {error}", requirements.display())))?;
    let venv = std::path::absolute(target().join("jwcrypto")).map_err(|error| Missing::Here(error.to_string()))?;
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written when everything is installed, so a half-made environment is made anew.
    let installed = venv.join("installed.txt");
    if std::fs::read(&installed).is_ok_and(|before| before == pinned) && imports(&python) {
        return Ok(python);
    }
    println!("installing jwcrypto into {}", venv.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).map_err(Missing::Here)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "15"];
    let strict = ["--require-hashes", "--only-binary", ":all:", "--requirement"];
    run(Command::new(&python).args(pip).args(strict).arg(&requirements)).map_err(of_pip)?;
    std::fs::write(&installed, pinned).map_err(|error| Missing::Here(error.to_string()))?;
    Ok(python)
}

fn imports(python: &Path) -> bool {
    run(Command::new(python).args(["-c", "import jwcrypto.jwe"])).is_ok()
}

/// Runs a command to its end; the last thing that it complained of, if it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).trim().to_owned())
}

fn of_pip(said: String) -> Missing {
    if said.contains("DO NOT MATCH THE HASHES") {
        return Missing::Changed(said);
    }
    let last = said.lines().rev().find(|line| line.starts_with("ERROR")).unwrap_or(&said);
    Missing::Here(last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_other_than_the_pinned_ones_are_a_finding_and_no_network_is_none() {
        let no_network = "WARNING: Retrying\nERROR: Could not find a version that satisfies the requirement cffi==2.1.1\nbye";
        assert!(matches!(of_pip(no_network.into()), Missing::Here(why) if why.ends_with("cffi==2.1.1")));
        let changed = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. …";
        assert!(matches!(of_pip(changed.into()), Missing::Changed(_)));
    }
}
