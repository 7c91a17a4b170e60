//! From secrets to keys.

use hkdf::Hkdf;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::suite::Hash;

/// The pseudorandom function of TLS 1.0 to 1.2 (RFC 2246 and RFC 5246, section 5). `seed` follows
/// the label.
pub(in crate::tls) fn prf(
    version: u16,
    hash: Hash,
    secret: &[u8],
    label: &[u8],
    seed: &[&[u8]],
    out: &mut [u8],
) {
    if version < 0x0303 {
        // Both halves of the secret, with one byte in common where it is odd.
        let half = secret.len().div_ceil(2);
        let (first, second) = (secret.get(..half), secret.get(secret.len() - half..));
        p_hash::<Hmac<Md5>>(first.unwrap_or_default(), label, seed, out, |slot, b| *slot = b);
        p_hash::<Hmac<Sha1>>(second.unwrap_or_default(), label, seed, out, |slot, b| *slot ^= b);
        return;
    }
    match hash {
        Hash::Sha384 => p_hash::<Hmac<Sha384>>(secret, label, seed, out, |slot, b| *slot = b),
        Hash::Sha1 | Hash::Sha256 => p_hash::<Hmac<Sha256>>(secret, label, seed, out, |slot, b| *slot = b),
    }
}

fn p_hash<M: Mac + KeyInit + Clone>(
    secret: &[u8],
    label: &[u8],
    seed: &[&[u8]],
    out: &mut [u8],
    put: impl Fn(&mut u8, u8),
) {
    // A key of any length is right for an HMAC.
    let Ok(keyed) = <M as KeyInit>::new_from_slice(secret) else { return };
    let seeded = |mut mac: M| {
        mac.update(label);
        seed.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let mut a = seeded(keyed.clone());
    let mut filled = 0;
    while filled < out.len() {
        let mut mac = keyed.clone();
        mac.update(&a);
        let block = seeded(mac);
        for (slot, b) in out.iter_mut().skip(filled).zip(&block) {
            put(slot, *b);
        }
        filled += block.len();
        let mut mac = keyed.clone();
        mac.update(&a);
        a = mac.finalize().into_bytes();
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
pub(in crate::tls) fn expand_label(hash: Hash, secret: &[u8], label: &str, out: &mut [u8]) {
    let mut info = [0; 2 + 1 + 255 + 1];
    let mut len = 0;
    let (high, low) = ((out.len() >> 8) as u8, (out.len() & 0xff) as u8);
    let label_len = u8::try_from(label.len() + 6).unwrap_or(u8::MAX);
    let head = [high, low, label_len];
    for (slot, b) in info.iter_mut().zip(head.iter().chain(b"tls13 ").chain(label.as_bytes()).chain(&[0])) {
        *slot = *b;
        len += 1;
    }
    let info = info.get(..len).unwrap_or_default();
    // A secret has the length of its hash, and no output here is longer than a few blocks.
    match hash {
        Hash::Sha384 => {
            if let Ok(hkdf) = Hkdf::<Sha384>::from_prk(secret) {
                _ = hkdf.expand(info, out);
            }
        }
        Hash::Sha1 | Hash::Sha256 => {
            if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(secret) {
                _ = hkdf.expand(info, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::fingerprint::hex;

    /// RFC 9001, appendix A.1.
    #[test]
    fn labels_expand_as_published() {
        let (_, initial) = Hkdf::<Sha256>::extract(
            Some(&[
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c,
                0xad, 0xcc, 0xbb, 0x7f, 0x0a,
            ]),
            &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08],
        );
        let mut info = vec![0, 32, 15];
        info.extend_from_slice(b"tls13 client in\0");
        let mut client = [0; 32];
        initial.expand(&info, &mut client).unwrap();
        assert_eq!(hex(&client), "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
        let mut key = [0; 16];
        expand_label(Hash::Sha256, &client, "quic key", &mut key);
        assert_eq!(hex(&key), "1f369613dd76d5467730efcbe3b1a22d");
    }

    /// The test vector for P_SHA256 that was agreed upon on the mailing list of the TLS working
    /// group.
    #[test]
    fn the_prf_of_tls_1_2_is_as_published() {
        let secret =
            [0x9b, 0xbe, 0x43, 0x6b, 0xa9, 0x40, 0xf0, 0x17, 0xb1, 0x76, 0x52, 0x84, 0x9a, 0x71, 0xdb, 0x35];
        let seed =
            [0xa0, 0xba, 0x9f, 0x93, 0x6c, 0xda, 0x31, 0x18, 0x27, 0xa6, 0xf7, 0x96, 0xff, 0xd5, 0x19, 0x8c];
        let mut out = [0; 100];
        prf(0x0303, Hash::Sha256, &secret, b"test label", &[&seed], &mut out);
        assert!(hex(&out).starts_with("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"));
        assert!(hex(&out).ends_with("5a5110fff70187347b66"));
    }
}
