//! Read-only SQL over the store: what it answers, what it refuses, and what it does not show.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use remora_kfl::TimeRange;
use remora_model::{BatchSet, FlowState, Timestamp, row};
use remora_store::{Error, MAX_SQL_TEXT, SqlBound, SqlQuery, SqlRows, Store, StoreConfig, sql_views};
use serde_json::{Value, json};

async fn open(dir: &std::path::Path) -> Store {
    let store = Store::open(quiet(dir)).unwrap();
    let mut set = BatchSet::new("node-1");
    (1..=500).for_each(|id| http(&mut set, id));
    (501..=550).for_each(|id| dns(&mut set, id));
    (1..=5).for_each(|n| flow(&mut set, n, n, FlowState::Open));
    store.append(&source(), 1, set.take().unwrap()).await.unwrap();
    store.flush().await.unwrap();
    // Some rows are in a segment, some are not.
    store.append(&source(), 2, calls(551..=600)).await.unwrap();
    store
}

fn asked(text: &str) -> SqlQuery {
    SqlQuery {
        text: text.to_owned(),
        window: TimeRange::default(),
        filters: Vec::new(),
        limit: 1_000,
        mask: true,
    }
}

fn json_rows(found: &SqlRows) -> Vec<Value> {
    (0..found.rows.num_rows()).map(|i| Value::Object(row::to_json(&found.rows, i))).collect()
}

async fn rows(store: &Store, text: &str) -> Vec<Value> {
    json_rows(&store.sql(&asked(text)).await.unwrap_or_else(|e| panic!("{text}: {e}")))
}

async fn refused(store: &Store, text: &str) -> String {
    match store.sql(&asked(text)).await {
        Err(e @ (Error::Sql { .. } | Error::TooExpensive { .. })) => e.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[tokio::test]
async fn views_are_asked_in_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let ask = |text: &'static str| {
        let store = &store;
        async move { rows(store, text).await }
    };
    assert_eq!(ask("SELECT count(*) AS n FROM calls").await, [json!({"n": 600})]);
    assert_eq!(ask("SELECT count(*) AS n FROM http").await, [json!({"n": 550})]);
    assert_eq!(ask("SELECT count(*) AS n FROM dns").await, [json!({"n": 50})]);
    assert_eq!(ask("SELECT count(*) AS n FROM flows").await, [json!({"n": 5})]);
    assert_eq!(ask("SELECT count(*) AS n FROM mysql").await, [json!({"n": 0})]);
    assert_eq!(
        ask("SELECT status_code, count(*) AS n FROM http GROUP BY status_code ORDER BY status_code").await,
        [json!({"status_code": 200, "n": 495}), json!({"status_code": 500, "n": 55})]
    );
    // Every spelling of a name with a dot, and maps by their keys.
    for name in ["src.ip", "src_ip", "\"src.ip\"", "h.src.ip", "h.src_ip"] {
        let text = format!("SELECT DISTINCT {name} AS who, h.request.headers['host'] AS host FROM http AS h");
        assert_eq!(rows(&store, &text).await, [json!({"who": "10.0.0.1", "host": "shop.example"})], "{name}");
    }
    let text = "SELECT DISTINCT method || ' ' || substr(path, 1, 4) AS what FROM http ORDER BY 1";
    assert_eq!(rows(&store, text).await, [json!({"what": "GET /api"}), json!({"what": "POST /api"})]);
    // Bodies as text, derived fields, and what joins and windows are for.
    let found = ask("SELECT id, summary FROM http WHERE response_body LIKE '%\"item\":17,%'").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], 17);
    assert!(found[0]["summary"].as_str().unwrap().contains("/api/items/17"), "{found:?}");
    let slowest = "SELECT path, elapsed_time FROM (SELECT path, elapsed_time, row_number() OVER \
        (PARTITION BY path ORDER BY elapsed_time DESC) AS r FROM http) WHERE r = 1 ORDER BY path LIMIT 2";
    assert_eq!(rows(&store, slowest).await.len(), 2);
    let joined = "SELECT count(*) AS n FROM http h JOIN flows f ON h.flow_id = f.flow_id";
    assert_eq!(rows(&store, joined).await, [json!({"n": 49})]);
    // Types that JSON lacks.
    let odd = "SELECT avg(elapsed_time) AS mean, cast(1.5 AS decimal(10,2)) AS d, date_bin(interval '1 hour', min(ts)) AS hour, \
        interval '90 seconds' AS i, null AS nothing, struct(1, 'a') AS s FROM http";
    let found = rows(&store, odd).await;
    assert!(found[0]["mean"].is_number() && found[0]["d"] == 1.5, "{found:?}");
    assert!(found[0]["hour"].as_str().unwrap().ends_with("00:00.000000000Z"), "{found:?}");
    assert!(found[0]["i"].is_string() && found[0]["s"].is_string() && found[0].get("nothing").is_none());
}

#[tokio::test]
async fn workloads_are_both_sides_of_calls() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let text = "SELECT ip, process_name, calls_made, calls_served, failed_served, protocols FROM workloads ORDER BY ip, process_name";
    let found = rows(&store, text).await;
    let of = |process: Option<&str>, ip: &str| {
        found
            .iter()
            .find(|r| r["ip"] == ip && r.get("process_name").and_then(Value::as_str) == process)
            .cloned()
    };
    // Even calls were answered by nginx, and each tenth failed.
    let client = json!({"ip": "10.0.0.1", "process_name": "curl", "calls_made": 550, "calls_served": 0, "failed_served": 0, "protocols": "http"});
    assert_eq!(of(Some("curl"), "10.0.0.1"), Some(client));
    let server = json!({"ip": "10.0.0.2", "process_name": "nginx", "calls_made": 0, "calls_served": 275, "failed_served": 55, "protocols": "http"});
    assert_eq!(of(Some("nginx"), "10.0.0.2"), Some(server));
    assert_eq!(of(None, "10.0.0.53").unwrap()["protocols"], "dns");
    assert_eq!(found.iter().map(|r| r["calls_made"].as_i64().unwrap()).sum::<i64>(), 600);
    // Beside other views, and whole.
    let text = "SELECT count(*) AS n FROM workloads w JOIN calls c ON c.src.process = w.process_name WHERE w.calls_made > 0";
    assert_eq!(rows(&store, text).await, [json!({"n": 550})]);
    assert_eq!(rows(&store, "SELECT * FROM workloads").await.len(), found.len());
    assert!(refused(&store, "SELECT * FROM workload").await.contains("workloads"));
}

#[tokio::test]
async fn all_columns_are_those_that_are_worth_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let found = store.sql(&asked("SELECT * FROM http LIMIT 1")).await.unwrap();
    let schema = found.rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert!(names.contains(&"path") && names.contains(&"summary"), "{names:?}");
    assert!(!names.contains(&"response_body") && !names.contains(&"kafka_topics"), "{names:?}");
    // Of every view, with its own columns.
    for view in sql_views() {
        let columns: Vec<&str> = view.columns.iter().map(|(name, _)| name.as_str()).collect();
        for text in [
            format!("SELECT * FROM {}", view.name),
            format!("SELECT {} FROM {}", columns.join(", "), view.name),
        ] {
            store.sql(&asked(&text)).await.unwrap_or_else(|e| panic!("{}: {e}", view.name));
        }
    }
}

#[tokio::test]
async fn the_window_and_the_bounds_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let at = |id: i64| Some(Timestamp(START + id * 1_000_000));
    let window = TimeRange { from: at(10), until: at(20) };
    let found = store.sql(&SqlQuery { window, ..asked("SELECT id FROM calls ORDER BY id") }).await.unwrap();
    let ids: Vec<i64> = json_rows(&found).iter().map(|r| r["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (10..20).collect::<Vec<_>>());
    assert_eq!(found.more, None);
    let found = store.sql(&SqlQuery { limit: 7, ..asked("SELECT id FROM calls") }).await.unwrap();
    assert_eq!((found.rows.num_rows(), found.more), (7, Some(SqlBound::Rows)));
    let found = store.sql(&SqlQuery { limit: 7, ..asked("SELECT id FROM calls LIMIT 7") }).await.unwrap();
    assert_eq!((found.rows.num_rows(), found.more), (7, None));
    store.close().await.unwrap();

    let small = StoreConfig { max_answer_bytes: 4 << 10, ..quiet(dir.path()) };
    let store = Store::open(small).unwrap();
    let long = "x".repeat(10_000);
    let wide = format!("SELECT id, path || '{long}' AS x FROM calls UNION ALL SELECT id, path FROM calls");
    let found = store.sql(&asked(&wide)).await.unwrap();
    assert_eq!(found.more, Some(SqlBound::Bytes));
    assert!(found.rows.num_rows() > 0);
}

#[tokio::test]
async fn it_only_reads_the_views() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let file = dir.path().join("secret.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    for text in [
        "DROP VIEW calls".to_owned(),
        "DELETE FROM calls".to_owned(),
        "INSERT INTO calls SELECT * FROM calls".to_owned(),
        format!("COPY calls TO '{}'", dir.path().join("out.csv").display()),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{}'", file.display()),
        format!("SELECT * FROM '{}'", file.display()),
        format!("SELECT * FROM read_csv('{}')", file.display()),
        "SELECT * FROM information_schema.tables".to_owned(),
        "SELECT * FROM generate_series(1, 10)".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "EXPLAIN ANALYZE SELECT 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "SHOW ALL".to_owned(),
    ] {
        refused(&store, &text).await;
    }
    assert!(!dir.path().join("out.csv").exists());
    // A statement leaves nothing behind for the next one.
    assert_eq!(rows(&store, "SELECT count(*) AS n FROM calls").await, [json!({"n": 600})]);
}

#[tokio::test]
async fn mistakes_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for (text, said) in [
        ("SELECT pth FROM http", "did you mean path?"),
        ("SELECT h.staus_code FROM http h", "did you mean"),
        ("SELECT path FROM htp", "did you mean http?"),
        ("SELECT path FROM something_else", "the views are calls, flows"),
        ("SELECT path FROM http GROUP", "Expected"),
        ("SELECT nonsense(path) FROM http", "nonsense"),
        ("SELECT 1/0 FROM http", "zero"),
        ("SELECT repeat(path, 2) FROM http", "repeat"),
        ("SELECT cast(path AS int) FROM http", "/api/items"),
        ("SELECT path FROM http h JOIN dns d ON h.id = d.id WHERE ts > now()", "several of the tables"),
    ] {
        let message = refused(&store, text).await;
        assert!(message.contains(said), "{text}: {message}");
        assert!(!message.contains("datafusion.public") && !message.contains("DataFusion error"), "{message}");
    }
}

#[tokio::test]
async fn credentials_do_not_show_in_any_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for text in [
        "SELECT request_headers FROM http",
        "SELECT request_headers['cookie'] AS c FROM http",
        "SELECT request_cookies FROM http",
        "SELECT map_values(request_headers) AS v FROM http",
        "SELECT id FROM http WHERE request_headers['cookie'] LIKE 'session=%'",
        "SELECT substr(request_headers['cookie'], 1, 9) AS c FROM http",
    ] {
        let all = format!("{:?}", rows(&store, text).await);
        assert!(!all.contains("session=") && !all.contains("\"id\""), "{text}: {all}");
    }
    let unmasked =
        SqlQuery { mask: false, ..asked("SELECT request_headers['cookie'] AS c FROM http LIMIT 1") };
    assert!(format!("{:?}", json_rows(&store.sql(&unmasked).await.unwrap())).contains("session="));
}

/// Thirty tables, each with what the one before has, twice as long.
fn doubled(expression: &str) -> String {
    (1..30).map(|i| format!(", t{i} AS (SELECT {expression} AS x FROM t{})", i - 1)).collect()
}

#[tokio::test]
async fn hostile_statements_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig {
        query_deadline: std::time::Duration::from_secs(2),
        query_memory: 64 << 20,
        ..quiet(dir.path())
    })
    .unwrap();
    store.append(&source(), 1, calls(1..=500)).await.unwrap();
    for text in [
        format!("SELECT {}1", "1+".repeat(MAX_SQL_TEXT / 2 - 10)),
        format!("SELECT {}true", "not ".repeat(MAX_SQL_TEXT / 4 - 10)),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1 WHERE {}1=1", "1=1 OR ".repeat(2_000)),
        format!("{}SELECT 1", "SELECT 1 UNION ALL ".repeat(800)),
        format!("SELECT * FROM {}", ["calls"; 1_000].join(" CROSS JOIN ")),
        "SELECT count(*) FROM calls a, calls b, calls c, calls d".to_owned(),
        "SELECT repeat('x', 2000000000) FROM calls".to_owned(),
        format!("WITH t0 AS (SELECT path AS x FROM calls){} SELECT length(x) FROM t29", doubled("x || x")),
        format!(
            "WITH t0 AS (SELECT path AS x FROM calls){} SELECT length(x) FROM t29",
            doubled("concat(x, x)")
        ),
        format!(
            "WITH t0 AS (SELECT path AS x FROM calls){} SELECT length(x) FROM t29",
            doubled("replace(x, 'i', x)")
        ),
        format!("SELECT replace(path, '', '{}') FROM calls", "y".repeat(16_000)),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".to_owned(),
        "SELECT array_agg(a.response_body) FROM calls a, calls b, calls c".to_owned(),
        "SELECT regexp_like(path, '(a+)+$') FROM calls".to_owned(),
    ] {
        // An answer or a refusal in time, and the store goes on.
        let shown: String = text.chars().take(60).collect();
        match store.sql(&asked(&text)).await {
            Ok(_) | Err(Error::Sql { .. } | Error::Deadline(_) | Error::TooExpensive { .. }) => {}
            Err(e) => panic!("{shown}: {e}"),
        }
        assert_eq!(rows(&store, "SELECT count(*) AS n FROM calls").await, [json!({"n": 500})], "{shown}");
    }
}
