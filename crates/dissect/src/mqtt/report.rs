//! From packets to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::packet::{Packet, Type};
use super::reason;
use crate::fields::Fields;
use crate::messaging::{Asker, call, pairs};
use crate::{Context, seen::Seen};

/// Values of a list that fit on the stack.
const FEW: usize = 32;

/// What the beginning of a connection has told.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// How the client calls itself; empty where that was not seen.
    pub(super) client_id: &'a [u8],
    /// Whether the version of the protocol was seen.
    pub(super) version_known: bool,
}

/// Reports a packet, what acknowledged it, or both. `kind` is that of the packet that it begins with,
/// where that is known.
pub(super) fn emit(
    asker: Asker,
    kind: Option<Type>,
    asked: Option<&Packet>,
    answer: Option<(&Packet, Seen)>,
    incomplete: Option<Incomplete>,
    known: Known<'_>,
    cx: &mut Context<'_>,
) {
    let Known { client_id, version_known } = known;
    let answering = answer.map(|a| a.0);
    // Codes stand in the answer, and in packets that have none.
    let Some(coded) = answering.or(asked) else { return };
    let code = coded.code();
    // What was not seen says nothing.
    let blank = Packet::default();
    let (is_seen, asked) = (asked.is_some(), asked.unwrap_or(&blank));
    let version = if asked.version > 0 { asked.version } else { coded.version };
    let reason = code.and_then(|c| match coded.kind {
        _ if version == 5 => reason::name(c, coded.kind),
        Type::Connack => reason::old_connack(c),
        Type::Suback => reason::old_suback(c),
        _ => None,
    });

    let mut few = [&b""[..]; 2 * FEW];
    let mut many = Vec::new();
    let filters = || asked.filters.iter().map(|s| s.of(asked.arena.text()));
    let granted = || {
        let is_list = matches!(coded.kind, Type::Suback | Type::Unsuback);
        let codes = coded.codes.iter().filter(move |_| is_list);
        let name = |c: &u8| if version == 5 { reason::name(*c, coded.kind) } else { reason::old_suback(*c) };
        codes.map(move |c| name(c).unwrap_or("unknown").as_bytes())
    };
    let all: &[&[u8]] = if asked.filters.len() <= FEW && coded.codes.len() <= FEW {
        for (slot, text) in few.iter_mut().zip(filters().chain(granted())) {
            *slot = text;
        }
        few.get(..asked.filters.len() + granted().count()).unwrap_or_default()
    } else {
        many.extend(filters().chain(granted()));
        &many
    };
    let (filters, granted) = all.split_at(asked.filters.len().min(all.len()));

    let topic = asked.shown(asked.topic).or(asked.shown(asked.will_topic));
    let id = asked.shown(asked.client_id).or(Some(client_id).filter(|t| !t.is_empty()));
    // 3.1 and 3.1.1 look the same but for the CONNECT.
    let number = |level: u8| match level {
        3 | 4 if !version_known => None,
        3 => Some("3.1"),
        4 => Some("3.1.1"),
        5 => Some("5.0"),
        _ => None,
    };
    let mut joined = Vec::new();
    let summary = match filters {
        [] if kind == Some(Type::Connect) => asked.shown(asked.client_id),
        [] => topic,
        [one] => Some(*one),
        several => {
            joined.extend(several.join(&b", "[..]));
            Some(joined.as_slice())
        }
    };

    let mut fields = Fields::<26>::default();
    fields.text(field::MQTT_TYPE, kind.map(|k| k.name().as_bytes()));
    fields.text(field::MQTT_RESPONSE_TYPE, answering.map(|p| p.kind.name().as_bytes()));
    fields.text(field::MQTT_SUMMARY, summary);
    fields.text(field::MQTT_VERSION, number(version).map(str::as_bytes));
    fields.text(field::MQTT_CLIENT_ID, id);
    fields.text(field::MQTT_USER, asked.shown(asked.user));
    fields.text(field::MQTT_TOPIC, topic);
    fields.list(field::MQTT_FILTERS, filters);
    fields.int(field::MQTT_QOS, asked.qos.map(i64::from));
    fields.int(field::MQTT_PACKET_ID, asked.id.or(coded.id).map(i64::from));
    let is_publish = is_seen && asked.kind == Type::Publish;
    let has_message = is_publish || asked.will_topic.is_some();
    let bool = |id, value: Option<bool>, fields: &mut Fields<'_, 26>| {
        if let Some(value) = value {
            fields.add(id, ValueRef::Bool(value));
        }
    };
    bool(field::MQTT_RETAIN, has_message.then_some(asked.retain), &mut fields);
    bool(field::MQTT_DUP, is_publish.then_some(asked.dup), &mut fields);
    bool(field::MQTT_CLEAN_START, asked.clean, &mut fields);
    bool(field::MQTT_SESSION_PRESENT, coded.session_present, &mut fields);
    fields.int(field::MQTT_KEEP_ALIVE, asked.keep_alive.map(i64::from));
    fields.int(field::MQTT_REASON_CODE, code.map(i64::from));
    fields.text(field::MQTT_REASON, reason.map(str::as_bytes));
    fields.text(field::MQTT_REASON_STRING, coded.shown(coded.reason_string));
    fields.list(field::MQTT_GRANTED, granted);
    pairs(&mut fields, field::MQTT_PROPERTIES, &asked.arena, &asked.properties);
    if let Some(p) = answering {
        pairs(&mut fields, field::MQTT_RESPONSE_PROPERTIES, &p.arena, &p.properties);
    }
    fields.int(field::MQTT_PAYLOAD_SIZE, asked.size.and_then(|n| i64::try_from(n).ok()));
    fields.text(field::MQTT_PAYLOAD, Some(&asked.payload[..]).filter(|p| !p.is_empty()));

    let old_refusal = version != 5 && coded.kind == Type::Connack;
    let failed = code.is_some_and(|c| c >= 0x80 || old_refusal && c > 0);
    let client_error = code.filter(|_| failed).is_some_and(|c| {
        if old_refusal { c < 0x80 && c != 3 } else { reason::is_clients_fault(c) || version < 5 }
    });
    let answered = answer.map(|a| a.1).or(asked.answer);
    let asked = (is_seen && !asked.unseen).then_some(asked.seen);
    let (client, server) = match asker {
        Asker::Client => (asked, answered),
        Asker::Server => (answered, asked),
    };
    let call = Call {
        failed,
        client_error,
        incomplete,
        fields: fields.as_slice(),
        ..call(Protocol::Mqtt, asker, client, server, cx)
    };
    cx.emit(&call);
}
