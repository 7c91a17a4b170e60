//! DNS: names that do not exist, servers that fail or say nothing, and search domains that multiply queries.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::chance::{at_least, share};
use super::finding::{Finding, Severity, ids, numbers};
use super::scope::{Scope, all, is};
use super::words::{many, names, of, short};
use crate::query::QueryError;
use remora_kfl::quoted;

/// Queries for a name that failed alike, from which it is told.
const LEAST: u64 = 5;
/// Share of a name's queries that do not find it, and share that a server fails to answer.
const NAME_SHARE: f64 = 0.5;
const SERVER_SHARE: f64 = 0.03;
/// Queries that search domains cost, from which it is told, and their share of all.
const SEARCH_LEAST: u64 = 20;
const SEARCH_SHARE: f64 = 0.2;

/// What became of the queries for one name at one server.
#[derive(Debug, Default)]
struct Name {
    queries: u64,
    /// By response code, or `no answer`.
    by_kind: BTreeMap<String, Outcome>,
}

#[derive(Debug, Default, Clone)]
struct Outcome {
    queries: u64,
    /// The name as it was asked for, where that was always the same.
    spelled: Option<String>,
    first: Option<i64>,
    last: Option<i64>,
}

const NONE: &str = "no answer";
const GOOD: &str = "NOERROR";
const UNKNOWN: &str = "NXDOMAIN";

pub(super) async fn look(scope: &Scope<'_>) -> Result<Vec<Finding>, QueryError> {
    // Multicast DNS and LLMNR ask everybody, and silence means no.
    let text = format!(
        "SELECT server, asked, kind, count(*) AS n, min(id) AS first_id, max(id) AS last_id, \
         min(spelled) AS low, max(spelled) AS high FROM ( \
         SELECT id, dst_name AS server, lower(dns_questions[1]) AS asked, dns_questions[1] AS spelled, \
         CASE WHEN incomplete = 'no_response' THEN '{NONE}' ELSE dns_rcode END AS kind \
         FROM calls WHERE protocol = 'dns' AND dst_port NOT IN (5353, 5355)) \
         WHERE asked IS NOT NULL AND kind IS NOT NULL GROUP BY server, asked, kind \
         ORDER BY CASE WHEN kind = '{GOOD}' THEN 1 ELSE 0 END, n DESC"
    );
    let found = scope.rows(text).await?;
    let mut servers: BTreeMap<String, HashMap<String, Name>> = BTreeMap::new();
    for r in &found.rows {
        let name = servers.entry(r.text("server")).or_default().entry(r.text("asked")).or_default();
        let n = r.count("n");
        name.queries += n;
        let spelled = Some(r.text("low")).filter(|low| *low == r.text("high"));
        let outcome = Outcome { queries: n, spelled, first: r.int("first_id"), last: r.int("last_id") };
        name.by_kind.insert(r.text("kind"), outcome);
    }
    let mut findings = Vec::new();
    for (server, names) in &servers {
        let searched = searched(names);
        findings.extend(amplified(scope, server, names, &searched));
        findings.extend(failing(scope, server, names, &searched));
    }
    Ok(findings)
}

/// Names that do not exist and are a name that does with a search domain behind it, and that name.
fn searched(names: &HashMap<String, Name>) -> HashMap<&str, &str> {
    let exists = |n: &Name| n.by_kind.contains_key(GOOD);
    let good: HashSet<&str> = names.iter().filter(|(_, n)| exists(n)).map(|(k, _)| k.as_str()).collect();
    let missing = names.iter().filter(|(_, n)| n.by_kind.contains_key(UNKNOWN) && !exists(n));
    let base = |name: &str| {
        // The longest name that exists and that this one goes on from.
        let ends = name.char_indices().rev().filter(|(_, c)| *c == '.').map(|(at, _)| at);
        ends.filter_map(|at| name.get(..at)).find_map(|start| good.get(start).copied())
    };
    missing.filter_map(|(k, _)| Some((k.as_str(), base(k)?))).collect()
}

fn amplified(
    scope: &Scope<'_>,
    server: &str,
    all_names: &HashMap<String, Name>,
    searched: &HashMap<&str, &str>,
) -> Option<Finding> {
    let total: u64 = all_names.values().map(|n| n.queries).sum();
    let outcomes: Vec<&Outcome> =
        searched.keys().filter_map(|k| all_names.get(*k)?.by_kind.get(UNKNOWN)).collect();
    let wasted: u64 = outcomes.iter().map(|o| o.queries).sum();
    if wasted < SEARCH_LEAST || share(wasted, total) < SEARCH_SHARE {
        return None;
    }
    let mut bases: Vec<&str> = searched.values().copied().collect::<HashSet<_>>().into_iter().collect();
    bases.sort_unstable();
    let example = searched.keys().min_by_key(|k| (k.len(), **k)).copied().unwrap_or_default();
    let mut conditions = all([is("dst.name", server), is("dns_rcode", UNKNOWN)]);
    let ends = searched.iter().filter_map(|(k, base)| k.get(base.len()..)).collect::<HashSet<_>>();
    let mut ends: Vec<&str> = ends.into_iter().collect();
    ends.sort_unstable();
    let some: Vec<String> = ends
        .iter()
        .take(4)
        .map(|end| format!("dns_questions.exists(q, q.endsWith({}))", quoted(end)))
        .collect();
    conditions.push(format!("({})", some.join(" || ")));
    Some(Finding {
        severity: Severity::Low,
        kind: "dns_search_domains",
        subject: server.to_owned(),
        title: format!("Search domains waste {} to {}", of(wasted, total, "DNS query"), short(server)),
        explanation: format!(
            "Names that exist are first asked for with a search domain behind them, which does not exist, such as {}. Asked for: {}.",
            short(example),
            names(bases.iter().copied(), 4)
        ),
        numbers: numbers([
            ("wasted", wasted.into()),
            ("queries", total.into()),
            ("names", bases.len().into()),
        ]),
        calls: ids([
            outcomes.iter().filter_map(|o| o.first).min(),
            outcomes.iter().filter_map(|o| o.last).max(),
        ]),
        flows: Vec::new(),
        suggestion: "Write such names with a dot at the end, or lower ndots in the resolver's options.",
        next: scope.next("list_api_calls", &conditions),
        weight: wasted,
    })
}

fn failing(
    scope: &Scope<'_>,
    server: &str,
    all_names: &HashMap<String, Name>,
    searched: &HashMap<&str, &str>,
) -> Vec<Finding> {
    let total: u64 = all_names.values().map(|n| n.queries).sum();
    let mut bad: BTreeMap<&str, Vec<(&str, &Outcome)>> = BTreeMap::new();
    for (name, n) in all_names.iter().filter(|(k, _)| !searched.contains_key(k.as_str())) {
        for (kind, outcome) in n.by_kind.iter().filter(|(kind, _)| *kind != GOOD) {
            let (queries, of) = (outcome.queries, n.queries);
            let tell = if kind == UNKNOWN {
                share(queries, of) >= NAME_SHARE
            } else {
                at_least(queries, of) >= SERVER_SHARE
            };
            if tell && queries >= LEAST {
                bad.entry(kind).or_default().push((name, outcome));
            }
        }
    }
    bad.into_iter().map(|(kind, names)| fails(scope, server, kind, names, total)).collect()
}

fn fails(scope: &Scope<'_>, server: &str, kind: &str, mut bad: Vec<(&str, &Outcome)>, total: u64) -> Finding {
    bad.sort_by(|a, b| b.1.queries.cmp(&a.1.queries).then(a.0.cmp(b.0)));
    let failed: u64 = bad.iter().map(|(_, o)| o.queries).sum();
    let listed: Vec<String> =
        bad.iter().map(|(name, o)| format!("{} ({})", short(name), o.queries)).collect();
    let (says, suggestion) = match kind {
        UNKNOWN => (
            "The server says that these names do not exist, and they are asked for again and again",
            "See who asks: a misspelt name in a setting, a service that was removed, or a wrong search domain.",
        ),
        NONE => (
            "Queries got no answer, so that clients wait for seconds and ask again",
            "See whether the server is reachable and not overloaded, and whether a policy drops UDP port 53.",
        ),
        "REFUSED" => (
            "The server refuses to answer such queries",
            "See whether the clients may ask this server, and whether it is the right one for these names.",
        ),
        _ => (
            "The server could not find out: the servers behind it fail, or what they say does not validate",
            "Look at the server and the ones it asks, and at DNSSEC of the zone.",
        ),
    };
    let severity = match kind {
        UNKNOWN => Severity::Low,
        _ if share(failed, total) >= 0.2 && failed >= 20 => Severity::High,
        _ => Severity::Medium,
    };
    let outcome = if kind == NONE { is("incomplete", "no_response") } else { is("dns_rcode", kind) };
    let mut conditions = all([is("protocol", "dns"), is("dst.name", server), outcome]);
    if let [(only, outcome)] = bad.as_slice() {
        conditions.push(match &outcome.spelled {
            Some(name) => format!("{} in dns_questions", quoted(name)),
            None => {
                format!("dns_questions.exists(q, q.matches({}))", quoted(&format!("(?i)^{}$", escaped(only))))
            }
        });
    }
    Finding {
        severity,
        kind: "dns_failures",
        subject: server.to_owned(),
        title: match bad.as_slice() {
            [(only, _)] => format!("DNS queries for {} end with {kind}: {failed}", short(only)),
            _ => format!("DNS queries for {} end with {kind}: {failed}", many(bad.len() as u64, "name")),
        },
        explanation: format!(
            "{says}. Server {}; names: {}.",
            short(server),
            names(listed.iter().map(String::as_str), 5)
        ),
        numbers: numbers([
            ("failed", failed.into()),
            ("queries", total.into()),
            ("names", bad.len().into()),
            ("rcode", kind.into()),
        ]),
        calls: ids([
            bad.iter().filter_map(|(_, o)| o.first).min(),
            bad.iter().filter_map(|(_, o)| o.last).max(),
        ]),
        flows: Vec::new(),
        suggestion,
        next: scope.next("list_api_calls", &conditions),
        weight: failed,
    }
}

/// A name within a regular expression.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if !c.is_alphanumeric() && c != '-' && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
