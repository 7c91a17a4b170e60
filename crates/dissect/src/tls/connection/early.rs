//! Data that a client sends before the server has answered (RFC 8446 section 2.3).

use super::Tls;
use crate::tls::decrypt::Opener;
use crate::tls::record::{self, Header};
use crate::tls::{handshake, keys};
use crate::{Context, Problem, Role, seen::Seen};

/// Bytes of early data kept until it is known whether the server has taken them. Servers allow
/// 16 KiB (RFC 8446 section 8, and what OpenSSL has as its default).
const MAX_EARLY: usize = 32 << 10;

/// The client's early data.
#[derive(Default)]
pub(super) enum Early {
    /// None was seen.
    #[default]
    None,
    /// It is sealed with one of these.
    Tries(Vec<Opener>),
    /// It can be read, and waits for the server's decision.
    Open(Box<Opener>),
    /// It cannot be read.
    Sealed,
    /// The client has moved on.
    Over,
}

impl Tls {
    /// A record with early data: it waits until it is known whether the server takes it.
    pub(super) fn early_record(
        &mut self,
        header: &Header,
        fragment: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        if matches!(self.early, Early::None) {
            self.early = Early::Tries(keys::early(&self.handshake, cx.within.secrets));
        }
        let opened = match &mut self.early {
            Early::Open(opener) => opener.open(header, fragment, &mut self.buffer),
            Early::Tries(openers) => {
                let buffer = &mut self.buffer;
                let mut tries = openers.drain(..);
                let found =
                    tries.find_map(|mut o| o.open(header, fragment, buffer).map(|opened| (o, opened)));
                drop(tries);
                match found {
                    Some((opener, opened)) => {
                        self.early = Early::Open(Box::new(opener));
                        Some(opened)
                    }
                    None => {
                        self.early = Early::Sealed;
                        None
                    }
                }
            }
            _ => None,
        };
        let Some(opened) = opened else {
            cx.problem(keys::missing(cx.within.secrets), fragment.len() as u64);
            return;
        };
        let text = self.buffer.get(opened.text).unwrap_or_default();
        if opened.kind != record::APPLICATION_DATA {
            return;
        }
        if self.early_text.len() + text.len() > MAX_EARLY {
            cx.problem(Problem::MessageTooLarge, text.len() as u64);
            self.early = Early::Sealed;
            return;
        }
        self.early_text.extend_from_slice(text);
        self.early_time = seen.last;
    }

    /// The server has decided about the early data.
    pub(super) fn early_decided(&mut self, accepted: bool, cx: &mut Context<'_>) {
        let text = std::mem::take(&mut self.early_text);
        if accepted && !text.is_empty() {
            self.plain.data(Role::Client, &text, self.early_time, cx);
        }
    }

    /// A record of the client that does not open may be early data whose secret is not known.
    pub(super) fn may_be_early(&self) -> bool {
        self.handshake.done.is_none()
            && !matches!(self.early, Early::Over)
            && self.handshake.hello.as_ref().is_some_and(|h| h.early_data)
    }

    /// Early data may go on after the server's hello. True when the record was that.
    pub(super) fn early_goes_on(
        &mut self,
        header: &Header,
        fragment: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) -> bool {
        let Early::Open(opener) = &mut self.early else { return false };
        let Some(opened) = opener.open(header, fragment, &mut self.buffer) else {
            // The server has refused it, so that the client does not end it.
            self.early = Early::Over;
            return false;
        };
        let text = self.buffer.get(opened.text).unwrap_or_default();
        match opened.kind {
            record::HANDSHAKE if text.first() == Some(&handshake::END_OF_EARLY_DATA) => {
                self.early = Early::Over;
            }
            record::APPLICATION_DATA => match self.handshake.early_data_accepted {
                None if self.early_text.len() + text.len() <= MAX_EARLY => {
                    self.early_text.extend_from_slice(text);
                    self.early_time = seen.last;
                }
                Some(true) => self.plain.data(Role::Client, text, seen.last, cx),
                _ => {}
            },
            _ => {}
        }
        true
    }
}
