//! Mouse, keyboard, clipboard and files: what a person does to a page, and only where a person could.

use super::{Found, LOOK, PATIENCE, Page};
use serde_json::{Value, json};
use std::path::Path;

/// Where the keyboard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Focus {
    /// As ARIA has it; empty where the keyboard is nowhere.
    pub role: String,
    /// The accessible name.
    pub name: String,
    /// Whether somebody who looks sees that it is there.
    pub is_shown: bool,
}

/// Whether what has the keyboard is in sight, and has a ring, its own or that of what it stands in.
const IS_SHOWN: &str = "function () {
    const box = this.getBoundingClientRect();
    const inSight = box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    const ring = (one) => {
        const style = getComputedStyle(one);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    };
    return inSight && this.matches(':focus-visible') && (ring(this) || ring(this.closest('form') ?? this));
}";

impl Page {
    /// Waits until whatever the page does before its next picture is done: what has just been put on screen has the keyboard by then.
    async fn settled(&self) {
        // A page that nobody looks at draws nothing.
        self.run("new Promise((done) => { requestAnimationFrame(() => setTimeout(done, 0)); setTimeout(done, 200); })").await;
    }

    /// Clicks in the middle of it.
    pub async fn click(&self, role: &str, name: &str) {
        let (x, y) = self.reachable(role, name).await;
        self.click_at(x, y).await;
    }

    async fn click_at(&self, x: f64, y: f64) {
        for (kind, button) in [("mouseMoved", "none"), ("mousePressed", "left"), ("mouseReleased", "left")] {
            self.ask("Input.dispatchMouseEvent", json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 })).await;
        }
    }

    /// Puts the pointer on it, and clicks on nothing.
    pub async fn points_at(&self, role: &str, name: &str) {
        let (x, y) = self.reachable(role, name).await;
        self.ask("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y })).await;
    }

    /// The wheel is turned in the middle of it; down where `by` is more than 0.
    pub async fn wheel(&self, role: &str, name: &str, by: f64) {
        let (x, y) = self.reachable(role, name).await;
        let turned = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by });
        self.ask("Input.dispatchMouseEvent", turned).await;
    }

    /// The middle of it, once it stands still there and nothing lies over it.
    async fn reachable(&self, role: &str, name: &str) -> (f64, f64) {
        let mut over = Value::Null;
        let looked = async {
            loop {
                // What a page draws anew between two looks is found again by the next; what moves is not clicked on.
                let before = self.middle(self.find(role, name).await).await;
                tokio::time::sleep(LOOK).await;
                let found = self.find(role, name).await;
                if let Some((x, y)) = before
                    && self.middle(found).await == before
                {
                    let hit = format!(
                        "function () {{ const hit = document.elementFromPoint({x}, {y}); \
                         return hit !== null && (this.contains(hit) || hit.contains(this)) ? true : (hit?.outerHTML.slice(0, 200) ?? 'nothing'); }}"
                    );
                    over = self.of(found, &hit).await;
                    if over == true {
                        return (x, y);
                    }
                }
            }
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(place) => place,
            Err(_) => panic!(
                "{role} called {name:?} is nowhere to click on; over it lies {over}; there is:\n{}\n{}",
                self.outline().await,
                self.complaints().join("\n")
            ),
        }
    }

    /// Clicks on what has a name that begins like this: where state is part of the name.
    pub async fn click_what_begins(&self, role: &str, start: &str) {
        let name = self.begins(role, start).await;
        self.click(role, &name).await;
    }

    /// The whole name of what has one that begins like this; waits for it.
    pub async fn begins(&self, role: &str, start: &str) -> String {
        let looked = async {
            loop {
                if let Some(name) = self.names(role).await.into_iter().find(|name| name.starts_with(start)) {
                    return name;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(name) => name,
            Err(_) => panic!("no {role} whose name begins with {start:?}; there is:\n{}", self.outline().await),
        }
    }

    /// Where the middle of something is, once it is in view; none where it is not drawn.
    async fn middle(&self, Found(node): Found) -> Option<(f64, f64)> {
        let node = json!({ "backendNodeId": node });
        self.wire.try_ask(Some(&self.session), "DOM.scrollIntoViewIfNeeded", node.clone()).await.ok()?;
        let quads = self.wire.try_ask(Some(&self.session), "DOM.getContentQuads", node).await.ok()?;
        let quad: Vec<f64> = quads["quads"][0].as_array()?.iter().filter_map(Value::as_f64).collect();
        (quad.len() == 8).then(|| ((quad[0] + quad[4]) / 2.0, (quad[1] + quad[5]) / 2.0))
    }

    /// Puts the keyboard there, and types over what is there.
    pub async fn fill(&self, role: &str, name: &str, text: &str) {
        let focused = async {
            loop {
                let found = self.find(role, name).await;
                // A field that a page has just put on screen may be given the keyboard by it: not while somebody types elsewhere.
                self.settled().await;
                let takes = "function () { this.focus(); this.select?.(); return document.activeElement === this; }";
                if self.of(found, takes).await == true {
                    return found;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let Ok(field) = tokio::time::timeout(PATIENCE, focused).await else {
            panic!("{role} called {name:?} takes no keyboard; the page says:\n{}", self.text().await);
        };
        self.types(text).await;
        let stands = self.of(field, "function () { return this.value; }").await;
        assert_eq!(stands, text, "what was typed into {role} called {name:?} did not stay there");
    }

    /// Types where the keyboard is.
    pub async fn types(&self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key, with others held: `Enter`, `Tab`, `?`, `Ctrl+k`, `Shift+Tab`, `Alt+ArrowDown`.
    pub async fn press(&self, keys: &str) {
        let (held, key) = keys.rsplit_once('+').unwrap_or(("", keys));
        let bit = |name: &str| match name {
            "Alt" => 1,
            "Ctrl" => 2,
            "Shift" => 8,
            _ => 0,
        };
        let modifiers = held.split('+').map(bit).sum::<i32>();
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "Home" => 36,
            "End" => 35,
            "PageUp" => 33,
            "PageDown" => 34,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            "?" => 191,
            key => key.bytes().next().unwrap_or_default().to_ascii_uppercase() as i32,
        };
        let text = match key {
            "Enter" => "\r",
            key if key.len() == 1 && modifiers & 3 == 0 => key,
            _ => "",
        };
        // What a browser itself does at some keys it is told by name.
        let commands = if keys == "Ctrl+v" { json!(["paste"]) } else { json!([]) };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let commands = if kind == "keyDown" { commands.clone() } else { json!([]) };
            let event = json!({
                "type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers, "text": text, "commands": commands,
            });
            self.ask("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Where the keyboard is now.
    pub async fn focus(&self) -> Focus {
        self.settled().await;
        let nowhere = Focus { role: String::new(), name: String::new(), is_shown: false };
        let active = self.ask("Runtime.evaluate", json!({ "expression": "document.activeElement" })).await;
        let Some(object) = active["result"]["objectId"].as_str() else { return nowhere };
        if self.run("document.activeElement === document.body || document.activeElement === document.documentElement").await == true {
            return nowhere;
        }
        let asked = json!({ "objectId": object, "fetchRelatives": false });
        let tree = self.ask("Accessibility.getPartialAXTree", asked).await;
        let call = json!({ "objectId": object, "functionDeclaration": IS_SHOWN, "returnByValue": true });
        let shown = self.ask("Runtime.callFunctionOn", call).await;
        let of = |what: &str| tree["nodes"][0][what]["value"].as_str().unwrap_or_default().to_owned();
        Focus { role: of("role"), name: of("name"), is_shown: shown["result"]["value"] == true }
    }

    /// Clicks on a button that opens the browser's choice of files, and chooses these.
    pub async fn chooses(&self, button: &str, files: &[&Path]) {
        self.ask("Page.setInterceptFileChooserDialog", json!({ "enabled": true })).await;
        self.click("button", button).await;
        let opened = async {
            loop {
                if let Some(opened) = self.wire.take(&self.session, "Page.fileChooserOpened").pop() {
                    return opened["backendNodeId"].clone();
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let field = tokio::time::timeout(PATIENCE, opened).await.expect("a choice of files that opens");
        self.ask("DOM.setFileInputFiles", json!({ "files": files, "backendNodeId": field })).await;
    }

    /// Drops files on it, as from a folder beside the browser.
    pub async fn drops(&self, role: &str, name: &str, files: &[&Path]) {
        let (x, y) = self.reachable(role, name).await;
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            self.ask("Input.dispatchDragEvent", json!({ "type": kind, "x": x, "y": y, "data": data })).await;
        }
    }
}
