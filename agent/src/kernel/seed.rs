//! The sockets that were there before the hooks, from `/proc`.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::cgroup;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Sockets by their endpoints.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// `(protocol, local, remote)`; the remote of a listener is the unspecified address and port 0.
    sockets: HashMap<(u8, SocketAddr, SocketAddr), Holders>,
}

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    /// Network namespace of the socket, by its inode.
    netns: u64,
    /// Cgroup-v2 id of the process; 0 when unknown.
    cgroup_id: u64,
}

/// The holders of sockets with equal endpoints: in most cases one.
#[derive(Clone, Debug)]
struct Holders {
    first: Holder,
    others: Vec<Holder>,
}

impl Holders {
    /// Most that are kept for one pair of endpoints.
    const MOST: usize = 256;

    fn add(&mut self, holder: Holder) {
        if self.others.len() < Self::MOST - 1 {
            self.others.push(holder);
        }
    }

    /// Of several the one in the cgroup. A process may have left the cgroup in which its socket was
    /// made, so that a lone one counts whatever its cgroup.
    fn choose(&self, cgroup_id: u64) -> Option<u32> {
        if self.others.is_empty() {
            return Some(self.first.pid);
        }
        let all = || std::iter::once(&self.first).chain(&self.others);
        let same = |h: &&Holder| cgroup_id != 0 && h.cgroup_id == cgroup_id;
        let there = all().filter(same).map(|h| h.netns).next();
        let netns = there.unwrap_or(self.first.netns);
        let mut chosen = all().filter(|h| there.is_none() || same(h));
        // In one namespace they share the port (SO_REUSEPORT): any of them is as good.
        let youngest = chosen.clone().map(|h| h.pid).max();
        if chosen.all(|h| h.netns == netns) { youngest } else { None }
    }
}

impl Seed {
    /// Most sockets that are kept.
    const MAX_SOCKETS: usize = 262_144;

    /// Reads the sockets of all processes that this one may look into.
    pub(super) fn read() -> io::Result<Self> {
        let mut owners = HashMap::new();
        let mut namespaces = HashSet::new();
        let mut tables = Vec::new();
        let mut cgroups = Cgroups::new();
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
            if let Ok(ns) = fs::metadata(dir.join("ns/net"))
                && namespaces.insert(ns.ino())
            {
                tables.push((ns.ino(), dir.join("net")));
            }
        }
        let mut sockets: HashMap<_, Holders> = HashMap::new();
        for (netns, dir) in tables {
            for (name, protocol) in [("tcp", TCP), ("tcp6", TCP), ("udp", UDP), ("udp6", UDP)] {
                let Ok(text) = fs::read_to_string(dir.join(name)) else { continue };
                for (local, remote, inode) in text.lines().skip(1).filter_map(row) {
                    if let Some(&pid) = owners.get(&inode) {
                        let holder = Holder { pid, netns, cgroup_id: cgroups.of(pid) };
                        sockets
                            .entry((protocol, local, remote))
                            .and_modify(|holders| holders.add(holder))
                            .or_insert_with(|| Holders { first: holder, others: Vec::new() });
                    }
                }
            }
        }
        Ok(Self { sockets })
    }

    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// The owner of a connection, else of the most specific listener, of a socket in this cgroup (0
    /// when that is not known).
    pub(super) fn find(
        &self,
        protocol: u8,
        local: SocketAddr,
        remote: SocketAddr,
        cgroup_id: u64,
    ) -> Option<u32> {
        let canonical = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        let (local, remote) = (canonical(local), canonical(remote));
        let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let any6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let listeners = [local.ip(), any4, any6].into_iter().flat_map(|ip| {
            [any4, any6].map(|any| (SocketAddr::new(ip, local.port()), SocketAddr::new(any, 0)))
        });
        std::iter::once((local, remote))
            .chain(listeners)
            .find_map(|(l, r)| self.sockets.get(&(protocol, l, r)))
            .and_then(|holders| holders.choose(cgroup_id))
    }
}

/// Cgroups of processes.
struct Cgroups {
    root: Option<std::path::PathBuf>,
    known: HashMap<u32, u64>,
}

impl Cgroups {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self { root: cgroup::mount_point(&mounts), known: HashMap::new() }
    }

    /// The cgroup-v2 id of a process; 0 when it cannot be found.
    fn of(&mut self, pid: u32) -> u64 {
        let Self { root, known } = self;
        let look = || {
            let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
            let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
            // A cgroup outside of this one's namespace is not below the mount.
            let inside = !Path::new(path).starts_with("..");
            // The id of a cgroup is the inode number of its directory.
            fs::metadata(root.as_ref().filter(|_| inside)?.join(path)).ok().map(|m| m.ino())
        };
        *known.entry(pid).or_insert_with(|| look().unwrap_or(0))
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
        let one = |pid| Holders { first: Holder { pid, netns: 1, cgroup_id: 5 }, others: Vec::new() };
        seed.sockets.insert(key("0.0.0.0:80", "0.0.0.0:0"), one(1));
        seed.sockets.insert(key("127.0.0.1:80", "0.0.0.0:0"), one(2));
        seed.sockets.insert(key("127.0.0.1:80", "127.0.0.1:999"), one(3));
        seed.sockets.insert(key("[::]:443", "[::]:0"), one(4));
        let find = |l: &str, r: &str| seed.find(TCP, l.parse().unwrap(), r.parse().unwrap(), 6);
        assert_eq!(find("10.0.0.1:80", "10.0.0.2:5"), Some(1));
        assert_eq!(find("127.0.0.1:80", "10.0.0.2:5"), Some(2));
        assert_eq!(find("127.0.0.1:80", "127.0.0.1:999"), Some(3));
        assert_eq!(find("10.0.0.1:443", "10.0.0.2:5"), Some(4));
        assert_eq!(find("10.0.0.1:81", "10.0.0.2:5"), None);
    }

    #[test]
    fn equal_sockets_in_several_namespaces_are_told_apart_by_cgroup() {
        let holder = |pid, netns, cgroup_id| Holder { pid, netns, cgroup_id };
        let mut holders = Holders { first: holder(1, 1, 10), others: vec![holder(2, 2, 20)] };
        assert_eq!([10, 20].map(|c| holders.choose(c)), [Some(1), Some(2)]);
        // Neither is likelier than the other.
        assert_eq!([0, 30].map(|c| holders.choose(c)), [None, None]);
        // One cgroup that has both namespaces.
        holders.others.push(holder(3, 1, 20));
        assert_eq!([10, 20].map(|c| holders.choose(c)), [Some(1), None]);
        // Workers that share a port.
        let workers = Holders { first: holder(1, 1, 10), others: vec![holder(4, 1, 10), holder(2, 1, 11)] };
        assert_eq!([0, 10, 11].map(|c| workers.choose(c)), [Some(4), Some(4), Some(2)]);
        for n in 0..1_000 {
            holders.add(holder(n, u64::from(n), 1));
        }
        assert_eq!(holders.others.len(), Holders::MOST - 1);
    }

    #[test]
    fn own_sockets_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seed = Seed::read().unwrap();
        let remote = "127.0.0.1:1".parse().unwrap();
        assert_eq!(seed.find(TCP, addr, remote, 0), Some(std::process::id()));
    }
}
