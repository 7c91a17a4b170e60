//! gRPC-Web: the trailers in the body, and bodies in base64 (gRPC's PROTOCOL-WEB.md).

/// The value of a field in the trailers of a body: lines like those of an HTTP/1 header.
pub(super) fn trailer<'a>(trailers: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    trailers.split(|&b| b == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (key, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        key.trim_ascii().eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Appends what base64 stands for, as far as it is base64. Padding may stand between pieces,
/// because each is encoded when it is sent.
pub(super) fn base64(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0_u32, 0);
    for &b in text {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                have = 0;
                continue;
            }
            b'\r' | b'\n' => continue,
            _ => return,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_lines() {
        let trailers = b"grpc-status:5\r\nGrpc-Message: no%20\r\n";
        assert_eq!(trailer(trailers, b"grpc-status"), Some(b"5".as_slice()));
        assert_eq!(trailer(trailers, b"grpc-message"), Some(b"no%20".as_slice()));
        assert_eq!(trailer(trailers, b"other"), None);
    }

    #[test]
    fn base64_may_come_in_pieces() {
        let decoded = |text: &str| {
            let mut out = Vec::new();
            base64(text.as_bytes(), &mut out);
            out
        };
        assert_eq!(decoded("AAAAAAI="), b"\0\0\0\0\x02");
        assert_eq!(decoded("AAAAAAI=aGk=gAA="), b"\0\0\0\0\x02hi\x80\0");
        assert_eq!(decoded("aGk"), b"hi");
        assert_eq!(decoded("aGk!zzzz"), b"hi");
    }
}
