//! Headless Chromium, driven by chromedriver.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;

use crate::console::fixture::Console;

/// Time within which a page must reach a state. Nothing depends on its length.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of Chromium: no window, and no connection except those of the page.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Script that returns the texts with a contrast below 4.5, or with one that cannot be computed.
const CONTRAST_SCRIPT: &str = "
    const luminance = color => {
        const parts = color.match(/[0-9.]+/g).slice(0, 3).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const background = element => {
        const color = getComputedStyle(element).backgroundColor;
        return /, 0\\)$/.test(color) ? background(element.parentElement) : color;
    };
    const contrast = element => {
        const [low, high] = [getComputedStyle(element).fill, background(element)].map(luminance).sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const fillContrast = name => {
        const element = document.querySelector(name);
        return element instanceof SVGTextElement ? contrast(element) : 0;
    };
    return axe.run(document, { runOnly: ['color-contrast'] }).then(result => result.incomplete
        .flatMap(rule => rule.nodes.map(node => node.target.join(' ')))
        .map(name => [name, fillContrast(name)])
        .filter(([, contrast]) => !(contrast >= 4.5))
        .map(([name, contrast]) => name + ': ' + contrast.toFixed(2)));";

/// Browser with one tab.
pub(in crate::console) struct Browser {
    pub(in crate::console) driver: WebDriver,
    base: String,
    chromedriver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with the session of `console`. Returns `None` if Chromium or chromedriver is not installed and
    /// `FREEHOLD_REQUIRE_BROWSER` is not set.
    pub(in crate::console) async fn start(console: &Console) -> Option<Self> {
        let mut command = Command::new("chromedriver");
        // One process group, because Chromium survives a killed chromedriver.
        let command = command.arg("--port=0").process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut chromedriver = match command.spawn() {
            Ok(child) => child,
            Err(error) if std::env::var_os("FREEHOLD_REQUIRE_BROWSER").is_none() => {
                eprintln!("skipped: chromedriver cannot be started ({error}); install chromium and chromium-driver");
                return None;
            }
            Err(error) => panic!("chromedriver: {error}"),
        };
        let output = BufReader::new(chromedriver.stdout.take().expect("its output"));
        let started = |line: String| line.split_once("started successfully on port ").map(|(_, port)| port.to_owned());
        let port = output.lines().map_while(Result::ok).find_map(started).expect("the port of chromedriver");
        let profile = tempfile::tempdir().expect("a folder");
        let mut options = DesiredCapabilities::chrome();
        let user_data = format!("--user-data-dir={}", profile.path().display());
        for argument in ARGUMENTS.into_iter().chain([user_data.as_str()]) {
            options.add_arg(argument).expect("an argument");
        }
        options.set("goog:loggingPrefs", json!({ "browser": "ALL" })).expect("a capability");
        let url = format!("http://127.0.0.1:{}", port.trim_end().trim_end_matches('.'));
        let driver = WebDriver::new(&url, options).await.expect("a browser");
        let browser = Self { driver, base: console.api.url.clone(), chromedriver, _profile: profile };
        browser.open("/console/sign-in").await;
        let cookie = Cookie::new("freehold-session", console.session().expect("a session").clone());
        browser.driver.add_cookie(cookie).await.expect("a cookie");
        Some(browser)
    }

    pub(in crate::console) async fn open(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.expect("a page");
    }

    /// Returns the path of the shown page.
    pub(in crate::console) async fn path(&self) -> String {
        self.driver.current_url().await.expect("a URL").path().to_owned()
    }

    /// Runs a script in the page and returns its result.
    pub(in crate::console) async fn run(&self, script: &str) -> Value {
        let result = self.driver.execute(script.to_owned(), Vec::<Value>::new()).await.expect("a script");
        result.json().clone()
    }

    /// Waits until the page shows `text`.
    pub(in crate::console) async fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The page may be replaced at this moment.
            let shown = match self.driver.find(By::Css("body")).await {
                Ok(body) => body.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if shown.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "the page does not show {text:?}: {shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(in crate::console) async fn click(&self, selector: &str) {
        let element = self.driver.find(By::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}")).click().await.expect("a click");
    }

    /// Types a text into a field.
    pub(in crate::console) async fn type_text(&self, selector: &str, text: &str) {
        let field = self.driver.find(By::Css(selector)).await.expect("a field");
        field.send_keys(text).await.expect("a typed text");
    }

    /// Types a text into a field and submits its form.
    pub(in crate::console) async fn type_and_submit(&self, selector: &str, text: &str) {
        self.type_text(selector, &format!("{text}{}", Key::Enter.value())).await;
    }

    /// Sends a command of the DevTools protocol.
    pub(in crate::console) async fn command(&self, name: &str, parameters: Value) {
        self.driver.cdp().send_raw(name, parameters).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Returns the violations of accessibility rules that axe-core finds in the page, each with its elements.
    pub(in crate::console) async fn violations(&self, axe: &str) -> Value {
        let run = "return axe.run(document, { resultTypes: ['violations'] }).then(result => result.violations.map(\
                   one => one.id + ': ' + one.nodes.map(node => node.target).join(', ')))";
        self.run(&format!("{axe};{run}")).await
    }

    /// Returns the texts whose contrast axe-core cannot compute. Texts of pictures, whose color is a fill, are computed
    /// here.
    pub(in crate::console) async fn low_or_unknown_contrasts(&self, axe: &str) -> Value {
        self.run(&format!("{axe};{CONTRAST_SCRIPT}")).await
    }

    /// Returns the messages of the browser's console since the last call.
    pub(in crate::console) async fn messages(&self) -> Vec<String> {
        let entries = self.driver.get_log("browser").await.expect("a log");
        entries.into_iter().map(|entry| format!("{} {}", entry.level, entry.message)).collect()
    }

    pub(in crate::console) async fn quit(self) {
        self.driver.clone().quit().await.expect("the end of the browser");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.chromedriver.id()) {
            _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        _ = self.chromedriver.wait();
    }
}
