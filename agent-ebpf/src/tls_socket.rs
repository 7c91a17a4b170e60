//! From a call of a TLS library to the socket behind it.
//!
//! The kernel tells when a thread has received from a TCP socket or sent to one
//! (`tcp_rcv_space_adjust`, `sock_send_length`): inside a call of the library that names the
//! connection's socket, whatever system call it was. Where the program has told the library a
//! descriptor, the way leads over the process's table of files.

use aya_ebpf::{
    Global,
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel, generated::bpf_get_current_task},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use remora_abi::{TlsConn, tls_flags, tls_method};

use crate::{
    insn::{launder, low2},
    maps::{TLS_THREADS, TLS_WATCHED},
    parse::mapped,
    tls::{NO_THREAD, frame, fresh_id},
    tls_trial,
};

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub static $name: Global<u32> = Global::new(NONE);
    )*};
}

/// An offset that the loader does not know.
const NONE: u32 = u32::MAX;

offsets! {
    /// `files` in `struct task_struct`.
    TASK_FILES
    /// `fdt` in `struct files_struct`.
    FILES_FDT
    /// `max_fds` in `struct fdtable`.
    FDT_MAX
    /// `fd` in `struct fdtable`.
    FDT_FD
    /// `private_data` in `struct file`.
    FILE_PRIVATE
    /// `file` in `struct socket`.
    SOCKET_FILE
    /// `sk` in `struct socket`.
    SOCKET_SK
    /// `skc_family` in `struct sock_common`, with which `struct sock` begins.
    SK_FAMILY
    /// `skc_daddr` there.
    SK_DADDR
    /// `skc_rcv_saddr` there.
    SK_SADDR
    /// `skc_v6_daddr` there.
    SK_DADDR6
    /// `skc_v6_rcv_saddr` there.
    SK_SADDR6
    /// `skc_dport` there.
    SK_DPORT
    /// `skc_num` there.
    SK_NUM
    /// `skc_net` there.
    SK_NET
    /// `sk_socket` in `struct sock`.
    SK_SOCKET
    /// `net_cookie` in `struct net`.
    NET_COOKIE
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

#[inline(always)]
fn read<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if base == 0 || offset == NONE {
        return None;
    }
    // SAFETY: the helper checks the address; what lies there is only copied.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T).ok() }
}

/// The socket of a descriptor of the current process; 0 when it is none.
#[inline(always)]
pub fn of_descriptor(fd: i32) -> u64 {
    walk(fd).unwrap_or(0)
}

#[inline(always)]
fn walk(fd: i32) -> Option<u64> {
    if fd < 0 {
        return None;
    }
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read(task, TASK_FILES.load())?;
    let table: u64 = read(files, FILES_FDT.load())?;
    let most: u32 = read(table, FDT_MAX.load())?;
    if fd as u32 >= most {
        return None;
    }
    let list: u64 = read(table, FDT_FD.load())?;
    let file: u64 = read(list + u64::from(fd as u32) * 8, 0)?;
    let socket: u64 = read(file, FILE_PRIVATE.load())?;
    // A file of another kind has something else there, which does not point back.
    let back: u64 = read(socket, SOCKET_FILE.load())?;
    if back != file {
        return None;
    }
    read(socket, SOCKET_SK.load())
}

/// Notes that the connection goes over the socket `sk`. Another one than before means that the
/// library's structure serves another connection now.
#[inline(always)]
pub fn adopt(conn: &mut TlsConn, sk: u64, method: u8) {
    let ports = (read::<u16>(sk, SK_NUM.load()), read::<u16>(sk, SK_DPORT.load()));
    let (Some(local), Some(remote)) = ports else { return };
    let remote = u16::from_be(remote);
    if conn.sk == sk && conn.port[0] == local && conn.port[1] == remote {
        if conn.method == tls_method::ADJACENT {
            conn.method = method;
        }
        return;
    }
    if remote == 0 {
        return;
    }
    let Some(family) = read::<u16>(sk, SK_FAMILY.load()) else { return };
    let mut addr = [[0_u64; 2]; 2];
    if family == AF_INET {
        let (Some(s), Some(d)) = (read::<u32>(sk, SK_SADDR.load()), read::<u32>(sk, SK_DADDR.load())) else {
            return;
        };
        addr[0][1] = mapped(s);
        addr[1][1] = mapped(d);
    } else if family == AF_INET6 {
        let (Some(s), Some(d)) =
            (read::<[u64; 2]>(sk, SK_SADDR6.load()), read::<[u64; 2]>(sk, SK_DADDR6.load()))
        else {
            return;
        };
        addr = [s, d];
    } else {
        return;
    }
    if conn.sk != 0 {
        conn.id = fresh_id();
        conn.pos = [0; 2];
        conn.flags &= !tls_flags::FRESH;
    }
    conn.addr = addr;
    conn.port = [local, remote];
    conn.method = method;
    // Last: who sees it on another thread takes the rest as it is.
    // SAFETY: a field of a live map value.
    unsafe { core::ptr::write_volatile(launder(&raw mut conn.sk), sk) };
    let net: u64 = read(sk, SK_NET.load()).unwrap_or(0);
    conn.netns = read::<u64>(net, NET_COOKIE.load()).unwrap_or(0) as u32 & 0xff_ffff;
}

/// Whether the process has closed the socket on which the connection was seen: then what has the
/// library's structure is another connection.
#[inline(always)]
pub fn is_gone(conn: &TlsConn) -> bool {
    let sk = conn.sk;
    let ports = (read::<u16>(sk, SK_NUM.load()), read::<u16>(sk, SK_DPORT.load()));
    let (Some(local), Some(remote)) = ports else { return false };
    local != conn.port[0]
        || u16::from_be(remote) != conn.port[1]
        || read::<u64>(sk, SK_SOCKET.load()) == Some(0)
}

/// A thread has received from a TCP socket.
#[raw_tracepoint(tracepoint = "tcp_rcv_space_adjust")]
pub fn remora_tls_received(ctx: RawTracePointContext) -> i32 {
    note(ctx.arg::<u64>(0), true);
    0
}

/// A thread has sent to a socket (since Linux 6.3).
#[raw_tracepoint(tracepoint = "sock_send_length")]
pub fn remora_tls_sent(ctx: RawTracePointContext) -> i32 {
    note(ctx.arg::<u64>(0), false);
    0
}

#[inline(always)]
fn note(sk: u64, received: bool) {
    let id = bpf_get_current_pid_tgid();
    let mut found = TLS_THREADS.get_ptr_mut(&id);
    if found.is_none() && received && TLS_WATCHED.get_ptr(&((id >> 32) as u32)).is_some() {
        let _ = TLS_THREADS.insert(&id, &NO_THREAD, u64::from(BPF_ANY));
        found = TLS_THREADS.get_ptr_mut(&id);
    }
    let Some(thread) = found else { return };
    // SAFETY: a live map value, that of this thread.
    let thread = unsafe { &mut *thread };
    if thread.depth == 0 {
        if received {
            thread.last_sk = sk;
            thread.wrote = 0;
        } else if thread.wrote != 0 {
            tls_trial::routed(thread, id, sk);
        }
        return;
    }
    frame(thread, low2(u64::from(thread.depth - 1))).sk = sk;
}
