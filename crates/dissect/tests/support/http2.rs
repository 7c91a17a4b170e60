//! Writes HTTP/2: frames, and header blocks in every representation.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::VecDeque;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITY: u8 = 32;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// What a client says first.
pub fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])].concat()
}

/// What a server says first.
pub fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])
}

/// A message of gRPC.
pub fn message(flags: u8, bytes: &[u8]) -> Vec<u8> {
    [&[flags], (bytes.len() as u32).to_be_bytes().as_slice(), bytes].concat()
}

/// Some of the static table (RFC 7541 appendix A).
const STATIC: &[(usize, &str, &str)] = &[
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (8, ":status", "200"),
    (13, ":status", "404"),
    (14, ":status", "500"),
    (31, "content-type", ""),
    (54, "server", ""),
    (58, "user-agent", ""),
];

/// How the next field is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By its index where it has one, else it is added.
    Indexed,
    /// As a literal that is added to the table.
    Added,
    /// As a literal that is not, its name by index where it has one.
    Literal,
    /// The same, never to be indexed, with its name spelt out.
    Never,
}

/// Writes header blocks of one direction.
#[derive(Clone, Debug)]
pub struct Encoder {
    table: VecDeque<(String, String)>,
    max: usize,
    resized: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: VecDeque::new(), max: 4_096, resized: false }
    }
}

fn integer(out: &mut Vec<u8>, first: u8, bits: u32, mut value: usize) {
    let mask = (1 << bits) - 1;
    if value < mask {
        return out.push(first | value as u8);
    }
    out.push(first | mask as u8);
    value -= mask;
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn string(out: &mut Vec<u8>, text: &str) {
    integer(out, 0, 7, text.len());
    out.extend(text.as_bytes());
}

impl Encoder {
    /// The next block begins with a change of the table's size.
    pub fn resize(&mut self, max: usize) {
        self.max = max;
        self.resized = true;
        self.evict(0);
    }

    fn evict(&mut self, room: usize) {
        let size =
            |t: &VecDeque<(String, String)>| t.iter().map(|(n, v)| 32 + n.len() + v.len()).sum::<usize>();
        while size(&self.table) + room > self.max && self.table.pop_back().is_some() {}
    }

    fn find(&self, name: &str, value: Option<&str>) -> Option<usize> {
        let fits = |n: &str, v: &str| n == name && value.is_none_or(|value| v == value);
        let fixed = STATIC.iter().find(|(_, n, v)| fits(n, v)).map(|f| f.0);
        let dynamic = || self.table.iter().position(|(n, v)| fits(n, v)).map(|i| 62 + i);
        fixed.or_else(dynamic)
    }

    pub fn block(&mut self, fields: &[(&str, &str)], mut how: impl FnMut(&str) -> How) -> Vec<u8> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.resized) {
            integer(&mut out, 0x20, 5, self.max);
        }
        for (name, value) in fields {
            let how = how(name);
            if how == How::Indexed
                && let Some(index) = self.find(name, Some(value))
            {
                integer(&mut out, 0x80, 7, index);
                continue;
            }
            let (first, bits) = match how {
                How::Indexed | How::Added => (0x40, 6),
                How::Literal => (0, 4),
                How::Never => (0x10, 4),
            };
            let index = if how == How::Never { 0 } else { self.find(name, None).unwrap_or(0) };
            integer(&mut out, first, bits, index);
            if index == 0 {
                string(&mut out, name);
            }
            string(&mut out, value);
            if matches!(how, How::Indexed | How::Added) {
                let size = 32 + name.len() + value.len();
                self.evict(size);
                if size <= self.max {
                    self.table.push_front(((*name).to_owned(), (*value).to_owned()));
                }
            }
        }
        out
    }

    /// A block in one frame.
    pub fn headers(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
        let block = self.block(fields, |_| How::Indexed);
        frame(HEADERS, flags | END_HEADERS, stream, &block)
    }
}

/// The fields of a request.
pub fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop.example:8080")]
}

/// The fields of a request of gRPC.
pub fn rpc(path: &str) -> Vec<(&str, &str)> {
    let mut fields = get(path);
    fields[0].1 = "POST";
    fields.extend([("content-type", "application/grpc+proto"), ("te", "trailers")]);
    fields
}
