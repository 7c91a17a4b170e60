//! What the messages of a handshake change.

use super::Tls;
use super::early::Early;
use crate::tls::handshake;
use crate::tls::hello::{ClientHello, ServerHello};
use crate::tls::keys::{self, Protection};
use crate::tls::secrets::Label;
use crate::{Context, Problem, Role, seen::Seen};

impl Tls {
    /// A message of the handshake that ends with the record `seen`.
    pub(super) fn message(&mut self, role: Role, kind: u8, body: &[u8], seen: Seen, cx: &mut Context<'_>) {
        match (role, kind) {
            (Role::Client, handshake::CLIENT_HELLO) => match ClientHello::parse(body) {
                Some(hello) => self.client_hello(hello, seen),
                None => cx.problem(Problem::Malformed, body.len() as u64),
            },
            (Role::Server, handshake::SERVER_HELLO) => match ServerHello::parse(body) {
                Some(hello) => self.server_hello(hello, seen, cx),
                None => cx.problem(Problem::Malformed, body.len() as u64),
            },
            (Role::Server, handshake::ENCRYPTED_EXTENSIONS) => {
                self.handshake.encrypted_extensions(body);
                self.early_decided(self.handshake.early_data_accepted == Some(true), cx);
            }
            (_, handshake::CERTIFICATE) if !self.reported => {
                self.handshake.full |= role == Role::Server;
                self.handshake.certificate(role, body);
            }
            (Role::Server, handshake::SERVER_KEY_EXCHANGE) => {
                self.handshake.full = true;
                self.handshake.server_key_exchange(body);
            }
            (Role::Server, handshake::SERVER_HELLO_DONE) => self.handshake.full = true,
            (_, handshake::FINISHED) => {
                if self.handshake.is_tls13() {
                    let label =
                        if role == Role::Client { Label::ClientTraffic } else { Label::ServerTraffic };
                    self.sides[role.index()].protection =
                        keys::tls13(&self.handshake, cx.within.secrets, label);
                }
                self.finished(role, seen.last, cx);
            }
            (_, handshake::KEY_UPDATE) => {
                let protection = &mut self.sides[role.index()].protection;
                if let Protection::Open(opener) = protection {
                    *protection = match opener.next() {
                        Some(next) => Protection::Open(Box::new(next)),
                        None => Protection::Sealed(Problem::DecryptFailed),
                    };
                }
            }
            // A session ticket, after the handshake.
            (Role::Server, _) if self.handshake.done.is_some() => self.report(None, cx),
            _ => {}
        }
    }

    pub(super) fn client_hello(&mut self, hello: ClientHello, seen: Seen) {
        let first = self.handshake.asked.unwrap_or(seen);
        if !self.reported {
            self.handshake.asked =
                Some(Seen { last: seen.last, bytes: seen.pos + seen.bytes - first.pos, ..first });
        }
        self.handshake.client_hello(hello);
    }

    pub(super) fn server_hello(&mut self, hello: ServerHello, seen: Seen, cx: &mut Context<'_>) {
        if hello.is_retry() {
            self.handshake.retried = true;
            // Nobody is asked for a second hello without a first one.
            self.hole |= self.handshake.hello.is_none() && !self.reported;
            // What was sent early is refused with it (RFC 8446 section 4.2.10).
            self.early = Early::Over;
            self.early_text = Vec::new();
            return;
        }
        if !self.reported {
            self.handshake.answered = Some(seen);
        }
        self.handshake.server_hello(hello);
        if !self.handshake.is_tls13() {
            return;
        }
        let secrets = cx.within.secrets;
        self.sides[1].protection = keys::tls13(&self.handshake, secrets, Label::ServerHandshake);
        self.sides[0].protection = keys::tls13(&self.handshake, secrets, Label::ClientHandshake);
        if self.sides[1].protection.is_sealed() {
            // Whether early data was taken will not be known.
            self.early_text = Vec::new();
        }
    }
}
