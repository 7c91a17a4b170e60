//! From methods to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::message::Message;
use super::method::{self, Kind, Mark, Method};
use crate::Context;
use crate::fields::Fields;
use crate::messaging::{Asker, call, pairs};

/// Codes of a close that is no fault: reply-success (AMQP 0-9-1, section 1.1), and what clients say
/// that do not set one.
const SUCCESS: [u16; 2] = [200, 0];

/// What the connection knows beside what was said.
pub(super) struct Known<'a> {
    /// The queue of the consumer.
    pub(super) queue: Option<&'a [u8]>,
    pub(super) user: &'a [u8],
    pub(super) virtual_host: &'a [u8],
}

/// Reports what the client said, what the server said, or both.
pub(super) fn emit(
    asker: Asker,
    client: Option<&Message>,
    server: Option<&Message>,
    known: Known<'_>,
    incomplete: Option<Incomplete>,
    scratch: &mut Vec<u8>,
    cx: &mut Context<'_>,
) {
    let (first, second) = match asker {
        Asker::Client => (client, server),
        Asker::Server => (server, client),
    };
    let (asked, answer) = (first, second);
    let Some(any) = asked.or(answer) else { return };
    let sides = || [asked, answer].into_iter().flatten();
    let text = |of: fn(&Message) -> Option<&[u8]>| sides().find_map(of);

    let exchange = text(|m| m.shown(m.exchange));
    let routing_key = text(|m| m.shown(m.routing_key));
    let queue = text(|m| m.shown(m.queue)).or(known.queue);
    let tag = text(|m| m.shown(m.consumer_tag));
    let reply = text(|m| m.shown(m.reply_text));
    let user = text(|m| m.shown(m.user)).or(Some(known.user).filter(|t| !t.is_empty()));
    let host = text(|m| m.shown(m.virtual_host)).or(Some(known.virtual_host).filter(|t| !t.is_empty()));
    let code = sides().find_map(|m| m.reply_code);
    // Where what was asked was not seen, its answer may tell.
    let unseen = answer.filter(|a| asked.is_none() && !a.vague).and_then(|a| a.method);
    let method = asked.map_or_else(|| unseen.and_then(method::asked_by), |q| q.method);
    let name = match (asked, answer) {
        // The protocol header is called by what answers it.
        (Some(Message { method: None, .. }) | None, Some(a)) if a.is(method::START) => Some(a.name),
        (None, Some(a)) if a.method.is_none() => Some(a.name),
        _ => method.map(|m| m.name).or(asked.map(|q| q.name)),
    };

    let mut names = [&b""[..]; 8];
    let mut set = 0;
    let flags = asked.map_or(0, |q| q.bits);
    let args = asked.and_then(|q| q.method).map_or(&[][..], |m| m.args);
    for (i, arg) in args.iter().filter(|a| a.kind == Kind::Bit).enumerate() {
        let shown = !matches!(arg.mark, Mark::Redelivered | Mark::Reserved);
        if shown
            && flags >> i & 1 == 1
            && let Some(slot) = names.get_mut(set)
        {
            *slot = arg.name.as_bytes();
            set += 1;
        }
    }

    summarize(method, asked, [exchange, routing_key, queue, tag, reply, host], scratch);

    let mut fields = Fields::<26>::default();
    fields.text(field::AMQP_METHOD, name.map(str::as_bytes));
    fields.text(field::AMQP_RESPONSE_METHOD, answer.filter(|m| !m.vague).map(|m| m.name.as_bytes()));
    fields.text(field::AMQP_SUMMARY, Some(&scratch[..]).filter(|t| !t.is_empty()));
    fields.int(field::AMQP_CHANNEL, Some(any.channel.into()));
    fields.text(field::AMQP_EXCHANGE, exchange);
    fields.text(field::AMQP_ROUTING_KEY, routing_key);
    fields.text(field::AMQP_QUEUE, queue);
    fields.text(field::AMQP_CONSUMER_TAG, tag);
    let delivery = asked.and_then(|q| q.delivery_tag.or(q.confirm)).or(answer.and_then(|m| m.delivery_tag));
    fields.int(field::AMQP_DELIVERY_TAG, delivery.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    if let Some(again) = sides().find_map(|m| m.redelivered) {
        fields.add(field::AMQP_REDELIVERED, ValueRef::Bool(again));
    }
    fields.int(field::AMQP_MESSAGE_COUNT, sides().find_map(|m| m.messages).map(i64::from));
    fields.int(field::AMQP_CONSUMER_COUNT, sides().find_map(|m| m.consumers).map(i64::from));
    fields.list(field::AMQP_FLAGS, names.get(..set).unwrap_or_default());
    if let Some(q) = asked {
        pairs(&mut fields, field::AMQP_ARGUMENTS, &q.arena, &q.arguments);
    }
    if let Some(a) = answer {
        pairs(&mut fields, field::AMQP_RESPONSE_ARGUMENTS, &a.arena, &a.arguments);
    }
    if let Some(m) = sides().find(|m| m.content.begun) {
        pairs(&mut fields, field::AMQP_PROPERTIES, &m.arena, &m.content.properties);
        pairs(&mut fields, field::AMQP_HEADERS, &m.arena, &m.content.headers);
        fields.int(field::AMQP_BODY_SIZE, i64::try_from(m.content.size).ok());
        fields.text(field::AMQP_BODY, Some(&m.content.body[..]).filter(|b| !b.is_empty()));
    }
    fields.int(field::AMQP_REPLY_CODE, code.map(i64::from));
    fields.text(field::AMQP_REPLY_TEXT, reply);
    fields.text(field::AMQP_VIRTUAL_HOST, host);
    fields.text(field::AMQP_USER, user);
    fields.text(field::AMQP_MECHANISM, text(|m| m.shown(m.mechanism)));

    // The server turns a version or a publish down.
    let turned_down =
        server.is_some_and(|m| m.is(method::NACK) || m.method.is_none() && asker == Asker::Client);
    let call = Call {
        failed: code.is_some_and(|c| !SUCCESS.contains(&c)) || turned_down,
        client_error: code.is_some_and(is_clients_fault),
        incomplete,
        fields: fields.as_slice(),
        ..call(Protocol::Amqp, asker, client.map(|m| m.seen), server.map(|m| m.seen), cx)
    };
    cx.emit(&call);
}

/// True for the reply codes that blame the client (AMQP 0-9-1, section 1.1).
fn is_clients_fault(code: u16) -> bool {
    matches!(code, 311..=313 | 402..=406 | 501..=505 | 530)
}

/// What a method is about, in a line.
fn summarize(method: Option<&Method>, asked: Option<&Message>, texts: [Option<&[u8]>; 6], out: &mut Vec<u8>) {
    let [exchange, key, queue, tag, reply, host] = texts;
    out.clear();
    let about = match method.map(|m| (m.class, m.id)) {
        Some(method::START_OK) => [asked.and_then(|q| q.shown(q.user)), None],
        Some((10, 40)) => [host, None],
        Some((10 | 20, _)) => [reply, None],
        Some(method::RETURN) => [reply, exchange.or(key)],
        Some(method::DELIVER) => [queue.or(tag), None],
        Some((60, 70)) => [queue, None],
        Some((50, 20 | 50)) => [queue, exchange],
        _ => [exchange.or(queue), key.or(queue.filter(|_| exchange.is_some())).or(tag)],
    };
    for text in about.into_iter().flatten() {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(text);
    }
}
