//! From the first bytes of a packet to its addresses, ports and TCP fields.

use remora_abi::tcp_flags;

use crate::maps::HEAD_LEN;

/// Protocol numbers (IANA).
pub mod protocol {
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const SCTP: u8 = 132;
    pub const UDP_LITE: u8 = 136;
    pub const DCCP: u8 = 33;
    /// IPv6 extension headers (RFC 8200, 4): hop-by-hop, routing, fragment, AH, destination.
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const DESTINATION: u8 = 60;
}

/// Most extension headers that are walked over.
const MAX_EXTENSIONS: usize = 6;

/// What the headers say.
#[repr(C)]
pub struct Headers {
    pub src: [u64; 2],
    pub dst: [u64; 2],
    pub src_port: u16,
    pub dst_port: u16,
    pub protocol: u8,
    pub version: u8,
    pub fragment: bool,
    /// No upper-layer header was found.
    pub no_l4: bool,
    pub tcp_flags: u8,
    pub seq: u32,
    pub l4: u32,
    pub payload: u32,
    /// Length from the IP header on, without link padding.
    pub total: u32,
}

impl Headers {
    /// True for the second packet of a TCP handshake.
    #[inline(always)]
    pub fn is_synack(&self) -> bool {
        // Other protocols leave the flags at 0.
        let both = tcp_flags::SYN | tcp_flags::ACK;
        self.tcp_flags & both == both
    }
}

pub enum Failure {
    Short,
    NotIp,
}

/// Reads `N` bytes at a constant or bounded offset.
macro_rules! read {
    ($head:expr, $at:expr, $t:ty) => {
        // SAFETY: the callers keep `at + size` within the buffer, and the verifier checks them.
        unsafe { $head.as_ptr().add($at as usize).cast::<$t>().read_unaligned() }
    };
}

/// Parses `head`, of which `have` bytes were copied from a packet of `len` bytes.
#[inline(always)]
pub fn parse(head: &[u8; HEAD_LEN], have: u32, len: u32) -> Result<Headers, Failure> {
    if have < 20 {
        return Err(Failure::Short);
    }
    let mut h = Headers {
        src: [0; 2],
        dst: [0; 2],
        src_port: 0,
        dst_port: 0,
        protocol: 0,
        version: head[0] >> 4,
        fragment: false,
        no_l4: false,
        tcp_flags: 0,
        seq: 0,
        l4: 0,
        payload: 0,
        total: len,
    };
    let stated;
    if h.version == 4 {
        let header_len = u32::from(head[0] & 15) * 4;
        if header_len < 20 || header_len > have {
            return Err(Failure::Short);
        }
        stated = u32::from(u16::from_be(read!(head, 2, u16)));
        // More fragments (0x2000) or an offset (0x1fff).
        h.fragment = u16::from_be(read!(head, 6, u16)) & 0x3fff != 0;
        h.no_l4 = u16::from_be(read!(head, 6, u16)) & 0x1fff != 0;
        h.protocol = head[9];
        h.src[1] = mapped(read!(head, 12, u32));
        h.dst[1] = mapped(read!(head, 16, u32));
        h.l4 = header_len;
    } else if h.version == 6 {
        if have < 40 {
            return Err(Failure::Short);
        }
        let after = u32::from(u16::from_be(read!(head, 4, u16)));
        stated = if after == 0 { 0 } else { after + 40 };
        h.src = [read!(head, 8, u64), read!(head, 16, u64)];
        h.dst = [read!(head, 24, u64), read!(head, 32, u64)];
        let mut next = head[6];
        let mut at = 40u32;
        let mut found = false;
        for _ in 0..MAX_EXTENSIONS {
            let is_extension = matches!(
                next,
                protocol::HOP_BY_HOP
                    | protocol::ROUTING
                    | protocol::FRAGMENT
                    | protocol::AUTHENTICATION
                    | protocol::DESTINATION
            );
            if !is_extension {
                found = true;
                break;
            }
            if at + 8 > have || at > HEAD_LEN as u32 - 8 {
                break;
            }
            let kind = next;
            next = read!(head, at, u8);
            let length = u32::from(read!(head, at + 1, u8));
            if kind == protocol::FRAGMENT {
                let offset = u16::from_be(read!(head, at + 2, u16));
                // An atomic fragment (RFC 6946) is a whole packet.
                h.fragment |= offset & 0xfff9 != 0;
                h.no_l4 |= offset & 0xfff8 != 0;
                at += 8;
            } else if kind == protocol::AUTHENTICATION {
                at += (length + 2) * 4;
            } else {
                at += (length + 1) * 8;
            }
            if h.no_l4 {
                found = true;
                break;
            }
        }
        h.no_l4 |= !found;
        h.protocol = next;
        h.l4 = at;
    } else {
        return Err(Failure::NotIp);
    }
    // Zero in a packet that offload built longer than the field can say (BIG TCP); less than the
    // buffer holds when Ethernet padded it.
    if stated != 0 && stated < len {
        h.total = stated;
    }
    h.payload = h.l4;
    if !h.no_l4 {
        upper(head, have, &mut h);
    }
    if h.payload > h.total {
        h.payload = h.total;
    }
    if h.fragment {
        h.src_port = 0;
        h.dst_port = 0;
    }
    Ok(h)
}

#[inline(always)]
fn upper(head: &[u8; HEAD_LEN], have: u32, h: &mut Headers) {
    let at = h.l4;
    match h.protocol {
        protocol::TCP => {
            if at > HEAD_LEN as u32 - 20 || at + 20 > have {
                h.no_l4 = true;
                return;
            }
            h.src_port = u16::from_be(read!(head, at, u16));
            h.dst_port = u16::from_be(read!(head, at + 2, u16));
            h.seq = u32::from_be(read!(head, at + 4, u32));
            h.tcp_flags = read!(head, at + 13, u8);
            let header_len = u32::from(read!(head, at + 12, u8) >> 4) * 4;
            h.payload = at + if header_len < 20 { 20 } else { header_len };
        }
        protocol::UDP | protocol::UDP_LITE => {
            if at > HEAD_LEN as u32 - 8 || at + 8 > have {
                h.no_l4 = true;
                return;
            }
            h.src_port = u16::from_be(read!(head, at, u16));
            h.dst_port = u16::from_be(read!(head, at + 2, u16));
            h.payload = at + 8;
        }
        protocol::SCTP | protocol::DCCP => {
            if at > HEAD_LEN as u32 - 12 || at + 12 > have {
                h.no_l4 = true;
                return;
            }
            h.src_port = u16::from_be(read!(head, at, u16));
            h.dst_port = u16::from_be(read!(head, at + 2, u16));
            h.payload = at + 12;
        }
        _ => {}
    }
}

/// Second word of `::ffff:a.b.c.d`; the first is zero.
#[inline(always)]
pub fn mapped(raw: u32) -> u64 {
    (0x0000_ffff_0000_0000 | u64::from(u32::from_be(raw))).to_be()
}
