//! Questions to a hub: calls, flows and statistics.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use remora_hub::query::analyze::findings;
use remora_kfl::Target;
use remora_model::{FieldId, Timestamp};
use serde_json::Value;

use super::Usage;
use crate::cli::{
    AnalyzeArgs, CallArgs, CallsArgs, CompareArgs, Connection, FlowsArgs, Format, MapArgs, SqlArgs,
    StatsArgs, WindowArgs,
};
use crate::client::Client;
use crate::output::{self, Row, Stream};

/// Rows asked for at once; the hub's limit for a page.
const PAGE: u64 = 1_000;

pub async fn calls(args: CallsArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Calls)?;
    check_fields(&args.fields)?;
    if args.follow {
        return follow(args).await;
    }
    list("/api/v1/calls", &args.connection, &args.kfl, &args.window, args.limit, &args.fields, args.output)
        .await
}

pub async fn flows(args: FlowsArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Flows)?;
    check_fields(&args.fields)?;
    list("/api/v1/flows", &args.connection, &args.kfl, &args.window, args.limit, &args.fields, args.output)
        .await
}

/// Finds a slip before the hub is asked; what only the hub knows better, it says itself.
pub(super) fn check_filter(kfl: &str, target: Target) -> Result<(), Usage> {
    match remora_kfl::compile(kfl, target, Timestamp(0)) {
        Ok(_) => Ok(()),
        Err(errors) => {
            Err(Usage(format!("the filter is not valid\n{}", remora_kfl::render_all(&errors, kfl))))
        }
    }
}

fn check_fields(fields: &[String]) -> Result<(), Usage> {
    for name in fields {
        if remora_model::field::by_name(name).is_none() {
            return Err(Usage(format!("there is no field {name}; remora kfl fields lists them")));
        }
    }
    Ok(())
}

/// Pages through a list until `limit` rows are printed.
async fn list(
    path: &str,
    connection: &Connection,
    kfl: &str,
    window: &WindowArgs,
    limit: u64,
    fields: &[String],
    format: Format,
) -> Result<()> {
    let client = Client::new(connection)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut columns = fields.to_vec();
    let mut cursor = String::new();
    let mut last;
    loop {
        let want = (limit - rows.len() as u64).min(PAGE);
        let parameters = [
            ("filter", kfl.to_owned()),
            ("since", window.since.clone()),
            ("until", window.until.clone().unwrap_or_default()),
            ("limit", want.max(1).to_string()),
            ("fields", fields.join(",")),
            ("cursor", cursor),
        ];
        let mut answer = client.get(path, &parameters).await?;
        let page = take_rows(&mut answer);
        if columns.is_empty() {
            columns = texts(&answer, "columns");
        }
        rows.extend(page);
        cursor = answer.get("next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
        last = answer;
        if cursor.is_empty() || rows.len() as u64 >= limit {
            break;
        }
    }
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    // Read from top to bottom, the newest comes last, where the prompt is.
    if format == Format::Table {
        rows.reverse();
    }
    output::rows(&rows, &columns, format)?;
    remarks(&last, rows.is_empty(), !cursor.is_empty());
    Ok(())
}

/// What belongs to an answer besides its rows, on stderr.
fn remarks(answer: &Value, empty: bool, more: bool) {
    for note in texts(answer, "notes") {
        output::remark(&note);
    }
    if more {
        output::remark("there are more; raise --limit or narrow the filter");
    }
    let complete = answer.pointer("/coverage/complete").and_then(Value::as_bool).unwrap_or(true);
    let opaque = answer.pointer("/coverage/opaque").is_some();
    if (empty || !complete || opaque)
        && let Some(summary) = answer.pointer("/coverage/summary").and_then(Value::as_str)
    {
        output::remark(&format!("coverage: {summary}"));
    }
}

fn take_rows(answer: &mut Value) -> Vec<Row> {
    match answer.get_mut("rows").map(Value::take) {
        Some(Value::Array(items)) => items
            .into_iter()
            .filter_map(|v| match v {
                Value::Object(o) => Some(o),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn texts(answer: &Value, name: &str) -> Vec<String> {
    let items = answer.get(name).and_then(Value::as_array);
    items.map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

/// Columns of `calls --follow` as a table.
const FOLLOWED: &[FieldId] = {
    use remora_model::field as f;
    &[f::TS, f::PROTOCOL, f::SRC_NAME, f::DST_NAME, f::SUMMARY, f::OUTCOME, f::ELAPSED_TIME]
};

async fn follow(args: CallsArgs) -> Result<()> {
    let client = Client::new(&args.connection)?;
    let columns = if args.fields.is_empty() {
        FOLLOWED.iter().map(|f| f.def().name.to_owned()).collect()
    } else {
        args.fields.clone()
    };
    let wants_bodies = columns.iter().any(|c| remora_model::field::late().any(|f| f.name == c));
    let parameters = [("filter", args.kfl.clone()), ("bodies", wants_bodies.to_string())];
    let response = client.send("/api/v1/follow", &parameters).await?;
    let mut body = response.bytes_stream();
    let mut printer = Stream::new(args.output, columns.clone());
    let mut waiting: Vec<u8> = Vec::new();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let chunk = tokio::select! {
            chunk = body.next() => chunk,
            _ = &mut interrupted => return Ok(()),
        };
        let Some(chunk) = chunk else { anyhow::bail!("the hub ended the stream") };
        waiting.extend_from_slice(&chunk.map_err(|e| client.explain(&e))?);
        let Some(end) = waiting.iter().rposition(|b| *b == b'\n') else { continue };
        for line in waiting[..end].split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let mut row: Row = serde_json::from_slice(line)?;
            if let Some(n) = row.get("missed") {
                output::remark(&format!("too slow: {n} rows passed unseen"));
                continue;
            }
            if !args.fields.is_empty() {
                row.retain(|name, _| columns.contains(name));
            }
            printer.row(&row)?;
        }
        waiting.drain(..=end);
    }
}

pub async fn call(args: CallArgs) -> Result<()> {
    let client = Client::new(&args.connection)?;
    let path = format!("/api/v1/calls/{}", args.id);
    let call = client.get(&path, &[("max_body_bytes", args.max_body_bytes.to_string())]).await?;
    output::text(&format!("{}\n", serde_json::to_string_pretty(&call)?))?;
    Ok(())
}

pub async fn stats(args: StatsArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Calls)?;
    check_fields(&args.by)?;
    let parameters = [
        ("filter", args.kfl.clone()),
        ("since", args.window.since.clone()),
        ("until", args.window.until.clone().unwrap_or_default()),
        ("group_by", args.by.join(",")),
        ("bucket", args.bucket.clone().unwrap_or_default()),
        ("order_by", args.order_by.clone().unwrap_or_default()),
        ("limit", args.limit.clamp(1, PAGE).to_string()),
    ];
    table("/api/v1/stats", &args.connection, &parameters, args.output).await
}

pub async fn map(args: MapArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Calls)?;
    let parameters = [
        ("filter", args.kfl.clone()),
        ("since", args.window.since.clone()),
        ("until", args.window.until.clone().unwrap_or_default()),
        ("limit", args.limit.clamp(1, PAGE).to_string()),
    ];
    table("/api/v1/map", &args.connection, &parameters, args.output).await
}

pub async fn compare(args: CompareArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Calls)?;
    check_fields(&args.by)?;
    let parameters = [
        ("filter", args.kfl.clone()),
        ("since", args.window.since.clone()),
        ("until", args.window.until.clone().unwrap_or_default()),
        ("baseline_since", args.baseline_since.clone().unwrap_or_default()),
        ("baseline_until", args.baseline_until.clone().unwrap_or_default()),
        ("group_by", args.by.join(",")),
        ("limit", args.limit.clamp(1, PAGE).to_string()),
    ];
    table("/api/v1/compare", &args.connection, &parameters, args.output).await
}

pub async fn analyze(args: AnalyzeArgs) -> Result<()> {
    check_filter(&args.kfl, Target::Calls)?;
    let parameters = [
        ("filter", args.kfl.clone()),
        ("since", args.window.since.clone()),
        ("until", args.window.until.clone().unwrap_or_default()),
        ("limit", args.limit.clamp(1, PAGE).to_string()),
    ];
    if args.output != Format::Table {
        return table("/api/v1/analyze", &args.connection, &parameters, args.output).await;
    }
    let mut answer = Client::new(&args.connection)?.get("/api/v1/analyze", &parameters).await?;
    let rows = take_rows(&mut answer);
    output::text(&findings(&rows, usize::MAX).0)?;
    remarks(&answer, rows.is_empty(), false);
    Ok(())
}

pub async fn sql(args: SqlArgs) -> Result<()> {
    let query = match args.query.as_str() {
        "-" => std::io::read_to_string(std::io::stdin())
            .context("cannot read the statement from standard input")?,
        text => text.to_owned(),
    };
    let parameters = [
        ("query", query),
        ("since", args.window.since.clone()),
        ("until", args.window.until.clone().unwrap_or_default()),
        ("limit", args.limit.clamp(1, PAGE).to_string()),
    ];
    table("/api/v1/sql", &args.connection, &parameters, args.output).await
}

/// Prints the rows of an answer that has no pages.
async fn table(
    path: &str,
    connection: &Connection,
    parameters: &[(&str, String)],
    format: Format,
) -> Result<()> {
    let client = Client::new(connection)?;
    let mut answer = client.get(path, parameters).await?;
    let rows = take_rows(&mut answer);
    output::rows(&rows, &texts(&answer, "columns"), format)?;
    remarks(&answer, rows.is_empty(), false);
    Ok(())
}
