//! The meaning of filters against another implementation of CEL: the `cel` crate. It has no
//! three-valued logic, so rows here have every field, and it is asked what both languages have.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashMap;

use common::{Random, Writer, now, row};
use remora_kfl::{Target, Value, compile, eval};
use remora_model::FieldId;

/// What CEL makes of a value.
fn cel_value(value: Value) -> cel::Value {
    match value {
        Value::Bool(b) => cel::Value::Bool(b),
        Value::Int(n) | Value::Duration(n) => cel::Value::Int(n),
        Value::Time(t) => cel::Value::Int(t.0),
        Value::Text(t) => t.into(),
        Value::List(l) => l.into(),
        Value::Map(m) => m.into_iter().collect::<HashMap<_, _>>().into(),
    }
}

/// The row as variables of CEL: `src.ip` is the key `ip` of a map `src`.
fn variables(row: &HashMap<FieldId, Value>) -> cel::Context<'static, 'static> {
    let mut context = cel::Context::default();
    let mut maps: HashMap<&str, HashMap<String, cel::Value>> = HashMap::new();
    for (id, value) in row {
        let value = cel_value(value.clone());
        match id.def().name.split_once('.') {
            Some((map, key)) => drop(maps.entry(map).or_default().insert(key.to_owned(), value)),
            None => context.add_variable_from_value(id.def().name, value),
        }
    }
    for (name, map) in maps {
        context.add_variable_from_value(name, map);
    }
    context
}

#[test]
fn cel_agrees_where_every_field_is_there() {
    let (mut compared, mut failed) = (0, 0);
    for seed in 0..1_500 {
        let mut random = Random(seed);
        let target = random.of(&[Target::Calls, Target::Flows]);
        let mut writer = Writer::new(&mut random, target);
        writer.plain_cel = true;
        let text = writer.condition(3);
        let Ok(filter) = compile(&text, target, now()) else {
            // A constant out of range.
            continue;
        };
        let program = cel::Program::compile(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        for _ in 0..4 {
            let (_, row) = row(&mut random, target, 0);
            let ours = eval(&filter.expr, &|id| row.get(&id).cloned());
            match program.execute(&variables(&row)) {
                Ok(cel::Value::Bool(theirs)) => {
                    assert_eq!(ours, Some(theirs), "{text}\n{}\n{row:?}", filter.normalised);
                    compared += 1;
                }
                Ok(other) => panic!("{text} gives {other:?}"),
                // Integers beyond 64 bits are an error there and wrap around here.
                Err(cel::ExecutionError::Overflow(..)) => failed += 1,
                Err(e) => panic!("{text}: {e}"),
            }
        }
    }
    assert!(compared > 5_000 && failed < compared / 20, "{compared} compared, {failed} failed");
}
