//! Fair queue of history work: the next job is one of the caller that has used the least time.

use std::collections::{BTreeSet, HashMap, VecDeque};

use thiserror::Error;

/// A caller of the pool: one number for each caller that has shown who it is, and for each connection of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// Names one job of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobId(u64);

/// Why a job is refused, or removed from the queue.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(in crate::grpc) enum Overload {
    #[error(
        "{0} calls of this caller or connection wait for history, which is the limit: wait for some of their answers"
    )]
    Caller(usize),
    #[error("the server has {0} calls for history waiting, which is the limit: try again later")]
    Server(usize),
}

/// Largest number of jobs that may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Of one caller.
    pub(super) of_caller: usize,
    /// Of all together.
    pub(super) of_all: usize,
}

/// Jobs that wait, served by start-time fair queueing: each caller has a virtual time, which is the work that was done
/// for it, in nanoseconds, and the caller with the least virtual time is next. A caller that comes while others wait
/// begins at the virtual time of the queue: it gets no credit for the time it was away, and does not wait until the
/// others are done. The jobs of one caller are served in the order in which they came.
///
/// The time that a job takes is known only afterwards. Until then it is charged one slice, so that one caller does not
/// get all the threads at once.
#[derive(Debug)]
pub(super) struct FairQueue<J> {
    capacity: Capacity,
    /// Nanoseconds that a job is charged until its real time is known.
    slice: u64,
    /// Callers with jobs that wait or run, and those that are [resting](Self::resting).
    callers: HashMap<CallerId, Caller<J>>,
    /// Callers with a job that waits, ordered by virtual time, then by how long they wait.
    next: BTreeSet<(u64, u64, CallerId)>,
    /// Callers without work whose virtual time is ahead of the queue's.
    resting: BTreeSet<(u64, CallerId)>,
    /// Virtual time of the queue: that of the last job it gave out.
    reached: u64,
    waiting: usize,
    under_way: usize,
    /// The last number given to a job or a place.
    numbered: u64,
}

#[derive(Debug)]
struct Caller<J> {
    /// Its virtual time.
    used: u64,
    waiting: VecDeque<(JobId, J)>,
    under_way: usize,
    /// Its place among callers of the same virtual time, while it is in [`FairQueue::next`].
    place: Option<u64>,
}

impl<J> FairQueue<J> {
    pub(super) fn new(capacity: Capacity, slice: u64) -> Self {
        Self {
            capacity,
            slice,
            callers: HashMap::new(),
            next: BTreeSet::new(),
            resting: BTreeSet::new(),
            reached: 0,
            waiting: 0,
            under_way: 0,
            numbered: 0,
        }
    }

    /// Adds a job of a caller. When the queue is full and another caller has more jobs waiting, the newest job of that
    /// caller is removed and returned.
    ///
    /// # Errors
    /// There is no room for the job.
    pub(super) fn push(&mut self, caller: CallerId, job: J) -> Result<(JobId, Option<J>), Overload> {
        let own = self.callers.get(&caller).map_or(0, |caller| caller.waiting.len());
        if own >= self.capacity.of_caller {
            return Err(Overload::Caller(own));
        }
        let mut thrown_out = None;
        if self.waiting >= self.capacity.of_all {
            thrown_out = Some(self.throw_out(own + 1).ok_or(Overload::Server(self.waiting))?);
        }
        let id = JobId(self.number());
        let reached = self.reached;
        let at = self.callers.entry(caller).or_insert_with(|| Caller::new(reached));
        if at.is_idle() {
            self.resting.remove(&(at.used, caller));
            at.used = at.used.max(reached);
        }
        at.waiting.push_back((id, job));
        self.waiting += 1;
        self.line_up(caller);
        Ok((id, thrown_out))
    }

    /// Takes out the next job. [`Self::done`] must be called when its slice is over.
    pub(super) fn pop(&mut self) -> Option<(CallerId, JobId, J)> {
        let (used, _, caller) = self.next.pop_first()?;
        let at = self.callers.get_mut(&caller)?;
        at.place = None;
        let (id, job) = at.waiting.pop_front()?;
        at.under_way += 1;
        at.used = at.used.saturating_add(self.slice);
        self.waiting -= 1;
        self.under_way += 1;
        self.reached = self.reached.max(used);
        self.line_up(caller);
        self.forget_the_rested();
        Some((caller, id, job))
    }

    /// Charges one more slice to a caller that has a job under way, because another thread helps with it. [`Self::done`] must
    /// be called when that slice is over.
    pub(super) fn begin_help(&mut self, caller: CallerId) {
        let slice = self.slice;
        let at = self.callers.entry(caller).or_insert_with(|| Caller::new(self.reached));
        if let Some(place) = at.place.take() {
            self.next.remove(&(at.used, place, caller));
        }
        at.under_way += 1;
        at.used = at.used.saturating_add(slice);
        self.under_way += 1;
        self.line_up(caller);
    }

    /// The virtual time of a caller, in nanoseconds.
    pub(super) fn used(&self, caller: CallerId) -> u64 {
        self.callers.get(&caller).map_or(self.reached, |caller| caller.used)
    }

    /// Charges a caller for the slice of a job, in nanoseconds. A job that is not complete goes back to the front of its
    /// caller's queue.
    pub(super) fn done(&mut self, caller: CallerId, spent: u64, left: Option<(JobId, J)>) {
        let Some(at) = self.callers.get_mut(&caller) else { return };
        at.under_way -= 1;
        self.under_way -= 1;
        if let Some(place) = at.place.take() {
            self.next.remove(&(at.used, place, caller));
        }
        at.used = at.used.saturating_sub(self.slice).saturating_add(spent);
        if let Some(left) = left {
            at.waiting.push_front(left);
            self.waiting += 1;
        }
        self.line_up(caller);
        self.rest(caller);
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Removes a job whose caller has gone, if it waits here.
    pub(super) fn cancel(&mut self, caller: CallerId, id: JobId) -> Option<J> {
        let at = self.callers.get_mut(&caller)?;
        let place = at.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        let (_, job) = at.waiting.remove(place)?;
        self.taken_out(caller);
        Some(job)
    }

    /// Takes out every job.
    pub(super) fn drain(&mut self) -> Vec<J> {
        self.next.clear();
        self.waiting = 0;
        let jobs = |caller: &mut Caller<J>| {
            caller.place = None;
            std::mem::take(&mut caller.waiting)
        };
        self.callers.values_mut().flat_map(jobs).map(|(_, job)| job).collect()
    }

    /// Removes the newest job of the caller that has the most jobs waiting, if it has more than `others`. It looks at all
    /// callers, whose number is bounded by the capacity of the queue.
    fn throw_out(&mut self, others: usize) -> Option<J> {
        let (caller, at) = self.callers.iter_mut().max_by_key(|(id, at)| (at.waiting.len(), **id))?;
        let (_, job) = if at.waiting.len() > others { at.waiting.pop_back()? } else { return None };
        let caller = *caller;
        self.taken_out(caller);
        Some(job)
    }

    fn taken_out(&mut self, caller: CallerId) {
        self.waiting -= 1;
        if let Some(at) = self.callers.get_mut(&caller).filter(|at| at.waiting.is_empty())
            && let Some(place) = at.place.take()
        {
            self.next.remove(&(at.used, place, caller));
        }
        self.rest(caller);
    }

    /// Adds a caller that has a job waiting to [`Self::next`], unless it is there.
    fn line_up(&mut self, caller: CallerId) {
        let place = self.number();
        let Some(at) = self.callers.get_mut(&caller) else { return };
        if at.place.is_none() && !at.waiting.is_empty() {
            at.place = Some(place);
            self.next.insert((at.used, place, caller));
        }
    }

    /// Removes a caller that has no work. While its virtual time is ahead of the queue's it is kept: otherwise it could
    /// leave and come back to be served before its time.
    fn rest(&mut self, caller: CallerId) {
        if self.waiting == 0 && self.under_way == 0 {
            self.callers.clear();
            self.resting.clear();
            self.reached = 0;
            return;
        }
        let Some(at) = self.callers.get(&caller).filter(|at| at.is_idle()) else { return };
        self.resting.insert((at.used, caller));
        self.forget_the_rested();
    }

    fn forget_the_rested(&mut self) {
        while let Some(&(used, caller)) = self.resting.first().filter(|(used, _)| *used <= self.reached) {
            self.resting.remove(&(used, caller));
            self.callers.remove(&caller);
        }
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }
}

impl<J> Caller<J> {
    fn new(used: u64) -> Self {
        Self { used, waiting: VecDeque::new(), under_way: 0, place: None }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SLICE: u64 = 10;
    const ROOM: Capacity = Capacity { of_caller: 1_000, of_all: 10_000 };

    /// A job is how many slices it still takes.
    fn queue(capacity: Capacity) -> FairQueue<u64> {
        FairQueue::new(capacity, SLICE)
    }

    fn push(queue: &mut FairQueue<u64>, caller: u64, slices: u64) -> JobId {
        queue.push(CallerId(caller), slices).unwrap().0
    }

    /// Does one slice, which costs this much. Returns whose it was, and whether the job is done.
    fn slice(queue: &mut FairQueue<u64>, cost: impl Fn(u64) -> u64) -> (u64, bool) {
        let (caller, id, slices) = queue.pop().unwrap();
        queue.done(caller, cost(caller.0), (slices > 1).then(|| (id, slices - 1)));
        (caller.0, slices == 1)
    }

    fn is_forgotten(queue: &FairQueue<u64>) -> bool {
        queue.callers.is_empty() && queue.next.is_empty() && queue.resting.is_empty()
    }

    #[test]
    fn a_newcomer_with_one_job_is_next_however_much_the_others_want() {
        let mut queue = queue(ROOM);
        for caller in 0..50 {
            for _ in 0..20 {
                push(&mut queue, caller, 1_000);
            }
        }
        for _ in 0..5_000 {
            slice(&mut queue, |_| SLICE);
        }
        for _ in 0..1_000 {
            push(&mut queue, 99, 1);
            let waited =
                (0..).find(|_| slice(&mut queue, |caller| if caller == 99 { 1 } else { SLICE }).0 == 99);
            assert!(waited <= Some(50), "behind no caller twice: {waited:?}");
        }
    }

    #[test]
    fn callers_get_the_same_time_whatever_their_jobs_cost_and_however_many_they_are() {
        let mut queue = queue(ROOM);
        push(&mut queue, 1, u64::MAX);
        for _ in 0..100 {
            push(&mut queue, 2, u64::MAX);
        }
        for _ in 0..900 {
            push(&mut queue, 3, 1);
        }
        let cost = |caller| [0, 12, 3, 7][caller as usize];
        let mut used = BTreeMap::new();
        for _ in 0..1_000 {
            let (caller, _) = slice(&mut queue, cost);
            *used.entry(caller).or_insert(0) += cost(caller);
        }
        let (least, most) = (used.values().min().unwrap(), used.values().max().unwrap());
        assert!(most - least <= 12, "{used:?}");
    }

    #[test]
    fn a_caller_that_asks_again_as_soon_as_it_is_answered_gains_nothing_by_it() {
        let mut queue = queue(ROOM);
        for caller in [1, 2, 3] {
            push(&mut queue, caller, u64::MAX);
        }
        let mut served = BTreeMap::new();
        push(&mut queue, 4, 1);
        for _ in 0..400 {
            let (caller, done) = slice(&mut queue, |_| SLICE);
            *served.entry(caller).or_insert(0) += 1;
            if done {
                push(&mut queue, caller, 1);
            }
        }
        assert!(served.values().all(|slices| (99..=101).contains(slices)), "{served:?}");
    }

    #[test]
    fn a_caller_that_was_away_does_not_keep_the_others_waiting_when_it_comes_back() {
        let mut queue = queue(ROOM);
        push(&mut queue, 1, u64::MAX);
        for _ in 0..1_000 {
            slice(&mut queue, |_| SLICE);
        }
        push(&mut queue, 2, u64::MAX);
        let served: Vec<_> = (0..6).map(|_| slice(&mut queue, |_| SLICE).0).collect();
        assert_eq!(served.iter().filter(|caller| **caller == 1).count(), 3, "{served:?}");
    }

    #[test]
    fn threads_are_shared_out_before_their_time_is_told() {
        let mut queue = queue(ROOM);
        for caller in [1, 1, 1, 2] {
            push(&mut queue, caller, 1);
        }
        let two = [queue.pop().unwrap().0, queue.pop().unwrap().0];
        assert_eq!(two, [CallerId(1), CallerId(2)]);
    }

    #[test]
    fn a_full_queue_makes_room_for_who_has_less_at_the_cost_of_who_has_most() {
        let mut queue = queue(Capacity { of_caller: 3, of_all: 6 });
        for caller in [1, 1, 1, 2, 2] {
            push(&mut queue, caller, caller);
        }
        assert_eq!(queue.push(CallerId(1), 0), Err(Overload::Caller(3)));
        push(&mut queue, 3, 3);
        assert!(matches!(queue.push(CallerId(4), 4), Ok((_, Some(1)))));
        // Now everyone has two at most.
        assert_eq!(queue.push(CallerId(4), 4), Err(Overload::Server(6)));
        assert!(matches!(queue.push(CallerId(5), 5), Ok((_, Some(2)))));
        assert_eq!(queue.waiting, 6);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push(u64),
        Pop,
        Done { cost: u64, left: bool, which: prop::sample::Index },
        Help { cost: u64, which: prop::sample::Index },
        Cancel(prop::sample::Index),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let done = (0u64..30, any::<bool>(), any::<prop::sample::Index>());
        let act = prop_oneof![
            4 => (0u64..6).prop_map(Act::Push),
            3 => Just(Act::Pop),
            3 => done.prop_map(|(cost, left, which)| Act::Done { cost, left, which }),
            1 => (0u64..30, any::<prop::sample::Index>()).prop_map(|(cost, which)| Act::Help { cost, which }),
            1 => any::<prop::sample::Index>().prop_map(Act::Cancel),
        ];
        prop::collection::vec(act, 1..200)
    }

    proptest! {
        /// The model keeps a list of jobs for each caller, and which are under way.
        #[test]
        fn every_job_comes_once_and_in_its_callers_order(acts in acts()) {
            let capacity = Capacity { of_caller: 5, of_all: 12 };
            let mut queue = queue(capacity);
            let mut model: BTreeMap<CallerId, Vec<JobId>> = BTreeMap::new();
            let mut under_way: Vec<(CallerId, JobId, u64)> = Vec::new();
            let mut jobs: BTreeMap<u64, JobId> = BTreeMap::new();
            for (number, act) in acts.into_iter().enumerate() {
                let job = number as u64;
                let lines = |model: &BTreeMap<CallerId, Vec<JobId>>| model.values().map(Vec::len).collect::<Vec<_>>();
                match act {
                    Act::Push(caller) => {
                        let caller = CallerId(caller);
                        let own = model.get(&caller).map_or(0, Vec::len);
                        let longest = lines(&model).into_iter().max().unwrap_or(0);
                        let all: usize = lines(&model).iter().sum();
                        match queue.push(caller, job) {
                            Ok((id, thrown_out)) => {
                                prop_assert!(own < 5);
                                prop_assert_eq!(thrown_out.is_some(), all >= 12);
                                if let Some(out) = thrown_out {
                                    let line = model.values_mut().find(|line| line.last() == jobs.get(&out)).unwrap();
                                    prop_assert!(line.len() == longest && longest > own + 1);
                                    line.pop();
                                }
                                model.entry(caller).or_default().push(id);
                                jobs.insert(job, id);
                            }
                            Err(Overload::Caller(many)) => prop_assert!(own >= 5 && many == own),
                            Err(Overload::Server(many)) => prop_assert!(many == all && all >= 12 && longest <= own + 1),
                        }
                    }
                    Act::Pop => match queue.pop() {
                        Some((caller, id, job)) => {
                            let line = model.get_mut(&caller).unwrap();
                            prop_assert_eq!(line.remove(0), id);
                            prop_assert_eq!(jobs[&job], id);
                            under_way.push((caller, id, job));
                        }
                        None => prop_assert!(lines(&model).iter().all(|line| *line == 0)),
                    },
                    Act::Done { cost, left, which } => if !under_way.is_empty() {
                        let (caller, id, job) = under_way.swap_remove(which.index(under_way.len()));
                        queue.done(caller, cost, left.then_some((id, job)));
                        if left {
                            model.get_mut(&caller).unwrap().insert(0, id);
                        }
                    },
                    Act::Help { cost, which } => if !under_way.is_empty() {
                        let (caller, ..) = under_way[which.index(under_way.len())];
                        let before = queue.used(caller);
                        queue.begin_help(caller);
                        prop_assert_eq!(queue.used(caller), before + SLICE);
                        queue.done(caller, cost, None);
                        prop_assert_eq!(queue.used(caller), before + cost);
                    },
                    Act::Cancel(which) => {
                        let all: Vec<_> =
                            model.iter().flat_map(|(caller, line)| line.iter().map(|id| (*caller, *id))).collect();
                        if !all.is_empty() {
                            let (caller, id) = all[which.index(all.len())];
                            prop_assert!(queue.cancel(caller, id).is_some());
                            prop_assert!(queue.cancel(caller, id).is_none());
                            model.get_mut(&caller).unwrap().retain(|one| *one != id);
                        }
                    }
                }
                prop_assert_eq!(queue.waiting, lines(&model).iter().sum::<usize>());
                prop_assert_eq!(queue.next.len(), lines(&model).iter().filter(|line| **line > 0).count());
                prop_assert_eq!(queue.under_way, under_way.len());
            }
            while let Some((caller, _, _)) = queue.pop() {
                queue.done(caller, SLICE, None);
            }
            for (caller, _, _) in under_way {
                queue.done(caller, SLICE, None);
            }
            prop_assert!(is_forgotten(&queue));
        }
    }
}
