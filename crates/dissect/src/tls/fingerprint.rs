//! Fingerprints of clients and servers.
//!
//! - JA3 and JA3S (the method of the project `salesforce/ja3`): an MD5 over the numbers in a hello.
//! - JA4 (the method of FoxIO's `technical_details/JA4.md`, which alone of its family is under a
//!   BSD licence): readable counts, and hashes that do not depend on the order of suites and
//!   extensions.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::hello::{ClientHello, ServerHello, extension, is_grease};

/// JA3 of a client: version, suites, extensions, groups, point formats.
pub(super) fn ja3(hello: &ClientHello) -> String {
    let mut text = String::with_capacity(512);
    _ = write!(text, "{},", hello.version);
    join(&mut text, &hello.suites);
    text.push(',');
    join(&mut text, &hello.extensions);
    text.push(',');
    join(&mut text, &hello.groups);
    text.push(',');
    for (i, format) in hello.point_formats.iter().enumerate() {
        _ = write!(text, "{}{format}", if i > 0 { "-" } else { "" });
    }
    hex(&Md5::digest(text.as_bytes()))
}

/// JA3S of a server: version, suite, extensions.
pub(super) fn ja3s(hello: &ServerHello) -> String {
    let mut text = String::with_capacity(128);
    _ = write!(text, "{},{},", hello.version, hello.suite);
    join(&mut text, &hello.extensions);
    hex(&Md5::digest(text.as_bytes()))
}

/// JA4 of a client, by TLS or by QUIC.
pub(super) fn ja4(hello: &ClientHello, quic: bool) -> String {
    let known = |list: &[u16]| list.iter().copied().filter(|id| !is_grease(*id)).collect::<Vec<_>>();
    let mut suites = known(&hello.suites);
    let mut extensions = known(&hello.extensions);
    let version = match hello.versions.iter().copied().filter(|v| !is_grease(*v)).max() {
        Some(newest) => newest,
        None => hello.version,
    };
    let version = match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let sni = if extensions.contains(&extension::SERVER_NAME) { 'd' } else { 'i' };
    let mut text = format!(
        "{}{version}{sni}{:02}{:02}{}_",
        if quic { 'q' } else { 't' },
        suites.len().min(99),
        extensions.len().min(99),
        ends_of(hello.alpn.first().map_or(&[], Vec::as_slice)),
    );
    suites.sort_unstable();
    text += &short_hash(&comma(&suites));
    text.push('_');
    extensions.sort_unstable();
    extensions.retain(|id| ![extension::SERVER_NAME, extension::ALPN].contains(id));
    let mut listed = comma(&extensions);
    let signatures = known(&hello.signatures);
    if !listed.is_empty() && !signatures.is_empty() {
        listed.push('_');
        listed += &comma(&signatures);
    }
    text += &short_hash(&listed);
    text
}

/// First and last character of a protocol's name; of its digits in hexadecimal where one of them
/// is not alphanumeric.
fn ends_of(alpn: &[u8]) -> String {
    let (Some(&first), Some(&last)) = (alpn.first(), alpn.last()) else { return "00".into() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(first), char::from(last)].into_iter().collect();
    }
    let digits = |b: u8| format!("{b:02x}");
    digits(first).chars().take(1).chain(digits(last).chars().skip(1)).collect()
}

/// The first 12 digits of a SHA-256; zeros for an empty list.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(12);
    digits
}

fn comma(list: &[u16]) -> String {
    let mut text = String::with_capacity(list.len() * 5);
    for (i, id) in list.iter().enumerate() {
        _ = write!(text, "{}{id:04x}", if i > 0 { "," } else { "" });
    }
    text
}

/// The numbers without GREASE, joined by hyphens.
fn join(text: &mut String, list: &[u16]) {
    for (i, id) in list.iter().filter(|id| !is_grease(**id)).enumerate() {
        _ = write!(text, "{}{id}", if i > 0 { "-" } else { "" });
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        _ = write!(text, "{b:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hello that the description of JA4 has as its example.
    fn chrome() -> ClientHello {
        let list = |text: &str| text.split(',').map(|n| u16::from_str_radix(n, 16).unwrap()).collect();
        ClientHello {
            version: 0x0303,
            suites: list("0a0a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"),
            extensions: list(
                "1a1a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
            ),
            versions: list("2a2a,0304,0303"),
            signatures: list("0403,0804,0401,0503,0805,0501,0806,0601"),
            groups: list("3a3a,001d,0017,0018"),
            point_formats: vec![0],
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..ClientHello::default()
        }
    }

    #[test]
    fn ja4_of_the_published_example() {
        assert_eq!(ja4(&chrome(), false), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert!(ja4(&chrome(), true).starts_with("q13d1516h2_8daaf6152771_"));
    }

    #[test]
    fn ja4_of_a_bare_hello() {
        let bare = ClientHello { version: 0x0300, ..ClientHello::default() };
        assert_eq!(ja4(&bare, false), "s3i000000_000000000000_000000000000".replacen('s', "ts", 1));
        assert_eq!(ends_of(b"h"), "hh");
        assert_eq!(ends_of(b"\xab"), "ab");
        assert_eq!(ends_of(b"\x30\xab"), "3b");
        assert_eq!(ends_of(b"http/1.1"), "h1");
    }

    #[test]
    fn ja3_leaves_grease_out() {
        let text = "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
            27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0";
        assert_eq!(ja3(&chrome()), hex(&Md5::digest(text.as_bytes())));
        let server = ServerHello {
            version: 771,
            suite: 0xc02f,
            extensions: vec![65281, 0, 11],
            ..ServerHello::default()
        };
        assert_eq!(ja3s(&server), hex(&Md5::digest(b"771,49199,65281-0-11")));
    }
}
