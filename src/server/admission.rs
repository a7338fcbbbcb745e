//! Admission of connections: each one takes a descriptor and memory, so their number is limited.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::log::CUT;
use crate::{
    grpc::{ConnectionContext, Limit, Notice, ServerContext},
    jitter::Jitter,
};

/// The connections of one server. Clones share them.
#[derive(Clone)]
pub(super) struct Admission(Arc<Shared>);

struct Shared {
    max: usize,
    server: ServerContext,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: HashMap<u64, ConnectionContext>,
    by_address: HashMap<IpAddr, usize>,
    is_draining: bool,
    /// How many connections have ended, by reason.
    closed: BTreeMap<&'static str, u64>,
}

/// The connections so far, for metrics.
pub(super) struct Counts {
    pub(super) open: u64,
    pub(super) max: u64,
    pub(super) accepted: u64,
    /// By reason.
    pub(super) closed: BTreeMap<&'static str, u64>,
}

/// The place of an admitted connection, freed when this is dropped.
pub(super) struct Admitted {
    pub(super) context: ConnectionContext,
    /// Why it has ended.
    pub(super) end: &'static str,
    admission: Admission,
    /// How many connections its worker has.
    load: Arc<AtomicUsize>,
}

impl Admission {
    /// Number of connections that are evicted together, because each search for the longest idle ones looks at all.
    const EVICTED_TOGETHER: usize = 16;

    /// For a server that may have this many connections.
    pub(super) fn new(max: usize, server: ServerContext) -> Self {
        Self(Arc::new(Shared { max, server, state: Mutex::default() }))
    }

    /// Admits a connection to a worker, and makes room for it if need be: the connections that have been idle for longest
    /// are closed. One address may have half of the connections; beyond that, only its own make room for it.
    ///
    /// # Errors
    /// The limit because of which the connection is refused. It is in the log.
    pub(super) fn admit(&self, peer: Option<SocketAddr>, load: Arc<AtomicUsize>) -> Result<Admitted, Limit> {
        let admitted = self.try_admit(peer, load);
        if let Err(limit) = admitted {
            self.0.server.note_limit(limit, peer);
        }
        admitted
    }

    fn try_admit(&self, peer: Option<SocketAddr>, load: Arc<AtomicUsize>) -> Result<Admitted, Limit> {
        let state = &mut *self.lock();
        let address = peer.map(|peer| peer.ip());
        let of_peer = address.and_then(|address| state.by_address.get(&address).copied()).unwrap_or(0);
        // Evicted connections keep their places until they have closed.
        let room = (self.0.max / 4).clamp(1, Self::EVICTED_TOGETHER);
        if of_peer >= self.share() {
            state.evict(room, |context| context.peer().map(|peer| peer.ip()) == address);
        } else if state.open.len() + room >= self.0.max {
            state.evict(room, |_| true);
        }
        if of_peer >= self.share() + room {
            return Err(Limit::ConnectionsPerAddress);
        }
        if state.open.len() >= self.0.max {
            return Err(Limit::Connections);
        }
        let id = state.next_id;
        state.next_id += 1;
        let context = ConnectionContext::new(id, peer, self.0.server.clone());
        if state.is_draining {
            context.notify(Notice::Drain);
        }
        state.open.insert(id, context.clone());
        if let Some(address) = address {
            *state.by_address.entry(address).or_default() += 1;
        }
        load.fetch_add(1, Relaxed);
        Ok(Admitted { context, end: CUT, admission: self.clone(), load })
    }

    /// The open connections, each with a random moment of the spread from now on, in the order of these moments.
    pub(super) fn at_random_moments(&self, spread: Duration) -> Vec<(Instant, ConnectionContext)> {
        let (now, mut jitter) = (Instant::now(), Jitter::new());
        let state = &*self.lock();
        let at_random = |context: &ConnectionContext| (now + jitter.moment_of(spread), context.clone());
        let mut open: Vec<_> = state.open.values().map(at_random).collect();
        open.sort_by_key(|(moment, _)| *moment);
        open
    }

    /// Tells every connection, and those that are yet to come, to take no new streams and to close when those that are
    /// open have ended.
    pub(super) fn drain(&self) {
        let state = &mut *self.lock();
        state.is_draining = true;
        for context in state.open.values() {
            context.notify(Notice::Drain);
        }
    }

    /// The connections so far.
    pub(super) fn counts(&self) -> Counts {
        let state = &*self.lock();
        Counts {
            open: state.open.len() as u64,
            max: self.0.max as u64,
            accepted: state.next_id,
            closed: state.closed.clone(),
        }
    }

    /// How many connections one address may have.
    fn share(&self) -> usize {
        (self.0.max / 2).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Evicts the connections that are idle longest, so that `most` of those that may be evicted are about to close.
    fn evict(&mut self, most: usize, may_evict: impl Fn(&ConnectionContext) -> bool) {
        let mut idle: Vec<(Instant, u64)> = Vec::new();
        let mut left = most;
        for context in self.open.values().filter(|context| may_evict(context)) {
            if context.notice() == Some(Notice::Evict) {
                left = left.saturating_sub(1);
            } else if let Some(since) = context.idle_since() {
                idle.push((since, context.id()));
            }
        }
        // Waits until half of them have closed, so that not every new connection causes a search.
        if left < most.div_ceil(2) {
            return;
        }
        if idle.len() > left {
            idle.select_nth_unstable(left);
        }
        for context in idle.iter().take(left).filter_map(|(_, id)| self.open.get(id)) {
            context.note_limit(Limit::IdleConnections);
            context.notify(Notice::Evict);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Relaxed);
        let state = &mut *self.admission.lock();
        state.open.remove(&self.context.id());
        *state.closed.entry(self.end).or_default() += 1;
        if let Some(peer) = self.context.peer()
            && let Some(count) = state.by_address.get_mut(&peer.ip())
        {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&peer.ip());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::{Authentication, CallerLimits};

    fn peer(number: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, number], 50_000)))
    }

    fn at_most(connections: usize) -> Admission {
        Admission::new(
            connections,
            ServerContext::new(
                1,
                Duration::from_secs(30),
                Authentication::new(None, CallerLimits::default()),
            ),
        )
    }

    fn admit(admission: &Admission, number: u8) -> Result<Admitted, Limit> {
        admission.admit(peer(number), Arc::default())
    }

    fn is_evicted(admitted: &Admitted) -> bool {
        admitted.context.notice() == Some(Notice::Evict)
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_server_closes_those_that_have_been_idle_for_longest() {
        let admission = at_most(100);
        let mut open = Vec::new();
        for number in 0..84 {
            open.push(admit(&admission, number).unwrap());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let busy = open[0].context.work();
        assert!(!open.iter().any(is_evicted));
        let newcomer = admit(&admission, 200).unwrap();
        assert!(
            !is_evicted(&open[0]) && open[1..17].iter().all(is_evicted) && !open[17..].iter().any(is_evicted)
        );
        // No more are closed as long as those have not left.
        let another = admit(&admission, 201).unwrap();
        assert_eq!(open.iter().filter(|open| is_evicted(open)).count(), 16);
        drop((busy, newcomer, another));
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_half_and_makes_room_for_itself_only() {
        let admission = at_most(100);
        let other = admit(&admission, 1).unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
        let own: Vec<_> = (0..50).map(|_| admit(&admission, 2).unwrap()).collect();
        assert!(!own.iter().any(is_evicted));
        let beyond: Vec<_> = (0..16).map(|_| admit(&admission, 2).unwrap()).collect();
        assert_eq!(own.iter().filter(|open| is_evicted(open)).count(), 16);
        assert!(!is_evicted(&other) && !beyond.iter().any(is_evicted));
        assert_eq!(admit(&admission, 2).err(), Some(Limit::ConnectionsPerAddress));
        assert!(admit(&admission, 1).is_ok());
    }

    #[tokio::test]
    async fn a_server_whose_connections_are_all_at_work_is_full() {
        let admission = at_most(4);
        let mut open: Vec<_> = (0..4).map(|number| admit(&admission, number).unwrap()).collect();
        let _busy: Vec<_> = open.iter().map(|open| open.context.work()).collect();
        assert_eq!(admit(&admission, 9).err(), Some(Limit::Connections));
        drop(open.pop());
        assert!(admit(&admission, 9).is_ok());
        admission.drain();
        drop(open);
        assert_eq!(admit(&admission, 9).unwrap().context.notice(), Some(Notice::Drain));
    }
}
