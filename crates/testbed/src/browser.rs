//! A real Chromium without a window, driven over its own protocol (Chrome DevTools Protocol): what is on a page is found by role and name, as
//! somebody who cannot see the page finds it, and touched by mouse and keyboard.
//!
//! Not here: what a page should show. Tests say that.

mod touch;
mod wire;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use wire::Wire;

/// How long is waited for what must come: several browsers may share two cores.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a page.
const LOOK: Duration = Duration::from_millis(30);
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Nothing but the pages: no window, no network of its own, no first-run questions. A test machine has no user to whom a sandbox could belong.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--force-color-profile=srgb",
];
/// Servers' certificates are their own. A person accepts such a one by hand; here that is no part of most stories.
const TRUSTS: &str = "--ignore-certificate-errors";

/// A browser, with what it stores. Ends with this value.
pub struct Browser {
    wire: Arc<Wire>,
    child: Child,
    folder: TempDir,
    is_wary: bool,
}

/// One tab.
pub struct Page {
    wire: Arc<Wire>,
    session: String,
    target: String,
}

/// Something on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found(i64);

impl Browser {
    /// Starts one that has stored nothing yet.
    pub async fn start() -> Browser {
        Browser::over(tempfile::tempdir().expect("a folder"), false).await
    }

    /// The same, but as a person has it: it warns of a certificate that nobody has vouched for.
    pub async fn wary() -> Browser {
        Browser::over(tempfile::tempdir().expect("a folder"), true).await
    }

    /// All of it is killed at once, as a machine that loses its power ends it, and it is started again over what it has stored.
    pub async fn killed(self) -> Browser {
        let Browser { mut child, folder, is_wary, .. } = self;
        let group = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).expect("a browser that runs");
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("a browser that can be killed");
        child.wait().await.expect("an end");
        Browser::over(folder, is_wary).await
    }

    /// It is closed, as a person closes it, and started again over what it has stored.
    pub async fn closed(self) -> Browser {
        let Browser { wire, mut child, folder, is_wary } = self;
        wire.ask(None, "Browser.close", json!({})).await;
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end in time").expect("an end");
        Browser::over(folder, is_wary).await
    }

    /// Where it keeps what it stores.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn over(folder: TempDir, is_wary: bool) -> Browser {
        let launch = |program: &str| {
            Command::new(program)
                .args(FLAGS)
                .args((!is_wary).then_some(TRUSTS))
                .arg(format!("--user-data-dir={}", folder.path().display()))
                .arg("about:blank")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .process_group(0)
                .spawn()
        };
        let mut child = PROGRAMS.iter().find_map(|program| launch(program).ok()).expect("Chromium: apt-get install chromium");
        let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
        let address = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return address.to_owned();
                }
            }
            panic!("Chromium ended before it could be talked to");
        };
        let address = tokio::time::timeout(PATIENCE, address).await.expect("Chromium starts in time");
        // Whoever writes to a pipe that nobody reads stops.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let wire = Arc::new(Wire::connect(&address).await);
        let saving = json!({ "behavior": "allow", "downloadPath": folder.path().join("saved") });
        wire.ask(None, "Browser.setDownloadBehavior", saving).await;
        Browser { wire, child, folder, is_wary }
    }

    /// What pages of `origin` may do, such as `notifications`, as if somebody had been asked and had said yes.
    pub async fn permits(&self, origin: &str, what: &[&str]) {
        self.wire.ask(None, "Browser.grantPermissions", json!({ "origin": origin, "permissions": what })).await;
    }

    /// What a page has saved under a name, once all of it is there.
    pub async fn saved(&self, name: &str) -> Vec<u8> {
        let file = self.folder.path().join("saved").join(name);
        let there = async {
            // Under its name it is whole.
            while !file.exists() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, there).await.is_err() {
            let saved = std::fs::read_dir(self.folder.path().join("saved"));
            let names: Vec<_> = saved.into_iter().flatten().flatten().map(|file| file.file_name()).collect();
            panic!("nothing was saved as {name:?}; there is {names:?}");
        }
        std::fs::read(file).expect("a file")
    }

    /// A new file in this browser's own folder, to be sent from there.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("files").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// How much memory all of the browser's processes have that is not shared with others, in MiB.
    pub fn memory(&self) -> u64 {
        let mut family = vec![self.child.id().unwrap_or_default()];
        let mut kib = 0;
        while let Some(process) = family.pop() {
            let own = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            let children = own(&format!("task/{process}/children"));
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            let parts = own("smaps_rollup");
            let private = parts.lines().filter(|line| line.starts_with("Private_"));
            kib += private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>();
        }
        kib / 1024
    }

    /// A new tab, 1280 by 800, at `address`.
    pub async fn open(&self, address: &str) -> Page {
        let target = self.wire.ask(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = target["targetId"].as_str().expect("a tab").to_owned();
        let attached = self.wire.ask(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { wire: self.wire.clone(), session, target };
        for domain in ["Page", "Runtime", "DOM", "Accessibility", "Log"] {
            page.ask(&format!("{domain}.enable"), json!({})).await;
        }
        // What goes wrong in its Worker is the page's too.
        let workers = json!({ "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true });
        page.ask("Target.setAutoAttach", workers).await;
        page.looks(1280, 800, false).await;
        page.go(address).await;
        page
    }
}

impl Page {
    async fn ask(&self, method: &str, parameters: Value) -> Value {
        self.wire.ask(Some(&self.session), method, parameters).await
    }

    /// A script that each page in this tab runs before its own, from the next one on: for what cannot be seen from outside.
    pub async fn prepare(&self, script: &str) {
        self.ask("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// From now on no tree of roles and names is kept while the page changes, as for whoever looks at it: what is measured would pay for it. What is
    /// found by role and name has one made for it.
    pub async fn is_looked_at(&self) {
        self.ask("Accessibility.disable", json!({})).await;
    }

    /// Goes there.
    pub async fn go(&self, address: &str) {
        let gone = self.ask("Page.navigate", json!({ "url": address })).await;
        assert!(gone["errorText"].is_null(), "{address}: {}", gone["errorText"]);
    }

    /// Goes where the browser does not want to go; why not, as it calls it.
    pub async fn is_refused(&self, address: &str) -> String {
        let gone = self.ask("Page.navigate", json!({ "url": address })).await;
        gone["errorText"].as_str().unwrap_or("not refused").to_owned()
    }

    /// The tab that a person has before them.
    pub async fn front(&self) {
        self.ask("Page.bringToFront", json!({})).await;
    }

    /// As F5; what is on the page afterwards is of the new one.
    pub async fn reload(&self) {
        self.run("globalThis.before = true").await;
        self.ask("Page.reload", json!({})).await;
        let is_new = async {
            // Between two pages there is none that could answer.
            let asked = || json!({ "expression": "globalThis.before === undefined", "returnByValue": true });
            while !self
                .wire
                .try_ask(Some(&self.session), "Runtime.evaluate", asked())
                .await
                .is_ok_and(|done| done["result"]["value"] == true)
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_new).await.expect("a page that comes back");
    }

    /// The tab is closed, as a person closes it.
    pub async fn close(self) {
        self.wire.ask(None, "Target.closeTarget", json!({ "targetId": self.target })).await;
    }

    /// How large the page is, and whether the person prefers it dark.
    pub async fn looks(&self, width: u32, height: u32, dark: bool) {
        self.appears(width, height, &[("prefers-color-scheme", if dark { "dark" } else { "light" })]).await;
    }

    /// How large the page is, and what the person has told the system, as media queries call it.
    pub async fn appears(&self, width: u32, height: u32, preferred: &[(&str, &str)]) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        // Nothing is on its way from one look to the other while somebody looks.
        let all = preferred.iter().chain(&[("prefers-reduced-motion", "reduce")]);
        let features: Vec<Value> = all.map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Cuts the browser off from every network, or not any more.
    pub async fn offline(&self, offline: bool) {
        self.ask("Network.enable", json!({})).await;
        let conditions = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.ask("Network.emulateNetworkConditions", conditions).await;
    }

    /// Everything there is now with this role (as ARIA has them) and this accessible name, in the page's order.
    pub async fn all(&self, role: &str, name: &str) -> Vec<Found> {
        let document = self.ask("DOM.getDocument", json!({ "depth": 0 })).await;
        let Some(root) = document["root"]["nodeId"].as_i64() else { return Vec::new() };
        let asked = json!({ "nodeId": root, "role": role, "accessibleName": name });
        let Ok(found) = self.wire.try_ask(Some(&self.session), "Accessibility.queryAXTree", asked).await else { return Vec::new() };
        let nodes = found["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown = nodes.iter().filter(|node| node["ignored"] != json!(true));
        shown.filter_map(|node| node["backendDOMNodeId"].as_i64()).map(Found).collect()
    }

    /// The first with this role and name; waits for it.
    pub async fn find(&self, role: &str, name: &str) -> Found {
        let looked = async {
            loop {
                if let Some(found) = self.all(role, name).await.first() {
                    return *found;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(found) => found,
            Err(_) => panic!("no {role} called {name:?}; there is:\n{}\n{}", self.outline().await, self.complaints().join("\n")),
        }
    }

    /// Waits until nothing has this role and name any more.
    pub async fn gone(&self, role: &str, name: &str) {
        let looked = async {
            while !self.all(role, name).await.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, looked).await.is_ok(), "{role} called {name:?} stays:\n{}", self.outline().await);
    }

    /// Waits until the page's text has this in it, once at least.
    pub async fn reads(&self, text: &str) {
        let looked = async {
            while !self.text().await.contains(text) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looked).await.is_err() {
            panic!("{text:?} is not there; the page says:\n{}\n{}", self.text().await, self.complaints().join("\n"));
        }
    }

    /// All text that is on the page.
    pub async fn text(&self) -> String {
        self.run("document.body?.innerText ?? ''").await.as_str().unwrap_or_default().to_owned()
    }

    /// The names of everything there is now with this role, in the page's order.
    pub async fn names(&self, role: &str) -> Vec<String> {
        let tree = self.ask("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |node: &&Value| node["ignored"] != json!(true) && node["role"]["value"] == role;
        nodes.iter().filter(of).filter_map(|node| node["name"]["value"].as_str().map(str::to_owned)).collect()
    }

    /// The text of each item in a list.
    pub async fn items(&self, name: &str) -> Vec<String> {
        let list = self.find("list", name).await;
        let items = self.of(list, "function () { return [...this.children].map((item) => item.innerText.trim()); }").await;
        items.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    /// What stands in a field.
    pub async fn value(&self, role: &str, name: &str) -> String {
        let field = self.find(role, name).await;
        self.of(field, "function () { return this.value; }").await.as_str().unwrap_or_default().to_owned()
    }

    /// What a function comes to, of something on the page; null where that is not there any more.
    pub async fn of(&self, Found(node): Found, function: &str) -> Value {
        let session = Some(self.session.as_str());
        let node = self.wire.try_ask(session, "DOM.resolveNode", json!({ "backendNodeId": node })).await.unwrap_or_default();
        let call = json!({ "objectId": node["object"]["objectId"], "functionDeclaration": function, "returnByValue": true });
        let mut done = self.wire.try_ask(session, "Runtime.callFunctionOn", call).await.unwrap_or_default();
        done["result"]["value"].take()
    }

    /// What a script on the page comes to. For what only a script can say, such as where something is scrolled to.
    pub async fn run(&self, script: &str) -> Value {
        let parameters = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let done = self.ask("Runtime.evaluate", parameters).await;
        assert!(done["exceptionDetails"].is_null(), "{script}: {}", done["exceptionDetails"]);
        done["result"]["value"].clone()
    }

    /// Waits until a script on the page comes to `true`.
    pub async fn until(&self, script: &str) {
        let looked = async {
            while self.run(script).await != true {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looked).await.is_err() {
            panic!("{script} does not come true; the page says:\n{}", self.text().await);
        }
    }

    /// Waits until something holds that takes more than one look at the page.
    pub async fn settles(&self, mut holds: impl AsyncFnMut() -> bool) {
        let looked = async {
            while !holds().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looked).await.is_err() {
            panic!("it does not come to that; the keyboard is on {:?}, and the page says:\n{}", self.focus().await, self.text().await);
        }
    }

    /// KiB that its scripts hold, and how many nodes, of what is not garbage.
    pub async fn weight(&self) -> (u64, u64) {
        self.ask("HeapProfiler.collectGarbage", json!({})).await;
        let heap = self.ask("Runtime.getHeapUsage", json!({})).await;
        let counted = self.ask("Memory.getDOMCounters", json!({})).await;
        (heap["usedSize"].as_f64().unwrap_or_default() as u64 / 1024, counted["nodes"].as_u64().unwrap_or_default())
    }

    /// A picture of it, as PNG.
    pub async fn picture(&self, file: &Path) {
        use base64::Engine;
        let taken = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        let bytes = base64::prelude::BASE64_STANDARD.decode(taken["data"].as_str().unwrap_or_default()).expect("a picture");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("a file");
    }

    /// What the page has asked, each once, and was answered with yes.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.wire.take(&self.session, "Page.javascriptDialogOpening");
        asked.iter().filter_map(|dialog| dialog["message"].as_str().map(str::to_owned)).collect()
    }

    /// What the browser had to complain about: errors that nobody caught, and what the page's policy kept from happening.
    pub fn complaints(&self) -> Vec<String> {
        self.wire.complaints(&self.session)
    }

    /// Roles and names of all that is there, for whoever has to find out why something is not.
    pub async fn outline(&self) -> String {
        let tree = self.ask("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let line = |node: &Value| {
            let (role, name) = (node["role"]["value"].as_str()?, node["name"]["value"].as_str()?);
            (node["ignored"] != json!(true) && !name.is_empty() && role != "InlineTextBox").then(|| format!("  {role} {name:?}\n"))
        };
        nodes.iter().filter_map(line).collect()
    }
}
