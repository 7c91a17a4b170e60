//! Allocations of a thread, and a sink that takes only calls that are whole.
#![allow(unsafe_code, dead_code, unreachable_pub)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use remora_dissect::{Problem, Sink};
use remora_model::{Call, FlowRow};

thread_local! {
    pub static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every request is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts calls.
#[derive(Default)]
pub struct Count(pub u64);

impl Sink for Count {
    fn call(&mut self, call: &Call<'_>) {
        assert!(call.incomplete.is_none() && call.fields.len() >= 3);
        self.0 += 1;
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        panic!("{problem:?}");
    }
}
