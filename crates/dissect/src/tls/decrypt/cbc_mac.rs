//! Block ciphers with a MAC (RFC 5246 section 6.2.3.2, RFC 7366).

use aes::cipher::{BlockModeDecrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes256};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::Hash;
use super::opener::additional_data;
use crate::tls::record::Header;

const BLOCK: usize = 16;

enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl Keyed {
    fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        Some(match hash {
            Hash::Sha1 => Self::Sha1(Hmac::new_from_slice(key).ok()?),
            Hash::Sha256 => Self::Sha256(Hmac::new_from_slice(key).ok()?),
            Hash::Sha384 => Self::Sha384(Hmac::new_from_slice(key).ok()?),
        })
    }

    /// True when `mac` is that of both parts together.
    fn verify(&self, first: &[u8], second: &[u8], mac: &[u8]) -> bool {
        fn check<M: Mac + Clone>(keyed: &M, first: &[u8], second: &[u8], mac: &[u8]) -> bool {
            let mut m = keyed.clone();
            m.update(first);
            m.update(second);
            m.verify_slice(mac).is_ok()
        }
        match self {
            Self::Sha1(m) => check(m, first, second, mac),
            Self::Sha256(m) => check(m, first, second, mac),
            Self::Sha384(m) => check(m, first, second, mac),
        }
    }
}

/// AES in CBC mode with an HMAC.
pub(super) struct Cbc {
    cipher: Cipher,
    mac: Keyed,
    mac_len: usize,
    /// TLS 1.0: the last block of the record before.
    chained: Option<[u8; BLOCK]>,
    encrypt_then_mac: bool,
}

impl Cbc {
    /// `iv`: that of the first record, in TLS 1.0.
    pub(super) fn new(
        key: &[u8],
        hash: Hash,
        mac: &[u8],
        iv: Option<&[u8; BLOCK]>,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let cipher = match key.len() {
            16 => Cipher::Aes128(Aes128::new_from_slice(key).ok()?),
            _ => Cipher::Aes256(Aes256::new_from_slice(key).ok()?),
        };
        let mac = Keyed::new(hash, mac)?;
        Some(Self { cipher, mac, mac_len: hash.len(), chained: iv.copied(), encrypt_then_mac })
    }

    /// Decrypts the fragment of the record with that number, in place. Says where its text lies.
    pub(super) fn open(
        &mut self,
        number: u64,
        header: &Header,
        buffer: &mut [u8],
    ) -> Option<std::ops::Range<usize>> {
        let sealed =
            if self.encrypt_then_mac { buffer.len().checked_sub(self.mac_len)? } else { buffer.len() };
        if self.encrypt_then_mac {
            let (data, mac) = buffer.split_at_checked(sealed)?;
            let aad = additional_data(number, header, sealed)?;
            if !self.mac.verify(&aad, data, mac) {
                return None;
            }
        }
        let data = buffer.get_mut(..sealed)?;
        let last = *data.last_chunk::<BLOCK>()?;
        let (iv, start) = match self.chained {
            Some(iv) => (iv, 0),
            None => (*data.first_chunk::<BLOCK>()?, BLOCK),
        };
        let blocks = data.get_mut(start..).filter(|b| !b.is_empty() && b.len() % BLOCK == 0)?;
        self.decrypt(&iv, blocks);
        // Padding: as many bytes as the last one says, and itself, all of that value.
        let pad = *blocks.last()?;
        let padded = blocks.len().checked_sub(usize::from(pad) + 1)?;
        if blocks.get(padded..)?.iter().any(|b| *b != pad) {
            return None;
        }
        let text_len = if self.encrypt_then_mac {
            padded
        } else {
            let text_len = padded.checked_sub(self.mac_len)?;
            let aad = additional_data(number, header, text_len)?;
            let (text, mac) = blocks.get(..padded)?.split_at_checked(text_len)?;
            if !self.mac.verify(&aad, text, mac) {
                return None;
            }
            text_len
        };
        if let Some(iv) = &mut self.chained {
            *iv = last;
        }
        Some(start..start + text_len)
    }

    /// A record was not opened; the one after it may be.
    pub(super) fn missed(&mut self, fragment: &[u8]) {
        if let (Some(iv), Some(last)) = (&mut self.chained, fragment.last_chunk()) {
            *iv = *last;
        }
    }

    fn decrypt(&self, iv: &[u8; BLOCK], data: &mut [u8]) {
        let (blocks, _) = aes::Block::slice_as_chunks_mut(data);
        match &self.cipher {
            Cipher::Aes128(c) => cbc::Decryptor::inner_iv_init(c, iv.into()).decrypt_blocks(blocks),
            Cipher::Aes256(c) => cbc::Decryptor::inner_iv_init(c, iv.into()).decrypt_blocks(blocks),
        }
    }
}
