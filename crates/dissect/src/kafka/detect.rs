//! Is this Kafka? A request that decodes to its end is; a response could be something else until
//! the client has been heard.

use remora_model::Transport;

use super::header::{self, RequestHeader};
use super::schema::{Body, Field, Kind, Mark};
use super::token::{Step, Token, Value};
use super::walk::Walker;
use super::wire::Stop;
use super::{api, error};
use crate::{Role, Verdict};

/// Bytes of a message that have to fit its table where the rest is not there yet.
const ENOUGH: usize = 64;

/// A request of that many bytes is certain even without a client id.
const LONG: u32 = 40;

/// Keys of the APIs whose responses a server's stream is likely to begin with: ApiVersions,
/// Metadata, authentication, the coordinator, and what clients do all the time.
const FREQUENT: [i16; 14] = [18, 3, 17, 36, 10, 0, 1, 2, 11, 14, 12, 9, 22, 68];

/// How well bytes fit what they are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The message is whole and fits.
    Whole,
    /// Its beginning fits: so many bytes that could have been wrong. Of responses only records count:
    /// numbers and short texts are found in nearly everything.
    Part(usize),
    No,
}

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match (request(bytes), response(bytes)) {
        (Verdict::Match(role), _) => Verdict::Match(role),
        (Verdict::Likely(role), _) | (Verdict::No, Verdict::Likely(role)) => Verdict::Likely(role),
        (Verdict::NeedMore, _) | (_, Verdict::NeedMore) => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

/// Where the first request may begin. Where a response does, only the dissector can tell, which
/// knows what is open.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    match role {
        Role::Client => find_request(bytes),
        Role::Server => (!bytes.is_empty()).then_some(0),
    }
}

/// The first request in `bytes` that is certain.
pub(super) fn find_request(bytes: &[u8]) -> Option<usize> {
    // A key below 256 has a zero in front.
    memchr::memchr_iter(0, bytes.get(4..)?)
        .find(|&at| bytes.get(at..).is_some_and(|b| matches!(request(b), Verdict::Match(_))))
}

fn request(bytes: &[u8]) -> Verdict {
    let (header, client_id, at) = match header::request(bytes) {
        Ok(found) => found,
        Err(Stop::Short) => return Verdict::NeedMore,
        Err(Stop::Bad) => return Verdict::No,
    };
    let named = client_id.is_some_and(|id| !id.is_empty());
    let Some(body) = api::body(header.api_key, header.api_version) else {
        let known = api::find(header.api_key).is_some() && named;
        return if known { Verdict::Likely(Role::Client) } else { Verdict::No };
    };
    let rest = bytes.get(at..).unwrap_or_default();
    match request_fit(body, &header, rest, at) {
        Fit::Whole if named || header.size >= LONG => Verdict::Match(Role::Client),
        Fit::Part(n) if n >= ENOUGH && named => Verdict::Match(Role::Client),
        Fit::Whole | Fit::Part(_) => Verdict::Likely(Role::Client),
        Fit::No => Verdict::No,
    }
}

/// Whether what follows the first `at` bytes of a request fits.
pub(super) fn request_fit(body: &Body, header: &RequestHeader, rest: &[u8], at: usize) -> Fit {
    let left = u64::from(header.size) + 4 - at as u64;
    let flexible = header::is_flexible(body, header.api_version);
    let mut walker = Walker::default();
    walker.begin(body.request, header.api_version, flexible, flexible, left);
    fit(&mut walker, rest, true)
}

fn response(bytes: &[u8]) -> Verdict {
    let (size, correlation) = match header::response(bytes) {
        Ok(found) => found,
        Err(Stop::Short) => return Verdict::NeedMore,
        Err(Stop::Bad) => return Verdict::No,
    };
    if correlation < 0 {
        return Verdict::No;
    }
    let rest = bytes.get(header::RESPONSE..).unwrap_or_default();
    let mut walker = Walker::default();
    let fits = FREQUENT.iter().filter_map(|&key| Some((key, api::find(key)?.body?))).any(|(key, body)| {
        (0..=body.latest)
            .any(|version| response_fit_by(&mut walker, body, key, version, size, rest) != Fit::No)
    });
    if fits { Verdict::Likely(Role::Server) } else { Verdict::No }
}

/// Whether `rest` is what follows the header of a response of `size` bytes.
pub(super) fn response_fit(body: &Body, key: i16, version: i16, size: u32, rest: &[u8]) -> Fit {
    response_fit_by(&mut Walker::default(), body, key, version, size, rest)
}

fn response_fit_by(walker: &mut Walker, body: &Body, key: i16, version: i16, size: u32, rest: &[u8]) -> Fit {
    let left = u64::from(size).saturating_sub(4);
    let flexible = header::is_flexible(body, version);
    let tags = header::has_response_tags(body, key, version);
    walker.begin(body.response, version, flexible, tags, left);
    fit(walker, rest, false)
}

/// Walks over what is there. `all`: not only records count.
fn fit(walker: &mut Walker, bytes: &[u8], all: bool) -> Fit {
    let (mut at, mut proof) = (0, 0);
    loop {
        match walker.step(bytes.get(at..).unwrap_or_default()) {
            // Anything can stand there.
            Step::Token(n, Token::Piece(_)) => at += n,
            Step::Token(n, token) if is_plausible(token) => {
                proof += if all { n } else { 0 };
                at += n;
                if let Token::Blob(Field { kind: Kind::Records, .. }, len) = token {
                    match batch_fit(bytes.get(at..).unwrap_or_default(), len) {
                        Some(more) => proof += more,
                        None => return Fit::No,
                    }
                }
            }
            Step::Quiet(n) => {
                proof += if all { n } else { 0 };
                at += n;
            }
            Step::More => return Fit::Part(proof),
            Step::Done => return Fit::Whole,
            Step::Token(..) | Step::Fault => return Fit::No,
        }
    }
}

/// Whether `len` bytes of records may begin like that, and for how much proof it is good.
fn batch_fit(bytes: &[u8], len: u32) -> Option<usize> {
    let (Some(length), Some(magic)) = (bytes.get(8..12), bytes.get(16)) else { return Some(0) };
    let length = length.iter().fold(0_u32, |n, &b| n << 8 | u32::from(b));
    match (magic, len.checked_sub(12)) {
        // Not whole: the end of a fetch.
        (0..=2, Some(room)) if length > room => Some(0),
        // Checksum and all: nobody else's bytes look like that.
        (2, Some(_)) => Some(ENOUGH),
        (0 | 1, Some(_)) => Some(8),
        _ => None,
    }
}

/// True for what a broker could have sent under that mark.
fn is_plausible(token: Token<'_>) -> bool {
    match token {
        Token::Value(Field { mark: Mark::Topic, .. }, Value::Text(name)) => {
            name.len() <= 249
                && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        }
        Token::Value(Field { mark: Mark::Error, .. }, Value::Int(code)) => {
            i16::try_from(code).is_ok_and(error::is_plausible)
        }
        Token::Value(Field { mark: Mark::Acks, .. }, Value::Int(acks)) => (-1..=1).contains(&acks),
        // All that tells a response to ApiVersions from any other bytes. Keys and versions are given
        // out one after the other; the largest key is 94 in Kafka 4.2.
        Token::Value(Field { name: "apiKey", .. }, Value::Int(key)) => (0..1_000).contains(&key),
        Token::Value(Field { name: "minVersion" | "maxVersion", .. }, Value::Int(version)) => {
            (0..100).contains(&version)
        }
        // It counts how often the members of a group have changed.
        Token::Value(Field { name: "generationId", .. }, Value::Int(n)) => (-1..1 << 24).contains(&n),
        Token::Value(_, Value::Text(text)) => {
            std::str::from_utf8(text).is_ok() && !text.iter().any(u8::is_ascii_control)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
