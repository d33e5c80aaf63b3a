//! A headless Chromium, driven through chromedriver.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{ActionSequence, InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use url::{ParseError, Url};

/// How long a page has to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs before each page: what its policy forbids is kept for the test.
const LISTENER: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', \
    (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));";

/// A browser of one test, which ends with its handle.
pub(crate) struct Browser {
    client: Client,
    driver: Driver,
}

impl Browser {
    /// Starts a browser with a window of 1360 × 900 pixels.
    ///
    /// # Panics
    ///
    /// Where there is no Chromium or no chromedriver, with the command that installs them.
    pub(crate) async fn start() -> Self {
        let driver = Driver::start();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(driver.capabilities())
            .connect(&driver.url())
            .await
            .expect("Chromium starts");
        let browser = Self { client, driver };
        browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": LISTENER }))
            .await;
        browser.window(1360, 900).await;
        browser
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the address is one");
    }

    /// What a script in the page returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect(script)
    }

    /// What an expression in the page comes to.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.script(&format!("return {expression};")).await
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let text =
            self.value(&format!("document.querySelector('{selector}')?.innerText ?? ''")).await;
        text.as_str().expect("a text").to_owned()
    }

    pub(crate) async fn shows(&self, selector: &str) -> bool {
        let shown = format!("document.querySelector('{selector}')?.checkVisibility() === true");
        self.value(&shown).await == true
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    ///
    /// Where it does not come to be, with the text of the page.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.value(&format!("Boolean({expression})")).await != true {
            let page = self.text("body").await;
            assert!(begun.elapsed() < PATIENCE, "it never came to hold: {expression}\n{page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn until_shown(&self, selector: &str) {
        self.until(&format!("document.querySelector('{selector}')?.checkVisibility()")).await;
    }

    pub(crate) async fn until_gone(&self, selector: &str) {
        self.until(&format!("!document.querySelector('{selector}')?.checkVisibility()")).await;
    }

    /// A click of the mouse at the middle of an element, which has to be there and reachable.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.client.find(Locator::Css(selector)).await.expect(selector);
        element.click().await.expect(selector);
    }

    /// Keys, pressed one after the other, wherever the focus is.
    pub(crate) async fn type_text(&self, text: &str) {
        let mut keys = KeyActions::new("keyboard".to_owned());
        for value in text.chars() {
            keys = keys.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(ActionSequence::from(keys)).await.expect("keys are pressed");
    }

    pub(crate) async fn press(&self, key: Key) {
        self.type_text(&char::from(key).to_string()).await;
    }

    /// Sets the size of the window's inside, in CSS pixels.
    pub(crate) async fn window(&self, width: u32, height: u32) {
        let mobile = width < 700;
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets what the page is told of its user: `prefers-color-scheme` and others.
    pub(crate) async fn prefer(&self, features: &[(&str, &str)]) {
        let feature = |(name, value): &(&str, &str)| json!({ "name": name, "value": value });
        let features: Vec<Value> = features.iter().map(feature).collect();
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The window as a PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    /// What the policies of pages have forbidden since the last navigation.
    pub(crate) async fn violations(&self) -> Vec<String> {
        texts(&self.value("window.violations").await)
    }

    /// Warnings and errors on the console since they were last asked for.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = Endpoint::new("se/log", json!({ "type": "browser" }));
        let log = self.client.issue_cmd(log).await.expect("a log");
        let entries = log.as_array().expect("a list of entries").iter();
        let bad = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A command of the protocol of Chromium's developer tools.
    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Endpoint::new("goog/cdp/execute", body)).await.expect(command);
    }

    /// Ends the browser, as its drop does, and waits for the driver to say goodbye.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.expect("the session ends");
        drop(self.driver);
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().expect("a list").iter();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// A command of chromedriver beyond the standard.
#[derive(Debug)]
struct Endpoint {
    path: &'static str,
    body: Value,
}

impl Endpoint {
    fn new(path: &'static str, body: Value) -> Self {
        Self { path, body }
    }
}

impl WebDriverCompatibleCommand for Endpoint {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A chromedriver on a port of its own choice.
struct Driver {
    process: Child,
    port: u16,
    /// Kept open: the driver writes to it.
    _stdout: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Driver {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program(&["chromedriver"]));
        command.arg("--port=0").arg(format!("--log-path={}", folder.path().join("log").display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("chromedriver starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let port = port(&mut stdout);
        Self { process, port, _stdout: stdout, folder }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn capabilities(&self) -> Capabilities {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        // Chromium's own sandbox does not work for root, nor in most containers.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en-GB",
            &profile,
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": program(&["chromium", "chromium-browser", "google-chrome"]),
                "args": arguments,
            },
        });
        serde_json::from_value(capabilities).expect("an object")
    }
}

impl Drop for Driver {
    /// The driver ends its browsers before itself; killed, it would leave them behind.
    fn drop(&mut self) {
        let agent =
            Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(5)));
        let _ = Agent::from(agent.build()).get(format!("{}/shutdown", self.url())).call();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5)
            && matches!(self.process.try_wait(), Ok(None))
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port that the driver says it listens on.
fn port(stdout: &mut impl std::io::BufRead) -> u16 {
    let lines = stdout.lines().map_while(Result::ok);
    let said = lines.filter_map(|line| {
        line.split("started successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
    });
    said.take(1).next().expect("chromedriver says its port")
}

/// The first of some programs that is there.
fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.unwrap_or_else(|| {
        panic!("no {} on this machine: run ./scripts/install chromium chromium-driver", names[0])
    })
}
