//! TLS: certificates that have expired, soon will, are not valid yet or vouch for themselves, and what is weak.

use super::finding::{Finding, Severity, ids, numbers};
use super::scope::{Row, Scope, all, is};
use super::words::{many, second, short, span};
use crate::query::QueryError;

const DAY: i64 = 86_400 * 1_000_000_000;
/// Days before its end at which a certificate should have been renewed. Those that live for a short time are
/// renewed late: for them it is the last part of their life.
const SOON: i64 = 14 * DAY;
const LAST_PART: i64 = 5;
/// Weaknesses by which what is encrypted can be read by others.
const BROKEN: &[&str] = &["NULL", "EXPORT", "anon", "RC4", "RC2", "DES", "SSL"];

/// What was looked at.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) findings: Vec<Finding>,
    /// Handshakes, and those in which the server's certificate could be read.
    pub(super) handshakes: u64,
    pub(super) certificates: u64,
}

pub(super) async fn look(scope: &Scope<'_>) -> Result<Looked, QueryError> {
    let text = "SELECT dst_name, dst_port, tlsx_sni AS sni, tlsx_cert_subject AS subject, tlsx_cert_issuer AS issuer, \
        CAST(tlsx_cert_not_before AS BIGINT) AS begins, CAST(tlsx_cert_not_after AS BIGINT) AS ends, \
        array_to_string(tlsx_weak, ', ') AS weak, count(*) AS n, count(DISTINCT src_name) AS clients, \
        min(id) AS first_id, max(id) AS last_id, max(CAST(ts AS BIGINT)) AS seen \
        FROM calls WHERE protocol = 'tlsx' \
        GROUP BY dst_name, dst_port, sni, subject, issuer, begins, ends, weak ORDER BY n DESC";
    let found = scope.rows(text.to_owned()).await?;
    let mut looked = Looked::default();
    let mut servers: Vec<Server> = Vec::new();
    for r in &found.rows {
        let n = r.count("n");
        looked.handshakes += n;
        let certificate = r.int("ends").filter(|_| !r.text("subject").is_empty());
        looked.certificates += if certificate.is_some() { n } else { 0 };
        for what in certificate.and_then(|ends| judged(r, ends)).into_iter().chain(weak(r)) {
            let key = (r.text("dst_name"), r.int("dst_port").unwrap_or(0), what);
            match servers.iter_mut().find(|s| s.key == key) {
                Some(s) => s.add(r),
                None => servers.push(Server::new(key, r)),
            }
        }
    }
    looked.findings = servers.iter().map(|s| finding(scope, s)).collect();
    Ok(looked)
}

/// What is the matter.
#[derive(Clone, Debug, PartialEq)]
enum What {
    Expired { subject: String, ends: i64 },
    Expiring { subject: String, ends: i64 },
    NotYet { subject: String, begins: i64 },
    SelfIssued { subject: String },
    Weak(String),
}

fn judged(r: &Row, ends: i64) -> Option<What> {
    let (subject, issuer) = (r.text("subject"), r.text("issuer"));
    let (begins, seen) = (r.int("begins").unwrap_or(i64::MIN), r.int("seen").unwrap_or(0));
    let left = ends.saturating_sub(seen);
    let life = ends.saturating_sub(begins);
    Some(match () {
        () if left < 0 => What::Expired { subject, ends },
        () if begins > seen => What::NotYet { subject, begins },
        () if left < SOON.min(life / LAST_PART) => What::Expiring { subject, ends },
        () if subject == issuer => What::SelfIssued { subject },
        () => return None,
    })
}

fn weak(r: &Row) -> Option<What> {
    Some(r.text("weak")).filter(|w| !w.is_empty()).map(What::Weak)
}

/// A server and what is the matter with it.
struct Server {
    key: (String, i64, What),
    names: Vec<String>,
    handshakes: u64,
    clients: u64,
    first: Option<i64>,
    last: Option<i64>,
    seen: i64,
}

impl Server {
    fn new(key: (String, i64, What), r: &Row) -> Self {
        let mut server =
            Self { key, names: Vec::new(), handshakes: 0, clients: 0, first: None, last: None, seen: 0 };
        server.add(r);
        server
    }

    fn add(&mut self, r: &Row) {
        self.handshakes += r.count("n");
        self.clients = self.clients.max(r.count("clients"));
        self.first = [self.first, r.int("first_id")].into_iter().flatten().min();
        self.last = self.last.max(r.int("last_id"));
        self.seen = self.seen.max(r.int("seen").unwrap_or(0));
        let name = r.text("sni");
        if !name.is_empty() && !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

fn finding(scope: &Scope<'_>, s: &Server) -> Finding {
    let (server, port, what) = &s.key;
    let place = match s.names.first() {
        Some(name) if name != server => format!("{}:{port} ({})", short(server), short(name)),
        _ => format!("{}:{port}", short(server)),
    };
    let (severity, kind, title, explanation, condition, suggestion) = match what {
        What::Expired { subject, ends } => (
            Severity::High,
            "certificate_expired",
            format!("The certificate of {place} expired {} ago", span(s.seen.saturating_sub(*ends))),
            format!(
                "{} was valid until {}; clients that check it refuse the connection.",
                short(subject),
                second(*ends)
            ),
            is("tlsx_cert_subject", subject),
            "Renew it, and see why it was not renewed by itself.",
        ),
        What::Expiring { subject, ends } => (
            Severity::Medium,
            "certificate_expiring",
            format!("The certificate of {place} expires in {}", span(ends.saturating_sub(s.seen))),
            format!("{} is valid until {}.", short(subject), second(*ends)),
            is("tlsx_cert_subject", subject),
            "Renew it now.",
        ),
        What::NotYet { subject, begins } => (
            Severity::High,
            "certificate_not_yet_valid",
            format!("The certificate of {place} is not valid yet"),
            format!(
                "{} is valid from {} on: a clock is wrong, or it was put in place too early.",
                short(subject),
                second(*begins)
            ),
            is("tlsx_cert_subject", subject),
            "Compare the clocks.",
        ),
        What::SelfIssued { subject } => (
            Severity::Low,
            "certificate_self_issued",
            format!("The certificate of {place} vouches for itself"),
            format!(
                "{} is its own issuer: clients must know it, or do not check whom they talk to.",
                short(subject)
            ),
            is("tlsx_cert_subject", subject),
            "See whether the clients verify it; a private authority is easier to manage.",
        ),
        What::Weak(weak) => (
            if BROKEN.iter().any(|b| weak.contains(b)) { Severity::High } else { Severity::Medium },
            "weak_tls",
            format!("{place} agreed upon weak TLS: {weak}"),
            format!(
                "{} by up to {} used it, though the server chose the best that both know.",
                many(s.handshakes, "handshake"),
                many(s.clients, "client")
            ),
            Some("size(tlsx_weak) > 0".to_owned()),
            "Switch it off at the server, after updating the clients that offer nothing better.",
        ),
    };
    let mut conditions = all([is("protocol", "tlsx"), is("dst.name", server), condition]);
    conditions.push(format!("dst.port == {port}"));
    Finding {
        severity,
        kind,
        subject: server.clone(),
        title,
        explanation,
        numbers: numbers([
            ("handshakes", s.handshakes.into()),
            ("clients", s.clients.into()),
            ("port", (*port).into()),
        ]),
        calls: ids([s.first, s.last]),
        flows: Vec::new(),
        suggestion,
        next: scope.next("list_api_calls", &conditions),
        weight: s.handshakes,
    }
}
