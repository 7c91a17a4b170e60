//! Findings: what is wrong in a window, worst first, each with its evidence and the next step.
//!
//! Every detector is a statement or two over the store's views, which count; what they say is judged
//! here, by thresholds that stand with their reasons at the head of each file. Chance, a handful of
//! calls and what is normal for a protocol give no findings.

mod bursts;
mod capture;
mod chance;
mod connections;
mod dns;
mod endpoints;
mod failing;
mod finding;
mod flows;
mod overview;
mod payload;
mod repeated;
mod retries;
mod scope;
mod slow;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod unanswered;
mod words;

pub use text::findings;

use remora_store::Error as StoreError;

use self::bursts::Bursts;
use self::finding::{COLUMNS, Finding, ranked};
use self::overview::Overview;
use self::scope::{Found, Scope};
use self::words::{many, second};
use super::request::AnalyzeRequest;
use super::{Answer, Query, QueryError, limit, now};

/// Findings of an answer when the question does not say.
const SHOWN: usize = 20;

/// What was looked at, and what was found.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    /// What was looked for, and in how much of what.
    looked: Vec<String>,
    /// What there was nothing of.
    nothing: Vec<&'static str>,
    /// What could not be looked at.
    notes: Vec<String>,
}

impl Report {
    /// Takes what a detector says; one that needs too much is a note, and the others go on.
    fn take<T>(&mut self, what: &str, said: Result<T, QueryError>) -> Result<Option<T>, QueryError> {
        match said {
            Ok(said) => Ok(Some(said)),
            Err(QueryError::Store(e @ (StoreError::TooExpensive { .. } | StoreError::Deadline(_)))) => {
                self.notes.push(format!("{what} not looked at: {e}; narrow the window or the filter"));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Notes that `what` was looked for in `n` things.
    fn looked(&mut self, what: &'static str, n: u64, of: &str) {
        if n == 0 {
            self.nothing.push(what);
        } else {
            self.looked.push(format!("{what} ({})", many(n, of)));
        }
    }
}

impl Query {
    /// What is wrong in a window.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn analyze(&self, request: &AnalyzeRequest) -> Result<Answer, QueryError> {
        let scope = Scope::new(self, request, now())?;
        let most = if request.limit.is_some() { limit(request.limit)? } else { SHOWN };
        let coverage = self.coverage(scope.window).await?;
        let overview = Overview::of(&scope).await?;
        let mut report = Report::default();
        report.findings.extend(capture::losses(&scope, &coverage));
        if overview.calls > 0 {
            calls(&scope, &overview, &mut report).await?;
        }
        connections_and_flows(&scope, &overview, &mut report).await?;
        if !report.findings.iter().any(|f| f.kind == "unread_tls") {
            report.findings.extend(capture::unread_without_handshake(&scope, &coverage));
        }

        let mut notes: Vec<String> = scope.filter.warnings.iter().map(ToString::to_string).collect();
        let mut findings = ranked(std::mem::take(&mut report.findings));
        let more = findings.split_off(most.min(findings.len())).len();
        if more > 0 {
            notes.push(format!("{} more; raise limit or narrow the filter", many(more as u64, "finding")));
        }
        if overview.calls == 0 {
            notes.extend(self.explain_empty(&scope.filter, scope.window).await?);
        } else {
            notes.push(looked_at(&overview, &report, findings.is_empty()));
        }
        notes.append(&mut report.notes);
        Ok(Answer {
            window: Some(scope.window),
            filter: scope.filter.normalised.clone(),
            columns: COLUMNS.iter().map(|c| (*c).to_owned()).collect(),
            rows: findings.into_iter().map(Finding::row).collect(),
            next_cursor: None,
            coverage: Some(coverage),
            notes,
        })
    }
}

/// The detectors that look at calls.
async fn calls(scope: &Scope<'_>, overview: &Overview, report: &mut Report) -> Result<(), QueryError> {
    let bursts = report.take("error bursts", bursts::look(scope, overview).await)?;
    let bursts = bursts.unwrap_or_else(|| Bursts { findings: Vec::new(), failed: Vec::new() });
    let requests = overview.requests();
    let endpoints = endpoints::endpoints(scope).await;
    if let Some((all, cut)) = report.take("failing and slow endpoints, payloads", endpoints)? {
        report.findings.extend(failing::look(scope, &all, &bursts));
        report.findings.extend(slow::look(scope, &all));
        report.findings.extend(payload::look(scope, &all));
        report.looked("slow endpoints", overview.timed, "timed call");
        if cut {
            report
                .notes
                .push(format!("only {} endpoints were judged; narrow the filter for the others", all.len()));
        }
    }
    report.looked("errors, retries, N+1, payloads", requests, "request");
    report.findings.extend(bursts.findings);
    if requests > 0 {
        let recent = overview.recent();
        let from = recent.unwrap_or(scope.window.from);
        if let Some(from) = recent {
            report.notes.push(format!(
                "many requests: N+1 calls and retries were looked for from {} on only",
                second(from.0)
            ));
        }
        if let Some(found) = report.take("N+1 calls", repeated::look(scope, from).await)? {
            report.findings.extend(found);
        }
        if let Some(found) = report.take("retries", retries::look(scope, from).await)? {
            report.findings.extend(found);
        }
    }
    let queries = overview.of_protocol("dns");
    if queries > 0
        && let Some(found) = report.take("DNS", dns::look(scope).await)?
    {
        report.findings.extend(found);
    }
    report.looked("DNS", queries, "DNS call");
    let handshakes = overview.of_protocol("tlsx");
    if handshakes > 0 {
        if let Some(looked) = report.take("TLS", tls::look(scope).await)? {
            report.findings.extend(looked.findings);
            report.looked("TLS versions and suites", looked.handshakes, "handshake");
            report.looked("certificates, which TLS 1.3 hides", looked.certificates, "certificate");
        }
        if let Some(found) = report.take("unread TLS", capture::unread(scope).await)? {
            report.findings.extend(found);
        }
    } else {
        report.nothing.push("TLS handshakes and certificates");
    }
    report.findings.extend(capture::gaps(scope, overview));
    Ok(())
}

/// The detectors that look at connections.
async fn connections_and_flows(
    scope: &Scope<'_>,
    overview: &Overview,
    report: &mut Report,
) -> Result<(), QueryError> {
    if overview.of_protocol("tcp") > 0
        && let Some(found) = report.take("failed connections", connections::look(scope).await)?
    {
        report.findings.extend(found);
    }
    let mut found = Found { rows: Vec::new(), cut: false };
    if scope.has_flows() {
        if let Some(asked) = report.take("flows", flows::ask(scope).await)? {
            found = asked;
        }
        report.looked(
            "retransmits, one-sided flows",
            found.rows.iter().map(|r| r.count("n")).sum(),
            "TCP flow",
        );
    } else {
        report.notes.push(
            "flows not looked at (retransmits, one-sided capture): the filter names fields that only calls have".to_owned(),
        );
    }
    report.findings.extend(flows::retransmits(scope, &found));
    let one_sided = flows::one_sided(scope, &found);
    if overview.requests() > 0 {
        let servers: Vec<String> = one_sided.iter().map(|f| f.subject.clone()).collect();
        if let Some(found) = report.take("unanswered calls", unanswered::look(scope, &servers).await)? {
            report.findings.extend(found);
        }
    }
    report.findings.extend(one_sided);
    Ok(())
}

/// What was looked at, in a sentence or two; in full where nothing was found.
fn looked_at(overview: &Overview, report: &Report, nothing: bool) -> String {
    let protocols: Vec<String> = overview.protocols.iter().map(|(p, n)| format!("{n} {p}")).collect();
    let mut text = format!("looked at {}: {}", many(overview.calls, "call"), protocols.join(", "));
    if nothing {
        text = format!("no findings; {text}; looked for {}", report.looked.join(", "));
    }
    if !report.nothing.is_empty() {
        text.push_str(&format!("; nothing to look at for {}", report.nothing.join(", ")));
    }
    text
}
