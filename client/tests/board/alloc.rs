//! Counts what the code under test allocates. Only a binary that installs [`Counting`] counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

std::thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts while watched.
pub struct Counting;

fn note() {
    let _ = WATCHED.try_with(|watched| {
        if watched.get() {
            COUNT.with(|count| count.set(count.get() + 1));
        }
    });
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note();
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Counts allocations within `f`.
pub fn watched<R>(f: impl FnOnce() -> R) -> R {
    within(true, f)
}

/// Does not count within `f`, which is not the code under test.
pub fn unwatched<R>(f: impl FnOnce() -> R) -> R {
    within(false, f)
}

fn within<R>(watch: bool, f: impl FnOnce() -> R) -> R {
    let before = WATCHED.replace(watch);
    let result = f();
    WATCHED.set(before);
    result
}

/// Allocations and releases counted so far.
pub fn count() -> usize {
    COUNT.get()
}
