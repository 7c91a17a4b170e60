//! Reading requests, and putting them in the queue for their responses.

use remora_model::Incomplete;

use super::{Begin, Kafka, LITTLE};
use crate::kafka::wire::Stop;
use crate::kafka::{api, detect, header, report};
use crate::{Context, Problem, Role, seen::Seen};

/// Bytes at the end of unusable data in which the beginning of a request may lie.
const TAIL: usize = 1 << 10;

/// Bytes of the largest token that is believed (`sasl.server.max.receive.size` of brokers).
const MAX_TOKEN: i32 = 512 << 10;

impl Kafka {
    pub(super) fn begin_request(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Begin {
        let rest = bytes.get(at..).unwrap_or_default();
        let found = header::request(rest);
        let (header, client_id, len) = match found {
            Ok(found) if !self.tokens || api::body(found.0.api_key, found.0.api_version).is_some() => found,
            Err(Stop::Short) => return Begin::More,
            Ok(_) | Err(Stop::Bad) => return self.begin_token(Role::Client, at, rest, cx),
        };
        if header.api_key != api::SASL_HANDSHAKE {
            self.tokens = false;
        }
        let asking = &mut self.asking;
        asking.header = header;
        match client_id {
            Some(id) => {
                let kept = asking.client_id.get_or_insert_default();
                kept.clear();
                kept.extend_from_slice(id);
            }
            None => asking.client_id = None,
        }
        let budget =
            if self.held > cx.limits.flow_bytes { LITTLE.min(cx.limits.payload) } else { cx.limits.payload };
        let body = api::body(header.api_key, header.api_version);
        self.open(Role::Client, at, header.size, body.is_some(), cx);
        let side = self.side(Role::Client);
        side.message.begin(budget, cx.limits);
        let left = u64::from(header.size) + 4 - len as u64;
        match body {
            Some(body) => {
                let flexible = header::is_flexible(body, header.api_version);
                side.walker.begin(body.request, header.api_version, flexible, flexible, left);
            }
            None => cx.problem(Problem::Opaque, left),
        }
        Begin::Message(len)
    }

    /// A token of an authentication, if one may come.
    pub(super) fn begin_token(&mut self, role: Role, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Begin {
        let Some(size) = rest.first_chunk::<4>().map(|s| i32::from_be_bytes(*s)) else { return Begin::More };
        match u32::try_from(size) {
            Ok(n) if self.tokens && size <= MAX_TOKEN => {
                self.open_token(role, at, n, cx);
                Begin::Message(4)
            }
            _ => Begin::Lost(Problem::Malformed),
        }
    }

    /// The request in `asking` has been read as far as it can be.
    pub(super) fn asked(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let fresh = self.fresh();
        let mut p = std::mem::replace(&mut self.asking, fresh);
        std::mem::swap(&mut p.message, &mut self.side(Role::Client).message);
        (p.seen, p.incomplete, p.doubtful) = (seen, incomplete, false);
        let key = p.header.api_key;
        self.tokens |= key == api::SASL_HANDSHAKE && p.header.api_version == 0;
        if key == api::PRODUCE && p.message.acks == Some(0) {
            report::emit(Some(p.asked()), None, incomplete, cx);
            return self.recycle(p);
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            // Brokers answer in order: of all that wait, the oldest has the least hope.
            let bytes = self.pending.front().map_or(0, |p| p.seen.bytes);
            cx.problem(Problem::TooManyPending, u64::try_from(bytes).unwrap_or(0));
            self.give_up(Incomplete::NoResponse, cx);
        }
        self.held += p.memory();
        self.pending.push_back(p);
    }

    pub(super) fn find_request(&self, bytes: &[u8]) -> Result<usize, usize> {
        detect::find_request(bytes).ok_or(bytes.len().saturating_sub(TAIL))
    }
}
