//! What the constants of a file tell: versions, and signs of TLS code that no symbol shows.

use crate::elf::Elf;
use crate::found::{Function, Kind};
use crate::problem::Part;
use crate::reader::Source;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    pub(crate) versions: Vec<(Kind, String)>,
    /// A sign of TLS code of any library, with the words that a report uses.
    pub(crate) tls: Option<&'static str>,
    /// Addresses of the path of BoringSSL's `ssl_lib.cc`.
    pub(crate) ssl_lib: Vec<u64>,
    /// Addresses of the path of OpenSSL's `ssl_lib.c`.
    pub(crate) openssl: Vec<u64>,
    /// Addresses of the names of OpenSSL's functions, which other code may name as well.
    pub(crate) functions: Vec<(u64, Function)>,
    /// Addresses of the labels of key logs, with their number in [`LABELS`].
    pub(crate) labels: Vec<(u64, usize)>,
}

impl Strings {
    /// The version of a library.
    pub(crate) fn version(&self, kind: Kind) -> Option<String> {
        self.versions.iter().find(|(of, _)| *of == kind).map(|(_, version)| version.clone())
    }
}

/// A word, and the library whose version follows it.
const VERSIONS: &[(&[u8], Kind)] = &[
    (b"OpenSSL ", Kind::OpenSsl),
    (b"LibreSSL ", Kind::LibreSsl),
    (b"AWS-LC ", Kind::AwsLc),
    (b"NSS ", Kind::Nss),
    (b"NSPR ", Kind::Nspr),
    (b"bed TLS ", Kind::MbedTls),
    (b"wolfSSL ", Kind::WolfSsl),
    (b"/rustls-", Kind::Rustls),
];

/// What every TLS 1.3 implementation signs (RFC 8446, 4.4.3), and programs that only look at TLS do not
/// have.
const SIGN: &[u8] = b"TLS 1.3, server CertificateVerify";

/// Labels of key logs that are arguments where secrets are logged (draft-ietf-tls-keylogfile-02,
/// section 2). Linkers put the end of one string and another one in the same place.
const LABELS: &[&[u8]] = &[
    b"CLIENT_RANDOM\0",
    b"EXPORTER_SECRET\0",
    b"EARLY_EXPORTER_SECRET\0",
    b"CLIENT_EARLY_TRAFFIC_SECRET\0",
    b"CLIENT_HANDSHAKE_TRAFFIC_SECRET\0",
    b"SERVER_HANDSHAKE_TRAFFIC_SECRET\0",
    b"CLIENT_TRAFFIC_SECRET_0\0",
    b"SERVER_TRAFFIC_SECRET_0\0",
];

/// BoringSSL's file, and OpenSSL's.
const SSL_LIB_CC: &[u8] = b"ssl/ssl_lib.cc\0";
const SSL_LIB_C: &[u8] = b"ssl/ssl_lib.c\0";
/// How the names of its functions begin, as strings of their own.
const SSL_FUNCTION: &[u8] = b"\0SSL_";
/// Longest path and version.
const AROUND: usize = 256;

/// Looks through the constants.
pub(crate) fn scan(elf: &Elf, source: &mut Source<'_>) -> Part<Strings> {
    let mut found = Strings::default();
    for range in elf.constants() {
        source.pieces(range, AROUND, "constants", |at, bytes| {
            piece(elf, at, bytes, &mut found);
            true
        })?;
    }
    Ok(found)
}

fn piece(elf: &Elf, at: u64, bytes: &[u8], found: &mut Strings) {
    for (word, kind) in VERSIONS {
        if found.version(*kind).is_some() {
            continue;
        }
        for i in memchr::memmem::find_iter(bytes, word) {
            let version = version_at(&bytes[i + word.len()..]).filter(|v| is_full(*kind, v));
            // "OpenSSL 1.1.1 (compatible; BoringSSL)" is what the relatives call themselves.
            let compatible =
                bytes[i..].get(..64.min(bytes.len() - i)).is_some_and(|b| contains(b, b"(compatible"));
            if let Some(version) = version.filter(|_| !(compatible && *kind == Kind::OpenSsl)) {
                found.versions.push((*kind, version));
                break;
            }
        }
    }
    if found.tls.is_none() && contains(bytes, SIGN) {
        found.tls = Some("it has the context of TLS 1.3 signatures");
    }
    for (word, known) in [(SSL_LIB_CC, &mut found.ssl_lib), (SSL_LIB_C, &mut found.openssl)] {
        for i in memchr::memmem::find_iter(bytes, word) {
            // The string begins after the NUL before it; references lead to its beginning.
            let start = memchr::memrchr(0, &bytes[..i]).map_or(i, |nul| nul + 1);
            if let Some(address) = elf.address_of(at + start as u64)
                && i - start < AROUND
                && !known.contains(&address)
                && known.len() < MOST
            {
                known.push(address);
            }
        }
    }
    for (number, label) in LABELS.iter().enumerate() {
        for i in memchr::memmem::find_iter(bytes, label) {
            if let Some(address) = elf.address_of(at + i as u64)
                && !found.labels.contains(&(address, number))
                && found.labels.len() < MOST
            {
                found.labels.push((address, number));
            }
        }
    }
    for i in memchr::memmem::find_iter(bytes, SSL_FUNCTION) {
        let string = bytes[i + 1..].split(|b| *b == 0).next().unwrap_or(&[]);
        let named = |f: &&Function| f.kind() == Kind::OpenSsl && f.symbol().as_bytes() == string;
        if let Some(function) = Function::ALL.iter().find(named)
            && let Some(address) = elf.address_of(at + i as u64 + 1)
            && !found.functions.contains(&(address, *function))
            && found.functions.len() < MOST
        {
            found.functions.push((address, *function));
        }
    }
}

/// Strings of one sort that are kept.
const MOST: usize = 64;

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(bytes, word).is_some()
}

/// Whether it is a version and no mention of a series ("as of OpenSSL 3.0"). Mozilla's have two parts.
fn is_full(kind: Kind, version: &str) -> bool {
    matches!(kind, Kind::Nss | Kind::Nspr) || version.matches('.').count() >= 2
}

/// A version at the start of the bytes: digits, dots, and letters as in `1.1.1w` and `3.6.0-beta1`.
fn version_at(bytes: &[u8]) -> Option<String> {
    let len = bytes.iter().take(24).take_while(|b| b.is_ascii_alphanumeric() || b".-".contains(b)).count();
    let version = std::str::from_utf8(&bytes[..len]).ok()?.trim_end_matches(['.', '-']);
    let begins = version.bytes().next()?.is_ascii_digit() && version.as_bytes().get(1) == Some(&b'.');
    let begins = begins || (version.len() > 3 && version.as_bytes()[..2].iter().all(u8::is_ascii_digit));
    (begins && version.contains('.')).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_at;

    #[test]
    fn versions_are_told_from_words() {
        assert_eq!(version_at(b"3.0.17 1 Jul 2025\0").as_deref(), Some("3.0.17"));
        assert_eq!(version_at(b"1.1.1w  11 Sep 2023\0").as_deref(), Some("1.1.1w"));
        assert_eq!(version_at(b"0.23.27/src/conn.rs").as_deref(), Some("0.23.27"));
        assert_eq!(version_at(b"3.87.1 $\0").as_deref(), Some("3.87.1"));
        assert_eq!(version_at(b"1\0"), None);
        assert_eq!(version_at(b"%s\0"), None);
        assert_eq!(version_at(b"error\0"), None);
    }
}
