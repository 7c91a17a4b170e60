//! Instructions that Rust does not write by itself: atomic operations, which `core` does not offer for
//! the BPF target (Linux 5.12 and newer run them), and a mask for the verifier.

use core::arch::asm;

/// Stores `value` and returns what was there.
///
/// # Safety
///
/// `at` is a valid, aligned address in a map value.
#[inline(always)]
pub unsafe fn swap(at: *mut u64, mut value: u64) -> u64 {
    unsafe { asm!("{v} = xchg_64({p} + 0, {v})", v = inout(reg) value, p = in(reg) at) };
    value
}

/// Adds `value`.
///
/// # Safety
///
/// `at` is a valid, aligned address in a map value.
#[inline(always)]
pub unsafe fn add(at: *mut u64, value: u64) {
    unsafe { asm!("lock *(u64 *)({p} + 0) += {v}", v = in(reg) value, p = in(reg) at) };
}

/// The low 17 bits, which bound lengths up to `MAX_CAPTURE`, by an instruction that the optimiser cannot drop where it knows the bound to
/// hold and the verifier does not.
#[inline(always)]
pub fn low17(mut value: u64) -> u64 {
    // SAFETY: one instruction on one register.
    unsafe { asm!("{v} &= 0x1ffff", v = inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The same pointer, of which the optimiser knows nothing: what is read through it comes from memory.
/// The verifier forgets what it knew of a value that went through a map's memory, so paths that differ
/// only in such values are one path to it from there on.
#[inline(always)]
pub fn launder<T>(pointer: *mut T) -> *mut T {
    let out: *mut T;
    // SAFETY: one instruction on two registers; no `nomem`, so that memory is written before.
    unsafe { asm!("{o} = {i}", o = out(reg) out, i = in(reg) pointer, options(nostack)) };
    out
}
