//! `cargo xtask setup`: installs what building, running and testing need, and nothing that is there.
//!
//! Everything is looked for by what it does (a program on the PATH, a C program that compiles), so
//! a machine that has it from elsewhere is left alone, and the second run does nothing.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::packages::{Manager, Names};
use crate::python;
use crate::run::{Run, which};
use crate::toolchain;

/// Something the system must have.
struct Need {
    what: &'static str,
    /// Programs that show that it is there; a C compiler is tried instead.
    programs: &'static [&'static str],
    names: Names,
}

/// What the build needs: a C toolchain, for zstd, aws-lc and bpf-linker.
const BUILD: &[Need] = &[Need {
    what: "C and C++ compilers",
    programs: &["cc", "c++", "make"],
    names: Names {
        apt: "build-essential",
        dnf: "gcc gcc-c++ make",
        pacman: "base-devel",
        apk: "build-base linux-headers",
    },
}];

/// What the tests need: the servers and clients whose traffic is captured, and the tools whose
/// answers Remora's are compared with.
const TESTS: &[Need] = &[
    Need {
        what: "nginx",
        programs: &["nginx"],
        names: Names { apt: "nginx-light|nginx", ..Names::same("nginx") },
    },
    Need { what: "wrk", programs: &["wrk"], names: Names::same("wrk") },
    Need {
        what: "ping",
        programs: &["ping"],
        names: Names { apt: "iputils-ping", ..Names::same("iputils") },
    },
    Need { what: "tcpdump", programs: &["tcpdump"], names: Names::same("tcpdump") },
    Need {
        what: "tshark",
        programs: &["tshark"],
        names: Names { dnf: "wireshark-cli", pacman: "wireshark-cli", ..Names::same("tshark") },
    },
    Need {
        what: "Redis",
        programs: &["redis-server", "redis-cli"],
        names: Names { apt: "redis-server redis-tools", ..Names::same("redis") },
    },
    Need {
        what: "memcached",
        programs: &["memcached", "memccp", "memccat", "memcrm"],
        names: Names {
            apt: "memcached libmemcached-tools",
            dnf: "memcached libmemcached-awesome-tools",
            pacman: "memcached libmemcached-awesome",
            apk: "memcached libmemcached",
        },
    },
    Need {
        what: "PostgreSQL",
        programs: &["psql", "pgbench"],
        names: Names {
            apt: "postgresql",
            dnf: "postgresql-server postgresql-contrib",
            apk: "postgresql postgresql-contrib",
            ..Names::same("postgresql")
        },
    },
    Need {
        what: "MariaDB",
        programs: &["mariadbd", "mariadb"],
        names: Names {
            apt: "mariadb-server mariadb-client",
            dnf: "mariadb-server mariadb",
            apk: "mariadb mariadb-client",
            ..Names::same("mariadb")
        },
    },
    Need {
        what: "dnsmasq",
        programs: &["dnsmasq"],
        names: Names { apt: "dnsmasq-base", ..Names::same("dnsmasq") },
    },
    Need {
        what: "dig",
        programs: &["dig"],
        names: Names { apt: "bind9-dnsutils|dnsutils", dnf: "bind-utils", pacman: "bind", apk: "bind-tools" },
    },
    Need {
        what: "RabbitMQ",
        programs: &["rabbitmq-server", "amqp-publish"],
        names: Names {
            apt: "rabbitmq-server amqp-tools",
            dnf: "rabbitmq-server librabbitmq-tools",
            pacman: "rabbitmq librabbitmq-c",
            apk: "rabbitmq-server rabbitmq-c-utils",
        },
    },
    Need {
        what: "mosquitto",
        programs: &["mosquitto", "mosquitto_pub"],
        names: Names {
            apt: "mosquitto mosquitto-clients",
            apk: "mosquitto mosquitto-clients",
            ..Names::same("mosquitto")
        },
    },
    Need { what: "nats-server", programs: &["nats-server"], names: Names::same("nats-server") },
    Need {
        what: "OpenLDAP",
        programs: &["slapd", "ldapsearch"],
        names: Names {
            apt: "slapd ldap-utils",
            dnf: "openldap-servers openldap-clients",
            pacman: "openldap",
            apk: "openldap openldap-clients openldap-back-mdb",
        },
    },
    Need {
        what: "FreeRADIUS",
        programs: &["freeradius", "radclient"],
        names: Names {
            apt: "freeradius freeradius-utils",
            dnf: "freeradius freeradius-utils",
            pacman: "freeradius",
            apk: "freeradius freeradius-radclient",
        },
    },
    Need {
        what: "freeDiameter",
        programs: &["freeDiameterd"],
        names: Names { apt: "freediameterd", ..Names::same("freeDiameter") },
    },
    Need { what: "kcat", programs: &["kcat"], names: Names::same("kcat") },
    Need { what: "websocketd", programs: &["websocketd"], names: Names::same("websocketd") },
    Need { what: "curl", programs: &["curl"], names: Names::same("curl") },
    Need { what: "wget", programs: &["wget"], names: Names::same("wget") },
    // One server, five TLS libraries.
    Need {
        what: "lighttpd",
        programs: &["lighttpd"],
        names: Names {
            apt: "lighttpd lighttpd-mod-openssl lighttpd-mod-gnutls lighttpd-mod-mbedtls lighttpd-mod-nss \
                  lighttpd-mod-wolfssl",
            dnf: "lighttpd lighttpd-mod_openssl lighttpd-mod_gnutls lighttpd-mod_mbedtls lighttpd-mod_nss",
            ..Names::same("lighttpd")
        },
    },
    Need {
        what: "GnuTLS's programs",
        programs: &["gnutls-serv", "gnutls-cli"],
        names: Names { apt: "gnutls-bin", dnf: "gnutls-utils", pacman: "gnutls", apk: "gnutls-utils" },
    },
    Need {
        what: "NSS's programs",
        programs: &["certutil", "pk12util"],
        names: Names { apt: "libnss3-tools", dnf: "nss-tools", pacman: "nss", apk: "nss-tools" },
    },
    Need {
        what: "Go",
        programs: &["go"],
        names: Names { apt: "golang-go", dnf: "golang", ..Names::same("go") },
    },
    Need { what: "ip", programs: &["ip"], names: Names { dnf: "iproute", ..Names::same("iproute2") } },
    Need { what: "Node.js", programs: &["node"], names: Names::same("nodejs") },
    Need {
        what: "Python",
        programs: &["python3"],
        names: Names { apt: "python3 python3-venv", pacman: "python", ..Names::same("python3") },
    },
];

/// What booting other kernels needs: an emulator, and the tools that make a RAM disk.
const GUESTS: &[Need] = &[
    Need {
        what: "QEMU",
        programs: &["qemu-system-x86_64"],
        names: Names {
            apt: "qemu-system-x86",
            dnf: "qemu-system-x86-core",
            pacman: "qemu-system-x86",
            apk: "qemu-system-x86_64",
        },
    },
    Need {
        what: "busybox",
        programs: &["busybox"],
        names: Names { apt: "busybox-static", ..Names::same("busybox") },
    },
    Need { what: "cpio", programs: &["cpio"], names: Names::same("cpio") },
    Need { what: "kmod", programs: &["depmod", "modprobe"], names: Names::same("kmod") },
    Need {
        what: "setpriv and unshare",
        programs: &["setpriv", "unshare"],
        names: Names { apk: "setpriv util-linux-misc", ..Names::same("util-linux") },
    },
];

pub(crate) fn command(root: &Path, mut args: Args) -> Result<()> {
    let tests = args.flag("--tests");
    args.finish()?;
    setup(root, tests)
}

/// Installs what is missing for the build, and for the tests as well when `tests` is set.
pub(crate) fn setup(root: &Path, tests: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("Remora captures with eBPF and builds on Linux only");
    }
    let needs = BUILD.iter().chain(if tests { TESTS } else { &[] });
    let missing: Vec<&Need> = needs.filter(|need| !need.is_met()).collect();
    let mut changed = !missing.is_empty();
    if changed {
        install_packages(&missing)?;
    }
    if tests {
        changed |= install_components()?;
        changed |= python::install(root)?;
    }
    changed |= toolchain::install(root)?;
    eprintln!("setup: {}", if changed { "done" } else { "everything is here" });
    Ok(())
}

/// Installs what is missing for tests on other kernels, beside [`setup`].
pub(crate) fn guests() -> Result<()> {
    let missing: Vec<&Need> = GUESTS.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() { Ok(()) } else { install_packages(&missing) }
}

fn install_packages(missing: &[&Need]) -> Result<()> {
    let list = || missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    eprintln!("setup: missing: {}", list());
    let manager = Manager::find()
        .with_context(|| format!("no apt, dnf, pacman or apk here; install by hand: {}", list()))?;
    let names: Vec<Names> = missing.iter().map(|need| need.names).collect();
    manager.install(&names)?;
    match missing.iter().find(|need| !need.is_met()) {
        Some(need) => bail!("{} is still missing after its packages were installed", need.what),
        None => Ok(()),
    }
}

/// rustfmt and clippy of the toolchain in use, which rustup's minimal profile leaves out.
fn install_components() -> Result<bool> {
    let tools = [("rustfmt", "fmt"), ("clippy", "clippy")];
    let missing =
        tools.iter().filter(|(_, command)| !Run::new("cargo").args([command, "--version"]).succeeds());
    let missing: Vec<&str> = missing.map(|(component, _)| *component).collect();
    if !missing.is_empty() {
        Run::new("rustup").args(["component", "add"]).args(&missing).run()?;
    }
    Ok(!missing.is_empty())
}

impl Need {
    fn is_met(&self) -> bool {
        let found = self.programs.iter().all(|program| which(program).is_some());
        found
            && (!self.programs.contains(&"cc") || c_compiles())
            && (!self.programs.contains(&"python3") || python::makes_environments())
    }
}

/// Whether `cc` finds the C library's headers: a compiler alone comes without them.
fn c_compiles() -> bool {
    let mut cc = Run::new("cc").args(["-x", "c", "-fsyntax-only", "-"]).command();
    let child = cc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        use std::io::Write as _;
        // A compiler that ends early also ends with an error.
        let _ =
            stdin.write_all(b"#include <stdlib.h>\n#include <linux/types.h>\nint main(void) { return 0; }\n");
    }
    child.wait().is_ok_and(|status| status.success())
}
