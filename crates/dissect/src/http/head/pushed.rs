//! Heads whose fields were decoded elsewhere, one by one: those of HTTP/2.

use super::{Head, MAX_FIELDS, UNKNOWN, span};
use crate::Role;

impl Head {
    /// The value of the last field of that name (lower case).
    pub(crate) fn last(&self, name: &[u8]) -> Option<&[u8]> {
        let found =
            self.fields.iter().rev().find(|f| f[0].len as usize == name.len() && self.at(f[0]) == name);
        found.map(|f| self.at(f[1]))
    }

    /// Adds a field, its name in lower case; false when it would be more than may be kept, in
    /// number or, with `limit`, in bytes. [`seal`](Self::seal) follows the last one.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8], limit: usize) -> bool {
        let start = self.bytes.len();
        if self.fields.len() >= MAX_FIELDS || start + name.len() + value.len() > limit {
            return false;
        }
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push([span(start, middle), span(middle, self.bytes.len())]);
        true
    }

    /// False for fields that cannot begin a message of `role`, because the pseudo-headers that one
    /// begins with are not among them and no name is unknown.
    pub(crate) fn is_initial(&self, role: Role) -> bool {
        let any = |wanted: &[&[u8]]| {
            self.fields.iter().map(|f| self.at(f[0])).any(|name| wanted.contains(&name) || name == UNKNOWN)
        };
        match role {
            Role::Client => any(&[b":method", b":path", b":scheme", b":authority"]),
            Role::Server => any(&[b":status"]),
        }
    }

    /// Notes what the pushed fields say. `version` goes into the head as if it had been sent.
    pub(crate) fn seal(&mut self, version: &[u8]) {
        if self.version.len == 0 {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(version);
            self.version = span(start, self.bytes.len());
        }
        self.note_facts();
        let (mut method, mut target, mut status) = (self.method, self.target, self.status);
        let mut host = self.facts.host;
        // Pseudo-headers come first (RFC 9113 section 8.3).
        for [name, value] in self.fields.iter().take_while(|f| self.at(f[0]).first() == Some(&b':')) {
            match self.at(*name) {
                b":method" => method = *value,
                b":path" => target = *value,
                b":authority" => host = *value,
                b":status" => {
                    let digits = std::str::from_utf8(self.at(*value)).ok().filter(|t| t.len() == 3);
                    status = digits.and_then(|t| t.parse().ok()).unwrap_or(0);
                }
                _ => {}
            }
        }
        (self.method, self.target, self.status) = (method, target, status);
        self.facts.host = host;
    }
}
