//! `cargo xtask campaign autobahn`: the WebSocket below all links against the Autobahn test suite, as server and as client.
//!
//! The suite is a program for Python 2.7 (PyPI `autobahntestsuite`); it is installed into `target/autobahn`, nowhere else.

use crate::evidence::Evidence;
use crate::{cargo, root};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a side may take over all cases; it took about 4 minutes on two cores.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Runs both roles. False when a case failed.
pub fn campaign() -> anyhow::Result<bool> {
    let python = python()?;
    let folder = install(&python)?;
    let built = cargo().args(["build", "--quiet", "--package", "tidings-testbed", "--example", "echo"]).status()?;
    if !built.success() {
        bail!("the build failed");
    }
    let suite = Suite { python, folder, echo: root().join("target/debug/examples/echo") };
    let mut failed = false;
    for (role, run) in [("server", Suite::against_our_server as fn(&Suite) -> _), ("client", Suite::against_our_client)] {
        println!("Autobahn against our {role} …");
        let verdicts = run(&suite)?;
        let shown: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        println!("  {}", shown.join(", "));
        let mut evidence = Evidence::of("autobahn")?;
        evidence.add(&[role, "runs"], 1);
        for (verdict, count) in &verdicts {
            evidence.add(&[role, verdict], *count);
        }
        evidence.save()?;
        // NON-STRICT and INFORMATIONAL are Autobahn's words for what the RFC leaves open; UNIMPLEMENTED is compression, which
        // links do not have: what is sealed does not shrink, and sizes would tell of what is not.
        failed |= verdicts.keys().any(|verdict| !matches!(verdict.as_str(), "OK" | "NON-STRICT" | "INFORMATIONAL" | "UNIMPLEMENTED"));
    }
    println!("{}; the sums are in evidence/autobahn.json", if failed { "FAILED" } else { "nothing failed" });
    Ok(!failed)
}

struct Suite {
    python: PathBuf,
    folder: PathBuf,
    echo: PathBuf,
}

/// How many cases ended with which verdict.
type Verdicts = BTreeMap<String, u64>;

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Suite {
    fn against_our_server(&self) -> anyhow::Result<Verdicts> {
        let mut echo = Command::new(&self.echo).arg("server").stdout(Stdio::piped()).spawn().context("echo server")?;
        let out = echo.stdout.take().context("its output is piped")?;
        let _echo = Running(echo);
        let mut port = String::new();
        BufReader::new(out).read_line(&mut port)?;
        let url = format!("ws://127.0.0.1:{}", port.trim());
        let spec = json!({ "outdir": self.reports("server"), "servers": [{ "agent": "tidings", "url": url }], "cases": ["*"], "exclude-cases": [] });
        let mut client = Running(self.wstest("fuzzingclient", &spec)?);
        ends(&mut client.0)?;
        self.verdicts("server")
    }

    fn against_our_client(&self) -> anyhow::Result<Verdicts> {
        // Asked of the system and given back at once; wstest cannot choose by itself.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let spec =
            json!({ "url": format!("ws://127.0.0.1:{port}"), "outdir": self.reports("client"), "cases": ["*"], "exclude-cases": [] });
        let mut server = Running(self.wstest("fuzzingserver", &spec)?);
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(60) || server.0.try_wait()?.is_some() {
                bail!("wstest does not listen on port {port}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut echo = Running(Command::new(&self.echo).args(["client", &port.to_string()]).spawn().context("echo client")?);
        ends(&mut echo.0)?;
        self.verdicts("client")
    }

    fn reports(&self, role: &str) -> PathBuf {
        self.folder.join(format!("reports-{role}"))
    }

    fn wstest(&self, mode: &str, spec: &Value) -> anyhow::Result<Child> {
        let file = self.folder.join(format!("{mode}.json"));
        std::fs::write(&file, spec.to_string())?;
        let site = self.folder.join("site");
        let start = "import sys; from autobahntestsuite.wstest import run; sys.exit(run())";
        let log = std::fs::File::create(self.folder.join(format!("{mode}.log")))?;
        Command::new(&self.python)
            .args(["-c", start, "--mode", mode, "--spec"])
            .arg(file)
            .current_dir(&self.folder)
            .env("PYTHONPATH", site)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("wstest cannot be started")
    }

    fn verdicts(&self, role: &str) -> anyhow::Result<Verdicts> {
        let path = self.reports(role).join("index.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("no report at {}; see the .log beside it", path.display()))?;
        let index: Value = serde_json::from_str(&text)?;
        let cases = index["tidings"].as_object().context("the report is of somebody else")?;
        let mut verdicts = Verdicts::new();
        for (case, result) in cases {
            let worst = match (result["behavior"].as_str(), result["behaviorClose"].as_str()) {
                (Some("OK"), Some(close)) if !matches!(close, "OK" | "INFORMATIONAL") => close,
                (Some(behaviour), _) => behaviour,
                _ => "UNREADABLE",
            };
            if !matches!(worst, "OK" | "NON-STRICT" | "INFORMATIONAL" | "UNIMPLEMENTED") {
                println!("  case {case}: {worst}");
            }
            *verdicts.entry(worst.to_owned()).or_default() += 1;
        }
        if verdicts.values().sum::<u64>() < 300 {
            bail!("only {} cases were run", verdicts.values().sum::<u64>());
        }
        Ok(verdicts)
    }
}

fn ends(child: &mut Child) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("it ended with {status}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    bail!("it did not come to an end in {} minutes", PATIENCE.as_secs() / 60)
}

/// Python 2.7, by its name or where pyenv has it.
fn python() -> anyhow::Result<PathBuf> {
    let pyenv = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions/2.7.18/bin/python2.7"));
    let works = |python: &PathBuf| Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success());
    [Some(PathBuf::from("python2.7")), pyenv].into_iter().flatten().find(works).context(
        "the Autobahn test suite needs Python 2.7, and there is none.
  pyenv install 2.7.18",
    )
}

/// The suite in a folder of its own. Its parts share the namespace `zope`, which is no package without a line of its own.
fn install(python: &Path) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/autobahn");
    let site = folder.join("site");
    let namespace = site.join("zope/__init__.py");
    if !namespace.exists() {
        println!("Installing autobahntestsuite into target/autobahn …");
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(&site).arg("autobahntestsuite");
        if !pip.status()?.success() {
            bail!("pip could not install autobahntestsuite");
        }
        std::fs::write(&namespace, "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")?;
    }
    Ok(folder)
}
