use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use proptest::prelude::*;

use super::*;

/// A disk that fails when it is told to, and then forgets what was not synced.
#[derive(Default)]
struct Disk(Mutex<DiskState>);

#[derive(Default)]
struct DiskState {
    /// What a reader sees.
    written: Vec<u8>,
    /// What is there after the loss of power.
    durable: Vec<u8>,
    /// Whether each of the next operations fails.
    failures: VecDeque<bool>,
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }

    /// An operation, which may fail.
    fn operation(
        &self,
        whole: impl FnOnce(&mut DiskState),
        failed: impl FnOnce(&mut DiskState),
    ) -> io::Result<()> {
        let state = &mut *self.lock();
        if state.failures.pop_front() == Some(true) {
            failed(state);
            return Err(io::Error::other("the disk is full"));
        }
        whole(state);
        Ok(())
    }
}

fn write(state: &mut DiskState, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if state.written.len() < end {
        state.written.resize(end, 0);
    }
    state.written[offset as usize..end].copy_from_slice(bytes);
}

impl Storage for Disk {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        self.operation(|state| write(state, offset, bytes), |state| write(state, offset, half))
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.operation(|state| state.written.resize(length as usize, 0), |_| {})
    }

    fn sync(&self) -> io::Result<()> {
        let lose = |state: &mut DiskState| {
            let durable = state.durable.len();
            state.written.iter_mut().skip(durable).for_each(|byte| *byte = 0);
        };
        self.operation(|state| state.durable = state.written.clone(), lose)
    }
}

#[derive(Clone, Debug)]
enum Action {
    Append,
    Sync,
    BeginSync,
    EndSync,
}

fn actions() -> impl Strategy<Value = Vec<(Action, Vec<bool>)>> {
    let action = prop_oneof![
        4 => Just(Action::Append),
        1 => Just(Action::Sync),
        2 => Just(Action::BeginSync),
        2 => Just(Action::EndSync),
    ];
    prop::collection::vec((action, prop::collection::vec(prop::bool::weighted(0.3), 0..4)), 1..60)
}

proptest! {
    #[test]
    fn what_was_synced_is_durable_and_nothing_that_failed_is_there(actions in actions()) {
        let disk = Arc::new(Disk::default());
        let mut file = OpenFile::synced("2026-11-28".to_owned(), disk.clone(), 0);
        // The lines that were written, the length up to which they are durable, and the sync that is under way with the length at its
        // beginning.
        let (mut lines, mut durable) = (Vec::new(), 0);
        let mut syncing: Option<(SyncJob, usize)> = None;
        for (number, (action, failures)) in actions.into_iter().enumerate() {
            disk.lock().failures = failures.into();
            match action {
                Action::Append => {
                    let line = format!("line {number}\n");
                    if file.append(line.as_bytes()).is_ok() {
                        lines.extend_from_slice(line.as_bytes());
                    }
                }
                Action::Sync => if file.sync().is_ok() {
                    durable = lines.len();
                },
                Action::BeginSync if syncing.is_none() => if let Ok(job) = file.begin_sync() {
                    let begun = lines.len();
                    durable = if job.is_none() { begun } else { durable };
                    syncing = job.map(|job| (job, begun));
                },
                Action::EndSync => if let Some((job, begun)) = syncing.take()
                    && let Ok(true) = file.end_sync(job.run())
                {
                    durable = durable.max(begun);
                },
                Action::BeginSync => {}
            }
            let found = disk.lock().durable.clone();
            prop_assert!(found.len() >= durable, "{} of {durable} bytes are durable", found.len());
            prop_assert_eq!(&found[..durable], &lines[..durable]);
            if !file.is_broken {
                prop_assert_eq!(&disk.lock().written, &lines);
            }
        }
        disk.lock().failures.clear();
        if let Some((job, _)) = syncing {
            file.end_sync(job.run()).unwrap();
        }
        file.sync().unwrap();
        prop_assert_eq!(&disk.lock().durable, &lines);
    }
}

#[test]
fn a_date_is_a_day_of_the_calendar() {
    assert!(is_date("2026-11-28") && is_date("2028-02-29"));
    for other in ["", "2026-11-31", "2026-1-1", "26-11-28", "2026-11-28x", "tape_id", "2026-11-28.old"] {
        assert!(!is_date(other), "{other:?}");
    }
}
