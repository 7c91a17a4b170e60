//! Reading responses, and pairing them with requests.

use remora_model::Incomplete;

use super::{Begin, Kafka};
use crate::kafka::detect::{self, Fit};
use crate::kafka::report::{self, Answered};
use crate::kafka::wire::Stop;
use crate::kafka::{api, header};
use crate::{Context, Problem, Role, seen::Seen};

/// The error with which a broker answers an ApiVersions request of a version that it does not
/// know; the response has version 0 then (KIP-511).
const UNSUPPORTED_VERSION: [u8; 2] = [0, 35];

/// Proof with which a response is believed after a gap although its end is not there: a batch of records
/// is in it.
const ENOUGH: usize = 64;

/// Bytes of a response among which that has to be, or its end.
const WITHIN: usize = 16 << 10;

/// How much higher than another the correlation id of a response right behind it may be: clients
/// count, and brokers answer in order.
const AHEAD: i32 = 1 << 10;

/// Bytes of the largest response that is waited for to the end to tell whether it is one.
const MAX_ODD: u32 = 16 << 10;

impl Kafka {
    pub(super) fn begin_response(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Begin {
        let rest = bytes.get(at..).unwrap_or_default();
        let (size, correlation) = match header::response(rest) {
            Ok(found) => found,
            Err(Stop::Short) => return Begin::More,
            Err(Stop::Bad) => return self.begin_token(Role::Server, at, rest, cx),
        };
        let Some(index) = self.waiting(correlation) else {
            if self.tokens {
                return self.begin_token(Role::Server, at, rest, cx);
            }
            if !self.confirmed {
                return Begin::Lost(Problem::Unsynced);
            }
            self.correlation = correlation;
            self.open(Role::Server, at, size, false, cx);
            self.side(Role::Server).message.begin(cx.limits.payload, cx.limits);
            cx.problem(Problem::Opaque, u64::from(size) - 4);
            return Begin::Message(header::RESPONSE);
        };
        let Some((key, mut version)) = self.version_of(index) else {
            return Begin::Lost(Problem::Unsynced);
        };
        if key == api::API_VERSIONS && size >= 6 {
            match rest.get(header::RESPONSE..header::RESPONSE + 2) {
                None => return Begin::More,
                Some(error) if *error == UNSUPPORTED_VERSION => version = 0,
                Some(_) => {}
            }
        }
        let body = api::body(key, version);
        if !self.confirmed
            && let Some(body) = body
        {
            let shown = rest.get(header::RESPONSE..).unwrap_or_default();
            if detect::response_fit(body, key, version, size, shown) == Fit::No {
                match self.is_framed(rest, size) {
                    Some(true) => {}
                    Some(false) => return Begin::Lost(Problem::Unsynced),
                    None => return Begin::More,
                }
            }
        }
        self.correlation = correlation;
        self.answering = self.take(index);
        self.open(Role::Server, at, size, body.is_some(), cx);
        let side = self.side(Role::Server);
        side.message.begin(cx.limits.payload, cx.limits);
        let left = u64::from(size) - 4;
        match body {
            Some(body) => {
                let (flexible, tags) =
                    (header::is_flexible(body, version), header::has_response_tags(body, key, version));
                side.walker.begin(body.response, version, flexible, tags, left);
            }
            None => cx.problem(Problem::Opaque, left),
        }
        Begin::Message(header::RESPONSE)
    }

    /// Whether a response of `size` bytes that does not fit its table is one all the same: it ends
    /// where nothing more has come, or where another one begins. `None`: its end will tell.
    fn is_framed(&self, rest: &[u8], size: u32) -> Option<bool> {
        match rest.get(4 + size as usize..) {
            None if size <= MAX_ODD => None,
            None => Some(false),
            Some(after) => Some(match header::response(after) {
                Ok((_, correlation)) => self.waiting(correlation).is_some(),
                Err(stop) => stop == Stop::Short,
            }),
        }
    }

    /// The place in the queue of the request with that correlation id.
    fn waiting(&self, correlation: i32) -> Option<usize> {
        self.pending.iter().position(|p| p.header.correlation == correlation)
    }

    fn version_of(&self, index: usize) -> Option<(i16, i16)> {
        self.pending.get(index).map(|p| (p.header.api_key, p.header.api_version))
    }

    /// The response has been read as far as it can be.
    pub(super) fn answered(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let p = self.answering.take();
        let message = &self.sides[Role::Server.index()].message;
        let answered = Answered { correlation: self.correlation, message: p.as_ref().map(|_| message), seen };
        let incomplete = match &p {
            Some(p) => p.incomplete.or(incomplete),
            None => Some(Incomplete::NoRequest),
        };
        report::emit(p.as_ref().map(|p| p.asked()), Some(answered), incomplete, cx);
        let Some(p) = p else { return };
        self.confirmed |= incomplete.is_none();
        // Brokers answer in order, so what was asked before is not answered any more. Only where
        // bytes are missing is that believed.
        let asked = p.seen.pos;
        self.recycle(p);
        while self.pending.front().is_some_and(|p| p.doubtful && p.seen.pos < asked) {
            self.give_up(Incomplete::Gap, cx);
        }
    }

    /// Where in `bytes` the response to an open request begins; else how many of them to pass over.
    ///
    /// Small numbers and zeros stand in every response, so that a length and a correlation id are found
    /// where there are none. A response has to fit its table to the end, and what is behind it has to be
    /// another one; or records are in it.
    pub(super) fn find_response(&self, bytes: &[u8]) -> Result<usize, usize> {
        let last = bytes.len().saturating_sub(header::RESPONSE - 1);
        let mut waits = None;
        for at in 0..last {
            let rest = bytes.get(at..).unwrap_or_default();
            let Ok((size, correlation)) = header::response(rest) else { continue };
            let Some((key, version)) = self.waiting(correlation).and_then(|i| self.version_of(i)) else {
                continue;
            };
            let body = rest.get(header::RESPONSE..).unwrap_or_default();
            let version =
                if key == api::API_VERSIONS && body.starts_with(&UNSUPPORTED_VERSION) { 0 } else { version };
            let fit = match api::body(key, version) {
                Some(table) => detect::response_fit(table, key, version, size, body),
                // Of what is not described, the end at least can be checked.
                None if size as usize - 4 <= body.len() => Fit::Whole,
                None => Fit::Part(0),
            };
            let fits = match fit {
                Fit::Whole => {
                    self.is_followed(rest.get(4 + size as usize..).unwrap_or_default(), correlation)
                }
                Fit::Part(n) if n >= ENOUGH => Some(true),
                Fit::Part(_) => {
                    if rest.len() < WITHIN {
                        None
                    } else {
                        Some(false)
                    }
                }
                Fit::No => Some(false),
            };
            match fits {
                Some(true) => return Ok(at),
                Some(false) => {}
                // More bytes will tell, unless another response is found in those that are there.
                None => waits = waits.or(Some(at)),
            }
        }
        Err(waits.unwrap_or(last))
    }

    /// Whether `after` may follow the response with that correlation id: nothing yet, or another one.
    fn is_followed(&self, after: &[u8], correlation: i32) -> Option<bool> {
        match header::response(after) {
            _ if after.is_empty() => Some(true),
            Ok((_, next)) => {
                let ahead = next.wrapping_sub(correlation);
                Some(self.waiting(next).is_some() || (1..AHEAD).contains(&ahead))
            }
            Err(Stop::Short) => None,
            Err(Stop::Bad) => Some(false),
        }
    }
}
