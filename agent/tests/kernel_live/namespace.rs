//! Network namespaces joined by a veth pair.
#![allow(unsafe_code, reason = "setns has no wrapper in the standard library")]

use std::{
    fs::File,
    net::IpAddr,
    os::fd::AsRawFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces, gone when dropped.
pub(crate) struct Pair {
    pub(crate) names: [String; 2],
    pub(crate) v4: [IpAddr; 2],
    pub(crate) v6: [IpAddr; 2],
}

fn ip(args: &str) -> Result<(), String> {
    let out = Command::new("ip").args(args.split(' ')).output().map_err(|e| format!("ip: {e}"))?;
    if out.status.success() {
        Ok(())
    } else {
        Err(format!("ip {args}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }
}

impl Pair {
    pub(crate) fn new() -> Result<Self, String> {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}-{n}", std::process::id());
        let names = [format!("remora-a{tag}"), format!("remora-b{tag}")];
        let net = n % 200;
        let pair = Self {
            names,
            v4: [1, 2].map(|i| format!("10.213.{net}.{i}").parse().unwrap()),
            v6: [1, 2].map(|i| format!("fd00:5eed:{net}::{i}").parse().unwrap()),
        };
        let [a, b] = &pair.names;
        ip(&format!("netns add {a}"))?;
        ip(&format!("netns add {b}"))?;
        ip(&format!("link add veth0 netns {a} type veth peer name veth0 netns {b}"))?;
        for i in 0..2 {
            let name = &pair.names[i];
            ip(&format!("-n {name} addr add {}/24 dev veth0", pair.v4[i]))?;
            ip(&format!("-n {name} addr add {}/64 dev veth0 nodad", pair.v6[i]))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set veth0 up"))?;
        }
        Ok(pair)
    }

    /// Runs `f` in a thread that is in namespace 0 or 1.
    pub(crate) fn run<T: Send + 'static>(&self, side: usize, f: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(format!("/run/netns/{}", self.names[side])).unwrap();
        std::thread::spawn(move || {
            // SAFETY: moves this thread alone to another network namespace.
            assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            f()
        })
        .join()
        .unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
