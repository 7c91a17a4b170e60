//! kcat against the mock broker of librdkafka, which lives in another kcat and answers in the real
//! protocol: every record that was produced and consumed, in every compression.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::Remora;
use remora_tests::e2e::{output, skipped, text, wait_for};
use serde_json::{Value, json};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A kcat with a broker in it. Dropping it ends both.
struct Broker {
    kcat: Child,
    /// Where the broker listens, which it decides itself.
    address: String,
}

impl Broker {
    fn start(remora: &Remora) -> Result<Self> {
        let log = remora.dir().join("broker");
        let mut command = kcat("owner", "ignored");
        command.args(["-P", "-t", "orders", "-X", "test.mock.num.brokers=1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        let mut broker = Self { kcat: command.spawn()?, address: String::new() };
        broker.address = wait_for("the mock broker listens", || {
            let said = std::fs::read_to_string(&log)?;
            let address = said.lines().find_map(|line| line.split_once("replaced with ")).map(|l| l.1.trim());
            Ok(address.map(str::to_owned).ok_or(said.clone()))
        })?;
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        _ = self.kcat.kill();
        _ = self.kcat.wait();
    }
}

/// kcat with a client id and a broker.
fn kcat(client: &str, broker: &str) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", broker, "-X", &format!("client.id={client}")]);
    command
}

fn value(codec: &str) -> String {
    format!("{codec}:{}", "shoes ".repeat(100))
}

/// One record with the key `order-CODEC` and a header.
fn produce(broker: &str, codec: &str) -> Result<()> {
    let mut command = kcat(&format!("shop-{codec}"), broker);
    command.args(["-P", "-t", "orders", "-p", "0", "-K", "=", "-z", codec, "-H", &format!("trace={codec}")]);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    writeln!(input, "order-{codec}={}", value(codec))?;
    drop(input);
    ensure!(child.wait()?.success(), "kcat failed to produce with {codec}");
    Ok(())
}

#[test]
fn every_record_is_seen() -> Result<()> {
    if skipped("every_record_is_seen", &["kcat"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let broker = Broker::start(&remora)?;
    let address = broker.address.as_str();
    let port = address.rsplit_once(':').context("no port")?.1;
    let here = format!("kafka && dst.port == {port}");

    for codec in CODECS {
        produce(address, codec)?;
    }
    let produced = produced_records_agree(&remora, &here)?;

    let mut read = kcat("reader", address);
    read.args(["-q", "-C", "-t", "orders", "-p", "0", "-o", "beginning", "-e", "-f", "%k\n"]);
    let keys: BTreeSet<String> = output(&mut read)?.lines().map(str::to_owned).collect();
    ensure!(keys == produced, "kcat consumed {keys:?}, of {produced:?}");
    fetched_records_agree(&remora, &format!("{here} && kafka_client_id == \"reader\""), &keys)?;

    let mut group = kcat("invoices", address);
    group.args(["-q", "-G", "billing", "-X", "auto.offset.reset=earliest", "-c", "5", "orders"]);
    output(&mut group)?;
    group_agrees(&remora, &format!("{here} && kafka_group == \"billing\""))?;

    // Beyond the end of the partition.
    let mut lost = kcat("lost", address);
    lost.args(["-C", "-t", "orders", "-p", "0", "-o", "1000", "-e", "-X", "auto.offset.reset=error"]);
    ensure!(!lost.output()?.status.success(), "kcat read what is not there");
    let rows = remora.wait_for_calls(
        &format!("{here} && kafka_client_id == \"lost\" && failed && kafka_api_key_name == \"FETCH\""),
        "kafka_error,kafka_error_code,kafka_topics",
        1,
    )?;
    ensure!(rows[0]["kafka_error"] == "OFFSET_OUT_OF_RANGE" && rows[0]["kafka_error_code"] == 1, "{rows:?}");
    ensure!(rows[0]["kafka_topics"] == json!(["orders"]), "{rows:?}");
    drop(broker);
    remora.stop()
}

/// The calls that produced records; gives the keys.
fn produced_records_agree(remora: &Remora, here: &str) -> Result<BTreeSet<String>> {
    let kfl = format!("{here} && kafka_api_key_name == \"PRODUCE\" && kafka_client_id.startsWith(\"shop-\")");
    let fields = "kafka_api_key,kafka_client_id,kafka_topics,kafka_partitions,kafka_records,kafka_record_keys,\
        kafka_compression,kafka_error_code,kafka_acks,kafka_request_body,kafka_request_size,kafka_size,\
        kafka_response_size,kafka_request_summary,elapsed_time,failed,incomplete,src.process,dst.process";
    let rows = remora.wait_for_calls(&kfl, fields, CODECS.len())?;
    ensure!(rows.len() == CODECS.len(), "{} rows: {rows:?}", rows.len());
    for (row, codec) in rows.iter().zip(CODECS) {
        ensure!(row["kafka_api_key"] == 0 && row["kafka_records"] == 1, "{codec}: {row}");
        ensure!(row["kafka_client_id"] == format!("shop-{codec}"), "{codec}: {row}");
        ensure!(row["kafka_topics"] == json!(["orders"]), "{codec}: {row}");
        ensure!(row["kafka_partitions"] == json!(["orders-0"]), "{codec}: {row}");
        ensure!(row["kafka_request_summary"] == "orders", "{codec}: {row}");
        ensure!(row["kafka_record_keys"] == json!([format!("order-{codec}")]), "{codec}: {row}");
        let compression = if codec == "none" { Value::Null } else { codec.into() };
        ensure!(row["kafka_compression"] == compression, "{codec}: {row}");
        let body: Value = serde_json::from_str(text(row, "kafka_request_body"))?;
        let records = &body["topicData"][0]["partitionData"][0]["records"][0]["records"];
        ensure!(records[0]["value"] == value(codec), "{codec}: {body}");
        ensure!(records[0]["headers"] == json!([{"key": "trace", "value": codec}]), "{codec}: {body}");
        ensure!(row["kafka_error_code"] == 0 && row["failed"] == false, "{codec}: {row}");
        ensure!(row["incomplete"].is_null(), "{codec}: {row}");
        ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{codec}: {row}");
        let sizes = ["kafka_request_size", "kafka_response_size"].map(|s| row[s].as_i64().unwrap_or(0));
        ensure!(sizes.iter().all(|s| *s > 0) && row["kafka_size"] == sizes[0], "{codec}: {row}");
        ensure!(row["src.process"] == "kcat" && row["dst.process"] == "kcat", "{codec}: {row}");
    }
    Ok(CODECS.iter().map(|codec| format!("order-{codec}")).collect())
}

/// The calls that fetched records have all the keys that kcat printed, and no others.
fn fetched_records_agree(remora: &Remora, here: &str, keys: &BTreeSet<String>) -> Result<()> {
    let kfl = format!("{here} && kafka_api_key_name == \"FETCH\" && kafka_records > 0");
    let seen = wait_for("all records were fetched", || {
        let rows =
            remora.calls(&kfl, "kafka_record_keys,kafka_records,kafka_partitions,kafka_response_body")?;
        let fetched: Vec<&str> = rows
            .iter()
            .filter_map(|row| row["kafka_record_keys"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let records: i64 = rows.iter().filter_map(|row| row["kafka_records"].as_i64()).sum();
        let found: BTreeSet<String> = fetched.iter().map(|key| (*key).to_owned()).collect();
        let all = found.is_superset(keys) && records == fetched.len() as i64;
        Ok(if all { Ok(found) } else { Err(format!("{rows:?}")) })
    })?;
    ensure!(seen == *keys, "fetched {seen:?}, of {keys:?}");
    Ok(())
}

/// The life of a group: joined, synced, committed, left.
fn group_agrees(remora: &Remora, here: &str) -> Result<()> {
    for (api, count) in [("JOIN_GROUP", 1), ("SYNC_GROUP", 1), ("OFFSET_FETCH", 1), ("LEAVE_GROUP", 1)] {
        let kfl = format!("{here} && kafka_api_key_name == \"{api}\"");
        let rows = remora.wait_for_calls(&kfl, "kafka_topics,kafka_client_id,failed,incomplete", count)?;
        let last = rows.last().context(api)?;
        ensure!(last["kafka_client_id"] == "invoices", "{api}: {last}");
        ensure!(last["failed"] == false && last["incomplete"].is_null(), "{api}: {last}");
        ensure!(api == "LEAVE_GROUP" || last["kafka_topics"] == json!(["orders"]), "{api}: {last}");
    }
    Ok(())
}
