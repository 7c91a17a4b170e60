//! Fields that are computed from columns: query parameters, cookies, DNS names.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, MapBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use super::{collection, wrong_type};

/// Names in one derived map; what goes beyond is left out, so that a hostile URL cannot make a
/// filter quadratic.
const MAX_ENTRIES: usize = 256;

pub(super) fn map_type() -> DataType {
    let entries = DataType::Struct(
        vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Utf8, true)].into(),
    );
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

/// Builds a map for each text; the first value of a name counts.
fn maps<'a>(
    texts: &'a StringArray,
    parse: impl Fn(&'a str, &mut Vec<(Cow<'a, str>, Cow<'a, str>)>),
) -> Result<ArrayRef> {
    let mut out = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let mut pairs = Vec::new();
    for text in texts {
        if let Some(text) = text {
            pairs.clear();
            parse(text, &mut pairs);
            for (i, (name, value)) in pairs.iter().take(MAX_ENTRIES).enumerate() {
                if !pairs[..i].iter().any(|(n, _)| n == name) {
                    out.keys().append_value(name);
                    out.values().append_value(value);
                }
            }
        }
        out.append(text.is_some())?;
    }
    Ok(Arc::new(out.finish()))
}

fn strings(array: &ArrayRef) -> Result<&StringArray> {
    array.as_string_opt::<i32>().ok_or_else(|| wrong_type(array.as_ref()))
}

/// The parameters of a request target's query (the form encoding of the WHATWG URL standard).
pub(super) fn query_string(url: &ArrayRef) -> Result<ArrayRef> {
    maps(strings(url)?, |url, out| {
        let url = url.split_once('#').map_or(url, |(u, _)| u);
        let Some((_, query)) = url.split_once('?') else { return };
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.push((decode(name), decode(value)));
        }
    })
}

/// Percent-decoding with `+` for a space; a `%` that no two hexadecimal digits follow stays.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        i += 1;
        match b {
            b'+' => out.push(b' '),
            b'%' => match (digit(bytes.get(i)), digit(bytes.get(i + 1))) {
                (Some(high), Some(low)) => {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                    i += 2;
                }
                _ => out.push(b),
            },
            b => out.push(b),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The cookies of `Cookie` (RFC 6265 section 4.2).
pub(super) fn request_cookies(headers: &ArrayRef) -> Result<ArrayRef> {
    let cookie = collection::map_value(headers, "cookie")?;
    present(
        headers,
        maps(strings(&cookie)?, |text, out| {
            for pair in text.split(';') {
                if let Some((name, value)) = pair.split_once('=') {
                    out.push((Cow::Borrowed(name.trim()), Cow::Borrowed(value.trim())));
                }
            }
        })?,
    )
}

/// The cookies of `Set-Cookie` (RFC 6265 section 4.1). Several headers were joined by `, `, which
/// also stands inside the date of `Expires`; a cookie begins only where a name and `=` follow.
pub(super) fn response_cookies(headers: &ArrayRef) -> Result<ArrayRef> {
    let cookies = collection::map_value(headers, "set-cookie")?;
    present(
        headers,
        maps(strings(&cookies)?, |text, out| {
            let mut begins = true;
            for part in text.split(", ") {
                let name = part.split(['=', ';']).next().unwrap_or("");
                let is_cookie = part[name.len()..].starts_with('=') && !name.contains([' ', '\t']);
                // The part after a comma inside a value or a date continues the cookie before.
                if begins || is_cookie {
                    let pair = part.split(';').next().unwrap_or("");
                    if let Some((name, value)) = pair.split_once('=') {
                        out.push((Cow::Borrowed(name.trim()), Cow::Borrowed(value.trim())));
                    }
                }
                begins = false;
            }
        })?,
    )
}

/// A row whose headers are known has cookies, if only none: absent and empty are different.
fn present(headers: &ArrayRef, cookies: ArrayRef) -> Result<ArrayRef> {
    let map = cookies.as_map();
    Ok(Arc::new(arrow::array::MapArray::try_new(
        match map.data_type() {
            DataType::Map(f, _) => Arc::clone(f),
            _ => return Err(wrong_type(map)),
        },
        map.offsets().clone(),
        map.entries().clone(),
        headers.logical_nulls(),
        false,
    )?))
}

/// The texts that are known, without duplicates; unknown when neither is.
pub(super) fn distinct(a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef> {
    let mut out = ListBuilder::new(StringBuilder::new());
    for (a, b) in strings(a)?.iter().zip(strings(b)?) {
        for s in [a, b.filter(|b| Some(*b) != a)].into_iter().flatten() {
            out.values().append_value(s);
        }
        out.append(a.is_some() || b.is_some());
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(map: &ArrayRef, row: usize) -> String {
        remora_model::row::value(map.as_ref(), row).map_or("absent".to_owned(), |v| v.to_string())
    }

    fn headers(name: &str, value: Option<&str>) -> ArrayRef {
        let mut b = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        if let Some(v) = value {
            b.keys().append_value(name);
            b.values().append_value(v);
        }
        b.append(true).unwrap();
        b.append(false).unwrap();
        Arc::new(b.finish())
    }

    #[test]
    fn queries_are_decoded() {
        let urls: ArrayRef = Arc::new(StringArray::from(vec![
            Some("/a?id=1&id=2&x=%41+b&flag&bad=%zz%4#frag=1"),
            Some("/plain"),
            None,
        ]));
        let maps = query_string(&urls).unwrap();
        assert_eq!(shown(&maps, 0), r#"{"id":"1","x":"A b","flag":"","bad":"%zz%4"}"#);
        assert_eq!(shown(&maps, 1), "{}");
        assert_eq!(shown(&maps, 2), "absent");
    }

    #[test]
    fn cookies_are_split_and_dates_are_not() {
        let request = request_cookies(&headers("cookie", Some("a=1; b=x=y;c"))).unwrap();
        assert_eq!(shown(&request, 0), r#"{"a":"1","b":"x=y"}"#);
        assert_eq!(shown(&request, 1), "absent");
        let none = request_cookies(&headers("cookie", None)).unwrap();
        assert_eq!(shown(&none, 0), "{}");
        let set = "id=7; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/, lang=de, theme=dark; Secure";
        let response = response_cookies(&headers("set-cookie", Some(set))).unwrap();
        assert_eq!(shown(&response, 0), r#"{"id":"7","lang":"de","theme":"dark"}"#);
    }
}
