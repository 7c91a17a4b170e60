//! Maps of headers and cookies without their credentials.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapBuilder, StringBuilder};
use datafusion::common::Result;
use remora_model::secret::{MASK, masked_header};

use super::wrong_type;

/// Values of headers that are credentials are masked.
pub(super) fn headers(map: &ArrayRef) -> Result<ArrayRef> {
    values(map, |name, value| masked_header(name, value).map_or(Cow::Borrowed(value), Cow::Owned))
}

/// Every value is masked: a cookie's name does not tell what it is good for.
pub(super) fn cookies(map: &ArrayRef) -> Result<ArrayRef> {
    values(map, |_, _| Cow::Borrowed(MASK))
}

fn values(array: &ArrayRef, shown: impl for<'a> Fn(&str, &'a str) -> Cow<'a, str>) -> Result<ArrayRef> {
    let map = array.as_map_opt().ok_or_else(|| wrong_type(array.as_ref()))?;
    let text =
        |column: &ArrayRef| column.as_string_opt::<i32>().cloned().ok_or_else(|| wrong_type(column.as_ref()));
    let (keys, values) = (text(map.keys())?, text(map.values())?);
    let mut out = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (row, ends) in map.offsets().windows(2).enumerate() {
        let &[from, to] = ends else { continue };
        if map.is_valid(row) {
            for i in usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0) {
                let name = keys.value(i);
                out.keys().append_value(name);
                out.values().append_option(values.is_valid(i).then(|| shown(name, values.value(i))));
            }
        }
        out.append(map.is_valid(row))?;
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_and_the_rest_stays() {
        let mut b = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for (name, value) in [("authorization", "Bearer abc"), ("accept", "*/*")] {
            b.keys().append_value(name);
            b.values().append_value(value);
        }
        b.append(true).unwrap();
        b.append(false).unwrap();
        b.keys().append_value("cookie");
        b.values().append_null();
        b.append(true).unwrap();
        let map: ArrayRef = Arc::new(b.finish());
        let shown = |map: &ArrayRef, row| remora_model::row::value(map.as_ref(), row).map(|v| v.to_string());
        let masked = headers(&map).unwrap();
        assert_eq!(shown(&masked, 0).unwrap(), r#"{"authorization":"Bearer ***","accept":"*/*"}"#);
        assert_eq!(shown(&masked, 1), None);
        assert_eq!(shown(&masked, 2).unwrap(), r#"{"cookie":null}"#);
        let masked = cookies(&map).unwrap();
        assert_eq!(shown(&masked, 0).unwrap(), r#"{"authorization":"***","accept":"***"}"#);
    }
}
