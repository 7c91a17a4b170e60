//! Is this LDAP? A message that reads to its end is, or the beginning of one that is long enough.

use remora_model::Transport;

use super::answer::Answer;
use super::message;
use super::request::Request;
use crate::framed::Front;
use crate::{Role, Verdict};

/// From this many bytes of an unfinished message on, what fits is taken as proof.
const ENOUGH: usize = 64;

/// Text kept while judging.
const KEPT: usize = 1 << 10;

/// Judges the first bytes of a stream, or a datagram.
pub(super) fn probe(bytes: &[u8], transport: Transport) -> Verdict {
    let (len, head) = match message::front(bytes) {
        Front::Bad => return Verdict::No,
        Front::More | Front::Message(_, None) => {
            return if transport == Transport::Udp { Verdict::No } else { Verdict::NeedMore };
        }
        Front::Message(len, Some(head)) => (len, head),
    };
    let role = if head.operation.is_answer { Role::Server } else { Role::Client };
    let whole = usize::try_from(len).ok().and_then(|len| bytes.get(..len));
    if transport == Transport::Udp && whole.is_none() {
        return Verdict::No;
    }
    let Some((_, mut reader)) = message::open(whole.unwrap_or(bytes), whole.is_none()) else {
        return Verdict::No;
    };
    let fits = match role {
        Role::Client => {
            let mut request = Request { tag: head.operation.tag, ..Request::default() };
            request.read(&mut reader, KEPT).is_ok()
                && readable(request.text(request.dn))
                && request.version.is_none_or(|v| (2..=3).contains(&v))
        }
        Role::Server => {
            let mut answer = Answer::default();
            answer.read(&mut reader, b"", KEPT).is_ok()
                && readable(answer.text(answer.message))
                && answer.code.is_none_or(|c| (0..=0xffff).contains(&c))
        }
    };
    match whole {
        _ if !fits => Verdict::No,
        Some(_) => Verdict::Match(role),
        None if bytes.len() >= ENOUGH => Verdict::Match(role),
        None => Verdict::Likely(role),
    }
}

/// True for names and messages as they are.
fn readable(text: &[u8]) -> bool {
    !text.iter().any(|b| matches!(b, 0..=8 | 14..=31))
}

/// Finds the first message of `role` that is certain.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    memchr::memchr_iter(super::ber::SEQUENCE, bytes)
        .find(|&at| bytes.get(at..).is_some_and(|rest| probe(rest, Transport::Tcp) == Verdict::Match(role)))
}
