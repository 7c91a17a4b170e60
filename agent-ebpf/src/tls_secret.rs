//! Secrets of TLS connections, where libraries hand them to a key log, whether there is one or not.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{
            bpf_get_attach_cookie, bpf_ktime_get_boot_ns, bpf_probe_read_user as read_user,
            bpf_probe_read_user_str as read_user_str,
        },
    },
    macros::uprobe,
    programs::ProbeContext,
};
use remora_abi::{TlsHeader, TlsReason, TlsSecret, tls_event};

use crate::{
    insn::low7,
    maps::{SETTINGS, count_tls},
    tls::arg,
    tls_record::{EMPTY, Record, discard, reserve, submit},
};

/// No pointer on the way to the client's random.
const NONE: u32 = u32::MAX;

/// A secret and where its parts lie in the process.
struct Parts {
    handle: u64,
    random: u64,
    label: u64,
    /// 0: a zero ends it.
    label_len: u64,
    secret: u64,
    len: u64,
}

/// `log(connection, label, secret, length)`. The probe's cookie tells where the structure of the
/// connection has the client's random: the offset in its lower half, and in its upper half that of a
/// pointer that leads there, or [`NONE`].
#[uprobe]
pub fn remora_tls_secret(ctx: ProbeContext) -> u32 {
    let handle = arg(&ctx, 0);
    // SAFETY: the program's context.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let through = (cookie >> 32) as u32;
    let mut base = handle;
    if through != NONE {
        // SAFETY: the helper checks the address.
        base = unsafe { bpf_probe_read_user((handle + u64::from(through)) as *const u64) }.unwrap_or(0);
    }
    let random = base + (cookie & 0xffff_ffff);
    let (label, secret, len) = (arg(&ctx, 1), arg(&ctx, 2), arg(&ctx, 3));
    tell(&Parts { handle, random, label, label_len: 0, secret, len });
    0
}

/// `(*Config).writeKeyLog(label string, clientRandom, secret []byte)` of Go.
#[uprobe]
pub fn remora_tls_go_secret(ctx: ProbeContext) -> u32 {
    let parts = go(&ctx);
    if parts.label_len != 0 && parts.label_len < LABEL {
        tell(&parts);
    }
    0
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn go(ctx: &ProbeContext) -> Parts {
    // SAFETY: the program's context. Go passes arguments in RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11; a
    // slice takes three.
    unsafe {
        let r = &*ctx.regs;
        Parts { handle: r.rax, random: r.rdi, label: r.rbx, label_len: r.rcx, secret: r.r9, len: r.r10 }
    }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn go(ctx: &ProbeContext) -> Parts {
    // SAFETY: the program's context. Go passes arguments in R0 to R15; a slice takes three.
    unsafe {
        let r = &(*ctx.regs).regs;
        Parts { handle: r[0], random: r[3], label: r[1], label_len: r[2], secret: r[6], len: r[7] }
    }
}

/// Room for a label with the zero behind it.
const LABEL: u64 = 40;
/// Room for a secret.
const SECRET: u64 = 64;

#[inline(always)]
fn tell(parts: &Parts) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let own = SETTINGS.get(0).is_some_and(|settings| settings.own_tgid == tgid);
    if own || parts.len == 0 || parts.len > SECRET {
        return;
    }
    let record = reserve::<Record<{ TlsSecret::LEN }>>();
    if record.is_null() {
        count_tls(TlsReason::RingFull, 0);
        return;
    }
    // SAFETY: the record has room for all that is written; the helper checks the addresses in the process.
    unsafe {
        (*record).header = TlsHeader {
            time_ns: bpf_ktime_get_boot_ns(),
            handle: parts.handle,
            tgid,
            captured: TlsSecret::LEN as u32,
            event: tls_event::SECRET,
            ..EMPTY
        };
        let to = (&raw mut (*record).data).cast::<TlsSecret>();
        (*record).data = [0; TlsSecret::LEN];
        let label = (&raw mut (*to).label).cast();
        let mut ok = if parts.label_len == 0 {
            read_user_str(label, LABEL as u32, parts.label as *const _) > 0
        } else {
            let mut len = low7(parts.label_len);
            if len > LABEL {
                len = LABEL;
            }
            read_user(label, len as u32, parts.label as *const _) == 0
        };
        ok &= read_user((&raw mut (*to).random).cast(), 32, parts.random as *const _) == 0;
        let mut len = low7(parts.len);
        if len > SECRET {
            len = SECRET;
        }
        ok &= read_user((&raw mut (*to).secret).cast(), len as u32, parts.secret as *const _) == 0;
        (*to).len = len as u32;
        if ok {
            submit(record);
        } else {
            discard(record);
            count_tls(TlsReason::Unreadable, 0);
        }
    }
}
