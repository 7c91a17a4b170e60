//! Masks credentials in answers.

use serde_json::{Map, Value};

/// Headers whose values are credentials.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-vault-token",
];

/// What stands in place of a credential.
pub const MASK: &str = "***";

/// Masks credentials in the header and cookie maps of a row. A scheme such as `Bearer` stays, for
/// it tells how a client authenticated and nothing more.
pub fn row(row: &mut Map<String, Value>) {
    for field in ["request.headers", "response.headers"] {
        if let Some(Value::Object(headers)) = row.get_mut(field) {
            for (name, value) in headers.iter_mut() {
                if SECRET_HEADERS.contains(&name.as_str()) {
                    *value = mask(name, value).into();
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

fn mask(name: &str, value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match (name.ends_with("authorization"), text.split_once(' ')) {
        (true, Some((scheme, _))) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            format!("{scheme} {MASK}")
        }
        _ => MASK.to_owned(),
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

    #[test]
    fn a_secret_without_a_scheme_does_not_show() {
        let mut r =
            json!({"request.headers": {"authorization": "topsecret", "proxy-authorization": "to:p secret"}});
        row(r.as_object_mut().unwrap());
        assert!(!r.to_string().contains("secret"), "{r}");
    }
}
