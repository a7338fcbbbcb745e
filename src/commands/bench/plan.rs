//! Which connection, which symbols and which speed of reading each stream gets.

use crate::{
    client::{Delivery, Endpoint},
    contract::v1::{self, WatchRequest},
};

/// The streams of a run. Streams are numbered from 0 on.
#[derive(Debug)]
pub(super) struct Plan {
    /// The servers, over which the connections are spread.
    pub(super) endpoints: Vec<Endpoint>,
    /// The symbols of the server.
    pub(super) listed: Vec<String>,
    /// Number of symbols of each stream.
    pub(super) symbols: usize,
    pub(super) delivery: Delivery,
    pub(super) connections: usize,
    /// How many streams in a hundred read slowly.
    pub(super) slow_percent: usize,
}

impl Plan {
    /// Whether a stream reads slowly. Slow streams are spread evenly over the others.
    pub(super) fn is_slow(&self, stream: usize) -> bool {
        self.slow_before(stream + 1) > self.slow_before(stream)
    }

    /// The connection of a stream. Slow streams have connections of their own, which are the last ones.
    pub(super) fn connection(&self, stream: usize) -> usize {
        let (slow, before) = (self.slow_connections(), self.slow_before(stream));
        let others = self.connections - slow;
        match self.is_slow(stream) {
            true => others + before % slow,
            false => (stream - before) % others,
        }
    }

    /// Whether a connection is that of slow streams.
    pub(super) fn is_slow_connection(&self, connection: usize) -> bool {
        connection >= self.connections - self.slow_connections()
    }

    /// The server of a connection.
    pub(super) fn endpoint(&self, connection: usize) -> &Endpoint {
        &self.endpoints[connection % self.endpoints.len()]
    }

    /// What a stream asks for. Each stream goes on in the list of symbols where the one before it has ended.
    pub(super) fn request(&self, stream: usize) -> WatchRequest {
        let start = stream * self.symbols % self.listed.len();
        let symbols = self.listed.iter().cycle().skip(start).take(self.symbols).cloned().collect();
        let delivery = match self.delivery {
            Delivery::Latest => v1::Delivery::Latest,
            Delivery::EveryTick => v1::Delivery::EveryTick,
        };
        WatchRequest { symbols, delivery: delivery.into(), ..Default::default() }
    }

    /// Number of slow streams before this one.
    fn slow_before(&self, stream: usize) -> usize {
        stream * self.slow_percent / 100
    }

    /// As large a part of the connections as of the streams, but at least one; and one for the other streams, if there are any.
    fn slow_connections(&self) -> usize {
        match self.slow_percent {
            0 => 0,
            100 => self.connections,
            percent => (self.connections * percent / 100).clamp(1, self.connections - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn plan(connections: usize, slow_percent: usize) -> Plan {
        Plan {
            endpoints: ["a:1", "b:1"].map(|endpoint| endpoint.parse().unwrap()).to_vec(),
            listed: ["A", "B", "C", "D", "E"].map(str::to_owned).to_vec(),
            symbols: 2,
            delivery: Delivery::Latest,
            connections,
            slow_percent,
        }
    }

    #[test]
    fn every_connection_has_as_many_streams_as_the_others_of_its_kind() {
        for (connections, percent, slow) in [(10, 0, 0), (10, 20, 20), (3, 5, 5), (4, 99, 99), (2, 100, 100)]
        {
            let plan = plan(connections, percent);
            let mut streams = BTreeMap::<usize, usize>::new();
            for stream in 0..100 {
                let connection = plan.connection(stream);
                assert_eq!(plan.is_slow(stream), plan.is_slow_connection(connection));
                *streams.entry(connection).or_default() += 1;
            }
            assert_eq!((0..100).filter(|stream| plan.is_slow(*stream)).count(), slow);
            assert_eq!(streams.len(), connections);
            for is_slow in [false, true] {
                let counts = streams.iter().filter(|(at, _)| plan.is_slow_connection(**at) == is_slow);
                let counts: BTreeSet<_> = counts.map(|(_, count)| *count).collect();
                let spread = counts.last().zip(counts.first()).map_or(0, |(most, least)| most - least);
                assert!(spread <= 1, "{counts:?}");
            }
        }
    }

    #[test]
    fn streams_take_turns_at_the_symbols_and_connections_at_the_servers() {
        let plan = plan(3, 0);
        let symbols = |stream| plan.request(stream).symbols.concat();
        assert_eq!([0, 1, 2, 3, 4, 5].map(symbols), ["AB", "CD", "EA", "BC", "DE", "AB"]);
        assert_eq!([0, 1, 2].map(|at| plan.endpoint(at).host()), ["a", "b", "a"]);
    }
}
