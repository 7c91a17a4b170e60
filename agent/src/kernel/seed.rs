//! The sockets that were there before the hooks, from `/proc`.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Sockets by their endpoints.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// `(protocol, local, remote)`; the remote of a listener is the unspecified address and port 0.
    sockets: HashMap<(u8, SocketAddr, SocketAddr), u32>,
}

impl Seed {
    /// Most sockets that are kept.
    const MAX_SOCKETS: usize = 262_144;

    /// Reads the sockets of all processes that this one may look into.
    pub(super) fn read() -> io::Result<Self> {
        let mut owners = HashMap::new();
        let mut namespaces = HashSet::new();
        let mut tables = Vec::new();
        for entry in fs::read_dir("/proc")? {
            // Processes come and go while this reads: what is gone is skipped.
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let dir = entry.path();
            let Ok(fds) = fs::read_dir(dir.join("fd")) else { continue };
            for fd in fds.flatten() {
                if owners.len() >= Self::MAX_SOCKETS {
                    break;
                }
                let Ok(target) = fs::read_link(fd.path()) else { continue };
                if let Some(inode) = target.to_str().and_then(socket_inode) {
                    // Of the processes that share a socket the youngest is the likeliest to use it:
                    // a server's workers are younger than the process that opened the listener.
                    owners.entry(inode).and_modify(|p: &mut u32| *p = (*p).max(pid)).or_insert(pid);
                }
            }
            if fs::read_link(dir.join("ns/net")).is_ok_and(|ns| namespaces.insert(ns)) {
                tables.push(dir.join("net"));
            }
        }
        let mut sockets = HashMap::new();
        for dir in tables {
            for (name, protocol) in [("tcp", TCP), ("tcp6", TCP), ("udp", UDP), ("udp6", UDP)] {
                let Ok(text) = fs::read_to_string(dir.join(name)) else { continue };
                for (local, remote, inode) in text.lines().skip(1).filter_map(row) {
                    if let Some(pid) = owners.get(&inode) {
                        sockets.insert((protocol, local, remote), *pid);
                    }
                }
            }
        }
        Ok(Self { sockets })
    }

    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// The owner of a connection, else of the most specific listener.
    pub(super) fn find(&self, protocol: u8, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let canonical = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        let (local, remote) = (canonical(local), canonical(remote));
        let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let any6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let listeners = [local.ip(), any4, any6].into_iter().flat_map(|ip| {
            [any4, any6].map(|any| (SocketAddr::new(ip, local.port()), SocketAddr::new(any, 0)))
        });
        std::iter::once((local, remote))
            .chain(listeners)
            .find_map(|(l, r)| self.sockets.get(&(protocol, l, r)).copied())
    }
}

/// Name of a living process.
pub(super) fn comm(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(text.trim_end_matches('\n').to_owned())
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Local and remote endpoint and inode of a line of `/proc/net/{tcp,udp}{,6}` (proc_pid_net(5)).
fn row(line: &str) -> Option<(SocketAddr, SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (endpoint(fields.next()?)?, endpoint(fields.next()?)?);
    // st tx:rx tr:when retrnsmt uid timeout inode
    let inode = fields.nth(6)?.parse().ok()?;
    (inode != 0).then_some((local, remote, inode))
}

/// `0100007F:1F90`: the address as words of the machine's byte order, the port as a number.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = addr.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match addr.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i)?);
            }
            // `::` stays as it is; `::ffff:a.b.c.d` becomes IPv4.
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_proc_net_are_read() {
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0";
        let (local, remote, inode) = row(tcp).unwrap();
        assert_eq!(local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(remote, "0.0.0.0:0".parse().unwrap());
        assert_eq!(inode, 4242);
        assert_eq!(endpoint("00000000000000000000000001000000:0016"), Some("[::1]:22".parse().unwrap()));
        assert_eq!(endpoint("0000000000000000FFFF00000100007F:0050"), Some("127.0.0.1:80".parse().unwrap()));
        for bad in ["", "x", "0100007F", "0100007:1F90", "ZZZZZZZZ:0001", "0100007F:12345"] {
            assert_eq!(endpoint(bad), None, "{bad}");
        }
        assert_eq!(row("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn listeners_are_found_by_specificity() {
        let mut seed = Seed::default();
        let key = |l: &str, r: &str| (TCP, l.parse().unwrap(), r.parse().unwrap());
        seed.sockets.insert(key("0.0.0.0:80", "0.0.0.0:0"), 1);
        seed.sockets.insert(key("127.0.0.1:80", "0.0.0.0:0"), 2);
        seed.sockets.insert(key("127.0.0.1:80", "127.0.0.1:999"), 3);
        seed.sockets.insert(key("[::]:443", "[::]:0"), 4);
        let find = |l: &str, r: &str| seed.find(TCP, l.parse().unwrap(), r.parse().unwrap());
        assert_eq!(find("10.0.0.1:80", "10.0.0.2:5"), Some(1));
        assert_eq!(find("127.0.0.1:80", "10.0.0.2:5"), Some(2));
        assert_eq!(find("127.0.0.1:80", "127.0.0.1:999"), Some(3));
        assert_eq!(find("10.0.0.1:443", "10.0.0.2:5"), Some(4));
        assert_eq!(find("10.0.0.1:81", "10.0.0.2:5"), None);
    }

    #[test]
    fn own_sockets_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seed = Seed::read().unwrap();
        assert_eq!(seed.find(TCP, addr, "127.0.0.1:1".parse().unwrap()), Some(std::process::id()));
    }
}
