//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::header::RequestHeader;
use super::message::Message;
use super::names::Names;
use super::{api, error};
use crate::fields::Fields;
use crate::{Context, seen::Seen};

/// Values of all lists together that fit on the stack.
const FEW: usize = 64;

/// A request as a call shows it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) header: &'a RequestHeader,
    pub(super) client_id: Option<&'a [u8]>,
    pub(super) message: &'a Message,
    pub(super) seen: Seen,
}

/// A response as a call shows it.
#[derive(Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) correlation: i32,
    /// What it says, where that is known.
    pub(super) message: Option<&'a Message>,
    pub(super) seen: Seen,
}

/// Reports a request, its response, or both.
pub(super) fn emit(
    request: Option<Asked<'_>>,
    response: Option<Answered<'_>>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let asked = request.map(|r| r.message);
    let answer = response.and_then(|r| r.message);
    let sides = || asked.into_iter().chain(answer);

    // What both name stands in the list once.
    fn united(lists: [Option<&Names>; 2]) -> impl Iterator<Item = &[u8]> {
        let [first, second] = lists;
        let new = move |name: &&[u8]| !first.is_some_and(|f| f.contains(name));
        first.into_iter().flat_map(Names::iter).chain(second.into_iter().flat_map(Names::iter).filter(new))
    }
    let topics = || united([asked.map(|m| &m.topics), answer.map(|m| &m.topics)]);
    let partitions = || united([asked.map(|m| &m.partitions), answer.map(|m| &m.partitions)]);
    let keys = || sides().flat_map(|m| m.content.keys.iter());
    let mut few = [&b""[..]; FEW];
    let mut many = Vec::new();
    let upper: usize = sides().map(|m| m.topics.len() + m.partitions.len() + m.content.keys.len()).sum();
    let mut counts = [0; 3];
    let all: &[&[u8]] = if upper <= FEW {
        let mut n = 0;
        for (count, list) in counts.iter_mut().zip([
            &mut topics() as &mut dyn Iterator<Item = &[u8]>,
            &mut partitions(),
            &mut keys(),
        ]) {
            for text in list {
                if let Some(slot) = few.get_mut(n) {
                    *slot = text;
                    n += 1;
                    *count += 1;
                }
            }
        }
        &few
    } else {
        many.extend(topics());
        counts[0] = many.len();
        many.extend(partitions());
        counts[1] = many.len() - counts[0];
        many.extend(keys());
        counts[2] = many.len() - counts[0] - counts[1];
        &many
    };
    let (topics, rest) = all.split_at(counts[0]);
    let (partitions, rest) = rest.split_at(counts[1]);
    let keys = rest.get(..counts[2]).unwrap_or_default();

    let mut fields = Fields::<24>::default();
    fields.add(field::KAFKA_REQUEST, ValueRef::Bool(request.is_some()));
    fields.add(field::KAFKA_RESPONSE, ValueRef::Bool(response.is_some()));
    if let Some(r) = request {
        fields.add(field::KAFKA_API_KEY, ValueRef::Int(r.header.api_key.into()));
        if let Some(api) = api::find(r.header.api_key) {
            fields.add(field::KAFKA_API_KEY_NAME, ValueRef::str(api.name));
        }
        fields.add(field::KAFKA_API_VERSION, ValueRef::Int(r.header.api_version.into()));
        fields.text(field::KAFKA_CLIENT_ID, r.client_id);
    }
    let correlation = request.map(|r| r.header.correlation).or(response.map(|r| r.correlation));
    if let Some(id) = correlation {
        fields.add(field::KAFKA_CORRELATION_ID, ValueRef::Int(id.into()));
    }
    fields.list(field::KAFKA_TOPICS, topics);
    fields.list(field::KAFKA_PARTITIONS, partitions);
    fields.list(field::KAFKA_RECORD_KEYS, keys);
    let text = |of: fn(&Message) -> &[u8]| sides().map(of).find(|t| !t.is_empty());
    let group = text(|m| &m.group);
    let transaction = text(|m| &m.transaction);
    fields.text(field::KAFKA_GROUP, group);
    fields.text(field::KAFKA_TRANSACTIONAL_ID, transaction);
    let mut joined = Vec::new();
    let summary = match topics {
        [] => group.or(transaction).or(asked.map(|m| m.about.as_slice()).filter(|t| !t.is_empty())),
        [one] => Some(*one),
        several => {
            joined.extend(several.join(&b", "[..]));
            Some(joined.as_slice())
        }
    };
    fields.text(field::KAFKA_REQUEST_SUMMARY, summary.filter(|_| request.is_some()));
    fields.int(field::KAFKA_ACKS, asked.and_then(|m| m.acks));
    fields.int(field::KAFKA_RECORDS, sides().find_map(|m| m.content.records));
    fields.text(field::KAFKA_COMPRESSION, sides().find_map(|m| m.content.codec).map(str::as_bytes));
    let code = answer.and_then(|m| m.error);
    fields.int(field::KAFKA_ERROR_CODE, code.map(i64::from));
    fields.text(field::KAFKA_ERROR, code.and_then(error::name).map(str::as_bytes));
    fields.int(field::KAFKA_THROTTLE_TIME_MS, answer.and_then(|m| m.throttle));
    let shown = |m: &'_ Message| m.content.json.text().len() > 2;
    fields.text(field::KAFKA_REQUEST_BODY, asked.filter(|m| shown(m)).map(|m| m.content.json.text()));
    fields.text(field::KAFKA_RESPONSE_BODY, answer.filter(|m| shown(m)).map(|m| m.content.json.text()));

    let (asked, answered) = (request.map(|r| r.seen), response.map(|r| r.seen));
    let call = Call {
        failed: code.is_some_and(|c| c != 0),
        client_error: code.is_some_and(error::blames_client),
        incomplete,
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Kafka, asked, answered)
    };
    cx.emit(&call);
}
