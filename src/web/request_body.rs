//! The bodies of requests: read whole before a call begins, because each is one message.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::grpc::{MAX_REQUEST_BYTES, MAX_SYMBOLS_PER_MESSAGE, RequestBody};

/// Largest body: the largest message with its prefix, in base64.
const LARGEST: usize = MAX_REQUEST_BYTES / 3 * 4 + 64;
/// Timeout for a whole body.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, Error)]
pub(super) enum Incomplete {
    #[error(
        "a request has at most {MAX_REQUEST_BYTES} bytes: name at most {MAX_SYMBOLS_PER_MESSAGE} symbols in each"
    )]
    TooLarge,
    #[error("the body of the request did not come within {} seconds", TIMEOUT.as_secs())]
    TooSlow,
    #[error("the body of the request ended early")]
    Broken,
}

impl From<Incomplete> for Status {
    fn from(incomplete: Incomplete) -> Self {
        let code = match incomplete {
            Incomplete::TooLarge => Code::ResourceExhausted,
            Incomplete::TooSlow => Code::DeadlineExceeded,
            Incomplete::Broken => Code::InvalidArgument,
        };
        Self::new(code, incomplete.to_string())
    }
}

/// Reads a body.
pub(super) async fn read<B: RequestBody>(mut body: B) -> Result<Bytes, Incomplete> {
    let whole = async {
        let mut read = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(data) = frame.map_err(|_| Incomplete::Broken)?.into_data() else { continue };
            body.release(data.len());
            if read.len() + data.len() > LARGEST {
                return Err(Incomplete::TooLarge);
            }
            read.extend_from_slice(&data);
        }
        Ok(read.freeze())
    };
    timeout(TIMEOUT, whole).await.unwrap_or(Err(Incomplete::TooSlow))
}
