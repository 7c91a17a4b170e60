//! Builds messages for tests.

use super::types;

/// A message under construction.
#[derive(Clone)]
pub(super) struct Build(pub(super) Vec<u8>);

/// A name on the wire, without compression.
pub(super) fn name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

impl Build {
    pub(super) fn new(id: u16, flags: u16) -> Self {
        let mut out = id.to_be_bytes().to_vec();
        out.extend(flags.to_be_bytes());
        out.extend([0; 8]);
        Self(out)
    }

    /// A query for the addresses of `host`.
    pub(super) fn query(id: u16, host: &str) -> Self {
        Self::new(id, 0x0100).question(host, types::A)
    }

    /// The response to [`query`](Self::query).
    pub(super) fn response(id: u16, host: &str) -> Self {
        Self::new(id, 0x8180).question(host, types::A)
    }

    fn count(mut self, section: usize) -> Self {
        self.0[5 + 2 * section] += 1;
        self
    }

    pub(super) fn question(mut self, host: &str, ty: u16) -> Self {
        self.0.extend(name(host));
        self.0.extend(ty.to_be_bytes());
        self.0.extend([0, 1]);
        self.count(0)
    }

    /// A record in section 1 (answer), 2 (authority) or 3 (additional).
    pub(super) fn record(mut self, section: usize, host: &str, ty: u16, ttl: u32, data: &[u8]) -> Self {
        self.0.extend(name(host));
        self.0.extend(ty.to_be_bytes());
        self.0.extend([0, 1]);
        self.0.extend(ttl.to_be_bytes());
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
        self.count(section)
    }

    pub(super) fn a(self, host: &str, last: u8) -> Self {
        self.record(1, host, types::A, 60, &[192, 0, 2, last])
    }

    pub(super) fn soa(self, serial: u32) -> Self {
        let mut data = vec![0, 0];
        data.extend(serial.to_be_bytes());
        data.extend([0; 16]);
        self.record(1, "z", types::SOA, 60, &data)
    }

    /// EDNS: upper bits of the response code, the DO bit, options.
    pub(super) fn opt(mut self, rcode: u8, dnssec_ok: bool, options: &[u8]) -> Self {
        self.0.extend([0, 0, 41, 0x10, 0, rcode, 0, u8::from(dnssec_ok) << 7, 0]);
        self.0.extend((options.len() as u16).to_be_bytes());
        self.0.extend(options);
        self.count(3)
    }

    /// With the length in front that TCP needs.
    pub(super) fn framed(&self) -> Vec<u8> {
        let mut out = (self.0.len() as u16).to_be_bytes().to_vec();
        out.extend(&self.0);
        out
    }
}
