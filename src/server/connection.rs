//! One connection: finds out which protocol the client speaks, and serves it.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    admission::Admitted,
    http1, http2,
    log::{ConnectionEnd, ConnectionLog},
    opening::Opening,
    timeouts::{OPENING, Timeouts},
};
use crate::{
    grpc::{ConnectionContext, Turns},
    web::Web,
};

/// Serves a connection until it closes. Once it is told to drain it takes no new streams, and closes when those that are
/// open have ended.
pub(super) async fn serve<C>(io: C, mut admitted: Admitted, web: Web, turns: Turns, timeouts: Timeouts)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut log = ConnectionLog::new(admitted.context.clone());
    let (end, streams) = match opened(io, &admitted.context).await {
        Ok((io, Opening::Http1(begun))) => {
            // On the heap, so that connections of HTTP/2 take no memory for it.
            Box::pin(http1::serve(io, begun, &admitted.context, web, &turns, timeouts)).await
        }
        Ok((io, Opening::Http2(opening))) => {
            http2::serve(io, opening, &admitted.context, web, turns, timeouts).await
        }
        Ok((_, Opening::Tls)) => (ConnectionEnd::Tls, 0),
        Ok((_, Opening::Unknown)) => (ConnectionEnd::NotHttp, 0),
        Ok((_, Opening::Closed)) => (ConnectionEnd::ClosedByClient, 0),
        Err(end) => (end, 0),
    };
    log.streams = streams;
    admitted.end = end.name();
    log.end = Some(end);
}

/// Finds out what a client speaks.
///
/// # Errors
/// The connection ends, because the client says nothing, or because of a notice.
async fn opened<C>(mut io: C, context: &ConnectionContext) -> Result<(C, Opening), ConnectionEnd>
where
    C: AsyncRead + Unpin,
{
    let opening = tokio::select! {
        opening = timeout(OPENING, Opening::read(&mut io)) => opening.map_err(|_| ConnectionEnd::OpeningTimeout)??,
        notice = context.noticed() => return Err(notice.into()),
    };
    Ok((io, opening))
}
