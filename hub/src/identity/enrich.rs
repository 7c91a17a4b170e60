//! Fills the name columns of batches on their way into the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, StringDictionaryBuilder,
};
use arrow::datatypes::{Int32Type, TimestampNanosecondType};
use arrow::error::ArrowError;
use remora_model::{Protocol, Table, TableBatch, Timestamp};

use super::names::{NameIndex, NameIndexLimits};

/// The hub's knowledge of who is who.
pub struct Identity {
    names: Mutex<NameIndex>,
}

impl Identity {
    /// Knows nothing yet.
    pub fn new(limits: NameIndexLimits) -> Self {
        Self { names: Mutex::new(NameIndex::new(limits)) }
    }

    /// Addresses with a known name.
    pub fn known_addresses(&self) -> usize {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Learns from the DNS answers among `batches`, then names both sides of every row.
    ///
    /// # Errors
    /// When a batch does not have the columns of its table; decoding has checked that before.
    pub fn enrich(&self, batches: &mut [TableBatch]) -> Result<(), ArrowError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for b in batches.iter().filter(|b| b.protocol == Some(Protocol::Dns)) {
            learn(&mut names, &b.batch);
        }
        for b in batches.iter_mut().filter(|b| b.table != Table::Coverage) {
            b.batch = name_sides(&names, &b.batch)?;
        }
        Ok(())
    }
}

fn learn(names: &mut NameIndex, batch: &RecordBatch) {
    let list = |name: &str| batch.column_by_name(name).and_then(|c| c.as_list_opt::<i32>().cloned());
    let (Some(questions), Some(answers), Some(types)) =
        (list("dns_questions"), list("dns_answers"), list("dns_answer_types"))
    else {
        return;
    };
    let Some(times) = times(batch) else { return };
    for (row, &ts) in times.iter().enumerate() {
        if questions.is_null(row) || answers.is_null(row) || types.is_null(row) {
            continue;
        }
        let (questions, answers, types) = (questions.value(row), answers.value(row), types.value(row));
        let (Some(questions), Some(answers), Some(types)) =
            (questions.as_string_opt::<i32>(), answers.as_string_opt::<i32>(), types.as_string_opt::<i32>())
        else {
            continue;
        };
        // The name that was asked for is the one that people know; a CNAME's target is not.
        let Some(name) = questions.iter().flatten().next() else { continue };
        for (answer, ty) in answers.iter().zip(types.iter()) {
            if let (Some(answer), Some("A" | "AAAA")) = (answer, ty)
                && let Ok(ip) = answer.parse()
            {
                names.learn(ip, name, Timestamp(ts));
            }
        }
    }
}

fn times(batch: &RecordBatch) -> Option<Vec<i64>> {
    let column = batch.column_by_name("ts")?.as_primitive_opt::<TimestampNanosecondType>()?;
    Some(column.values().to_vec())
}

fn name_sides(names: &NameIndex, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let times = times(batch).unwrap_or_default();
    let mut columns = batch.columns().to_vec();
    for side in ["src", "dst"] {
        let [Ok(ip), Ok(process), Ok(dns), Ok(name)] =
            ["ip", "process", "dns", "name"].map(|field| schema.index_of(&format!("{side}.{field}")))
        else {
            continue;
        };
        let Some(ips) = text_column(&columns[ip]) else { continue };
        let processes = text_column(&columns[process]);
        let (dns_column, name_column) = side_names(names, &ips, processes.as_ref(), &times);
        columns[dns] = dns_column;
        columns[name] = name_column;
    }
    RecordBatch::try_new(schema, columns)
}

/// A dictionary column taken apart.
struct TextColumn {
    keys: Int32Array,
    values: StringArray,
}

impl TextColumn {
    fn get(&self, row: usize) -> Option<(i32, &str)> {
        if self.keys.is_null(row) {
            return None;
        }
        let key = self.keys.value(row);
        let i = usize::try_from(key).ok().filter(|i| *i < self.values.len())?;
        Some((key, self.values.value(i)))
    }
}

fn text_column(column: &ArrayRef) -> Option<TextColumn> {
    let d: &DictionaryArray<Int32Type> = column.as_dictionary_opt()?;
    Some(TextColumn { keys: d.keys().clone(), values: d.values().as_string_opt::<i32>()?.clone() })
}

fn side_names(
    names: &NameIndex,
    ips: &TextColumn,
    processes: Option<&TextColumn>,
    times: &[i64],
) -> (ArrayRef, ArrayRef) {
    let mut dns_out = StringDictionaryBuilder::<Int32Type>::new();
    let mut name_out = StringDictionaryBuilder::<Int32Type>::new();
    let mut parsed: HashMap<i32, Option<IpAddr>> = HashMap::new();
    for row in 0..ips.keys.len() {
        let ip = ips.get(row);
        let at = Timestamp(times.get(row).copied().unwrap_or(0));
        let dns = ip.and_then(|(key, text)| {
            let ip = parsed.entry(key).or_insert_with(|| text.parse().ok());
            names.name((*ip)?, at)
        });
        dns_out.append_option(dns.map(|n| &**n));
        let process = processes.and_then(|p| p.get(row)).map(|(_, text)| text);
        name_out.append_option(dns.map(|n| &**n).or(process).or(ip.map(|(_, text)| text)));
    }
    (Arc::new(dns_out.finish()), Arc::new(name_out.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use remora_model::{
        BatchSet, Call, CallId, CaptureSource, Endpoint, FieldId, FlowId, Side, Sides, Transport, ValueRef,
        field, row,
    };

    use super::*;

    fn call<'a>(protocol: Protocol, server: [u8; 4], fields: &'a [(FieldId, ValueRef<'a>)]) -> Call<'a> {
        Call {
            protocol,
            transport: Transport::Tcp,
            flow: FlowId(1),
            client: Endpoint { ip: [10, 0, 0, 9].into(), port: 1 },
            server: Endpoint { ip: server.into(), port: 2 },
            ts: Timestamp(1_000),
            elapsed_us: None,
            ttlb_us: None,
            request_bytes: None,
            response_bytes: None,
            request_pos: None,
            response_pos: None,
            failed: false,
            client_error: false,
            incomplete: None,
            source: CaptureSource::File,
            fields,
        }
    }

    #[test]
    fn a_dns_answer_names_the_server_of_later_calls() {
        let mut set = BatchSet::new("n");
        let fields = [
            (field::DNS_QUESTIONS, ValueRef::List(&[b"db.example.com"])),
            (field::DNS_ANSWERS, ValueRef::List(&[b"alias.example.com", b"10.0.0.5"])),
            (field::DNS_ANSWER_TYPES, ValueRef::List(&[b"CNAME", b"A"])),
        ];
        set.call(CallId(1), &call(Protocol::Dns, [10, 0, 0, 1], &fields), &Sides::default());
        let sides = Sides { src: Side { process: Some("curl"), ..Side::default() }, ..Sides::default() };
        set.call(CallId(2), &call(Protocol::Http, [10, 0, 0, 5], &[]), &sides);
        let mut batches = set.take().unwrap();
        let identity = Identity::new(NameIndexLimits::default());
        identity.enrich(&mut batches).unwrap();
        let http = batches.iter().find(|b| b.protocol == Some(Protocol::Http)).unwrap();
        let row = row::to_json(&http.batch, 0);
        assert_eq!(row["dst.dns"], "db.example.com");
        assert_eq!(row["dst.name"], "db.example.com");
        assert_eq!(row["src.name"], "curl");
        assert!(!row.contains_key("src.dns"));
        let dns = batches.iter().find(|b| b.protocol == Some(Protocol::Dns)).unwrap();
        assert_eq!(
            row::to_json(&dns.batch, 0)["dst.name"],
            "10.0.0.1",
            "an address without a name is its own"
        );
        assert_eq!(identity.known_addresses(), 1);
    }
}
