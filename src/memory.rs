//! The allocator, and how freed memory goes back to the system.
//!
//! mimalloc keeps the pages that a thread has emptied until that thread allocates again, and returns memory to the system
//! only when some thread frees a page more than `purge_delay` after the memory became free. After many clients have left,
//! neither may ever happen. So each worker calls [`collect`] at intervals: it hands over its empty pages, which takes
//! microseconds. A thread of the lowest priority purges: it returns all free memory to the system, which takes
//! milliseconds for hundreds of megabytes, and would delay ticks on the thread of a worker.

use std::{
    ffi::{c_int, c_long},
    io, thread,
    time::Duration,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often free memory is returned to the system.
const PURGE_INTERVAL: Duration = Duration::from_secs(2);

/// mimalloc's option `purge_delay`, in milliseconds.
const PURGE_DELAY: c_int = 15;
/// Longer than a server runs: no thread but that of [`start_purging`] purges.
const NEVER: c_long = c_long::MAX / 2;

#[expect(unsafe_code, reason = "the crate mimalloc has no functions for this")]
// SAFETY: these are the signatures of mimalloc.h. Each function may be called on any thread at any time.
unsafe extern "C" {
    safe fn mi_thread_init();
    safe fn mi_collect(force: bool);
    safe fn mi_option_set_default(option: c_int, value: c_long);
    #[cfg(test)]
    safe fn mi_option_get(option: c_int) -> c_long;
}

/// Hands over the pages that this thread has emptied, so that they can be purged.
///
/// A quick collection leaves pages that mimalloc takes for soon to be used again. A thorough one takes all; it walks
/// lists of freed blocks, and purges what is free, which takes long when much was freed in the last seconds.
pub(crate) fn collect(thorough: bool) {
    mi_collect(thorough);
}

/// Returns free memory to the system every [`PURGE_INTERVAL`], on a thread of its own, from now on. The environment
/// variable `MIMALLOC_PURGE_DELAY` has the last word on whether workers purge as well.
pub(crate) fn start_purging() -> io::Result<()> {
    // With transparent huge pages, one small block in use keeps 2 MiB resident. mimalloc is built not to ask for them
    // (`no_thp`); this is for systems where every process gets them.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    mi_option_set_default(PURGE_DELAY, NEVER);
    thread::Builder::new().name("memory".to_owned()).spawn(|| {
        ticker::thread_priority::lower(ticker::thread_priority::LOWEST);
        loop {
            thread::sleep(PURGE_INTERVAL);
            purge();
        }
    })?;
    Ok(())
}

fn purge() {
    // On a thread that has allocated nothing yet, collecting does nothing.
    mi_thread_init();
    mi_collect(true);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use std::fs;

    use super::*;

    fn resident() -> usize {
        let status = fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
    }

    #[test]
    fn freed_memory_goes_back_to_the_system_when_it_is_collected_and_purged() {
        assert_eq!(mi_option_get(PURGE_DELAY), 1_000, "the option has another number in this version");
        mi_option_set_default(PURGE_DELAY, NEVER);
        let before = resident();
        let blocks: Vec<Box<[u8; 200]>> = (0..500_000).map(|n| Box::new([n as u8; 200])).collect();
        let size = blocks.len() * size_of::<[u8; 200]>();
        assert!(resident() > before + size);
        drop(blocks);
        assert!(resident() > before + size / 2, "nothing is purged on the thread that frees");
        collect(true);
        thread::spawn(purge).join().unwrap();
        assert!(resident() < before + size / 10, "{} of {size} bytes are left", resident() - before);
    }
}
