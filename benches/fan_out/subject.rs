//! What is measured, and how.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};

use crate::{
    Effort, feed, floor, grpc_go,
    jetstream::{self, Streams},
    look::Look,
    naive, nats,
    ours::{self, Package},
    redis, redis_streams,
    row::Row,
    sample::{Running, Sample, undisturbed},
    tls::Tls,
};

/// A server that delivers ticks, with TLS or in plain text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) server: Server,
    pub(crate) tls: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Floor,
    Gogen,
    V1,
    Feed,
    Naive,
    GrpcGo,
    Redis,
    Nats,
    FeedNats,
    JetStream,
    JetStreamSplit,
    RedisStreams,
}

impl Subject {
    /// The subjects of the table and of all reports but --feed.
    pub(crate) const ALL: [Subject; 11] = [
        Subject::plain(Server::Floor),
        Subject::plain(Server::Gogen),
        Subject::plain(Server::V1),
        Subject::tls(Server::V1),
        Subject::plain(Server::Feed),
        Subject::plain(Server::Naive),
        Subject::plain(Server::GrpcGo),
        Subject::plain(Server::Redis),
        Subject::tls(Server::Redis),
        Subject::plain(Server::Nats),
        Subject::tls(Server::Nats),
    ];

    pub(crate) const fn plain(server: Server) -> Self {
        Subject { server, tls: false }
    }

    const fn tls(server: Server) -> Self {
        Subject { server, tls: true }
    }

    /// True when it promises one frame for each connection and flush interval.
    pub(crate) fn flushes(self) -> bool {
        matches!(self.server, Server::Floor | Server::Gogen | Server::V1 | Server::Feed)
    }

    /// True when one of the words is in its name, or when there are no words.
    pub(crate) fn is_one_of(self, words: &[String]) -> bool {
        words.is_empty() || self.to_string().split(' ').any(|name| words.iter().any(|word| word == name))
    }

    /// Starts it, looks, and stops it; nothing when it is not installed.
    pub(crate) fn measure(self, row: &Row, tls: &Tls, effort: Effort) -> Result<Option<Sample>> {
        let sample = undisturbed(|| {
            let Some(running) = self.start(row, tls, &Look::default())? else {
                return Ok((Duration::ZERO, None));
            };
            let sample = running.sample(row, effort)?;
            Ok((sample.longest_pause, Some(sample)))
        });
        sample.with_context(|| format!("{self}, {row}"))
    }

    /// Starts it with its clients; nothing when it is not installed.
    pub(crate) fn start(self, row: &Row, tls: &Tls, look: &Look) -> Result<Option<Running>> {
        let tls = self.tls.then_some(tls);
        match self.server {
            Server::Floor => floor::start(row, look).map(Some),
            Server::Gogen => ours::start(row, Package::Gogen, tls, look).map(Some),
            Server::V1 => ours::start(row, Package::V1, tls, look).map(Some),
            Server::Feed => feed::start(row, None, look).map(Some),
            Server::Naive => naive::start(row, look).map(Some),
            Server::GrpcGo => grpc_go::start(row, look),
            Server::Redis => redis::start(row, tls, look),
            Server::Nats => nats::start(row, tls, look),
            Server::FeedNats => {
                nats::serve_jetstream()?.map(|log| feed::start(row, Some(log), look)).transpose()
            }
            Server::JetStream => jetstream::start(row, Streams::One, look),
            Server::JetStreamSplit => jetstream::start(row, Streams::Split, look),
            Server::RedisStreams => redis_streams::start(row, look),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.server {
            Server::Floor => "raw write floor",
            Server::Gogen => "ticker gogen",
            Server::V1 => "ticker v1",
            Server::Feed => "ticker feed",
            Server::Naive => "naive tonic",
            Server::GrpcGo => "grpc-go",
            Server::Redis => "redis",
            Server::Nats => "nats",
            Server::FeedNats => "ticker feed-nats",
            Server::JetStream => "jetstream",
            Server::JetStreamSplit => "jetstream-split",
            Server::RedisStreams => "redis-streams",
        })?;
        f.write_str(if self.tls { "-tls" } else { "" })
    }
}
