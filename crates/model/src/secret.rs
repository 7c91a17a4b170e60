//! Which captured values are credentials, and what is shown in their place.

/// Headers whose values are credentials, in small letters.
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

/// What is shown of a header's value, if it is a credential. A scheme such as `Bearer` stays, for it
/// tells how a client authenticated and nothing more.
pub fn masked_header(name: &str, value: &str) -> Option<String> {
    if !SECRET_HEADERS.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
        return None;
    }
    let scheme = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    Some(match value.split_once(' ') {
        Some((word, _)) if name.to_ascii_lowercase().ends_with("authorization") && scheme(word) => {
            format!("{word} {MASK}")
        }
        _ => MASK.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_of_a_credential_is_shown() {
        let shown = |name, value| masked_header(name, value);
        assert_eq!(shown("authorization", "Bearer abc.def").as_deref(), Some("Bearer ***"));
        assert_eq!(shown("Proxy-Authorization", "to:p secret").as_deref(), Some("***"));
        assert_eq!(shown("authorization", "topsecret").as_deref(), Some("***"));
        assert_eq!(shown("Set-Cookie", "s=2; Path=/").as_deref(), Some("***"));
        assert_eq!(shown("accept", "*/*"), None);
    }
}
