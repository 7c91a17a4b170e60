//! From calls to Arrow: one set of column builders for each protocol.

mod column;
mod dictionary;
mod values;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use self::column::Column;
use crate::field::{self, CATALOGUE};
use crate::{
    Call, CallId, CaptureSource, CoverageRow, Endpoint, FieldId, FlowRow, Protocol, Table, Timestamp,
    ValueRef, schema,
};

/// What is known of the owner of one side of a connection. Absent where the side is not on this
/// node or its owner was not found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side<'a> {
    /// Command name of the process.
    pub process: Option<&'a str>,
    /// Its process id in the node's pid namespace.
    pub pid: Option<i64>,
    /// Its container's id.
    pub container_id: Option<&'a str>,
    /// Its cgroup-v2 path.
    pub cgroup: Option<&'a str>,
}

/// Both sides of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sides<'a> {
    /// The client's side.
    pub src: Side<'a>,
    /// The server's side.
    pub dst: Side<'a>,
}

/// A finished batch and the table it belongs to.
#[derive(Clone, Debug)]
pub struct TableBatch {
    /// The table.
    pub table: Table,
    /// The protocol of a batch of calls.
    pub protocol: Option<Protocol>,
    /// The rows, with the columns of [`schema::calls`], [`schema::flows`] or
    /// [`schema::coverage`].
    pub batch: RecordBatch,
}

/// Collects rows until they are worth sending. Rows keep the order in which they were appended,
/// within their table and protocol.
pub struct BatchSet {
    node: String,
    calls: Vec<RowBuilder>,
    flows: RowBuilder,
    coverage: RowBuilder,
    bytes: usize,
}

impl BatchSet {
    /// An empty set for the rows of the node of that name.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            calls: Protocol::ALL.iter().map(|p| RowBuilder::new(schema::calls(*p))).collect(),
            flows: RowBuilder::new(schema::flows()),
            coverage: RowBuilder::new(schema::coverage()),
            bytes: 0,
        }
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.calls.iter().map(|b| b.rows).sum::<usize>() + self.flows.rows + self.coverage.rows
    }

    /// Bytes held, roughly: what the variable-length values add up to and a constant for each
    /// row's fixed part.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a call.
    pub fn call(&mut self, id: CallId, call: &Call<'_>, sides: &Sides<'_>) {
        let Some(b) = self.calls.get_mut(call.protocol as usize) else { return };
        b.int(field::ID, id.0);
        b.time(field::TS, call.ts);
        b.name(field::PROTOCOL, call.protocol.name());
        b.name(field::TRANSPORT, call.transport.name());
        b.endpoints(call.client, call.server);
        b.sides(sides);
        b.str(field::NODE_NAME, &self.node);
        b.int(field::FLOW_ID, call.flow.0);
        b.name(field::CAPTURE_SOURCE, call.source.name());
        b.int_opt(field::ELAPSED_TIME, call.elapsed_us);
        b.int_opt(field::TTLB, call.ttlb_us);
        b.set(field::FAILED, ValueRef::Bool(call.failed));
        b.set(field::CLIENT_ERROR, ValueRef::Bool(call.client_error));
        b.set(field::TLS, ValueRef::Bool(call.tls || call.source == CaptureSource::EbpfTls));
        if let Some(why) = call.incomplete {
            b.name(field::INCOMPLETE, why.name());
        }
        b.int_opt(field::REQUEST_BYTES, call.request_bytes);
        b.int_opt(field::RESPONSE_BYTES, call.response_bytes);
        b.int_opt(field::REQUEST_POS, call.request_pos);
        b.int_opt(field::RESPONSE_POS, call.response_pos);
        for &(id, value) in call.fields {
            b.set(id, value);
        }
        self.bytes += b.end_row();
    }

    /// Appends a flow's state.
    pub fn flow(&mut self, flow: &FlowRow<'_>, sides: &Sides<'_>) {
        let b = &mut self.flows;
        b.time(field::TS, flow.last_seen);
        b.time(field::FIRST_SEEN, flow.first_seen);
        b.name(field::TRANSPORT, flow.transport.name());
        b.endpoints(flow.client, flow.server);
        b.sides(sides);
        b.str(field::NODE_NAME, &self.node);
        b.int(field::FLOW_ID, flow.flow.0);
        b.name(field::CAPTURE_SOURCE, flow.source.name());
        b.name(field::CONN_STATE, flow.state.name());
        if let Some(why) = flow.close_reason {
            b.name(field::CLOSE_REASON, why.name());
        }
        b.int(field::SRC_PACKETS, flow.client_packets);
        b.int(field::SRC_BYTES, flow.client_bytes);
        b.int(field::DST_PACKETS, flow.server_packets);
        b.int(field::DST_BYTES, flow.server_bytes);
        b.int_opt(field::TCP_RTT_US, flow.handshake_rtt_us);
        b.int(field::TCP_RETRANSMITS, flow.retransmits);
        b.int(field::SRC_TCP_FLAGS, flow.client_tcp_flags);
        b.int(field::DST_TCP_FLAGS, flow.server_tcp_flags);
        b.int(field::MISSING_BYTES, flow.missing_bytes);
        let mut l7 = [&b""[..]; Protocol::ALL.len()];
        let n = flow.l7.len().min(l7.len());
        for (slot, name) in l7.iter_mut().zip(flow.l7) {
            *slot = name.as_bytes();
        }
        b.set(field::CONN_L7_DETECTED, ValueRef::List(&l7[..n]));
        self.bytes += b.end_row();
    }

    /// Appends a coverage row.
    pub fn coverage(&mut self, row: &CoverageRow<'_>) {
        let b = &mut self.coverage;
        let [ts, node, interval, stage, reason, count, bytes] = &mut b.columns[..] else { return };
        ts.time(row.ts);
        let mut growth = node.set(ValueRef::str(&self.node));
        growth += interval.set(ValueRef::Int(row.interval_ms));
        growth += stage.set(ValueRef::str(row.stage));
        growth += reason.set(ValueRef::str(row.reason));
        growth += count.set(ValueRef::Int(row.count));
        growth += bytes.set(ValueRef::Int(row.bytes));
        self.bytes += b.end_row() + growth;
    }

    /// Takes everything that was collected and starts anew.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a fault of this module.
    pub fn take(&mut self) -> Result<Vec<TableBatch>, ArrowError> {
        let mut out = Vec::new();
        for (protocol, b) in Protocol::ALL.iter().zip(&mut self.calls) {
            if let Some(batch) = b.finish()? {
                out.push(TableBatch { table: Table::Calls, protocol: Some(*protocol), batch });
            }
        }
        if let Some(batch) = self.flows.finish()? {
            out.push(TableBatch { table: Table::Flows, protocol: None, batch });
        }
        if let Some(batch) = self.coverage.finish()? {
            out.push(TableBatch { table: Table::Coverage, protocol: None, batch });
        }
        self.bytes = 0;
        Ok(out)
    }
}

/// Column builders for one schema.
struct RowBuilder {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Column of each catalogue field, or `NONE`.
    slots: Vec<u16>,
    rows: usize,
    /// Bytes that the values of the current row have added.
    growth: usize,
}

const NONE: u16 = u16::MAX;

impl RowBuilder {
    fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|f| Column::new(f.data_type())).collect();
        let slots = CATALOGUE
            .iter()
            .map(|d| schema.index_of(d.name).ok().and_then(|i| u16::try_from(i).ok()).unwrap_or(NONE))
            .collect();
        Self { schema, columns, slots, rows: 0, growth: 0 }
    }

    #[inline]
    fn column(&mut self, id: FieldId) -> Option<&mut Column> {
        let slot = *self.slots.get(usize::from(id.0))?;
        let column = self.columns.get_mut(usize::from(slot))?;
        // A field given twice keeps its first value: a second one would shift the column.
        let vacant = column.len() <= self.rows;
        if vacant {
            // Only now do the rows before it that had no value get their nulls: most columns of
            // most rows are absent, and many nulls at once cost no more than one.
            column.pad(self.rows);
        }
        vacant.then_some(column)
    }

    fn set(&mut self, id: FieldId, value: ValueRef<'_>) {
        if let Some(c) = self.column(id) {
            self.growth += c.set(value);
        }
    }

    fn str(&mut self, id: FieldId, s: &str) {
        self.set(id, ValueRef::str(s));
    }

    fn name(&mut self, id: FieldId, text: &'static str) {
        if let Some(c) = self.column(id) {
            self.growth += c.name(text);
        }
    }

    #[inline]
    fn int(&mut self, id: FieldId, v: i64) {
        if let Some(c) = self.column(id) {
            self.growth += c.int(v);
        }
    }

    fn int_opt(&mut self, id: FieldId, v: Option<i64>) {
        if let Some(v) = v {
            self.int(id, v);
        }
    }

    fn time(&mut self, id: FieldId, t: Timestamp) {
        if let Some(c) = self.column(id) {
            c.time(t);
        }
    }

    fn endpoints(&mut self, client: Endpoint, server: Endpoint) {
        for (id, ip) in [(field::SRC_IP, client.ip), (field::DST_IP, server.ip)] {
            if let Some(c) = self.column(id) {
                self.growth += c.ip(ip);
            }
        }
        self.int(field::SRC_PORT, i64::from(client.port));
        self.int(field::DST_PORT, i64::from(server.port));
    }

    fn sides(&mut self, sides: &Sides<'_>) {
        let ids = [
            (&sides.src, field::SRC_PROCESS, field::SRC_PID, field::SRC_CONTAINER, field::SRC_CGROUP),
            (&sides.dst, field::DST_PROCESS, field::DST_PID, field::DST_CONTAINER, field::DST_CGROUP),
        ];
        for (side, process, pid, container, cgroup) in ids {
            self.int_opt(pid, side.pid);
            for (id, text) in [(process, side.process), (container, side.container_id), (cgroup, side.cgroup)]
            {
                if let Some(text) = text {
                    self.str(id, text);
                }
            }
        }
    }

    /// Ends the row: what it left out is null. The row's size in bytes.
    fn end_row(&mut self) -> usize {
        self.rows += 1;
        8 * self.columns.len() + std::mem::take(&mut self.growth)
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        let finish = |c: &mut Column| {
            c.pad(rows);
            c.finish()
        };
        let arrays = self.columns.iter_mut().map(finish).collect::<Result<_, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map(Some)
    }
}

#[cfg(test)]
pub(crate) mod tests;
