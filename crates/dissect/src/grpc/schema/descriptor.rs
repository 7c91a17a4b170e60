//! Descriptors as they are sent (protobuf's descriptor.proto), into a [`Pool`].

use super::pool::{Field, Kind, Message, Pool, Signature, TooLarge, Type, TypeId};
use crate::grpc::wire::{self, MAX_DEPTH, Value};

/// `FieldDescriptorProto.Label.LABEL_REPEATED`.
const REPEATED: u64 = 3;

/// Adds what a `FileDescriptorProto` describes. What is no part of one is passed over.
pub(super) fn add_file(pool: &mut Pool, file: &[u8]) -> Result<(), TooLarge> {
    let package = wire::fields(file).find(|(n, _)| *n == 2).map_or("", |(_, v)| text(v));
    for (number, value) in wire::fields(file) {
        let Value::Bytes(bytes) = value else { continue };
        match number {
            4 => add_message(pool, package, bytes, 0)?,
            5 => add_enum(pool, package, bytes)?,
            6 => add_service(pool, package, bytes)?,
            7 => add_extension(pool, package, bytes)?,
            _ => {}
        }
    }
    Ok(())
}

fn text(value: Value<'_>) -> &str {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    }
}

/// Longest full name that is looked at, in bytes. Names lie within each other, so that the length of
/// the descriptor does not bound their sum.
const MAX_NAME: usize = 1 << 10;

/// A name within another.
fn within(scope: &str, name: &str) -> Result<String, TooLarge> {
    match (scope.len() + 1 + name.len() <= MAX_NAME, scope) {
        (false, _) => Err(TooLarge),
        (true, "") => Ok(name.to_owned()),
        (true, _) => Ok(format!("{scope}.{name}")),
    }
}

fn add_message(pool: &mut Pool, scope: &str, bytes: &[u8], depth: usize) -> Result<(), TooLarge> {
    if depth >= MAX_DEPTH {
        return Ok(());
    }
    let name = wire::fields(bytes).find(|(n, _)| *n == 1).map_or("", |(_, v)| text(v));
    let name = within(scope, name)?;
    let id = pool.id(&name)?;
    let (mut fields, mut is_entry) = (Vec::new(), false);
    let before = pool.cost();
    for (number, value) in wire::fields(bytes) {
        let Value::Bytes(inner) = value else { continue };
        match number {
            2 => fields.extend(field(pool, inner, None)?.map(|(f, _)| f)),
            7 => is_entry = wire::fields(inner).any(|f| f == (7, Value::Varint(1))),
            _ => {}
        }
    }
    // What the fields refer to by new names stays when the message is described anew.
    let cost = (size_of::<Field>() * fields.len()).min(pool.cost() - before);
    fields.sort_by_key(|f: &Field| f.number);
    fields.dedup_by_key(|f| f.number);
    pool.define(id, Type::Message(Message { fields: fields.into(), is_entry }), cost);
    for (number, value) in wire::fields(bytes) {
        let Value::Bytes(inner) = value else { continue };
        match number {
            3 => add_message(pool, &name, inner, depth + 1)?,
            4 => add_enum(pool, &name, inner)?,
            6 => add_extension(pool, &name, inner)?,
            _ => {}
        }
    }
    Ok(())
}

/// A field, and the message that it extends. `scope` is given for extensions, whose names in JSON
/// are their full names in brackets.
fn field(pool: &mut Pool, bytes: &[u8], scope: Option<&str>) -> Result<Option<(Field, TypeId)>, TooLarge> {
    let (mut name, mut json, mut of, mut extendee) = ("", "", "", "");
    let (mut number, mut repeated, mut kind) = (0, false, None);
    for (n, value) in wire::fields(bytes) {
        match (n, value) {
            (1, _) => name = text(value),
            (2, _) => extendee = text(value),
            (3, Value::Varint(v)) => number = u32::try_from(v).unwrap_or(0),
            (4, Value::Varint(v)) => repeated = v == REPEATED,
            (5, Value::Varint(v)) => kind = Kind::of(v),
            (6, _) => of = text(value),
            (10, _) => json = text(value),
            _ => {}
        }
    }
    // Edition-less descriptors may leave the type of a reference open; it is a message nearly always.
    let kind = kind.or((!of.is_empty()).then_some(Kind::Message));
    let (Some(kind), true) = (kind, number > 0) else { return Ok(None) };
    let name = match scope {
        Some(scope) => {
            let full = within(scope, name)?;
            format!("[{full}]")
        }
        None if json.is_empty() => camel(name),
        None => json.to_owned(),
    };
    pool.charge(size_of::<Field>() + name.len())?;
    let of = if of.is_empty() { TypeId::MAX } else { pool.id(of)? };
    let extendee = if scope.is_some() { pool.id(extendee)? } else { TypeId::MAX };
    Ok(Some((Field { number, kind, repeated, of, name: name.into() }, extendee)))
}

/// `lower_case` as JSON has it: `lowerCase`.
pub(in crate::grpc) fn camel(name: &str) -> String {
    let (mut out, mut upper) = (String::with_capacity(name.len()), false);
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            out.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c });
        }
    }
    out
}

fn add_extension(pool: &mut Pool, scope: &str, bytes: &[u8]) -> Result<(), TooLarge> {
    if let Some((field, extendee)) = field(pool, bytes, Some(scope))? {
        pool.extend(extendee, field)?;
    }
    Ok(())
}

fn add_enum(pool: &mut Pool, scope: &str, bytes: &[u8]) -> Result<(), TooLarge> {
    let name = wire::fields(bytes).find(|(n, _)| *n == 1).map_or("", |(_, v)| text(v));
    let name = within(scope, name)?;
    let id = pool.id(&name)?;
    let (mut values, mut cost) = (Vec::new(), 0);
    for (number, value) in wire::fields(bytes) {
        let (2, Value::Bytes(inner)) = (number, value) else { continue };
        let (mut name, mut value) = ("", 0);
        for (n, v) in wire::fields(inner) {
            match (n, v) {
                (1, _) => name = text(v),
                // Sign-extended to 64 bits.
                (2, Value::Varint(v)) => value = v as i32,
                _ => {}
            }
        }
        let one = size_of::<(i32, Box<str>)>() + name.len();
        pool.charge(one)?;
        cost += one;
        values.push((value, Box::from(name)));
    }
    // The first of several names is the one that JSON shows.
    values.sort_by_key(|(value, _)| *value);
    values.dedup_by_key(|(value, _)| *value);
    pool.define(id, Type::Enum(values.into()), cost);
    Ok(())
}

fn add_service(pool: &mut Pool, scope: &str, bytes: &[u8]) -> Result<(), TooLarge> {
    let name = wire::fields(bytes).find(|(n, _)| *n == 1).map_or("", |(_, v)| text(v));
    let name = within(scope, name)?;
    let mut methods = Vec::new();
    for (number, value) in wire::fields(bytes) {
        let (2, Value::Bytes(inner)) = (number, value) else { continue };
        let (mut method, mut types, mut streams) = ("", [""; 2], [false; 2]);
        for (n, v) in wire::fields(inner) {
            match (n, v) {
                (1, _) => method = text(v),
                (2, _) => types[0] = text(v),
                (3, _) => types[1] = text(v),
                (5, Value::Varint(v)) => streams[0] = v != 0,
                (6, Value::Varint(v)) => streams[1] = v != 0,
                _ => {}
            }
        }
        pool.charge(size_of::<(Box<str>, Signature)>() + method.len())?;
        let [input, output] = types;
        let signature = Signature { types: [pool.id(input)?, pool.id(output)?], streams };
        methods.push((Box::from(method), signature));
    }
    pool.serve(&name, methods.into())
}
