//! The client library: live ticks, quotes and history of a service, from whichever of its replicas can be reached.
//!
//! ```no_run
//! use ticker::client::{Client, Delivery, Endpoints, Event, Settings, SubscribeOptions};
//! use tokio_stream::StreamExt;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // Several addresses, or a name that has several: each address is a replica of the service.
//! let endpoints: Endpoints = "http://10.0.0.1:50051,http://10.0.0.2:50051".parse()?;
//! let client = Client::connect(&endpoints, Settings::default()).await?;
//! let options = SubscribeOptions::new(["RELIANCE", "TCS"]).with_delivery(Delivery::EveryTick);
//! let mut subscription = client.subscribe(options).await?;
//! // Reconnects and resumes by itself: an error means that no replica can continue.
//! while let Some(event) = subscription.next().await {
//!     match event? {
//!         // Each sequence comes once and in order, whichever replica it came from.
//!         Event::Tick(live) => println!("{} {} {}", live.symbol, live.tick.sequence, live.tick.price),
//!         Event::Gap { symbol, first, last } => println!("{symbol}: {first} to {last} were left out"),
//!         Event::Disconnected { cause, attempt } => println!("attempt {attempt}: {cause}"),
//!         Event::Reconnected { replica, .. } => println!("connected to {replica}"),
//!         Event::Answer { refused, .. } => refused.iter().for_each(|symbol| println!("{}", symbol.message)),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | to get | call |
//! | --- | --- |
//! | live ticks, with quotes if asked for | [`Client::subscribe`] |
//! | past ticks of several symbols in the order of time, at any speed | [`Client::replay`] |
//! | last prices | [`Client::last_prices`], [`Client::all_last_prices`] |
//! | instruments | [`Client::instruments`] |
//! | past ticks and candles of one symbol | [`Client::ticks`], [`Client::candles`] |
//! | a digest to compare replicas | [`Client::digest`] |
//! | the tape and the health of a server | [`Client::tape`], [`Client::health`] |
//!
//! [`Client::publisher`] sends ticks to a server that has a feed.
//!
//! A subscription and a publisher move to another replica when their own fails. The other calls ask the replica that the client is connected
//! to, and return its error; connect again to ask another replica.

mod calls;
mod chunks;
mod connector;
mod convert;
mod endpoint;
mod endpoints;
mod error;
mod event;
mod health;
mod history;
mod instrument;
mod message;
mod network;
mod options;
mod pages;
mod publisher;
mod quote;
mod reconnect;
mod replica;
mod retry_schedule;
mod rpc_status;
mod settings;
mod subscription;
mod tape;
mod tls;
mod token;

use std::net::SocketAddr;

#[cfg(feature = "cli")]
use tonic::{Status, Streaming};

pub use self::{
    calls::LastPrices,
    endpoint::{Endpoint, EndpointError},
    endpoints::Endpoints,
    error::ClientError,
    event::{Event, LiveTick, RefusedSymbol},
    health::Health,
    history::{Candle, RangeDigest, TickRange},
    instrument::{InstrumentInfo, InstrumentStatus},
    network::{Connection, Network, Task, Tcp},
    options::{Delivery, Detail, ReplayOptions, SubscribeOptions},
    pages::Pages,
    publisher::{
        BidAsk, NewTick, PublishTotals, Publisher, PublisherEvent, PublisherOptions, Receipt, Rejection,
        RejectionCode,
    },
    quote::{PriceLevel, Quote},
    retry_schedule::{RetrySchedule, Trial},
    rpc_status::RpcStatus,
    settings::Settings,
    subscription::Subscription,
    tape::{TapeInfo, TapeKind},
    tls::Tls,
    token::{TokenFile, TokenProvider},
};
use self::{reconnect::Reconnector, replica::Replica};
pub use crate::contract::RpcCode;
#[cfg(feature = "cli")]
use crate::contract::{ResponseOutline, v1::WatchRequest};

/// A connection to one replica of a service. A clone uses the same connection.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Endpoints,
    settings: Settings,
    replica: Replica,
}

impl Client {
    /// Connects to the first replica that can be reached.
    ///
    /// # Errors
    /// Every replica was tried once, and none accepts connections in time.
    pub async fn connect(endpoints: &Endpoints, settings: Settings) -> Result<Self, ClientError> {
        let mut reconnector = Reconnector::new(endpoints.clone(), settings);
        loop {
            match reconnector.connect().await {
                Ok(replica) => {
                    let settings = reconnector.settings().clone();
                    return Ok(Self { endpoints: endpoints.clone(), settings, replica });
                }
                Err(error) => drop(reconnector.failed(error)?),
            }
        }
    }

    /// The replica that the client is connected to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.replica.endpoint
    }

    /// The address of the replica that the client is connected to.
    pub fn address(&self) -> SocketAddr {
        self.replica.address
    }

    /// Opens a stream and asks for symbols. The answer comes as an [`Event::Answer`].
    ///
    /// # Errors
    /// There is no symbol; or every replica was tried once, and refuses the stream or does not begin it in time.
    pub async fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, ClientError> {
        Subscription::open(self, options, None).await
    }

    /// Opens a stream of past ticks, in the order of their times across all symbols. With
    /// [`ReplayOptions::with_to`] it ends with [`Event::End`], without it goes on with live ticks.
    ///
    /// # Errors
    /// Those of [`Self::subscribe`].
    pub async fn replay(
        &self,
        options: SubscribeOptions,
        replay: ReplayOptions,
    ) -> Result<Subscription, ClientError> {
        Subscription::open(self, options, Some(replay)).await
    }

    /// Opens a watch that this connection alone serves: when it ends, it is not resumed.
    ///
    /// # Errors
    /// The server refuses, or does not begin the stream in time.
    #[cfg(feature = "cli")]
    pub(crate) async fn watch_once(
        &self,
        request: WatchRequest,
    ) -> Result<Streaming<ResponseOutline>, ClientError> {
        self.replica.watch(self.replica.token().await?, request).await
    }

    /// The error of a stream of this connection that has ended.
    #[cfg(feature = "cli")]
    pub(crate) fn ended(&self, status: Status) -> ClientError {
        self.replica.ended(&status)
    }
}
