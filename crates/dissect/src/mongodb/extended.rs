//! BSON values as relaxed Extended JSON (MongoDB specification "Extended JSON", version 2).

use std::io::Write as _;

use super::bson::Value;
use crate::json::Json;

/// Milliseconds of the year 10000, before which dates are written as ISO 8601.
const YEAR_10000: i64 = 253_402_300_800_000;

/// Appends the value.
pub(super) fn show(json: &mut Json, value: &Value<'_>) {
    match *value {
        Value::Double(n) if n.is_finite() => json.double(n),
        Value::Double(n) => {
            let text = if n.is_nan() {
                "NaN"
            } else if n > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            wrapped(json, "$numberDouble", |json| json.string(text.as_bytes()));
        }
        Value::Text(text) => json.string(text),
        Value::Binary(subtype, data) => wrapped(json, "$binary", |json| {
            json.open(b'{');
            json.name("base64");
            json.base64(data);
            json.name("subType");
            json.string(&hex(&[subtype]));
            json.close();
        }),
        Value::Undefined => wrapped(json, "$undefined", |json| json.word("true")),
        Value::Id(id) => wrapped(json, "$oid", |json| json.string(&object_id(id))),
        Value::Bool(b) => json.word(if b { "true" } else { "false" }),
        Value::Date(ms) => wrapped(json, "$date", |json| date(json, ms)),
        Value::Null => json.word("null"),
        Value::Regex(pattern, options) => wrapped(json, "$regularExpression", |json| {
            json.open(b'{');
            json.name("pattern");
            json.string(pattern);
            json.name("options");
            json.string(options);
            json.close();
        }),
        Value::Pointer(ns, id) => wrapped(json, "$dbPointer", |json| {
            json.open(b'{');
            json.name("$ref");
            json.string(ns);
            json.name("$id");
            wrapped(json, "$oid", |json| json.string(&object_id(id)));
            json.close();
        }),
        Value::Code(code) => wrapped(json, "$code", |json| json.string(code)),
        Value::Symbol(text) => wrapped(json, "$symbol", |json| json.string(text)),
        Value::Int(n) => json.int(n.into()),
        Value::Long(n) => json.int(n),
        Value::Timestamp(t, i) => wrapped(json, "$timestamp", |json| {
            json.open(b'{');
            json.name("t");
            json.int(t.into());
            json.name("i");
            json.int(i.into());
            json.close();
        }),
        Value::Decimal(bits) => wrapped(json, "$numberDecimal", |json| decimal(json, bits)),
        Value::MinKey => wrapped(json, "$minKey", |json| json.int(1)),
        Value::MaxKey => wrapped(json, "$maxKey", |json| json.int(1)),
        Value::Deep => json.word("null"),
    }
}

/// What stands for a secret.
pub(super) fn hidden(json: &mut Json) {
    json.string(b"***");
}

fn wrapped(json: &mut Json, name: &str, value: impl FnOnce(&mut Json)) {
    json.open(b'{');
    json.name(name);
    value(json);
    json.close();
}

fn digit(n: u8) -> u8 {
    if n < 10 { b'0' + n } else { b'a' + n - 10 }
}

fn hex(bytes: &[u8; 1]) -> [u8; 2] {
    [digit(bytes[0] >> 4), digit(bytes[0] & 15)]
}

fn object_id(id: &[u8; 12]) -> [u8; 24] {
    let mut text = [0; 24];
    for (byte, out) in id.iter().zip(text.chunks_mut(2)) {
        out.copy_from_slice(&hex(&[*byte]));
    }
    text
}

/// A short text that is written into a buffer on the stack.
struct Short {
    buf: [u8; 64],
    len: usize,
}

impl Short {
    fn new(text: std::fmt::Arguments<'_>) -> Self {
        let mut buf = [0; 64];
        let mut rest = &mut buf[..];
        // What does not fit is cut; nothing here is as long.
        let _ = rest.write_fmt(text);
        let len = 64 - rest.len();
        Self { buf, len }
    }

    fn text(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }
}

fn date(json: &mut Json, ms: i64) {
    if !(0..YEAR_10000).contains(&ms) {
        return wrapped(json, "$numberLong", |json| json.string(Short::new(format_args!("{ms}")).text()));
    }
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Days since 0000-03-01, so that leap days come last (Hinnant, "chrono-Compatible Low-Level
    // Date Algorithms").
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let text = if ms == 0 {
        Short::new(format_args!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z"))
    } else {
        Short::new(format_args!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z"))
    };
    json.string(text.text());
}

/// Decimal128 as text (IEEE 754-2008 in the form with binary integers; MongoDB specification
/// "BSON Decimal128").
fn decimal(json: &mut Json, bits: u128) {
    const BIAS: i32 = 6_176;
    const LARGEST: u128 = 10_u128.pow(34) - 1;
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    let combination = bits >> 122 & 0x1f;
    if combination == 0x1f {
        return json.string(b"NaN");
    }
    if combination == 0x1e {
        return json.string(Short::new(format_args!("{sign}Infinity")).text());
    }
    // The other form has coefficients of more than 34 digits only, which count as 0.
    let wide = combination >> 3 == 3;
    let exponent = (bits >> if wide { 111 } else { 113 } & 0x3fff) as i32 - BIAS;
    let coefficient = if wide { 0 } else { bits & ((1 << 113) - 1) };
    let coefficient = if coefficient > LARGEST { 0 } else { coefficient };
    let digits = Short::new(format_args!("{coefficient}"));
    let digits = std::str::from_utf8(digits.text()).unwrap_or_default();
    let count = digits.len() as i32;
    let scientific = count - 1 + exponent;
    let text = if exponent > 0 || scientific < -6 {
        let (first, rest) = digits.split_at(1.min(digits.len()));
        let dot = if rest.is_empty() { "" } else { "." };
        Short::new(format_args!("{sign}{first}{dot}{rest}E{scientific:+}"))
    } else if exponent == 0 {
        Short::new(format_args!("{sign}{digits}"))
    } else {
        let point = count + exponent;
        match usize::try_from(point) {
            Ok(at @ 1..) => {
                let (whole, part) = digits.split_at(at.min(digits.len()));
                Short::new(format_args!("{sign}{whole}.{part}"))
            }
            _ => {
                let zeros = "000000".get(..point.unsigned_abs() as usize).unwrap_or_default();
                Short::new(format_args!("{sign}0.{zeros}{digits}"))
            }
        }
    };
    json.string(text.text());
}
