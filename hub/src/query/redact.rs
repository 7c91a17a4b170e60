//! Masks credentials in answers.

use remora_model::secret::{MASK, masked_header};
use serde_json::{Map, Value};

/// Masks credentials in the header and cookie maps of a row.
pub fn row(row: &mut Map<String, Value>) {
    for field in ["request.headers", "response.headers"] {
        if let Some(Value::Object(headers)) = row.get_mut(field) {
            for (name, value) in headers.iter_mut() {
                if let Some(masked) = masked_header(name, value.as_str().unwrap_or_default()) {
                    *value = masked.into();
                }
            }
        }
    }
    for field in ["request.cookies", "response.cookies"] {
        if let Some(Value::Object(cookies)) = row.get_mut(field) {
            cookies.values_mut().for_each(|v| *v = MASK.into());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_masked_and_the_rest_stays() {
        let mut r = json!({
            "request.headers": {"authorization": "Bearer abc.def", "cookie": "s=1", "accept": "*/*"},
            "response.headers": {"set-cookie": "s=2; Path=/"},
            "request.cookies": {"s": "1"},
            "path": "/a"
        });
        row(r.as_object_mut().unwrap());
        assert_eq!(
            r,
            json!({
                "request.headers": {"authorization": "Bearer ***", "cookie": "***", "accept": "*/*"},
                "response.headers": {"set-cookie": "***"},
                "request.cookies": {"s": "***"},
                "path": "/a"
            })
        );
    }
}
