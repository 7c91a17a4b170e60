//! A hub that keeps what arrives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use remora_agent::{Agent, AgentConfig, AgentError, Transport};
use remora_model::{Table, TableBatch};
use remora_wire::{IncomingBatch, IngestHandler, IngestServer, Limits, Refusal, Source, SpoolId};
use tokio::sync::watch;

/// Longest wait for something that must come; only a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: Vec<(Table, Row)>,
    spools: HashMap<SpoolId, watch::Sender<u64>>,
    status: Option<serde_json::Value>,
}

impl IngestHandler for Hub {
    async fn connect(&self, source: &Source) -> Result<watch::Receiver<u64>, Refusal> {
        let mut state = self.0.lock().unwrap();
        Ok(state.spools.entry(source.spool).or_default().subscribe())
    }

    async fn batch(&self, source: &Source, batch: IncomingBatch) -> Result<(), Refusal> {
        assert_eq!(batch.rejected, Vec::<String>::new());
        assert_eq!((batch.unknown_columns, batch.lost_before), (0, 0));
        let read = batch.tables.iter().flat_map(|t| rows(t).into_iter().map(|row| (t.table, row)));
        let read: Vec<_> = read.collect();
        let mut state = self.0.lock().unwrap();
        state.rows.extend(read);
        state.spools.entry(source.spool).or_default().send_replace(batch.seq);
        Ok(())
    }

    async fn status(&self, _: &Source, status: serde_json::Value) {
        self.0.lock().unwrap().status = Some(status);
    }
}

/// A row: the columns that are not null, as text.
pub(crate) type Row = BTreeMap<String, String>;

impl Hub {
    pub(crate) fn transport(&self) -> Transport {
        let server = IngestServer::new(self.clone(), Limits::default());
        Transport::Memory(server.serve_in_process(std::future::pending()))
    }

    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        self.0.lock().unwrap().status.clone()
    }

    pub(crate) fn rows(&self, table: Table) -> Vec<Row> {
        let state = self.0.lock().unwrap();
        state.rows.iter().filter(|(of, _)| *of == table).map(|(_, row)| row.clone()).collect()
    }

    /// Calls on a server's port.
    pub(crate) fn calls(&self, port: u16) -> Vec<Row> {
        let port = port.to_string();
        self.rows(Table::Calls).into_iter().filter(|r| r.get("dst.port") == Some(&port)).collect()
    }

    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let patience = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < patience, "waited too long until {what}; status: {:#?}", self.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn rows(table: &TableBatch) -> Vec<Row> {
    let mut out = vec![Row::new(); table.batch.num_rows()];
    for (field, column) in table.batch.schema().fields().iter().zip(table.batch.columns()) {
        let text = match field.data_type() {
            DataType::Dictionary(..) | DataType::Boolean | DataType::Utf8 | DataType::Binary => {
                arrow::compute::cast(column, &DataType::Utf8).unwrap()
            }
            DataType::Int64 | DataType::Timestamp(..) => {
                let ints = arrow::compute::cast(column, &DataType::Int64).unwrap();
                let ints = ints.as_primitive::<Int64Type>();
                Arc::new(ints.iter().map(|v| v.map(|v| v.to_string())).collect::<arrow::array::StringArray>())
            }
            _ => continue,
        };
        for (row, value) in out.iter_mut().zip(text.as_string::<i32>()) {
            if let Some(value) = value {
                row.insert(field.name().clone(), value.to_owned());
            }
        }
    }
    out
}

/// Starts an agent for the traffic on `ports`, or says why the test is skipped.
pub(crate) fn start(
    test: &str,
    ports: &[u16],
    transport: Transport,
    change: impl FnOnce(&mut AgentConfig),
) -> Option<Agent> {
    if !std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t0") {
        eprintln!("SKIPPED: {test}: not root");
        return None;
    }
    let mut config = AgentConfig { node: "test-node".to_owned(), ..AgentConfig::default() };
    config.capture.ports = ports.to_vec();
    config.kernel.ring_bytes = 4 << 20;
    change(&mut config);
    match Agent::start(&config, transport) {
        Ok(agent) => Some(agent),
        Err(AgentError::Kernel(error)) => {
            eprintln!("SKIPPED: {test}: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
