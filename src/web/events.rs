//! Answers a watch with a stream of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body::{Body, Frame};
use tonic::{Status, body::Body as TonicBody};

use super::{
    call::{Call, body_of, status_in},
    event_id::{EventId, Resumed},
    event_stream::EventStream,
    positions::Positions,
    query,
    refusal::{Refusal, failed},
    response::empty,
};
use crate::grpc::{Reply, RequestBody, Rpc, SharedReply};

/// The header with the id of the last event that a client has.
const LAST_EVENT_ID: &str = "last-event-id";

/// Answers a query.
///
/// # Errors
/// The query is invalid, or the id belongs to another tape.
pub(super) async fn answer<B: RequestBody>(head: &Parts, call: Call) -> Result<Response<Reply>, Refusal> {
    let request = query::watch(head.uri.query().unwrap_or_default())?;
    let tape = match call.visible_tape(Rpc::Watch).await {
        Ok(tape) => tape,
        Err(status) => return Ok(failed(&status, &call.context)),
    };
    let id = head.headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty());
    let id = id.map(|id| EventId::parse(&String::from_utf8_lossy(id.as_bytes()), &tape.identity().tape_id));
    let id = id.transpose()?;
    // Looks at every symbol.
    call.turn().await;
    let request = match &id {
        None => request,
        Some(id) => match id.resume(&*tape, request) {
            Resumed::Request(request) => request,
            // It tells an EventSource not to connect again.
            Resumed::Finished => return Ok(empty(StatusCode::NO_CONTENT, &call.context)),
        },
    };
    let positions = Positions::new(tape, call.now(), &request, id);
    let begun = async {
        let source = SharedReply::new(call.begin::<B>(Rpc::Watch, body_of(&request)).await?);
        EventBody::begin(source, EventStream::new(positions)).await
    };
    Ok(match begun.await {
        Ok(body) => event_stream(body),
        Err(status) => failed(&status, &call.context),
    })
}

fn event_stream(body: EventBody) -> Response<Reply> {
    let source = body.source.clone();
    let mut response = Response::new(Reply::translated(TonicBody::new(body), source));
    let (headers, fixed) = (response.headers_mut(), HeaderValue::from_static);
    headers.insert(header::CONTENT_TYPE, fixed("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, fixed("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    // Without it, nginx holds events back until a buffer is full.
    headers.insert("x-accel-buffering", fixed("no"));
    response
}

/// The events of a watch.
struct EventBody {
    source: SharedReply,
    events: EventStream,
    /// Events that are ready to be sent.
    ready: Vec<u8>,
    is_over: bool,
}

impl EventBody {
    /// Reads on until it is known whether anything was subscribed.
    ///
    /// # Errors
    /// Nothing was, and the status says why.
    async fn begin(source: SharedReply, events: EventStream) -> Result<Self, Status> {
        let mut body = Self { source, events, ready: Vec::new(), is_over: false };
        while body.events.has_subscribed() != Some(true) {
            let frame = poll_fn(|cx| Pin::new(&mut body.source).poll_frame(cx)).await.transpose()?;
            match frame.map(Frame::into_data) {
                Some(Ok(bytes)) => body.push(&bytes)?,
                Some(Err(frame)) => return Err(status_in(&frame)),
                None => return Err(Status::internal("the stream ended without a status")),
            }
        }
        Ok(body)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.events.push(bytes, &mut self.ready).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        while this.ready.is_empty() && !this.is_over {
            match ready!(Pin::new(&mut this.source).poll_frame(cx)?).map(Frame::into_data) {
                Some(Ok(bytes)) => this.push(&bytes)?,
                Some(Err(frame)) => {
                    this.events.end(&status_in(&frame), &mut this.ready);
                    this.is_over = true;
                }
                None => this.is_over = true,
            }
        }
        let events = std::mem::take(&mut this.ready);
        Poll::Ready((!events.is_empty()).then(|| Ok(Frame::data(events.into()))))
    }
}
