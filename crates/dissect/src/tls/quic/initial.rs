//! Removing the protection of Initial packets, whose keys everybody can derive (RFC 9001 section 5,
//! RFC 9369 section 3.3).

use aes::Aes128;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::packet::{Id, Sealed, Version};
use crate::Role;
use crate::tls::decrypt::{Hash, expand_label};

/// Bytes of an authentication tag.
const TAG: usize = 16;

/// Keys of one side.
struct Keys {
    packet: Box<Aes128Gcm>,
    iv: [u8; 12],
    header: Box<Aes128>,
    /// The largest packet number seen.
    largest: Option<u64>,
}

/// The keys of a connection's Initial packets.
pub(super) struct Initial {
    sides: [Keys; 2],
}

impl Initial {
    /// Keys for a connection whose client has chosen this destination.
    pub(super) fn new(version: Version, destination: &Id) -> Option<Self> {
        let salt: [u8; 20] = match version {
            Version::V1 => [
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c,
                0xad, 0xcc, 0xbb, 0x7f, 0x0a,
            ],
            Version::V2 => [
                0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d,
                0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
            ],
            Version::Draft29 => [
                0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11,
                0xe0, 0x43, 0x90, 0xa8, 0x99,
            ],
        };
        // HKDF-Extract (RFC 5869 section 2.2).
        let mut extract = <Hmac<Sha256> as KeyInit>::new_from_slice(&salt).ok()?;
        extract.update(destination.bytes());
        let secret = extract.finalize().into_bytes();
        let side = |label| {
            let mut of_side = [0; 32];
            expand_label(Hash::Sha256, &secret, label, &mut of_side);
            Keys::new(version, &of_side)
        };
        Some(Self { sides: [side("client in")?, side("server in")?] })
    }

    /// Opens a packet from `role` into `buffer`, and says where its frames lie there.
    pub(super) fn open(
        &mut self,
        role: Role,
        sealed: &Sealed<'_>,
        buffer: &mut Vec<u8>,
    ) -> Option<std::ops::Range<usize>> {
        self.sides[role.index()].open(sealed, buffer)
    }
}

impl Keys {
    fn new(version: Version, secret: &[u8]) -> Option<Self> {
        let [key_label, iv_label, hp_label] = match version {
            Version::V2 => ["quicv2 key", "quicv2 iv", "quicv2 hp"],
            Version::V1 | Version::Draft29 => ["quic key", "quic iv", "quic hp"],
        };
        let (mut key, mut iv, mut hp) = ([0; 16], [0; 12], [0; 16]);
        expand_label(Hash::Sha256, secret, key_label, &mut key);
        expand_label(Hash::Sha256, secret, iv_label, &mut iv);
        expand_label(Hash::Sha256, secret, hp_label, &mut hp);
        Some(Self {
            packet: Box::new(Aes128Gcm::new_from_slice(&key).ok()?),
            iv,
            header: Box::new(Aes128::new_from_slice(&hp).ok()?),
            largest: None,
        })
    }

    fn open(&mut self, sealed: &Sealed<'_>, buffer: &mut Vec<u8>) -> Option<std::ops::Range<usize>> {
        let at = sealed.number_at;
        // The sample begins as if the number had four bytes (RFC 9001 section 5.4.2).
        let mut mask = aes::Block::from(*sealed.packet.get(at + 4..)?.first_chunk::<16>()?);
        self.header.encrypt_block(&mut mask);
        buffer.clear();
        buffer.extend_from_slice(sealed.packet);
        let first = buffer.first_mut()?;
        *first ^= mask[0] & 0x0f;
        // The reserved bits are 0 (RFC 9000 section 17.2): what is not was not sealed with this key.
        if *first & 0x0c != 0 {
            return None;
        }
        let len = usize::from(*first & 3) + 1;
        let mut truncated = 0;
        for (slot, b) in buffer.iter_mut().skip(at).take(len).zip(mask.iter().skip(1)) {
            *slot ^= b;
            truncated = truncated << 8 | u64::from(*slot);
        }
        let number = whole_number(self.largest, truncated, len);
        let mut nonce = self.iv;
        for (slot, b) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *slot ^= b;
        }
        let (header, body) = buffer.split_at_mut_checked(at + len)?;
        let text_len = body.len().checked_sub(TAG)?;
        let (text, tag) = body.split_at_mut_checked(text_len)?;
        let tag = *tag.first_chunk::<TAG>()?;
        self.packet.decrypt_inout_detached(&nonce.into(), header, text.into(), &tag.into()).ok()?;
        self.largest = self.largest.max(Some(number));
        Some(at + len..at + len + text_len)
    }
}

impl Initial {
    /// True when a packet of the client was opened that was not its first: numbers go on after a Retry
    /// (RFC 9000 section 17.2.5.3).
    pub(super) fn goes_on(&self) -> bool {
        self.sides[0].largest.is_some_and(|n| n > 0)
    }
}

/// A packet number of which the low bytes are known (RFC 9000 appendix A.3).
fn whole_number(largest: Option<u64>, truncated: u64, len: usize) -> u64 {
    let expected = largest.map_or(0, |n| n.saturating_add(1));
    let window = 1_u64 << (8 * len);
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000, appendix A.3.
    #[test]
    fn packet_numbers_become_whole() {
        assert_eq!(whole_number(Some(0xa82f_30ea), 0x9b32, 2), 0xa82f_9b32);
        assert_eq!(whole_number(None, 2, 4), 2);
        assert_eq!(whole_number(Some(255), 0, 1), 256);
    }
}
