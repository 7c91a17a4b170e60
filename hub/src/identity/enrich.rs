//! Fills the name columns of batches on their way into the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, FieldRef, Int32Type, Schema, TimestampNanosecondType};
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

/// Columns that the batch lacks, because no row has a value there, are added.
fn name_sides(names: &NameIndex, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema_ref();
    let times = times(batch).unwrap_or_default();
    let mut fields: Vec<FieldRef> = schema.fields().iter().map(Arc::clone).collect();
    let mut columns = batch.columns().to_vec();
    for [ip, process, dns, name] in SIDES {
        let Some(ips) = batch.column_by_name(ip).and_then(text_column) else { continue };
        let processes = batch.column_by_name(process).and_then(text_column);
        let (dns_column, name_column) = side_names(names, &ips, processes.as_ref(), &times)?;
        for (field, column) in [(dns, dns_column), (name, name_column)] {
            match schema.index_of(field) {
                Ok(i) => columns[i] = column,
                Err(_) if column.null_count() == column.len() => {}
                Err(_) => {
                    fields.push(Arc::new(Field::new(field, column.data_type().clone(), true)));
                    columns.push(column);
                }
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// What names are made of and where they go, for the client and the server.
const SIDES: [[&str; 4]; 2] =
    [["src.ip", "src.process", "src.dns", "src.name"], ["dst.ip", "dst.process", "dst.dns", "dst.name"]];

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

/// The columns `dns` and `name` of one side. What rows with the same address and process get is
/// found out once, unless the name of the address depends on the time.
fn side_names(
    names: &NameIndex,
    ips: &TextColumn,
    processes: Option<&TextColumn>,
    times: &[i64],
) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let rows = ips.keys.len();
    let (mut dns_out, mut name_out) = (Names::new(rows), Names::new(rows));
    let mut parsed: HashMap<i32, Option<IpAddr>> = HashMap::new();
    // By the keys of address and process: the keys of both columns.
    let mut answers: HashMap<[Key; 2], [Key; 2]> = HashMap::new();
    let mut last: Option<([Key; 2], [Key; 2])> = None;
    for row in 0..rows {
        let ip = ips.get(row);
        let process = processes.and_then(|p| p.get(row));
        let asked = [ip.map(|(key, _)| key), process.map(|(key, _)| key)];
        let known = last.filter(|(of, _)| *of == asked).map(|(_, answer)| answer);
        if let Some(answer) = known.or_else(|| answers.get(&asked).copied()) {
            last = Some((asked, answer));
            let [dns, name] = answer;
            dns_out.keys.push(dns);
            name_out.keys.push(name);
            continue;
        }
        let address = ip.and_then(|(key, text)| *parsed.entry(key).or_insert_with(|| text.parse().ok()));
        let at = Timestamp(times.get(row).copied().unwrap_or(0));
        let dns = address.and_then(|ip| names.name(ip, at)).map(|n| &**n);
        let name = dns.or(process.map(|(_, text)| text)).or(ip.map(|(_, text)| text));
        let answer = [dns_out.push(dns), name_out.push(name)];
        if address.is_none_or(|ip| !names.is_ambiguous(ip)) {
            answers.insert(asked, answer);
            last = Some((asked, answer));
        } else {
            last = None;
        }
    }
    Ok((dns_out.finish()?, name_out.finish()?))
}

/// A key of a dictionary column; none for a null.
type Key = Option<i32>;

/// A dictionary column in the making.
struct Names<'a> {
    keys: Vec<Key>,
    values: Vec<&'a str>,
    places: HashMap<&'a str, i32>,
}

impl<'a> Names<'a> {
    fn new(rows: usize) -> Self {
        Self { keys: Vec::with_capacity(rows), values: Vec::new(), places: HashMap::new() }
    }

    /// Appends a value; its key.
    fn push(&mut self, text: Option<&'a str>) -> Key {
        let key = text.map(|text| {
            *self.places.entry(text).or_insert_with(|| {
                self.values.push(text);
                // A batch has far fewer rows than an `i32` counts.
                i32::try_from(self.values.len() - 1).unwrap_or(i32::MAX)
            })
        });
        self.keys.push(key);
        key
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let values = StringArray::from_iter_values(self.values);
        let keys = Int32Array::from(self.keys);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
    }
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
            tls: false,
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

    #[test]
    fn rows_alike_are_named_alike_and_an_address_with_two_names_by_its_time() {
        let mut names = NameIndex::new(NameIndexLimits::default());
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        names.learn(ip(1), "one.example", Timestamp(5));
        names.learn(ip(2), "old.example", Timestamp(10));
        names.learn(ip(2), "new.example", Timestamp(60));
        let mut set = BatchSet::new("n");
        for i in 0..100u8 {
            let process = [None, Some("a"), Some("b")][usize::from(i % 3)];
            let sides = Sides { dst: Side { process, ..Side::default() }, ..Sides::default() };
            let call = call(Protocol::Http, [10, 0, 0, i / 2 % 4], &[]);
            set.call(CallId(i.into()), &Call { ts: Timestamp(i.into()), ..call }, &sides);
        }
        let batch = set.take().unwrap().remove(0).batch;
        let named = name_sides(&names, &batch).unwrap();
        for i in 0..100u8 {
            let row = row::to_json(&named, usize::from(i));
            let text = |name: &str| row.get(name).and_then(|v| v.as_str());
            let dns = match i / 2 % 4 {
                1 => Some("one.example"),
                2 => Some(if i < 60 { "old.example" } else { "new.example" }),
                _ => None,
            };
            assert_eq!(text("dst.dns"), dns, "row {i}");
            assert_eq!(text("dst.name"), dns.or(text("dst.process")).or(text("dst.ip")), "row {i}");
        }
    }
}
