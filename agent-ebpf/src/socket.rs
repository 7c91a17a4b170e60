//! Who owns a socket: noted when a process creates, binds or connects it, kept beside the socket,
//! and inherited by the sockets that a listener accepts.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_ANY, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_task, bpf_ktime_get_boot_ns, bpf_sk_storage_get,
        },
    },
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};
use remora_abi::{COMM_LEN, Process, SocketOwner};

use crate::maps::{PROCESSES, SOCKET_OWNERS, TASK_COMM, TASK_LEADER};

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
    let mut owner = SocketOwner { tgid, seen: 0, cgroup_id };
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
        comm: match leader_comm() {
            Some(comm) => comm,
            None => bpf_get_current_comm().unwrap_or_default(),
        },
    };
    let _ = PROCESSES.insert(&tgid, &process, u64::from(BPF_ANY));
}

/// The name of the process: that of its thread group's leader.
#[inline(always)]
fn leader_comm() -> Option<[u8; COMM_LEN]> {
    let (leader_at, comm_at) = (TASK_LEADER.load(), TASK_COMM.load());
    if leader_at == 0 || comm_at == 0 {
        return None;
    }
    // SAFETY: the offsets are those of the running kernel; whatever lies there is only copied.
    unsafe {
        let task = bpf_get_current_task() as *const u8;
        let leader: *const u8 = bpf_probe_read_kernel(task.add(leader_at as usize).cast()).ok()?;
        bpf_probe_read_kernel(leader.add(comm_at as usize).cast()).ok()
    }
}

/// State of a connected TCP socket (BPF_TCP_ESTABLISHED, include/uapi/linux/bpf.h).
const ESTABLISHED: u32 = 1;
/// Packets that are passed over before one is looked at again: then it shows if the sender's hook
/// has fallen silent, and who owns the flow now.
const PASSED_OVER: u32 = 1_023;

/// True when the packet on its way up to a socket is one of those that were seen where they were
/// sent. All that it costs is a look at what is kept beside the socket.
#[inline(always)]
pub fn may_pass_over(skb: *mut __sk_buff, generation: u32) -> bool {
    // SAFETY: `skb` is the program's context.
    let sk = unsafe { (*skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return false;
    }
    // SAFETY: `sk` is the context's socket.
    let owner = unsafe { bpf_sk_storage_get(SOCKET_OWNERS.as_ptr(), sk.cast(), core::ptr::null_mut(), 0) }
        .cast::<SocketOwner>();
    if owner.is_null() {
        return false;
    }
    // SAFETY: a live storage value. Two CPUs that count at the same time count once.
    unsafe {
        let seen = (*owner).seen;
        if seen & 0xffff == 0 || seen >> 16 != generation & 0xffff {
            return false;
        }
        (*owner).seen = seen - 1;
    }
    true
}

/// Lets some packets pass that reach the socket, as long as the policy stays as it is.
#[inline(always)]
pub fn pass_over(skb: *mut __sk_buff, generation: u32) {
    // SAFETY: `skb` is the program's context.
    let sk = unsafe { (*skb).__bindgen_anon_2.sk };
    // A listener's sockets inherit what is kept beside it, and see the packets of many.
    // SAFETY: a field of the context's socket.
    if sk.is_null() || unsafe { (*sk).state } != ESTABLISHED {
        return;
    }
    let mut unknown = SocketOwner { tgid: 0, seen: 0, cgroup_id: 0 };
    // SAFETY: `sk` is the context's socket, the value is on the stack.
    let owner = unsafe {
        bpf_sk_storage_get(
            SOCKET_OWNERS.as_ptr(),
            sk.cast(),
            (&raw mut unknown).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    }
    .cast::<SocketOwner>();
    if !owner.is_null() {
        // SAFETY: a live storage value.
        unsafe { (*owner).seen = (generation & 0xffff) << 16 | PASSED_OVER };
    }
}
