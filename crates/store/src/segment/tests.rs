//! What is written comes back, whole and prunable.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Int64Array, MapBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampNanosecondArray, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use remora_model::{Protocol, Table};

use super::*;

fn place(dir: &std::path::Path, number: u64, row_group_rows: usize) -> Place<'_> {
    Place { dir, number, kind: (Table::Calls, Some(Protocol::Http)), level: 0, row_group_rows }
}

fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Rows of all kinds of columns that the text writer takes, and one that it does not.
fn batch(first: i64, rows: usize, with_note: bool) -> RecordBatch {
    let mut seed = u64::try_from(first).unwrap() + 17;
    let mut r = |below| random(&mut seed, below);
    // The greatest of all, and too long to be a bound.
    let long = format!("êa{}", "é".repeat(50));
    let words = ["", "a", "GET", "é", "zz", "/api/items", long.as_str(), "~\u{10ffff}"];
    let mut text = |nulls: u64, unique: bool| -> Vec<Option<String>> {
        let one = |i: usize| match (r(10), unique) {
            (n, _) if n < nulls => None,
            (_, true) => Some(format!("{}{}-{i}", ["", "x", "ü"][r(3) as usize], r(u64::MAX))),
            // Runs of one value and mixtures.
            _ if i % 1_000 < 500 => Some(words[4].to_owned()),
            _ => Some(words[r(words.len() as u64) as usize].to_owned()),
        };
        (0..rows).map(one).collect()
    };
    let host = DictionaryArray::<Int32Type>::from_iter(text(2, false).iter().map(Option::as_deref));
    let node = DictionaryArray::<Int32Type>::from_iter(text(0, false).iter().map(Option::as_deref));
    let url = StringArray::from(text(1, false));
    let trace = StringArray::from(text(3, true));
    // First alike, then all different.
    let (alike, unlike) = (text(1, false), text(1, true));
    let mixed: StringArray =
        alike.into_iter().zip(unlike).enumerate().map(|(i, (a, u))| if i < 12_000 { a } else { u }).collect();
    let bodies = text(5, true);
    let body = BinaryArray::from(bodies.iter().map(|b| b.as_ref().map(String::as_bytes)).collect::<Vec<_>>());
    let mut headers = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for i in 0..rows {
        let entries = [0, 1, 3, 3, 3, 5][r(6) as usize];
        for k in 0..entries {
            headers.keys().append_value(["host", "server", "date", "x-id", "etag"][k]);
            match r(20) {
                0 => headers.values().append_null(),
                1 => headers.values().append_value(format!("{}", r(u64::MAX))),
                _ => headers.values().append_value(["one", "", "two"][k % 3]),
            }
        }
        headers.append(entries > 0 || i % 2 == 0).unwrap();
    }
    let headers: ArrayRef = Arc::new(headers.finish());
    let note: StringArray = (0..rows).map(|i| (with_note && i % 3 == 0).then_some("/note")).collect();
    let ids = Int64Array::from_iter_values(first..first + rows as i64);
    let ts =
        TimestampNanosecondArray::from_iter_values((0..rows as i64).map(|i| (first + i) * 1_000 + i % 7));
    let nothing: DictionaryArray<Int32Type> = (0..rows).map(|_| None::<&str>).collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(ids), false),
        ("ts", Arc::new(ts), false),
        ("host", Arc::new(host), true),
        ("node_name", Arc::new(node), true),
        ("url", Arc::new(url), true),
        ("trace_id", Arc::new(trace), true),
        ("response.body", Arc::new(body), true),
        ("span_id", Arc::new(mixed), true),
        ("request.headers", headers, true),
        ("path", Arc::new(note), true),
        ("user_agent", Arc::new(nothing), true),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, c, null)| Field::new(*name, c.data_type().clone(), *null)).collect();
    let columns = columns.into_iter().map(|(_, c, _)| c).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn read(segment: &Segment, want: &SchemaRef) -> RecordBatch {
    let file = File::open(segment.path()).unwrap();
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1_000).build().unwrap();
    let fill = |b: RecordBatch| {
        let column = |f: &Arc<Field>| match b.column_by_name(f.name()) {
            Some(c) => Arc::clone(c),
            None => new_null_array(f.data_type(), b.num_rows()),
        };
        RecordBatch::try_new(Arc::clone(want), want.fields().iter().map(column).collect()).unwrap()
    };
    let batches: Vec<RecordBatch> = reader.map(|b| fill(b.unwrap())).collect();
    concat_batches(want, &batches).unwrap()
}

/// Columns with their dictionaries resolved, which may differ.
fn plain(batch: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let resolve = |c: &ArrayRef| match c.data_type() {
        DataType::Dictionary(..) => cast(c, &DataType::Utf8).unwrap(),
        _ => Arc::clone(c),
    };
    let fields = batch.schema();
    fields.fields().iter().zip(batch.columns()).map(|(f, c)| (f.name().clone(), resolve(c))).collect()
}

fn assert_same(left: &RecordBatch, right: &RecordBatch) {
    assert_eq!(left.num_rows(), right.num_rows());
    for ((name, l), (_, r)) in plain(left).iter().zip(plain(right)) {
        for row in 0..l.len() {
            assert_eq!(&l.slice(row, 1), &r.slice(row, 1), "{name}, row {row}");
        }
    }
}

fn footer(segment: &Segment) -> (File, ParquetMetaData) {
    let file = File::open(segment.path()).unwrap();
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = reader.parse_and_finish(&file).unwrap();
    (file, metadata)
}

/// Bounds of row groups and pages hold for their rows, and Bloom filters know every value.
fn assert_prunable(segment: &Segment, rows: &RecordBatch) {
    let (file, metadata) = footer(segment);
    let described = metadata.file_metadata().schema_descr();
    let file_schema =
        parquet::arrow::parquet_to_arrow_schema(described, metadata.file_metadata().key_value_metadata())
            .unwrap();
    for name in ["host", "node_name", "url", "trace_id", "span_id"] {
        let values = cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        let values = values.as_string::<i32>();
        let converter = StatisticsConverter::try_new(name, &file_schema, described).unwrap();
        let texts = |a: ArrayRef| cast(&a, &DataType::Utf8).unwrap();
        let (groups, all): (&_, Vec<usize>) =
            (metadata.row_groups(), (0..metadata.num_row_groups()).collect());
        let low = texts(converter.row_group_mins(groups).unwrap());
        let high = texts(converter.row_group_maxes(groups).unwrap());
        let nulls = converter.row_group_null_counts(groups).unwrap();
        assert_eq!((low.null_count(), high.null_count()), (0, 0), "{name}");
        let mut from = 0;
        for (g, group) in groups.iter().enumerate() {
            let here = values.slice(from, group.num_rows() as usize);
            assert_eq!(nulls.value(g), here.null_count() as u64, "{name}");
            for v in here.iter().flatten() {
                let (low, high) = (low.as_string::<i32>(), high.as_string::<i32>());
                assert!(low.is_null(g) || low.value(g) <= v, "{name}");
                assert!(high.is_null(g) || high.value(g) >= v, "{name}");
            }
            let leaf = converter.parquet_column_index().unwrap();
            let bloom = Sbbf::read_from_column_chunk(group.column(leaf), &file).unwrap();
            assert_eq!(bloom.is_some(), ["host", "trace_id"].contains(&name), "{name}");
            if let Some(bloom) = bloom {
                assert!(here.iter().flatten().all(|v| bloom.check(v)), "{name}");
            }
            from += group.num_rows() as usize;
        }
        let (columns, offsets) = (metadata.column_index().unwrap(), metadata.offset_index().unwrap());
        let low = texts(converter.data_page_mins(columns, offsets, &all).unwrap());
        let high = texts(converter.data_page_maxes(columns, offsets, &all).unwrap());
        let counts = converter.data_page_row_counts(offsets, groups, &all).unwrap().unwrap();
        let mut from = 0;
        for page in 0..counts.len() {
            let here = values.slice(from, counts.value(page) as usize);
            for v in here.iter().flatten() {
                let (low, high) = (low.as_string::<i32>(), high.as_string::<i32>());
                assert!(low.is_null(page) || low.value(page) <= v, "{name}");
                assert!(high.is_null(page) || high.value(page) >= v, "{name}");
            }
            from += counts.value(page) as usize;
        }
        assert_eq!(from, rows.num_rows());
    }
}

#[test]
fn rows_come_back_and_can_be_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let batches = [batch(0, 20_000, true), batch(20_000, 9_000, false), batch(29_000, 31_000, true)];
    let segment = write(&place(dir.path(), 1, 25_000), &batches).unwrap();
    let schema = batches[0].schema();
    // The newest batch comes first.
    let wanted = concat_batches(&schema, batches.iter().rev()).unwrap();
    let got = read(&segment, &schema);
    assert_same(&got, &wanted);
    assert_prunable(&segment, &wanted);
    let (_, metadata) = footer(&segment);
    let groups: Vec<i64> = metadata.row_groups().iter().map(|g| g.num_rows()).collect();
    assert_eq!(groups, [25_000, 25_000, 10_000]);
    let names: Vec<&str> =
        metadata.file_metadata().schema_descr().root_schema().get_fields().iter().map(|f| f.name()).collect();
    assert!(!names.contains(&"user_agent") && names.last() == Some(&"response.body"), "{names:?}");
    assert_eq!((segment.meta.rows, segment.meta.span.min_id, segment.meta.span.max_id), (60_000, 0, 59_999));
}

#[test]
fn few_rows_come_back_too() {
    let dir = tempfile::tempdir().unwrap();
    for rows in [1, 2, 7, 8, 9, 100] {
        let batches = [batch(5, rows, false)];
        let segment = write(&place(dir.path(), rows as u64, 64), &batches).unwrap();
        assert_same(&read(&segment, &batches[0].schema()), &batches[0]);
    }
}

#[test]
fn joined_segments_hold_the_rows_of_all_whatever_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    // Only the second has notes; the third is small and is read.
    let batches = [batch(0, 12_000, false), batch(12_000, 13_000, true), batch(25_000, 50, false)];
    let schema = batches[0].schema();
    let segments: Vec<Arc<Segment>> = (1u64..)
        .zip(&batches)
        .map(|(n, b)| Arc::new(write(&place(dir.path(), n, 8_192), std::slice::from_ref(b)).unwrap()))
        .collect();
    let mut sources: Vec<Source> =
        segments[..2].iter().map(|s| Source::open(s, &schema).unwrap().unwrap()).collect();
    let small = read(&segments[2], &schema);
    let joined = join(&place(dir.path(), 9, 8_192), &mut sources, &[small], &schema).unwrap();
    let wanted = concat_batches(&schema, [&batches[1], &batches[0], &batches[2]]).unwrap();
    assert_same(&read(&joined, &schema), &wanted);
    assert_prunable(&joined, &wanted);
    assert_eq!((joined.meta.rows, joined.meta.span.max_id), (25_050, 25_049));
    // What is joined can be joined again.
    let mut again = [Source::open(&Arc::new(joined), &schema).unwrap().unwrap()];
    let twice = join(&place(dir.path(), 10, 8_192), &mut again, &[], &schema).unwrap();
    assert_same(&read(&twice, &schema), &wanted);
    // A version with other types must read the rows.
    let other: Vec<Field> = schema
        .fields()
        .iter()
        .map(|f| if f.name() == "id" { Field::new("id", DataType::Int32, false) } else { f.as_ref().clone() })
        .collect();
    assert!(Source::open(&segments[0], &Arc::new(Schema::new(other))).unwrap().is_none());
}
