//! Processes that come and go, and libraries that they load: the agent looks at them again.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{raw_tracepoint, uprobe},
    programs::{ProbeContext, RawTracePointContext},
};
use remora_abi::{TlsHeader, tls_event};

use crate::{
    tls::fresh_id,
    tls_record::{EMPTY, event},
};

#[inline(always)]
fn tell(what: u8) {
    let id = bpf_get_current_pid_tgid();
    let header =
        TlsHeader { time_ns: fresh_id(), tgid: (id >> 32) as u32, tid: id as u32, event: what, ..EMPTY };
    event(&header);
}

/// A process runs another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn remora_tls_exec(_: RawTracePointContext) -> i32 {
    tell(tls_event::EXEC);
    0
}

/// A thread ends; the first one of a process stands for it.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn remora_tls_exit(_: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    if (id >> 32) as u32 == id as u32 {
        tell(tls_event::EXIT);
    }
    0
}

/// The dynamic linker has mapped libraries (`_dl_debug_state`, which is there for debuggers).
#[uprobe]
pub fn remora_tls_linked(_: ProbeContext) -> u32 {
    tell(tls_event::LINKED);
    0
}
