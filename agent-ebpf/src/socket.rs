//! Who owns a socket: noted when a process creates, binds or connects it, kept beside the socket,
//! and inherited by the sockets that a listener accepts.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns, bpf_sk_storage_get},
    },
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};
use remora_abi::{Process, SocketOwner};

use crate::maps::{PROCESSES, SOCKET_OWNERS};

/// Verdict of a cgroup program: the call goes on.
const PASS: i32 = 1;

/// A new socket.
#[cgroup_sock(sock_create)]
pub fn remora_sock_create(ctx: SockContext) -> i32 {
    note(ctx.sock);
    PASS
}

/// A socket that got an IPv4 address: its user may be another process than its creator.
#[cgroup_sock(post_bind4)]
pub fn remora_post_bind4(ctx: SockContext) -> i32 {
    note(ctx.sock);
    PASS
}

/// The same for IPv6.
#[cgroup_sock(post_bind6)]
pub fn remora_post_bind6(ctx: SockContext) -> i32 {
    note(ctx.sock);
    PASS
}

/// A socket that is being connected.
#[cgroup_sock_addr(connect4)]
pub fn remora_connect4(ctx: SockAddrContext) -> i32 {
    note(socket_of(&ctx));
    PASS
}

/// The same for IPv6.
#[cgroup_sock_addr(connect6)]
pub fn remora_connect6(ctx: SockAddrContext) -> i32 {
    note(socket_of(&ctx));
    PASS
}

#[inline(always)]
fn socket_of(ctx: &SockAddrContext) -> *mut bpf_sock {
    // SAFETY: a field of the context.
    unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk }
}

#[inline(always)]
fn note(sk: *mut bpf_sock) {
    if sk.is_null() {
        return;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: a helper without arguments.
    let cgroup_id = unsafe { bpf_get_current_cgroup_id() };
    let mut owner = SocketOwner { tgid, pad: 0, cgroup_id };
    // SAFETY: `sk` is the context's socket, the value is on the stack.
    let stored = unsafe {
        bpf_sk_storage_get(
            SOCKET_OWNERS.as_ptr(),
            sk.cast(),
            (&raw mut owner).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    }
    .cast::<SocketOwner>();
    if !stored.is_null() {
        // SAFETY: a live storage value; it may have been there before, from another process.
        unsafe { *stored = owner };
    }
    if tgid == 0 {
        return;
    }
    let process = Process {
        // SAFETY: a helper without arguments.
        seen_ns: unsafe { bpf_ktime_get_boot_ns() },
        cgroup_id,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    let _ = PROCESSES.insert(&tgid, &process, u64::from(BPF_ANY));
}
