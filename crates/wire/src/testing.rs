//! Rows for this crate's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, CoverageRow, Endpoint, FlowId, Protocol, Sides, Table, TableBatch,
    Timestamp, Transport, ValueRef, field,
};

/// HTTP calls with ids from `first`, and bodies of `body` bytes.
pub(crate) fn tables(first: i64, calls: i64, body: usize) -> Vec<TableBatch> {
    let mut set = BatchSet::new("node-1");
    let end = |port| Endpoint { ip: [10, 0, 0, 1].into(), port };
    for id in first..first + calls {
        let path = format!("/items/{id}");
        let text = vec![b'a' + u8::try_from(id % 26).unwrap(); body];
        let headers = [(&b"content-type"[..], &b"text/plain"[..])];
        let fields = [
            (field::METHOD, ValueRef::Text(b"GET")),
            (field::PATH, ValueRef::Text(path.as_bytes())),
            (field::REQUEST_HEADERS, ValueRef::Map(&headers)),
            (field::RESPONSE_BODY, ValueRef::Text(&text)),
            (field::STATUS_CODE, ValueRef::Int(200)),
        ];
        let call = Call {
            protocol: Protocol::Http,
            transport: Transport::Tcp,
            flow: FlowId(1),
            client: end(40_000),
            server: end(80),
            ts: Timestamp(id),
            elapsed_us: Some(5),
            ttlb_us: None,
            request_bytes: Some(100),
            response_bytes: None,
            request_pos: Some(0),
            response_pos: None,
            failed: false,
            client_error: false,
            incomplete: None,
            tls: false,
            source: CaptureSource::Ebpf,
            fields: &fields,
        };
        set.call(CallId(id), &call, &Sides::default());
    }
    set.coverage(&CoverageRow {
        ts: Timestamp(1),
        interval_ms: 1_000,
        stage: "captured",
        reason: "packets",
        count: 9,
        bytes: 900,
    });
    set.take().unwrap()
}

pub(crate) fn coverage(rows: i64) -> RecordBatch {
    let mut set = BatchSet::new("node-1");
    for n in 0..rows {
        set.coverage(&CoverageRow {
            ts: Timestamp(n),
            interval_ms: 1_000,
            stage: "kernel",
            reason: "ring_full",
            count: n,
            bytes: 0,
        });
    }
    set.take().unwrap().remove(0).batch
}

pub(crate) fn call_ids(table: &TableBatch) -> Vec<i64> {
    if table.table != Table::Calls {
        return Vec::new();
    }
    let ids = table.batch.column_by_name("id").unwrap();
    ids.as_primitive::<Int64Type>().values().to_vec()
}

/// SplitMix64: small, good enough, and the same everywhere for a seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Waits until `done`, for as long as a slow machine may need.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < patience, "waited too long until {what}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

pub(crate) fn client_config() -> crate::ClientConfig {
    crate::ClientConfig {
        min_backoff: std::time::Duration::from_millis(1),
        max_backoff: std::time::Duration::from_millis(20),
        ..crate::ClientConfig::new("agent-1", "node-1")
    }
}

/// A hub that keeps call ids, in memory first and durable when told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub(pub(crate) std::sync::Arc<std::sync::Mutex<HubState>>);

#[derive(Debug, Default)]
pub(crate) struct HubState {
    pub(crate) spools: std::collections::HashMap<crate::SpoolId, Kept>,
    pub(crate) statuses: Vec<serde_json::Value>,
    pub(crate) rejected: Vec<String>,
    pub(crate) disconnects: u64,
    /// Everything counts as durable at once.
    pub(crate) eager: bool,
    /// Refuses batches while set.
    pub(crate) full: bool,
    /// A killed hub keeps nothing more.
    pub(crate) dead: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) durable: tokio::sync::watch::Sender<u64>,
    pub(crate) durable_ids: Vec<i64>,
    pub(crate) pending: Vec<(u64, Vec<i64>)>,
}

impl Hub {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, HubState> {
        self.0.lock().unwrap()
    }

    /// Makes everything durable that arrived.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        if state.dead {
            return;
        }
        for kept in state.spools.values_mut() {
            for (seq, ids) in std::mem::take(&mut kept.pending) {
                kept.durable_ids.extend(ids);
                kept.durable.send_replace(seq);
            }
        }
    }

    /// Dies; its successor knows what was durable and nothing else.
    pub(crate) fn kill(&self) -> Self {
        let mut state = self.lock();
        state.dead = true;
        let spools = std::mem::take(&mut state.spools);
        let keep = |k: Kept| Kept {
            durable: tokio::sync::watch::Sender::new(*k.durable.borrow()),
            durable_ids: k.durable_ids,
            pending: Vec::new(),
        };
        let spools = spools.into_iter().map(|(id, k)| (id, keep(k))).collect();
        Self(std::sync::Arc::new(std::sync::Mutex::new(HubState {
            spools,
            eager: state.eager,
            ..HubState::default()
        })))
    }

    /// Ids that are durable, of all spools.
    pub(crate) fn durable_ids(&self) -> Vec<i64> {
        self.lock().spools.values().flat_map(|k| k.durable_ids.iter().copied()).collect()
    }
}

impl crate::IngestHandler for Hub {
    async fn connect(
        &self,
        source: &crate::Source,
    ) -> Result<tokio::sync::watch::Receiver<u64>, crate::Refusal> {
        let mut state = self.lock();
        if state.dead {
            return Err(crate::Refusal::later("dead"));
        }
        Ok(state.spools.entry(source.spool).or_default().durable.subscribe())
    }

    async fn batch(&self, source: &crate::Source, batch: crate::IncomingBatch) -> Result<(), crate::Refusal> {
        let mut state = self.lock();
        if state.dead || state.full {
            return Err(crate::Refusal::later("full"));
        }
        state.rejected.extend(batch.rejected);
        let eager = state.eager;
        let ids = batch.tables.iter().flat_map(call_ids).collect();
        state.spools.entry(source.spool).or_default().pending.push((batch.seq, ids));
        drop(state);
        if eager {
            self.flush();
        }
        Ok(())
    }

    async fn status(&self, _: &crate::Source, status: serde_json::Value) {
        self.lock().statuses.push(status);
    }

    async fn disconnect(&self, _: &crate::Source, _: &str) {
        self.lock().disconnects += 1;
    }
}
