//! Lines of a TLS key log (draft-ietf-tls-keylogfile): label, client random, secret.

/// A line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyLogError {
    /// Empty, or a comment.
    #[error("the line says nothing")]
    Nothing,
    /// It does not have three parts of the right form.
    #[error("not LABEL, 64 hexadecimal digits and a secret of 32 to 256 hexadecimal digits")]
    Malformed,
}

/// A secret of a TLS connection, in the form that stands in key logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret {
    line: String,
    random: [u8; 32],
}

/// Without the secret.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("random", &self.random).finish_non_exhaustive()
    }
}

/// Longest label; the ones that exist have up to 31 characters.
const MAX_LABEL: usize = 64;
/// Longest secret in digits; the longest that exist are those of SHA-384 and TLS 1.2: 96.
const MAX_SECRET: usize = 256;
/// The most that a line can have.
pub(crate) const MAX_LINE: usize = MAX_LABEL + 64 + MAX_SECRET + 3;

impl Secret {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no line of a key log that names its connection by a client random.
    pub fn parse(line: &str) -> Result<Self, KeyLogError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Err(KeyLogError::Nothing);
        }
        let mut parts = line.split_ascii_whitespace();
        let (Some(label), Some(random), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyLogError::Malformed);
        };
        let label_ok = label.len() <= MAX_LABEL
            && label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        let secret_ok = (32..=MAX_SECRET).contains(&secret.len())
            && secret.len().is_multiple_of(2)
            && secret.bytes().all(|b| b.is_ascii_hexdigit());
        match client_random(random) {
            Some(random_bytes) if label_ok && secret_ok => {
                Ok(Self { line: format!("{label} {random} {secret}\n"), random: random_bytes })
            }
            _ => Err(KeyLogError::Malformed),
        }
    }

    /// The client random of its connection.
    pub fn random(&self) -> &[u8; 32] {
        &self.random
    }

    /// The line with its end.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// A number to know it again by.
    pub(crate) fn fingerprint(&self) -> u64 {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        BuildHasherDefault::<DefaultHasher>::default().hash_one(&self.line)
    }
}

fn client_random(text: &str) -> Option<[u8; 32]> {
    let mut random = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (to, pair) in random.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *to = u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.last()?)?).ok()?;
    }
    Some(random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_read() {
        let random = "ab".repeat(32);
        let line = format!("CLIENT_RANDOM {random} {}", "0F".repeat(48));
        let secret = Secret::parse(&format!("  {line}\r\n")).unwrap();
        assert_eq!(secret.random(), &[0xab; 32]);
        assert_eq!(secret.line(), format!("{line}\n"));
        assert!(!format!("{secret:?}").contains("0F0F"));
        assert_eq!(Secret::parse("# SSL key log").unwrap_err(), KeyLogError::Nothing);
        let long = "00".repeat(129);
        for bad in [
            "CLIENT_RANDOM".to_owned(),
            format!("CLIENT_RANDOM {random}"),
            format!("client_random {random} {random}"),
            format!("CLIENT_RANDOM {} {random}", &random[1..]),
            format!("CLIENT_RANDOM {random} {random} x"),
            format!("CLIENT_RANDOM {random} {}", &random[1..]),
            format!("CLIENT_RANDOM {random} {long}"),
            format!("RSA {} {random}", &random[..16]),
        ] {
            assert_eq!(Secret::parse(&bad), Err(KeyLogError::Malformed), "{bad}");
        }
    }
}
