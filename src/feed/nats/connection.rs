//! The connection to the servers of NATS. A lost one is made again without end.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, jetstream};
use jetstream::context::ContextBuilder;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::NatsError;
use crate::feed::NatsSettings;

/// How long a request may take, publishing included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is tested. Two tests without an answer end it.
const PING_INTERVAL: Duration = Duration::from_secs(3);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);
/// Most messages at the same time that are published and not acknowledged.
pub(super) const MOST_IN_FLIGHT: usize = 512;

/// A connection.
pub(super) struct Connection {
    pub(super) context: jetstream::Context,
    /// Number of times that it was lost.
    pub(super) losses: watch::Receiver<u64>,
}

impl Connection {
    /// Connects to one of the servers.
    ///
    /// # Errors
    /// The credentials cannot be read, or no server can be reached.
    pub(super) async fn open(settings: &NatsSettings) -> Result<Self, NatsError> {
        let (lost, losses) = watch::channel(0);
        let mut options = ConnectOptions::new()
            .name("ticker")
            .connection_timeout(TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .retain_servers_order()
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                FIRST_RETRY.saturating_mul(attempts).min(SLOWEST_RETRY)
            })
            .event_callback(move |event| {
                note(&event, &lost);
                std::future::ready(())
            });
        options = with_login(options, &settings.servers);
        if let Some(path) = &settings.credentials {
            let with_credentials = options.credentials_file(path).await;
            options =
                with_credentials.map_err(|source| NatsError::Credentials { path: path.clone(), source })?;
        }
        if let Some(ca) = &settings.ca {
            options = options.add_root_certificates(ca.clone());
        }
        let connected = options.connect(&settings.servers).await;
        let client =
            connected.map_err(|source| NatsError::Connect { servers: shown(&settings.servers), source })?;
        let context =
            ContextBuilder::new().timeout(TIMEOUT).max_ack_inflight(2 * MOST_IN_FLIGHT).build(client);
        Ok(Self { context, losses })
    }

    pub(super) fn client(&self) -> Client {
        self.context.client()
    }
}

fn note(event: &Event, lost: &watch::Sender<u64>) {
    match event {
        Event::Connected => info!("connected to NATS"),
        Event::Disconnected => {
            warn!("the connection to NATS is lost");
            lost.send_modify(|losses| *losses += 1);
        }
        Event::ClientError(_) => debug!(%event, "NATS"),
        _ => warn!(%event, "NATS"),
    }
}

/// Adds the user and the password, or the token, of the first address that has one: all servers of a cluster know the same users.
fn with_login(options: ConnectOptions, servers: &[String]) -> ConnectOptions {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut addresses = servers.iter().filter_map(|server| server.parse::<ServerAddr>().ok());
    let login = addresses
        .find_map(|address| Some((address.username().map(decoded)?, address.password().map(decoded))));
    match login {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    }
}

/// Addresses without the passwords that they may have.
fn shown(servers: &[String]) -> String {
    let show = |server: &String| match server.parse::<ServerAddr>() {
        Ok(address) => format!("{}:{}", address.host(), address.port()),
        Err(_) => "an address that is none".to_owned(),
    };
    servers.iter().map(show).collect::<Vec<_>>().join(", ")
}
