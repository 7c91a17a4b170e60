//! Asks a hub over its REST interface.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use crate::cli::Connection;

/// A connection to a hub.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// Prepares to ask the hub at `connection.url`; nothing is sent yet.
    pub fn new(connection: &Connection) -> Result<Self> {
        let base = Url::parse(&connection.url)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
            .ok_or_else(|| {
                anyhow!(
                    "{:?} is no address of a hub; write for example http://127.0.0.1:8899",
                    connection.url
                )
            })?;
        let token = connection.token_file.as_deref().map(token).transpose()?;
        // A hub is asked directly: a proxy that stands between this machine and the web has no
        // business with it, least of all on loopback.
        let mut http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5));
        if base.scheme() == "http" {
            // Otherwise it wants the system's certificates, which a small container does not have.
            http = http.tls_certs_only([]);
        }
        let http = http.build().context("cannot prepare to ask the hub")?;
        Ok(Self { http, base, token })
    }

    /// The address of `path` below the hub.
    pub fn url(&self, path: &str) -> Result<Url> {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        Ok(url)
    }

    fn request(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.get(url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The HTTP client and token, for the MCP bridge.
    pub fn parts(&self) -> (&reqwest::Client, Option<&str>) {
        (&self.http, self.token.as_deref())
    }

    /// Asks and reads the whole answer.
    ///
    /// # Errors
    /// When there is no hub, or it refuses: its own words are passed on.
    pub async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value> {
        let response = self.send(path, parameters).await?;
        response.json().await.context("the hub's answer cannot be read")
    }

    /// Asks and leaves the body to be read as it comes.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn send(&self, path: &str, parameters: &[(&str, String)]) -> Result<Response> {
        let mut url = self.url(path)?;
        for (name, value) in parameters.iter().filter(|(_, v)| !v.is_empty()) {
            url.query_pairs_mut().append_pair(name, value);
        }
        let response = self.request(url).send().await.map_err(|e| self.explain(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or_default();
        match body.pointer("/error/message").and_then(Value::as_str) {
            Some(message) if status == StatusCode::UNAUTHORIZED => {
                bail!("{message}; give it with --token-file")
            }
            Some(message) => bail!("{message}"),
            None => bail!("the hub at {} answered {status}", self.base),
        }
    }

    /// A transport error in words that help.
    pub fn explain(&self, e: &reqwest::Error) -> anyhow::Error {
        if e.is_connect() {
            anyhow!(
                "no hub answers at {}; start one with: remora up (or give its address with --url)",
                self.base
            )
        } else {
            let mut cause = e.to_string();
            let mut source = std::error::Error::source(e);
            while let Some(s) = source {
                cause = s.to_string();
                source = s.source();
            }
            anyhow!("cannot ask the hub at {}: {cause}", self.base)
        }
    }
}

fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the token file {}", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        bail!("the token file {} is empty", path.display());
    }
    Ok(token.to_owned())
}
