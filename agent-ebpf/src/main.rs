//! The programs that run in the kernel; one family of hooks per file.
//!
//! `packet` is the path that every packet takes, whichever hook brought it (`cgroup_skb`, `tc`);
//! `socket` notes who owns a socket. `tls` is what the probes on TLS libraries have in common, with
//! one file per family of libraries; `tls_record` sends what they find. None of them changes or blocks anything: every program lets
//! the packet or the call pass.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod cgroup_skb;
mod flow;
mod insn;
mod maps;
mod packet;
mod parse;
mod policy;
mod socket;
mod tc;
mod tls;
mod tls_go;
mod tls_library;
mod tls_process;
mod tls_record;
mod tls_rust;
mod tls_secret;
mod tls_socket;
mod tls_trial;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no program that can reach this.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
