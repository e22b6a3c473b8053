//! The app in a real window of a virtual screen, with hands and eyes: Xvfb, WebKitWebDriver, fantoccini.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use switchyard_testkit::{PATIENCE, Program, Programs};

/// The virtual screen, and so the screenshots.
const SCREEN: &str = "1280x800x24";
/// How often the window is looked at while something is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The driver is told its TCP port before it binds it, so another program may be faster.
const DRIVER_ATTEMPTS: usize = 5;
/// How long the driver may take until it listens.
const DRIVER_PATIENCE: Duration = Duration::from_secs(20);

/// A running app. Dropping it ends everything that it stands on.
pub(crate) struct Window {
    client: Client,
    driver: Program,
    _screen: Program,
}

impl Window {
    /// Opens the app in a window, with `home` for whatever it keeps.
    pub(crate) async fn open(programs: &Programs, home: &Path) -> Result<Self> {
        needs("Xvfb", "xvfb")?;
        needs("WebKitWebDriver", "webkit2gtk-driver")?;
        let app = programs.path("switchyard-desktop")?;
        let mut screen = Command::new("Xvfb");
        screen.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            SCREEN,
            "-nolisten",
            "tcp",
        ]);
        let mut screen = Program::start("Xvfb", &mut screen)?;
        let display = screen.wait_for_line("a display", |line| line.parse::<u32>().ok())?;
        for _ in 0..DRIVER_ATTEMPTS {
            let tcp_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut command = Command::new("WebKitWebDriver");
            command
                .arg(format!("--port={tcp_port}"))
                .env("DISPLAY", format!(":{display}"))
                .env("TAURI_WEBVIEW_AUTOMATION", "true")
                .env("GDK_BACKEND", "x11")
                .env("LANG", "C.UTF-8")
                .env("HOME", home)
                .env("XDG_CONFIG_HOME", home.join("config"))
                .env("XDG_DATA_HOME", home.join("data"))
                .env("XDG_CACHE_HOME", home.join("cache"))
                .env("XDG_STATE_HOME", home.join("state"))
                .env("SWITCHYARD_LOG", "debug");
            let driver = Program::start("WebKitWebDriver", &mut command)?;
            if !is_listening(tcp_port).await {
                continue;
            }
            let url = format!("http://127.0.0.1:{tcp_port}");
            let options = json!({"binary": app, "args": []});
            // The page is one document for good; waiting for loads would only hang on a click that changes its hash.
            let capabilities = [
                ("webkitgtk:browserOptions".to_owned(), options),
                ("pageLoadStrategy".to_owned(), json!("none")),
            ];
            let client = ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.into_iter().collect())
                .connect(&url)
                .await
                .map_err(|error| driver.failure(&format!("opening the window: {error}")))?;
            return Ok(Window {
                client,
                driver,
                _screen: screen,
            });
        }
        bail!("WebKitWebDriver found no free TCP port in {DRIVER_ATTEMPTS} attempts")
    }

    /// Closes the window; gives what the app has logged.
    pub(crate) async fn close(self) -> Result<String> {
        let Window {
            client, mut driver, ..
        } = self;
        client.close().await.context("closing the window")?;
        let _ = driver.stop()?;
        Ok(driver.log())
    }

    pub(crate) async fn shows(&self, testid: &str) -> Result<()> {
        self.find(testid).await.map(|_| ())
    }

    pub(crate) async fn click(&self, testid: &str) -> Result<()> {
        let element = self.find(testid).await?;
        soon(&format!("clicking {testid}"), element.click()).await
    }

    /// Writes into a field, in place of what is there.
    pub(crate) async fn write(&self, testid: &str, text: &str) -> Result<()> {
        let element = self.find(testid).await?;
        soon(&format!("clearing {testid}"), element.clear()).await?;
        soon(&format!("writing into {testid}"), element.send_keys(text)).await
    }

    pub(crate) async fn text(&self, testid: &str) -> Result<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let text = self
            .client
            .execute(script, vec![selector(testid).into()])
            .await?;
        Ok(text.as_str().unwrap_or_default().trim().to_owned())
    }

    pub(crate) async fn attribute(&self, testid: &str, attribute: &str) -> Result<Option<String>> {
        Ok(self.find(testid).await?.attr(attribute).await?)
    }

    /// Waits until an element's text is as `wanted`.
    pub(crate) async fn until(
        &self,
        what: &str,
        testid: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let script = format!(
            "return document.querySelector('{}')?.innerText",
            selector(testid)
        );
        self.until_script(what, &script, |text| {
            text.as_str().filter(|text| wanted(text.trim())).map(|_| ())
        })
        .await
    }

    pub(crate) async fn attribute_is(
        &self,
        testid: &str,
        attribute: &str,
        value: &str,
    ) -> Result<()> {
        let what = format!("{attribute}={value} at {testid}");
        let selector = selector(testid);
        let script =
            format!("return document.querySelector('{selector}')?.getAttribute('{attribute}')");
        self.until_script(&what, &script, |found| (found == value).then_some(()))
            .await
    }

    pub(crate) async fn count_is(&self, testid: &str, count: usize) -> Result<()> {
        let script = format!(
            "return document.querySelectorAll('{}').length",
            selector(testid)
        );
        self.until_script(&format!("{count} of {testid}"), &script, |found| {
            (found.as_u64() == Some(count as u64)).then_some(())
        })
        .await
    }

    /// Runs a script in the page until `pick` makes something of its answer.
    pub(crate) async fn until_script<T>(
        &self,
        what: &str,
        script: &str,
        pick: impl Fn(&Value) -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            let found = soon(what, self.client.execute(script, Vec::new())).await?;
            if let Some(picked) = pick(&found) {
                return Ok(picked);
            }
            if start.elapsed() > PATIENCE {
                self.shot("failure").await?;
                return Err(self
                    .driver
                    .failure(&format!("waited for {what}, last saw {found}")));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Whatever the page could have put away: its storage, its cookies and its whole document.
    pub(crate) async fn everything_the_page_keeps(&self) -> Result<String> {
        let script = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, \
                      document.documentElement.outerHTML])";
        let kept = soon(
            "reading what is kept",
            self.client.execute(script, Vec::new()),
        )
        .await?;
        kept.as_str().map(str::to_owned).context("expected a text")
    }

    /// Saves what is seen as `target/desktop-story/NAME.png`.
    pub(crate) async fn shot(&self, name: &str) -> Result<()> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../desktop-story");
        std::fs::create_dir_all(&folder)?;
        // WebKit takes a screenshot with the next frame that it draws, and a calm page draws none: a dot that nobody
        // sees is moved for a moment.
        let stir = "const dot = document.createElement('i'); let moves = 0; \
                    dot.style.cssText = 'position:fixed;right:1px;bottom:0;width:1px;height:1px;background:#8881'; \
                    document.body.append(dot); \
                    const timer = setInterval(() => { dot.style.right = `${1 + moves % 2}px`; \
                    if (++moves > 300) { clearInterval(timer); dot.remove(); } }, 16)";
        soon("stirring the page", self.client.execute(stir, Vec::new())).await?;
        let what = format!("taking the screenshot {name}");
        let png = soon(&what, self.client.screenshot()).await?;
        Ok(std::fs::write(folder.join(format!("{name}.png")), png)?)
    }

    async fn find(&self, testid: &str) -> Result<Element> {
        let selector = selector(testid);
        let found = self.client.wait().at_most(PATIENCE).every(LOOK_INTERVAL);
        match found.for_element(Locator::Css(&selector)).await {
            Ok(element) => Ok(element),
            Err(error) => {
                if !matches!(error, CmdError::Lost(_)) {
                    self.shot("failure").await?;
                }
                Err(self
                    .driver
                    .failure(&format!("looked for {testid}: {error}")))
            }
        }
    }
}

/// Runs one WebDriver command, which has no time limit of its own.
async fn soon<T>(what: &str, command: impl Future<Output = Result<T, CmdError>>) -> Result<T> {
    let answer = tokio::time::timeout(PATIENCE, command).await;
    answer
        .with_context(|| format!("{what}: no answer from WebKitWebDriver"))?
        .with_context(|| what.to_owned())
}

fn selector(testid: &str) -> String {
    format!("[data-testid=\"{testid}\"]")
}

/// Fails with the package's name where a program is missing: a story that did not run has not passed.
fn needs(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    Err(anyhow!(
        "expected {program} to be installed: on Debian `apt install {package}`, or `cargo xtask test desktop`"
    ))
}

/// Waits until the driver takes connections; `false` when it does not, its TCP port being taken in all likelihood.
async fn is_listening(tcp_port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < DRIVER_PATIENCE {
        if tokio::net::TcpStream::connect(("127.0.0.1", tcp_port))
            .await
            .is_ok()
        {
            return true;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    false
}
