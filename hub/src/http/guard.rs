//! Who may ask: the token, and the checks that keep web pages from asking in a user's name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use remora_wire::Token;
use serde_json::json;

/// What requests are held against.
#[derive(Clone)]
pub struct Guard {
    token: Option<Token>,
    loopback: bool,
    origins: Arc<[String]>,
}

impl Guard {
    /// A guard for a server that listens on `listen`. Origins besides loopback ones that may ask
    /// are given as browsers send them, for example `https://remora.example.com`.
    pub fn new(listen: SocketAddr, token: Option<Token>, origins: Vec<String>) -> Self {
        Self { token, loopback: listen.ip().is_loopback(), origins: origins.into() }
    }
}

/// Paths that a load balancer or a kubelet asks for without credentials.
const OPEN: &[&str] = &["/health", "/ready"];

/// Middleware that lets a request pass or answers 401 or 403.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.judge(request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq)]
struct Denied {
    status: StatusCode,
    message: &'static str,
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let unauthorized = self.status == StatusCode::UNAUTHORIZED;
        let code = if unauthorized { "unauthorized" } else { "forbidden" };
        let body = axum::Json(json!({ "error": { "code": code, "message": self.message } }));
        let mut response = (self.status, body).into_response();
        if unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl Guard {
    fn judge(&self, path: &str, headers: &HeaderMap) -> Result<(), Denied> {
        let forbidden = |message| Err(Denied { status: StatusCode::FORBIDDEN, message });
        let header = |name| headers.get(name).map(HeaderValue::to_str);
        // On loopback there is usually no token, so the browser's word for where a request comes
        // from is what keeps other sites out (DNS rebinding). Elsewhere the token does.
        if self.loopback {
            match header(HOST) {
                None => {}
                Some(Ok(host)) if is_loopback_authority(host) => {}
                Some(_) => {
                    return forbidden(
                        "this server listens on loopback: ask for localhost, 127.0.0.1 or [::1]",
                    );
                }
            }
        }
        match header(ORIGIN) {
            None => {}
            Some(Ok(origin)) if self.allows_origin(origin) => {}
            Some(_) => return forbidden("requests from this origin are not allowed; see --allow-origin"),
        }
        let Some(token) = &self.token else { return Ok(()) };
        if OPEN.contains(&path) {
            return Ok(());
        }
        let shown = match header(AUTHORIZATION) {
            Some(Ok(value)) => {
                value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            }
            _ => None,
        };
        match shown {
            Some((_, secret)) if token.matches(secret.trim().as_bytes()) => Ok(()),
            _ => Err(Denied {
                status: StatusCode::UNAUTHORIZED,
                message: "show the token: Authorization: Bearer TOKEN (the content of the hub's token file)",
            }),
        }
    }

    fn allows_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|o| o == origin) {
            return true;
        }
        origin.split_once("://").is_some_and(|(_, authority)| is_loopback_authority(authority))
    }
}

/// True for `localhost`, `127.0.0.0/8` and `[::1]`, with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        for yes in ["localhost", "LOCALHOST:80", "127.0.0.1:8899", "127.3.2.1", "[::1]", "[::1]:8899"] {
            assert!(is_loopback_authority(yes), "{yes}");
        }
        for no in
            ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "10.0.0.1:80", "[::2]", "", "[", "::1"]
        {
            assert!(!is_loopback_authority(no), "{no}");
        }
    }

    fn judge(guard: &Guard, path: &str, headers: &[(&'static str, &str)]) -> Result<(), StatusCode> {
        let map = headers.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.parse().ok()?))).collect();
        guard.judge(path, &map).map_err(|d| d.status)
    }

    #[test]
    fn other_sites_and_strangers_are_kept_out() {
        let local = Guard::new(([127, 0, 0, 1], 8899).into(), None, vec!["https://ok.example".to_owned()]);
        assert_eq!(judge(&local, "/mcp", &[("host", "127.0.0.1:8899")]), Ok(()));
        assert_eq!(judge(&local, "/mcp", &[("host", "evil.example")]), Err(StatusCode::FORBIDDEN));
        for (origin, ok) in [
            ("http://localhost:3000", true),
            ("https://ok.example", true),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert_eq!(judge(&local, "/mcp", &headers).is_ok(), ok, "{origin}");
        }
        let open = Guard::new(([0, 0, 0, 0], 8899).into(), Token::new("0123456789abcdef"), Vec::new());
        let anywhere = ("host", "remora.example");
        assert_eq!(judge(&open, "/mcp", &[anywhere]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(judge(&open, "/health", &[anywhere]), Ok(()));
        for (value, ok) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  0123456789abcdef", true),
            ("Bearer nope", false),
            ("0123456789abcdef", false),
        ] {
            assert_eq!(
                judge(&open, "/metrics", &[anywhere, ("authorization", value)]).is_ok(),
                ok,
                "{value}"
            );
        }
    }
}
