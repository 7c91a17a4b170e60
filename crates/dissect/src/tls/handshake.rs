//! What is known of one handshake, whatever carries it, and the call that it becomes.

use std::borrow::Cow;

use remora_model::{Call, Incomplete, Protocol, Timestamp, ValueRef, field};

use super::certificate::Certificate;
use super::cursor::Cursor;
use super::fingerprint::{ja3, ja3s, ja4};
use super::hello::{ClientHello, EncryptedExtensions, ServerHello, extension};
use super::names;
use crate::{Context, Role, fields::Fields, seen::Seen};

// Types of messages (IANA registry "TLS HandshakeType").
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const END_OF_EARLY_DATA: u8 = 5;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

/// An alert that ended a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) sender: Role,
    /// `None`: it was encrypted.
    pub(super) description: Option<u8>,
    pub(super) fatal: bool,
}

impl Alert {
    /// One in two bytes: level and description (RFC 8446 section 6).
    pub(super) fn parse(sender: Role, text: &[u8]) -> Option<Self> {
        let &[level, description] = text else { return None };
        let is_level = matches!(level, 1 | 2);
        // In TLS 1.3 these are warnings whatever their level says.
        let fatal = level == 2 && !matches!(description, 0 | 90);
        is_level.then_some(Self { sender, description: Some(description), fatal })
    }

    /// It says that the client has done something wrong.
    fn blames_client(self) -> bool {
        let accuses = |d| matches!(d, 10 | 20..=22 | 42..=51 | 109 | 110 | 116);
        self.sender == Role::Server && self.fatal && self.description.is_some_and(accuses)
    }
}

/// What only QUIC has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quic {
    /// Version by name.
    pub(super) version: Option<&'static str>,
    pub(super) retry: bool,
    pub(super) negotiation: bool,
    /// The client had sent something before.
    pub(super) missing: bool,
    /// Who has closed the connection, and why, where it was not because of TLS.
    pub(super) closed: Option<(Role, u64)>,
}

/// A handshake.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    pub(super) asked: Option<Seen>,
    pub(super) answered: Option<Seen>,
    pub(super) hello: Option<Box<ClientHello>>,
    pub(super) server: Option<Box<ServerHello>>,
    pub(super) alert: Option<Alert>,
    pub(super) quic: Option<Quic>,
    /// When both sides had what they need.
    pub(super) done: Option<Timestamp>,
    /// The server has asked for another hello.
    pub(super) retried: bool,
    /// That hello has come.
    asked_again: bool,
    /// It may be among bytes of the client that are missing.
    pub(super) may_have_asked_again: bool,
    /// When an alert came that has nothing in front of it.
    pub(super) alert_time: Timestamp,
    /// The server goes on with an earlier session.
    pub(super) resumed: bool,
    /// The server has taken the early data.
    pub(super) early_data_accepted: Option<bool>,
    certificate: Option<Box<Certificate>>,
    client_certificate: Option<Box<Certificate>>,
    group: Option<u16>,
    alpn: Vec<u8>,
    /// A message of the server that only a full handshake has.
    pub(super) full: bool,
}

impl Handshake {
    /// One that QUIC carries.
    pub(super) fn in_quic() -> Self {
        Self { quic: Some(Quic::default()), ..Self::default() }
    }

    /// TLS 1.3 was agreed upon.
    pub(super) fn is_tls13(&self) -> bool {
        self.server.as_ref().is_some_and(|s| s.negotiated() >= 0x0304)
    }

    /// Takes a ClientHello.
    pub(super) fn client_hello(&mut self, mut hello: ClientHello) {
        // The second hello does not mention early data, which was sent all the same (RFC 8446
        // section 4.1.2).
        hello.early_data |= self.retried && self.hello.as_ref().is_some_and(|h| h.early_data);
        self.asked_again |= self.retried;
        self.hello = Some(Box::new(hello));
    }

    /// Takes a ServerHello that is no HelloRetryRequest.
    pub(super) fn server_hello(&mut self, server: ServerHello) {
        let offered = self.hello.as_ref().map(|h| h.session_id.as_slice()).filter(|id| !id.is_empty());
        self.resumed = if server.negotiated() >= 0x0304 {
            server.psk
        } else {
            offered == Some(server.session_id.as_slice())
        };
        if !server.alpn.is_empty() {
            self.alpn.clone_from(&server.alpn);
        }
        self.group = server.group;
        self.server = Some(Box::new(server));
    }

    /// Takes EncryptedExtensions.
    pub(super) fn encrypted_extensions(&mut self, body: &[u8]) {
        if let Some(found) = EncryptedExtensions::parse(body) {
            self.alpn = found.alpn;
            self.early_data_accepted = Some(found.early_data);
        }
    }

    /// Takes a Certificate message, of which the first certificate is that of its sender.
    pub(super) fn certificate(&mut self, role: Role, body: &[u8]) {
        let slot = match role {
            Role::Client => &mut self.client_certificate,
            Role::Server => &mut self.certificate,
        };
        let mut c = Cursor(body);
        // In TLS 1.3 a context stands in front of the list (RFC 8446 section 4.4.2).
        if self.server.as_ref().is_some_and(|s| s.negotiated() >= 0x0304) && c.vec8().is_none() {
            return;
        }
        let first = c.vec24().and_then(|list| Cursor(list).vec24());
        *slot = first.and_then(Certificate::parse).map(Box::new);
    }

    /// Takes a ServerKeyExchange, of which the group is of interest (RFC 8422 section 5.4).
    pub(super) fn server_key_exchange(&mut self, body: &[u8]) {
        /// `ECCurveType.named_curve`.
        const NAMED_CURVE: u8 = 3;

        let suite = self.server.as_ref().and_then(|s| names::suite(s.suite)).unwrap_or_default();
        if let [NAMED_CURVE, a, b, ..] = *body
            && suite.starts_with("TLS_ECDH")
        {
            self.group = Some(u16::from_be_bytes([a, b]));
        }
    }

    /// The server's answer goes on up to the end of `seen`.
    pub(super) fn answer_reaches(&mut self, seen: Seen) {
        if let Some(first) = &mut self.answered {
            *first = Seen { last: seen.last, bytes: seen.pos + seen.bytes - first.pos, ..*first };
        }
    }

    /// Forgets what only the report needs. What keys are made from stays.
    pub(super) fn forget(&mut self) {
        self.certificate = None;
        self.client_certificate = None;
        if let Some(hello) = &mut self.hello {
            let ClientHello { random, early_data, version, .. } = **hello;
            **hello = ClientHello { random, early_data, version, ..ClientHello::default() };
        }
    }

    /// Reports it.
    pub(super) fn report(&self, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let mut fields = Fields::<48>::default();
        let hello = self.hello.as_deref();
        let server = self.server.as_deref();
        let lists = hello.map(|h| {
            [
                names::all(&h.suites, names::suite),
                names::all(&h.offered_versions(), names::version),
                names::all(&h.groups, names::group),
                names::all(&h.signatures, names::signature),
            ]
        });
        let lists = lists.as_ref().map(|lists| lists.each_ref().map(|list| views(list)));
        let offered: Vec<&[u8]> = hello.map_or(Vec::new(), |h| h.alpn.iter().map(Vec::as_slice).collect());
        let (fingerprint, fingerprint4) = match hello {
            // A hello in the form of SSL 2.0 has nothing to take a fingerprint of. Of two hellos the second
            // counts.
            Some(h) if !h.v2 && self.retried == self.asked_again && !self.may_have_asked_again => {
                (ja3(h), ja4(h, self.quic.is_some()))
            }
            _ => Default::default(),
        };
        if let (Some(hello), Some([suites, versions, groups, signatures])) = (hello, &lists) {
            fields.text(field::TLSX_SNI, filled(&hello.sni));
            fields.list(field::TLSX_CIPHER_SUITES, suites);
            fields.list(field::TLSX_VERSIONS, versions);
            fields.list(field::TLSX_GROUPS, groups);
            fields.list(field::TLSX_SIGNATURE_ALGORITHMS, signatures);
            fields.list(field::TLSX_ALPN_OFFERED, &offered);
            fields.add(field::TLSX_RESUMPTION_OFFERED, ValueRef::Bool(hello.ticket || hello.psk));
            fields.add(field::TLSX_EARLY_DATA, ValueRef::Bool(hello.early_data));
            fields.add(
                field::TLSX_ECH,
                ValueRef::Bool(hello.extensions.contains(&extension::ENCRYPTED_CLIENT_HELLO)),
            );
            fields.text(field::TLSX_JA3, filled(fingerprint.as_bytes()));
            fields.text(field::TLSX_JA4, filled(fingerprint4.as_bytes()));
        }

        let version = server.map(ServerHello::negotiated);
        let version_name = version.map(|v| names::or_hex(names::version(v), v)).unwrap_or_default();
        let suite_name = server.map(|s| names::or_hex(names::suite(s.suite), s.suite)).unwrap_or_default();
        let group = self.group.map(|g| names::or_hex(names::group(g), g)).unwrap_or_default();
        let server_print = server.map(ja3s).unwrap_or_default();
        let weak = match (version, server) {
            (Some(version), Some(server)) => names::weaknesses(version, server.suite),
            _ => Vec::new(),
        };
        let weak: Vec<&[u8]> = weak.iter().map(|w| w.as_bytes()).collect();
        if let (Some(server), Some(version)) = (server, version) {
            fields.int(field::TLSX_VERSION, Some(i64::from(version)));
            fields.text(field::TLSX_VERSION_NAME, filled(version_name.as_bytes()));
            fields.int(field::TLSX_CIPHER_SUITE, Some(i64::from(server.suite)));
            fields.text(field::TLSX_CIPHER_SUITE_NAME, filled(suite_name.as_bytes()));
            fields.text(field::TLSX_GROUP, filled(group.as_bytes()));
            fields.text(field::TLSX_JA3S, filled(server_print.as_bytes()));
            fields.list(field::TLSX_WEAK, &weak);
            // Of a session id only both hellos together tell.
            if self.resumed || self.full || self.is_tls13() || hello.is_some() {
                fields.add(field::TLSX_RESUMED, ValueRef::Bool(self.resumed));
            }
        }
        fields.text(field::TLSX_ALPN, filled(&self.alpn));
        fields.add(field::TLSX_HELLO_RETRY, ValueRef::Bool(self.retried));
        if let Some(accepted) = self.early_data_accepted.filter(|_| hello.is_some_and(|h| h.early_data)) {
            fields.add(field::TLSX_EARLY_DATA_ACCEPTED, ValueRef::Bool(accepted));
        }

        let names: Vec<&[u8]> =
            self.certificate.as_ref().map_or(Vec::new(), |c| c.names.iter().map(String::as_bytes).collect());
        if let Some(certificate) = &self.certificate {
            fields.text(field::TLSX_CERT_SUBJECT, filled(certificate.subject.as_bytes()));
            fields.text(field::TLSX_CERT_ISSUER, filled(certificate.issuer.as_bytes()));
            fields.list(field::TLSX_CERT_NAMES, &names);
            fields.text(field::TLSX_CERT_SERIAL, filled(certificate.serial.as_bytes()));
            fields.text(field::TLSX_CERT_SIGNATURE_ALGORITHM, filled(certificate.signature.as_bytes()));
            for (id, seconds) in [
                (field::TLSX_CERT_NOT_BEFORE, certificate.not_before),
                (field::TLSX_CERT_NOT_AFTER, certificate.not_after),
            ] {
                fields.int(id, seconds.map(|s| s.saturating_mul(1_000_000_000)));
            }
        }
        if let Some(certificate) = &self.client_certificate {
            fields.text(field::TLSX_CLIENT_CERT_SUBJECT, filled(certificate.subject.as_bytes()));
            fields.text(field::TLSX_CLIENT_CERT_ISSUER, filled(certificate.issuer.as_bytes()));
        }

        let closed = self.quic.and_then(|q| q.closed);
        let alert = match (self.alert, closed) {
            (Some(alert), _) => Some((alert.sender, alert_name(alert))),
            (None, Some((sender, error))) => Some((sender, close_name(error))),
            (None, None) => None,
        };
        if let Some((sender, name)) = &alert {
            fields.text(field::TLSX_ALERT, filled(name.as_bytes()));
            let sender: &[u8] = if *sender == Role::Client { b"client" } else { b"server" };
            fields.text(field::TLSX_ALERT_SENDER, filled(sender));
        }
        if let (Some(done), Some(asked)) = (self.done, self.asked) {
            fields.int(field::TLSX_HANDSHAKE_TIME, Some(done.micros_since(asked.first).max(0)));
        }
        if let Some(quic) = self.quic {
            fields.text(field::TLSX_QUIC_VERSION, filled(quic.version.unwrap_or_default().as_bytes()));
            if quic.retry || !quic.missing {
                fields.add(field::TLSX_QUIC_RETRY, ValueRef::Bool(quic.retry));
            }
            fields.add(field::TLSX_QUIC_VERSION_NEGOTIATION, ValueRef::Bool(quic.negotiation));
        }

        let last: &[u8] = if server.is_some() { b"ServerHello" } else { b"ClientHello" };
        let info = format!("{version_name}, {suite_name}");
        let summary: &[u8] = match hello {
            Some(hello) if !hello.sni.is_empty() => &hello.sni,
            _ => version_name.as_bytes(),
        };
        fields.text(field::TLSX_SUMMARY, filled(summary));
        if hello.is_some() || server.is_some() {
            fields.text(field::TLSX_INFO, filled(last));
            fields.text(field::TLS_SUMMARY, filled(last));
        }
        if server.is_some() {
            fields.text(field::TLS_INFO, filled(info.as_bytes()));
        }

        let failed = self.alert.is_some_and(|a| a.fatal) || closed.is_some_and(|(_, error)| error != 0);
        let exchange = cx.exchange(Protocol::Tlsx, self.asked, self.answered);
        let nothing = self.asked.is_none() && self.answered.is_none();
        let call = Call {
            ts: if nothing { self.alert_time } else { exchange.ts },
            failed,
            client_error: self.alert.is_some_and(Alert::blames_client),
            incomplete: incomplete.or(self.asked.is_none().then_some(Incomplete::NoRequest)),
            fields: fields.as_slice(),
            ..exchange
        };
        cx.emit(&call);
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let server = |s: &ServerHello| {
            size_of::<ServerHello>()
                + 2 * s.extensions.capacity()
                + s.session_id.capacity()
                + s.alpn.capacity()
        };
        let certificate =
            |c: &Option<Box<Certificate>>| c.as_ref().map_or(0, |c| size_of::<Certificate>() + c.memory());
        self.hello.as_ref().map_or(0, |h| size_of::<ClientHello>() + h.memory())
            + self.server.as_deref().map_or(0, server)
            + certificate(&self.certificate)
            + certificate(&self.client_certificate)
            + self.alpn.capacity()
    }
}

fn alert_name(alert: Alert) -> Cow<'static, str> {
    match alert.description {
        None => "encrypted".into(),
        Some(d) => names::alert(d).map_or_else(|| d.to_string().into(), Cow::Borrowed),
    }
}

/// Why a QUIC connection was closed (RFC 9000 section 20.1).
fn close_name(error: u64) -> Cow<'static, str> {
    match error {
        0 => "no_error".into(),
        1 => "internal_error".into(),
        2 => "connection_refused".into(),
        3 => "flow_control_error".into(),
        7 => "frame_encoding_error".into(),
        8 => "transport_parameter_error".into(),
        10 => "protocol_violation".into(),
        11 => "invalid_token".into(),
        12 => "application_error".into(),
        _ => format!("quic_0x{error:x}").into(),
    }
}

/// A text that is not empty.
fn filled(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

fn views<'a>(list: &'a [Cow<'static, str>]) -> Vec<&'a [u8]> {
    list.iter().map(|name| name.as_bytes()).collect()
}
