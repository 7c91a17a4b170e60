//! What a request target says (RFC 9112 section 3.2).

/// Host and path of a request target; empty where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Without port and user information.
    pub(super) host: &'a [u8],
    /// Without query and fragment.
    pub(super) path: &'a [u8],
}

impl<'a> Target<'a> {
    /// Reads the target of a request with that method.
    pub(super) fn read(method: &[u8], target: &'a [u8]) -> Self {
        // One of HTTP/2 may have a path (RFC 8441 section 4).
        if method == b"CONNECT" && target.first() != Some(&b'/') {
            return Self { host: host(target), path: b"" };
        }
        if target.first().is_some_and(|&b| b == b'/' || b == b'*') {
            return Self { host: b"", path: path(target) };
        }
        let Some(i) = memchr::memmem::find(target, b"://") else {
            return Self { host: b"", path: path(target) };
        };
        let rest = target.get(i + 3..).unwrap_or_default();
        let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let path = if rest.first() == Some(&b'/') { path(rest) } else { b"/" };
        Self { host: host(authority), path }
    }
}

/// The host of an authority or of a Host header. Brackets around an IPv6 address stay.
pub(super) fn host(authority: &[u8]) -> &[u8] {
    let from = memchr::memrchr(b'@', authority).map_or(0, |i| i + 1);
    let host_port = authority.get(from..).unwrap_or_default();
    if host_port.first() == Some(&b'[') {
        let end = memchr::memchr(b']', host_port).map_or(host_port.len(), |i| i + 1);
        return host_port.get(..end).unwrap_or_default();
    }
    let end = memchr::memchr(b':', host_port).unwrap_or(host_port.len());
    host_port.get(..end).unwrap_or_default()
}

fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    target.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        for (method, target, host, path) in [
            ("GET", "/a/b?c=d", "", "/a/b"),
            ("GET", "/a#f", "", "/a"),
            ("GET", "/?u=http://x/y", "", "/"),
            ("GET", "http://Shop.example:8080/a?b", "Shop.example", "/a"),
            ("GET", "http://user:pw@shop.example", "shop.example", "/"),
            ("GET", "http://shop.example?x=/y", "shop.example", "/"),
            ("GET", "http://[2001:db8::1]:80/", "[2001:db8::1]", "/"),
            ("OPTIONS", "*", "", "*"),
            ("CONNECT", "shop.example:443", "shop.example", ""),
            ("CONNECT", "[::1]:443", "[::1]", ""),
            ("CONNECT", "/chat?x", "", "/chat"),
            ("GET", "relative?x", "", "relative"),
            ("GET", "http://", "", "/"),
            ("GET", "http://[::1", "[::1", "/"),
        ] {
            let read = Target::read(method.as_bytes(), target.as_bytes());
            assert_eq!((read.host, read.path), (host.as_bytes(), path.as_bytes()), "{method} {target}");
        }
    }
}
