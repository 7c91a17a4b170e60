//! Who owns a socket.

/// Length of a task's name in the kernel with its terminating zero (`TASK_COMM_LEN`,
/// include/linux/sched.h).
pub const COMM_LEN: usize = 16;

/// Kept with each socket, and handed down from a listener to the sockets it accepts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOwner {
    /// Process (thread group) that created, bound or connected the socket last.
    pub tgid: u32,
    /// How many packets that reach the socket may be passed over because they were seen where they
    /// were sent, in bits 0..16, as long as the policy's generation ends in bits 16..32.
    pub seen: u32,
    /// Its cgroup-v2 id at that time.
    pub cgroup_id: u64,
}

/// A process that owned a socket; survives the process, so that short-lived clients keep a name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// CLOCK_BOOTTIME when a socket hook saw it last, ns.
    pub seen_ns: u64,
    /// Cgroup-v2 id.
    pub cgroup_id: u64,
    /// Its name, zero terminated; that of the thread that used the socket where the kernel does not
    /// show where the process has its name.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<SocketOwner>() == 16);
const _: () = assert!(size_of::<Process>() == 32);
