//! Connects to a ticker service and receives its ticks, from whichever of its replicas is there.
//!
//! ```no_run
//! use ticker::client::{Client, ClientError, Delivery, Endpoints, Event, Settings, Wanted};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // Several addresses, or a name that has several: each of them is a replica of the others.
//! let endpoints: Endpoints = "http://10.0.0.1:50051,http://10.0.0.2:50051".parse()?;
//! let client = Client::connect(&endpoints, Settings::default()).await?;
//! let wanted = Wanted {
//!     symbols: vec!["RELIANCE".to_owned(), "TCS".to_owned()],
//!     delivery: Delivery::EveryTick,
//!     min_interval: None,
//! };
//! let mut subscription = client.subscribe(&wanted).await?;
//! let mut events = Vec::new();
//! loop {
//!     // Reconnects and resumes by itself: an error means that no replica can go on.
//!     subscription.next_batch(&mut events).await?;
//!     for event in events.drain(..) {
//!         match event {
//!             // Each sequence once and in order, whichever replica it came from.
//!             Event::Tick(live) => println!("{} {} {}", live.symbol, live.tick.sequence, live.tick.price),
//!             Event::Gap { symbol, first, last } => println!("{symbol}: {first} to {last} were left out"),
//!             Event::Disconnected { cause, attempt } => println!("attempt {attempt}: {cause}"),
//!             Event::Reconnected { replica, without } => println!("{replica} after {without:?}"),
//!             Event::Answer { refused, .. } => refused.iter().for_each(|refusal| println!("{refusal:?}")),
//!             Event::CaughtUp { .. } | Event::Draining | Event::End => {}
//!         }
//!     }
//! }
//! # }
//! ```

mod calls;
mod endpoint;
mod endpoints;
mod error;
mod event;
pub(crate) mod message;
mod network;
mod reconnect;
mod replica;
mod settings;
mod subscription;
mod tape;

pub use endpoint::{Endpoint, EndpointError};
pub use endpoints::Endpoints;
pub use error::ClientError;
pub use event::{Event, LiveTick, RefusedSymbol};
pub use network::{Connection, Network, Task, Tcp};
pub use settings::Settings;
pub use subscription::{Delivery, ReplayOptions, Subscription, Wanted};
pub use tape::TapeInfo;

use reconnect::Reconnector;
use std::net::SocketAddr;

use replica::Replica;
use tonic::transport::Channel;

/// A connection to one replica of a service, and where the others are.
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
    /// Each was tried once, and nobody listens there or takes too long to accept.
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

    /// The replica that it is connected to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.replica.endpoint
    }

    /// The address of the replica that it is connected to.
    pub fn address(&self) -> SocketAddr {
        self.replica.address
    }

    pub(crate) fn channel(&self) -> Channel {
        self.replica.channel.clone()
    }

    /// Opens a stream and asks for symbols. The answer comes as an [`Event`].
    ///
    /// # Errors
    /// Each replica was tried once, and refuses the stream or does not begin it in time.
    pub async fn subscribe(&self, wanted: &Wanted) -> Result<Subscription, ClientError> {
        Subscription::open(self, wanted, None).await
    }

    /// Opens a stream of past ticks, in the order of their times across all symbols and at a pace of their own. It
    /// outlives its connections as any subscription does.
    ///
    /// # Errors
    /// Those of [`Self::subscribe`].
    pub async fn replay(&self, wanted: &Wanted, replay: ReplayOptions) -> Result<Subscription, ClientError> {
        Subscription::open(self, wanted, Some(replay)).await
    }
}
