//! Every method: its numbers, its sender, its answers and its arguments. AMQP 0-9-1 specification,
//! part I.2 (XML), and RabbitMQ's extensions: `exchange.bind`, `exchange.unbind`, `confirm.select`,
//! `basic.nack`, `connection.blocked`, `connection.update-secret`.

use crate::Role;

/// Type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Octet,
    Short,
    Long,
    LongLong,
    /// Text behind a length of 8 bits.
    Text,
    /// Bytes behind a length of 32 bits.
    LongText,
    Table,
    /// Consecutive bits share octets.
    Bit,
}

/// What an argument means to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Shown under its name.
    Plain,
    /// Of no interest.
    Reserved,
    /// Never shown.
    Secret,
    /// A SASL response, of which the user is shown.
    Login,
    Exchange,
    RoutingKey,
    Queue,
    ConsumerTag,
    DeliveryTag,
    Messages,
    Consumers,
    ReplyCode,
    ReplyText,
    /// Class and method that a close blames.
    ClassId,
    MethodId,
    VirtualHost,
    Mechanism,
    /// A table whose entries are shown as arguments.
    Arguments,
    /// A bit that is shown by its name where it is set.
    Flag,
    /// The sender wants no answer.
    NoWait,
    /// The acknowledgement is for all up to this number.
    Multiple,
    Redelivered,
}

/// An argument.
#[derive(Debug)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) mark: Mark,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Client,
    Server,
    Both,
}

/// Its place in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is answered by one of these methods.
    Asks(&'static [(u16, u16)]),
    /// It answers.
    Answers,
    /// Neither.
    Alone,
}

/// A method.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) class: u16,
    pub(super) id: u16,
    /// `class.method`, as the specification writes it.
    pub(super) name: &'static str,
    pub(super) from: Says,
    pub(super) turn: Turn,
    /// A content header and a body follow.
    pub(super) has_content: bool,
    pub(super) args: &'static [Arg],
}

impl Method {
    /// True when `role` may say it.
    pub(super) fn is_from(&self, role: Role) -> bool {
        match self.from {
            Says::Both => true,
            Says::Client => role == Role::Client,
            Says::Server => role == Role::Server,
        }
    }

    pub(super) fn is(&self, (class, id): (u16, u16)) -> bool {
        (self.class, self.id) == (class, id)
    }
}

pub(super) const START: (u16, u16) = (10, 10);
pub(super) const START_OK: (u16, u16) = (10, 11);
pub(super) const CONNECTION_CLOSE: (u16, u16) = (10, 50);
pub(super) const CONNECTION_CLOSE_OK: (u16, u16) = (10, 51);
pub(super) const CHANNEL_OPEN: (u16, u16) = (20, 10);
pub(super) const CHANNEL_CLOSE: (u16, u16) = (20, 40);
pub(super) const CHANNEL_CLOSE_OK: (u16, u16) = (20, 41);
pub(super) const CONSUME: (u16, u16) = (60, 20);
pub(super) const CANCEL: (u16, u16) = (60, 30);
pub(super) const PUBLISH: (u16, u16) = (60, 40);
pub(super) const RETURN: (u16, u16) = (60, 50);
pub(super) const DELIVER: (u16, u16) = (60, 60);
pub(super) const ACK: (u16, u16) = (60, 80);
pub(super) const NACK: (u16, u16) = (60, 120);
pub(super) const CONFIRM_SELECT: (u16, u16) = (85, 10);

/// The method with these numbers.
pub(super) fn find(class: u16, id: u16) -> Option<&'static Method> {
    METHODS.binary_search_by_key(&(class, id), |m| (m.class, m.id)).ok().and_then(|i| METHODS.get(i))
}

/// The method of the other side that is answered so, if there is only one.
pub(super) fn asked_by(answer: &Method) -> Option<&'static Method> {
    let number = match (answer.class, answer.id) {
        // What a server confirms or does not.
        ACK | NACK => PUBLISH,
        // A client says it also when the server's close was an answer by itself, and then it has a
        // request of its own before it.
        (10, 51) | (20, 41) => return None,
        number => {
            let asks = |m: &&Method| matches!(m.turn, Turn::Asks(answers) if answers.contains(&number));
            let mut all = METHODS.iter().filter(asks);
            return all.next().filter(|_| all.next().is_none());
        }
    };
    find(number.0, number.1)
}

const fn arg(name: &'static str, kind: Kind, mark: Mark) -> Arg {
    Arg { name, kind, mark }
}

const RESERVED: Arg = arg("", Kind::Short, Mark::Reserved);
const RESERVED_TEXT: Arg = arg("", Kind::Text, Mark::Reserved);
const EXCHANGE: Arg = arg("exchange", Kind::Text, Mark::Exchange);
const ROUTING_KEY: Arg = arg("routing-key", Kind::Text, Mark::RoutingKey);
const QUEUE: Arg = arg("queue", Kind::Text, Mark::Queue);
const TAG: Arg = arg("consumer-tag", Kind::Text, Mark::ConsumerTag);
const DELIVERY: Arg = arg("delivery-tag", Kind::LongLong, Mark::DeliveryTag);
const NO_WAIT: Arg = arg("no-wait", Kind::Bit, Mark::NoWait);
const MULTIPLE: Arg = arg("multiple", Kind::Bit, Mark::Multiple);
const REDELIVERED: Arg = arg("redelivered", Kind::Bit, Mark::Redelivered);
const ARGUMENTS: Arg = arg("", Kind::Table, Mark::Arguments);
const MESSAGES: Arg = arg("message-count", Kind::Long, Mark::Messages);
const CODE: Arg = arg("reply-code", Kind::Short, Mark::ReplyCode);
const REPLY: Arg = arg("reply-text", Kind::Text, Mark::ReplyText);
const CLOSE: &[Arg] = &[
    CODE,
    REPLY,
    arg("class-id", Kind::Short, Mark::ClassId),
    arg("method-id", Kind::Short, Mark::MethodId),
];
const TUNE: &[Arg] = &[
    arg("channel-max", Kind::Short, Mark::Plain),
    arg("frame-max", Kind::Long, Mark::Plain),
    arg("heartbeat", Kind::Short, Mark::Plain),
];
const BIND: &[Arg] = &[
    RESERVED,
    arg("destination", Kind::Text, Mark::Plain),
    arg("source", Kind::Text, Mark::Exchange),
    ROUTING_KEY,
    NO_WAIT,
    ARGUMENTS,
];
const ACTIVE: &[Arg] = &[flag("active")];
const REQUEUE: &[Arg] = &[flag("requeue")];

const fn flag(name: &'static str) -> Arg {
    arg(name, Kind::Bit, Mark::Flag)
}

const fn method(
    class: u16,
    id: u16,
    name: &'static str,
    from: Says,
    turn: Turn,
    args: &'static [Arg],
) -> Method {
    Method { class, id, name, from, turn, has_content: false, args }
}

const fn with_content(id: u16, name: &'static str, from: Says, turn: Turn, args: &'static [Arg]) -> Method {
    Method { class: 60, id, name, from, turn, has_content: true, args }
}

use Says::{Both, Client, Server};
use Turn::{Alone, Answers, Asks};

/// In the order of their numbers.
static METHODS: &[Method] = &[
    method(
        10,
        10,
        "connection.start",
        Server,
        Answers,
        &[
            arg("version-major", Kind::Octet, Mark::Plain),
            arg("version-minor", Kind::Octet, Mark::Plain),
            ARGUMENTS,
            arg("mechanisms", Kind::LongText, Mark::Plain),
            arg("locales", Kind::LongText, Mark::Plain),
        ],
    ),
    method(
        10,
        11,
        "connection.start-ok",
        Client,
        Asks(&[(10, 30), (10, 20)]),
        &[
            ARGUMENTS,
            arg("mechanism", Kind::Text, Mark::Mechanism),
            arg("response", Kind::LongText, Mark::Login),
            arg("locale", Kind::Text, Mark::Plain),
        ],
    ),
    method(10, 20, "connection.secure", Server, Answers, &[arg("challenge", Kind::LongText, Mark::Secret)]),
    method(
        10,
        21,
        "connection.secure-ok",
        Client,
        Asks(&[(10, 30), (10, 20)]),
        &[arg("response", Kind::LongText, Mark::Secret)],
    ),
    method(10, 30, "connection.tune", Server, Answers, TUNE),
    method(10, 31, "connection.tune-ok", Client, Alone, TUNE),
    method(
        10,
        40,
        "connection.open",
        Client,
        Asks(&[(10, 41)]),
        &[
            arg("virtual-host", Kind::Text, Mark::VirtualHost),
            RESERVED_TEXT,
            arg("", Kind::Bit, Mark::Reserved),
        ],
    ),
    method(10, 41, "connection.open-ok", Server, Answers, &[RESERVED_TEXT]),
    method(10, 50, "connection.close", Both, Asks(&[(10, 51)]), CLOSE),
    method(10, 51, "connection.close-ok", Both, Answers, &[]),
    method(10, 60, "connection.blocked", Both, Alone, &[arg("reason", Kind::Text, Mark::ReplyText)]),
    method(10, 61, "connection.unblocked", Both, Alone, &[]),
    method(
        10,
        70,
        "connection.update-secret",
        Client,
        Asks(&[(10, 71)]),
        &[arg("new-secret", Kind::LongText, Mark::Secret), arg("reason", Kind::Text, Mark::Plain)],
    ),
    method(10, 71, "connection.update-secret-ok", Server, Answers, &[]),
    method(20, 10, "channel.open", Client, Asks(&[(20, 11)]), &[RESERVED_TEXT]),
    method(20, 11, "channel.open-ok", Server, Answers, &[arg("", Kind::LongText, Mark::Reserved)]),
    method(20, 20, "channel.flow", Both, Asks(&[(20, 21)]), ACTIVE),
    method(20, 21, "channel.flow-ok", Both, Answers, ACTIVE),
    method(20, 40, "channel.close", Both, Asks(&[(20, 41)]), CLOSE),
    method(20, 41, "channel.close-ok", Both, Answers, &[]),
    method(
        30,
        10,
        "access.request",
        Client,
        Asks(&[(30, 11)]),
        &[
            arg("realm", Kind::Text, Mark::Plain),
            flag("exclusive"),
            flag("passive"),
            flag("active"),
            flag("write"),
            flag("read"),
        ],
    ),
    method(30, 11, "access.request-ok", Server, Answers, &[RESERVED]),
    method(
        40,
        10,
        "exchange.declare",
        Client,
        Asks(&[(40, 11)]),
        &[
            RESERVED,
            EXCHANGE,
            arg("type", Kind::Text, Mark::Plain),
            flag("passive"),
            flag("durable"),
            flag("auto-delete"),
            flag("internal"),
            NO_WAIT,
            ARGUMENTS,
        ],
    ),
    method(40, 11, "exchange.declare-ok", Server, Answers, &[]),
    method(
        40,
        20,
        "exchange.delete",
        Client,
        Asks(&[(40, 21)]),
        &[RESERVED, EXCHANGE, flag("if-unused"), NO_WAIT],
    ),
    method(40, 21, "exchange.delete-ok", Server, Answers, &[]),
    method(40, 30, "exchange.bind", Client, Asks(&[(40, 31)]), BIND),
    method(40, 31, "exchange.bind-ok", Server, Answers, &[]),
    method(40, 40, "exchange.unbind", Client, Asks(&[(40, 51)]), BIND),
    method(40, 51, "exchange.unbind-ok", Server, Answers, &[]),
    method(
        50,
        10,
        "queue.declare",
        Client,
        Asks(&[(50, 11)]),
        &[
            RESERVED,
            QUEUE,
            flag("passive"),
            flag("durable"),
            flag("exclusive"),
            flag("auto-delete"),
            NO_WAIT,
            ARGUMENTS,
        ],
    ),
    method(
        50,
        11,
        "queue.declare-ok",
        Server,
        Answers,
        &[QUEUE, MESSAGES, arg("consumer-count", Kind::Long, Mark::Consumers)],
    ),
    method(
        50,
        20,
        "queue.bind",
        Client,
        Asks(&[(50, 21)]),
        &[RESERVED, QUEUE, EXCHANGE, ROUTING_KEY, NO_WAIT, ARGUMENTS],
    ),
    method(50, 21, "queue.bind-ok", Server, Answers, &[]),
    method(50, 30, "queue.purge", Client, Asks(&[(50, 31)]), &[RESERVED, QUEUE, NO_WAIT]),
    method(50, 31, "queue.purge-ok", Server, Answers, &[MESSAGES]),
    method(
        50,
        40,
        "queue.delete",
        Client,
        Asks(&[(50, 41)]),
        &[RESERVED, QUEUE, flag("if-unused"), flag("if-empty"), NO_WAIT],
    ),
    method(50, 41, "queue.delete-ok", Server, Answers, &[MESSAGES]),
    method(
        50,
        50,
        "queue.unbind",
        Client,
        Asks(&[(50, 51)]),
        &[RESERVED, QUEUE, EXCHANGE, ROUTING_KEY, ARGUMENTS],
    ),
    method(50, 51, "queue.unbind-ok", Server, Answers, &[]),
    method(
        60,
        10,
        "basic.qos",
        Client,
        Asks(&[(60, 11)]),
        &[
            arg("prefetch-size", Kind::Long, Mark::Plain),
            arg("prefetch-count", Kind::Short, Mark::Plain),
            flag("global"),
        ],
    ),
    method(60, 11, "basic.qos-ok", Server, Answers, &[]),
    method(
        60,
        20,
        "basic.consume",
        Client,
        Asks(&[(60, 21)]),
        &[RESERVED, QUEUE, TAG, flag("no-local"), flag("no-ack"), flag("exclusive"), NO_WAIT, ARGUMENTS],
    ),
    method(60, 21, "basic.consume-ok", Server, Answers, &[TAG]),
    method(60, 30, "basic.cancel", Both, Asks(&[(60, 31)]), &[TAG, NO_WAIT]),
    method(60, 31, "basic.cancel-ok", Both, Answers, &[TAG]),
    with_content(
        40,
        "basic.publish",
        Client,
        Alone,
        &[RESERVED, EXCHANGE, ROUTING_KEY, flag("mandatory"), flag("immediate")],
    ),
    with_content(50, "basic.return", Server, Alone, &[CODE, REPLY, EXCHANGE, ROUTING_KEY]),
    with_content(60, "basic.deliver", Server, Alone, &[TAG, DELIVERY, REDELIVERED, EXCHANGE, ROUTING_KEY]),
    method(60, 70, "basic.get", Client, Asks(&[(60, 71), (60, 72)]), &[RESERVED, QUEUE, flag("no-ack")]),
    with_content(
        71,
        "basic.get-ok",
        Server,
        Answers,
        &[DELIVERY, REDELIVERED, EXCHANGE, ROUTING_KEY, MESSAGES],
    ),
    method(60, 72, "basic.get-empty", Server, Answers, &[RESERVED_TEXT]),
    method(60, 80, "basic.ack", Both, Alone, &[DELIVERY, MULTIPLE]),
    method(60, 90, "basic.reject", Client, Alone, &[DELIVERY, flag("requeue")]),
    method(60, 100, "basic.recover-async", Client, Alone, REQUEUE),
    method(60, 110, "basic.recover", Client, Asks(&[(60, 111)]), REQUEUE),
    method(60, 111, "basic.recover-ok", Server, Answers, &[]),
    method(60, 120, "basic.nack", Both, Alone, &[DELIVERY, MULTIPLE, flag("requeue")]),
    method(85, 10, "confirm.select", Client, Asks(&[(85, 11)]), &[NO_WAIT]),
    method(85, 11, "confirm.select-ok", Server, Answers, &[]),
    method(90, 10, "tx.select", Client, Asks(&[(90, 11)]), &[]),
    method(90, 11, "tx.select-ok", Server, Answers, &[]),
    method(90, 20, "tx.commit", Client, Asks(&[(90, 21)]), &[]),
    method(90, 21, "tx.commit-ok", Server, Answers, &[]),
    method(90, 30, "tx.rollback", Client, Asks(&[(90, 31)]), &[]),
    method(90, 31, "tx.rollback-ok", Server, Answers, &[]),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_and_every_answer_exists() {
        for m in METHODS {
            assert_eq!(find(m.class, m.id).unwrap().name, m.name);
            if let Turn::Asks(answers) = m.turn {
                for &(class, id) in answers {
                    assert_eq!(find(class, id).unwrap().turn, Answers, "{}", m.name);
                }
            }
            // As many bits as the octet of flags has.
            assert!(m.args.iter().filter(|a| a.kind == Kind::Bit).count() <= 8, "{}", m.name);
        }
        assert!(find(60, 41).is_none());
    }
}
