//! Secrets of TLS connections, from key logs.

use std::collections::HashMap;

/// Connections of which secrets are kept.
const MAX_CONNECTIONS: usize = 1 << 20;

/// Bytes of the longest secret: that of a SHA-512.
const MAX_SECRET: usize = 64;

/// Bytes of the longest line that is read.
const MAX_LINE: usize = 1_024;

/// What a secret is for (the labels of the key log format, draft-ietf-tls-keylogfile section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    /// The master secret, up to TLS 1.2.
    Master,
    /// TLS 1.3: the client's early data.
    ClientEarly,
    /// TLS 1.3: the client's part of the handshake.
    ClientHandshake,
    /// TLS 1.3: the server's part of the handshake.
    ServerHandshake,
    /// TLS 1.3: what the client sends after it.
    ClientTraffic,
    /// TLS 1.3: what the server sends after it.
    ServerTraffic,
}

impl Label {
    const COUNT: usize = 6;

    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"CLIENT_RANDOM" => Self::Master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Self::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Self::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Self::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Self::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Self::ServerTraffic,
            _ => return None,
        })
    }
}

/// One secret, of up to 64 bytes. It is not printed.
#[derive(Clone, Copy)]
pub(crate) struct Secret {
    bytes: [u8; MAX_SECRET],
    len: u8,
}

impl Secret {
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self { bytes: [0; MAX_SECRET], len: u8::try_from(bytes.len()).ok()? };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(secret)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The secrets of one connection.
#[derive(Clone, Debug, Default)]
struct Connection(Box<[Option<Secret>; Label::COUNT]>);

/// What [`Secrets::add_key_log`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLogRead {
    /// Secrets that were taken over, repeated ones included.
    pub secrets: usize,
    /// Lines with a label that means nothing here, such as exporter secrets. Not a fault.
    pub other: usize,
    /// Lines that are not of the format.
    pub bad: usize,
    /// Secrets for which there was no room: at most 1,048,576 connections are kept.
    pub refused: usize,
}

/// Secrets with which recorded TLS connections can be read, by the random number in the client's
/// hello. Engines share them read-only.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    connections: HashMap<[u8; 32], Connection>,
}

impl Secrets {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Connections of which there are secrets.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Takes over the secrets in a key log: what applications write into the file that the
    /// environment variable `SSLKEYLOGFILE` names, and what capture files have in their
    /// decryption secrets blocks. Of a secret that comes twice the newer one is kept.
    pub fn add_key_log(&mut self, text: &[u8]) -> KeyLogRead {
        let mut read = KeyLogRead::default();
        for line in text.split(|b| *b == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match parse(line) {
                Line::Secret(label, random, secret) => {
                    if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&random) {
                        read.refused += 1;
                        continue;
                    }
                    let connection = self.connections.entry(random).or_default();
                    if let Some(slot) = connection.0.get_mut(label as usize) {
                        *slot = Some(secret);
                    }
                    read.secrets += 1;
                }
                Line::Other => read.other += 1,
                Line::Bad => read.bad += 1,
            }
        }
        read
    }

    /// A secret of the connection whose client hello has this random number.
    pub(crate) fn get(&self, random: &[u8; 32], label: Label) -> Option<&Secret> {
        self.connections.get(random)?.0.get(label as usize)?.as_ref()
    }

    /// True when there is any secret of that connection.
    pub(crate) fn knows(&self, random: &[u8; 32]) -> bool {
        self.connections.contains_key(random)
    }
}

enum Line {
    Secret(Label, [u8; 32], Secret),
    Other,
    Bad,
}

fn parse(line: &[u8]) -> Line {
    if line.len() > MAX_LINE {
        return Line::Bad;
    }
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let (Some(label), Some(random), Some(secret), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Line::Bad;
    };
    if !label.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_') {
        return Line::Bad;
    }
    let Some(label) = Label::from_name(label) else { return Line::Other };
    let mut first = [0; 32];
    let mut second = [0; MAX_SECRET];
    let (Some(32), Some(len)) = (unhex(random, &mut first), unhex(secret, &mut second)) else {
        return Line::Bad;
    };
    match second.get(..len).and_then(Secret::new) {
        // A master secret has 48 bytes (RFC 5246 section 8.1), the others the length of a hash.
        Some(secret) if len == 48 || (label != Label::Master && [32, 64].contains(&len)) => {
            Line::Secret(label, first, secret)
        }
        _ => Line::Bad,
    }
}

/// Reads hexadecimal digits and says how many bytes they are.
fn unhex(digits: &[u8], into: &mut [u8]) -> Option<usize> {
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > into.len() {
        return None;
    }
    for (slot, [high, low]) in into.iter_mut().zip(pairs) {
        *slot = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(pairs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_log_is_read() {
        let (random, master, secret) = ("ab".repeat(32), "cd".repeat(48), "ef".repeat(32));
        let log = format!(
            "# a comment\n\nCLIENT_RANDOM {random} {master}\r\nSERVER_TRAFFIC_SECRET_0 {random} {secret}\n\
             EXPORTER_SECRET {random} {secret}\nCLIENT_RANDOM {random} {secret}\nnonsense\nCLIENT_RANDOM xx yy\n"
        );
        let mut secrets = Secrets::default();
        let read = secrets.add_key_log(log.as_bytes());
        assert_eq!(read, KeyLogRead { secrets: 2, other: 1, bad: 3, refused: 0 });
        assert_eq!(secrets.connections(), 1);
        assert_eq!(secrets.get(&[0xab; 32], Label::Master).unwrap().bytes(), [0xcd; 48]);
        assert_eq!(secrets.get(&[0xab; 32], Label::ServerTraffic).unwrap().bytes(), [0xef; 32]);
        assert!(secrets.get(&[0xab; 32], Label::ClientTraffic).is_none());
        assert!(!secrets.knows(&[0; 32]));
        // What is secret is not printed.
        assert!(!format!("{secrets:?}").contains("239"));
    }
}
