//! A method with its content, as a call shows it.

use remora_model::{Incomplete, Span};

use super::method::{Kind, Mark, Method};
use super::table;
use crate::messaging::{Arena, Held, MAX_PAIRS, Pair, Reader};
use crate::seen::Seen;

/// The content that follows a method.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Bytes of the body, as its header says.
    pub(super) size: u64,
    /// Bytes of it that have not passed yet.
    pub(super) left: u64,
    /// The header was seen.
    pub(super) begun: bool,
    pub(super) properties: Vec<Pair>,
    pub(super) headers: Vec<Pair>,
    pub(super) body: Vec<u8>,
    /// Bytes of the body that may be kept.
    pub(super) budget: usize,
    /// Bytes of the body that were left out.
    pub(super) cut: u64,
}

/// A method that was read. `None` for the protocol header and for heartbeats.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) method: Option<&'static Method>,
    /// The method's name, or what stands for it.
    pub(super) name: &'static str,
    pub(super) channel: u16,
    pub(super) arena: Arena,
    pub(super) exchange: Option<Span>,
    pub(super) routing_key: Option<Span>,
    pub(super) queue: Option<Span>,
    pub(super) consumer_tag: Option<Span>,
    pub(super) reply_text: Option<Span>,
    pub(super) virtual_host: Option<Span>,
    pub(super) mechanism: Option<Span>,
    pub(super) user: Option<Span>,
    pub(super) delivery_tag: Option<u64>,
    pub(super) messages: Option<u32>,
    pub(super) consumers: Option<u32>,
    pub(super) reply_code: Option<u16>,
    /// Class and method that a close blames.
    pub(super) about: (u16, u16),
    /// The bits in the order of the arguments.
    pub(super) bits: u8,
    pub(super) no_wait: bool,
    pub(super) multiple: bool,
    pub(super) redelivered: Option<bool>,
    pub(super) arguments: Vec<Pair>,
    pub(super) content: Content,
    /// Entries of tables that were left out.
    pub(super) left_out: u64,
    /// Its number among the publishes of its channel that are confirmed.
    pub(super) confirm: Option<u64>,
    pub(super) seen: Seen,
    pub(super) incomplete: Option<Incomplete>,
    /// It is not known whether it asks or answers.
    pub(super) vague: bool,
    /// Its answer may have been among bytes that are missing.
    pub(super) doubtful: bool,
    /// Others that are answered alike may have been among bytes that are missing.
    pub(super) followed: bool,
    /// The server said it and waits for the client.
    pub(super) by_server: bool,
}

impl Held for Message {
    fn memory(&self) -> usize {
        let c = &self.content;
        let pairs = self.arguments.capacity() + c.properties.capacity() + c.headers.capacity();
        size_of::<Self>() + self.arena.memory() + pairs * size_of::<Pair>() + c.body.capacity()
    }
}

impl Message {
    /// Empties it, keeping its buffers. `budget`: bytes of texts and of the body that are kept, each.
    pub(super) fn begin(&mut self, name: &'static str, channel: u16, budget: usize, seen: Seen) {
        let mut arena = std::mem::take(&mut self.arena);
        let mut arguments = std::mem::take(&mut self.arguments);
        let mut content = std::mem::take(&mut self.content);
        arena.begin(budget);
        arguments.clear();
        content.properties.clear();
        content.headers.clear();
        content.body.clear();
        (content.size, content.left, content.begun, content.cut) = (0, 0, false, 0);
        content.budget = budget;
        *self = Self { name, channel, arena, arguments, content, seen, ..Self::default() };
    }

    /// Reads the arguments of a method. `None`: they do not fit it.
    pub(super) fn read(&mut self, method: &'static Method, args: &[u8]) -> Option<()> {
        self.method = Some(method);
        self.name = method.name;
        let mut r = Reader::new(args);
        let (mut octet, mut bit) = (0, 0);
        for arg in method.args {
            if arg.kind == Kind::Bit {
                if bit == 0 {
                    octet = r.u8()?;
                    self.bits = octet;
                }
                let is_set = octet >> bit & 1 == 1;
                bit += 1;
                match arg.mark {
                    Mark::NoWait => self.no_wait = is_set,
                    Mark::Multiple => self.multiple = is_set,
                    Mark::Redelivered => self.redelivered = Some(is_set),
                    _ => {}
                }
                continue;
            }
            bit = 0;
            match arg.kind {
                Kind::Octet => self.number(arg.name, arg.mark, r.u8()?.into()),
                Kind::Short => self.number(arg.name, arg.mark, r.u16()?.into()),
                Kind::Long => self.number(arg.name, arg.mark, r.u32()?.into()),
                Kind::LongLong => self.number(arg.name, arg.mark, r.u64()?),
                Kind::Text => self.text(arg.name, arg.mark, r.short()?),
                Kind::LongText => self.text(arg.name, arg.mark, r.long()?),
                Kind::Table => {
                    self.left_out += table::read(r.long()?, &mut self.arena, &mut self.arguments)?;
                }
                Kind::Bit => {}
            }
        }
        r.is_empty().then_some(())
    }

    fn number(&mut self, name: &str, mark: Mark, n: u64) {
        match mark {
            Mark::DeliveryTag => self.delivery_tag = Some(n),
            Mark::Messages => self.messages = u32::try_from(n).ok(),
            Mark::Consumers => self.consumers = u32::try_from(n).ok(),
            Mark::ReplyCode => self.reply_code = u16::try_from(n).ok(),
            Mark::ClassId => self.about.0 = n as u16,
            Mark::MethodId => self.about.1 = n as u16,
            Mark::Plain if self.arguments.len() < MAX_PAIRS => {
                let name = self.arena.add(name.as_bytes());
                let mark = self.arena.mark();
                self.arena.push_int(i64::try_from(n).unwrap_or(i64::MAX));
                self.arguments.push([name, self.arena.since(mark)]);
            }
            _ => {}
        }
    }

    fn text(&mut self, name: &str, mark: Mark, text: &[u8]) {
        let slot = match mark {
            Mark::Exchange => &mut self.exchange,
            Mark::RoutingKey => &mut self.routing_key,
            Mark::Queue => &mut self.queue,
            Mark::ConsumerTag => &mut self.consumer_tag,
            Mark::ReplyText => &mut self.reply_text,
            Mark::VirtualHost => &mut self.virtual_host,
            Mark::Mechanism => &mut self.mechanism,
            Mark::Login => {
                // PLAIN (RFC 4616), and AMQPLAIN, which is a table without its length.
                let plain = text.split(|&b| b == 0).nth(1);
                let user = plain.filter(|_| text.iter().filter(|&&b| b == 0).count() == 2);
                self.user = user.or_else(|| table::text(text, b"LOGIN")).map(|u| self.arena.add(u));
                return self.pair(name, b"***");
            }
            Mark::Secret => return self.pair(name, b"***"),
            Mark::Plain => return self.pair(name, text),
            _ => return,
        };
        *slot = Some(self.arena.add(text));
    }

    fn pair(&mut self, key: &str, value: &[u8]) {
        if !crate::messaging::add_pair(&mut self.arena, &mut self.arguments, key.as_bytes(), value) {
            self.left_out += 1;
        }
    }

    pub(super) fn is(&self, numbers: (u16, u16)) -> bool {
        self.method.is_some_and(|m| m.is(numbers))
    }

    /// The text of one of its spans, unless it is empty.
    pub(super) fn shown(&self, span: Option<Span>) -> Option<&[u8]> {
        self.arena.get(span?)
    }

    /// Bytes that were left out because there was no room.
    pub(super) fn cut(&self) -> u64 {
        self.arena.cut() + self.content.cut
    }

    /// A frame of it has passed.
    pub(super) fn frame(&mut self, seen: Seen) {
        self.seen.bytes += seen.bytes;
        self.seen.last = self.seen.last.max(seen.last);
    }
}
