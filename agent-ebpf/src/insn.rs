//! Instructions that Rust does not write by itself: an atomic addition, which `core` does not offer for
//! the BPF target, and a mask for the verifier. Atomic operations that return something would need
//! Linux 5.12.

use core::arch::asm;

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

/// The low 7 bits, in the same way.
#[inline(always)]
pub fn low7(mut value: u64) -> u64 {
    // SAFETY: one instruction on one register.
    unsafe { asm!("{v} &= 0x7f", v = inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The low 2 bits, in the same way.
#[inline(always)]
pub fn low2(mut value: u64) -> u64 {
    // SAFETY: one instruction on one register.
    unsafe { asm!("{v} &= 3", v = inout(reg) value, options(pure, nomem, nostack)) };
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
