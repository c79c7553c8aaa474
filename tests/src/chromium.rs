//! A real Chromium that a test drives: its DevTools protocol over two pipes, one JSON object behind the other, each ended by a zero
//! byte. It has no window and a profile of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pool::DEADLINE;

/// Chromium reads commands from descriptor 3 and answers on 4. Its sandbox wants rights that containers and root do not have.
const START: &str = "exec chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --remote-debugging-pipe \
                     --user-data-dir=\"$1\" 3<&0 4>&1 </dev/null >/dev/null";

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// One page of a running Chromium.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    commands: ChildStdin,
    said: Receiver<Value>,
    number: u64,
    session: Option<String>,
    complaints: Vec<String>,
}

impl Chromium {
    /// Starts it with an empty page.
    ///
    /// # Panics
    /// If Chromium is missing or does not answer.
    #[must_use]
    pub fn start(profile: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", START, "sh"])
            .arg(profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for bytes in answers.split(0).map_while(Result::ok) {
                let value = serde_json::from_slice(&bytes).expect("JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let mut started = Self {
            commands: child.stdin.take().expect("piped"),
            child,
            said,
            number: 0,
            session: None,
            complaints: Vec::new(),
        };
        let page = started.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = started.ask("Target.attachToTarget", attach);
        started.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            started.ask(&format!("{domain}.enable"), json!({}));
        }
        started
    }

    /// Opens a page, and waits until its document is there.
    ///
    /// # Panics
    /// If it is not before the deadline.
    pub fn open(&mut self, url: &str) {
        // From an empty page, so that a fragment alone loads it anew.
        for url in ["about:blank", url] {
            let opened = self.ask("Page.navigate", json!({ "url": url }));
            assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        }
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// What an expression of the page's language gives; a promise is waited for.
    ///
    /// # Panics
    /// If it throws.
    pub fn run(&mut self, expression: &str) -> Value {
        let answer = self.try_run(expression);
        answer.unwrap_or_else(|wrong| panic!("{expression}: {wrong}"))
    }

    fn try_run(&mut self, expression: &str) -> Result<Value, Value> {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", asked);
        match answer.get("exceptionDetails") {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// If it is not before the deadline; says what the page shows.
    pub fn until(&mut self, expression: &str) {
        let started = Instant::now();
        let wanted = format!("Boolean({expression})");
        // While another document comes in there may be nobody to ask.
        while self.try_run(&wanted) != Ok(Value::Bool(true)) {
            if DEADLINE < started.elapsed() {
                let shown = self.run("document.body.innerText");
                panic!("{expression}: {shown}\n{}", self.complaints.join("\n"));
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Text of an element of the page.
    ///
    /// # Panics
    /// If there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.run(&format!("document.querySelector('{selector}').textContent"));
        text.as_str().expect("text").to_owned()
    }

    /// Writes a value into a field, as a reader who types does.
    pub fn fill(&mut self, selector: &str, value: &str) {
        let value = Value::from(value);
        self.run(&format!(
            "(() => {{ const field = document.querySelector('{selector}'); field.value = {value}; \
             field.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        ));
    }

    /// Presses what is there.
    pub fn press(&mut self, selector: &str) {
        self.run(&format!("document.querySelector('{selector}').click()"));
    }

    /// What scripts threw and what the console calls an error, so far.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        let sent = self.commands.write_all(&bytes);
        sent.expect("chromium runs; if it is missing: apt-get install chromium");
        let started = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(started.elapsed());
            let mut said = self.said.recv_timeout(left).expect("chromium answers");
            if said["id"] == self.number {
                assert!(said.get("error").is_none(), "{method}: {said}");
                return said["result"].take();
            }
            self.hear(&said);
        }
    }

    fn hear(&mut self, said: &Value) {
        let is_complaint = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => said["params"]["entry"]["level"] == "error",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(said["params"].to_string());
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("a child");
    }
}
