#![allow(clippy::unwrap_used, clippy::expect_used)]

use arrow::array::{Array as _, ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;
use crate::{Limits, proto, testing};
use remora_model::{Table, TableBatch};

fn encode(tables: &[TableBatch], form: Form) -> Vec<Encoded> {
    Encoder::new(EncodeLimits::default(), form).encode(tables)
}

#[test]
fn rows_survive_the_journey() {
    for form in [Form::Plain, Form::Compressed] {
        let tables = testing::tables(1, 40, 300);
        let encoded = encode(&tables, form);
        assert_eq!(encoded.len(), 1);
        assert_eq!(encoded[0].rows.of(Table::Calls), 40);
        assert_eq!(encoded[0].tables.len(), tables.len());
        for (message, original) in encoded[0].tables.iter().zip(&tables) {
            let decoded = decode(message, &Limits::default()).unwrap();
            let batch = &decoded.table.batch;
            for (field, values) in original.batch.schema().fields().iter().zip(original.batch.columns()) {
                match batch.column_by_name(field.name()) {
                    Some(column) => assert_eq!(column, values, "{}", field.name()),
                    None => assert!(values.null_count() == 40 && field.is_nullable(), "{}", field.name()),
                }
            }
            assert!(batch.num_columns() < original.batch.num_columns() || original.table == Table::Coverage);
            assert_eq!(decoded.table.table, original.table);
            assert_eq!(decoded.table.protocol, original.protocol);
            assert_eq!(decoded.unknown_columns, 0);
        }
    }
}

#[test]
fn what_is_too_large_is_split_and_nothing_is_lost() {
    let tables = testing::tables(1, 100, 3_000);
    let limits = EncodeLimits { message: 64 << 10, table_bytes: 48 << 10, ..EncodeLimits::default() };
    let mut encoder = Encoder::new(limits, Form::Plain);
    let encoded = encoder.encode(&tables);
    assert!(encoded.len() > 4);
    let mut ids = Vec::new();
    for e in &encoded {
        assert!(e.len() <= limits.message);
        for t in &e.tables {
            ids.extend(testing::call_ids(&decode(t, &Limits::default()).unwrap().table));
        }
    }
    assert_eq!(ids, testing::call_ids(&tables[0]));
    assert_eq!((encoder.stripped_rows, encoder.dropped.total()), (0, 0));
}

#[test]
fn a_row_that_is_too_large_goes_without_its_body() {
    let tables = testing::tables(1, 3, 100_000);
    let limits = EncodeLimits { message: 64 << 10, table_bytes: 48 << 10, ..EncodeLimits::default() };
    let mut encoder = Encoder::new(limits, Form::Plain);
    let rows: u64 = encoder.encode(&tables).iter().map(|e| e.rows.of(Table::Calls)).sum();
    assert_eq!((rows, encoder.stripped_rows, encoder.dropped.total()), (3, 3, 0));
    let mut tiny = Encoder::new(EncodeLimits { message: 512, table_bytes: 256, ..limits }, Form::Plain);
    assert!(tiny.encode(&tables[..1]).is_empty());
    assert_eq!(tiny.dropped.of(Table::Calls), 3);
}

#[test]
fn rows_to_hand_over_are_bounded_alike_and_can_be_encoded_later() {
    let tables = testing::tables(1, 100, 3_000);
    let limits = EncodeLimits { message: 64 << 10, table_bytes: 48 << 10, ..EncodeLimits::default() };
    let mut encoder = Encoder::new(limits, Form::Handed);
    let (mut handed, mut encoded) = (Vec::new(), Vec::new());
    for batch in encoder.encode(&tables) {
        assert!(batch.len() <= limits.message);
        assert_eq!(batch.handed.len(), batch.tables.len());
        assert!(batch.tables.iter().all(|t| t.ipc.is_empty() && t.ipc_len > 0));
        // Elsewhere such a table means nothing.
        let e = decode(&batch.tables[0], &Limits::default()).unwrap_err();
        assert!(matches!(e, DecodeError::UnknownEncoding(2)), "{e}");
        handed.extend(batch.handed.iter().flat_map(testing::call_ids));
        for t in batch.encoded_tables().unwrap() {
            encoded.extend(testing::call_ids(&decode(&t, &Limits::default()).unwrap().table));
        }
        let message = proto::Batch { seq: 9, tables: batch.tables.clone() };
        assert_eq!(batch_len(&message), message_len(9, &batch), "both ends count the same credit");
        assert!(batch_len(&message) > batch.tables.iter().map(|t| t.ipc_len).sum());
    }
    assert_eq!(handed, testing::call_ids(&tables[0]));
    assert_eq!(encoded, handed);
    let mut tiny = Encoder::new(EncodeLimits { table_bytes: 64 << 10, ..limits }, Form::Handed);
    let rows = tiny.encode(&testing::tables(1, 3, 100_000)).iter().map(|e| e.rows.of(Table::Calls)).sum();
    assert_eq!((tiny.stripped_rows, rows), (3, 3u64));
}

fn message(batch: &RecordBatch) -> proto::Table {
    let t = TableBatch { table: Table::Coverage, protocol: None, batch: batch.clone() };
    encode(&[t], Form::Plain).remove(0).tables.remove(0)
}

#[test]
fn columns_are_matched_by_name_and_type() {
    let full = testing::coverage(4);
    let i = full.schema().index_of("interval_ms").unwrap();
    let mut fields: Vec<_> = full.schema().fields().iter().cloned().collect();
    let mut columns = full.columns().to_vec();

    // One missing, one unknown.
    let (mut some_fields, mut some_columns) = (fields.clone(), columns.clone());
    some_fields[i] = Arc::new(Field::new("from_the_future", DataType::Int64, true));
    some_columns[i] = Arc::new(Int64Array::from(vec![None, Some(1), None, None])) as ArrayRef;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(some_fields)), some_columns).unwrap();
    let decoded = decode(&message(&batch), &Limits::default()).unwrap();
    assert_eq!(decoded.unknown_columns, 1);
    assert!(decoded.table.batch.column_by_name("interval_ms").is_none());
    assert!(decoded.table.batch.column_by_name("count").is_some());

    // A known name with another type.
    fields[i] = Arc::new(Field::new("interval_ms", DataType::Boolean, true));
    columns[i] = Arc::new(arrow::array::BooleanArray::from(vec![true; 4]));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let err = decode(&message(&batch), &Limits::default()).unwrap_err();
    assert!(matches!(err, DecodeError::WrongType(ref name) if name == "interval_ms"), "{err}");

    // Without the time there is no row.
    let batch = full.project(&[1, 2, 3]).unwrap();
    assert!(matches!(decode(&message(&batch), &Limits::default()), Err(DecodeError::Missing("ts"))));
}

#[test]
fn limits_hold() {
    let good = message(&testing::coverage(100));
    let rows = Limits { rows: 99, ..Limits::default() };
    assert!(matches!(decode(&good, &rows), Err(DecodeError::TooManyRows(100))));
    let bytes = Limits { table_bytes: 100, ..Limits::default() };
    assert!(matches!(decode(&good, &bytes), Err(DecodeError::TooLarge(_))));
    let bomb = proto::Table {
        encoding: proto::Encoding::Zstd.into(),
        ipc: zstd::bulk::compress(&vec![0; 10 << 20], 1).unwrap().into(),
        ..good.clone()
    };
    assert!(matches!(decode(&bomb, &Limits::default()), Err(DecodeError::Compression)));
    let odd = proto::Table { encoding: 9, ..good };
    assert!(matches!(decode(&odd, &Limits::default()), Err(DecodeError::UnknownEncoding(9))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Hostile bytes give an error or rows, never a panic that gets through and never the panic
    /// that the check is there to prevent.
    #[test]
    fn broken_streams_do_no_harm(
        hits in prop::collection::vec((0usize..1 << 20, any::<u8>()), 1..8),
        cut in prop::option::of(0usize..1 << 20),
        calls in any::<bool>(),
    ) {
        static GOOD: std::sync::LazyLock<[proto::Table; 2]> = std::sync::LazyLock::new(|| {
            let calls = encode(&testing::tables(7, 5, 20), Form::Plain).remove(0).tables.remove(0);
            [message(&testing::coverage(5)), calls]
        });
        let mut table = GOOD[usize::from(calls)].clone();
        let mut bytes = table.ipc.to_vec();
        for (at, value) in hits {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % bytes.len());
        }
        table.ipc_len = bytes.len() as u64;
        table.ipc = bytes.into();
        if let Err(DecodeError::Malformed("the Arrow reader gave up")) = decode(&table, &Limits::default()) {
            prop_assert!(false, "the reader panicked");
        }
    }
}
