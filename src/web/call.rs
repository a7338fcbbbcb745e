//! A call of gRPC that a request of HTTP is translated to.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, header, request::Parts};
use http_body::{Body, Frame};
use prost::Message;
use tonic::{Code, Status, metadata::GRPC_CONTENT_TYPE};

use super::messages::Messages;
use crate::{
    grpc::{ConnectionContext, Reply, RequestBody, Router, Rpc, put_message},
    tape::Tape,
    tick::Time,
};

/// What calls are made with.
pub(super) struct Call {
    router: Router,
    pub(super) context: ConnectionContext,
    /// The headers of the call, with the token of the caller.
    headers: HeaderMap,
}

impl Call {
    /// The call that a request with this head makes.
    pub(super) fn new(router: Router, head: &Parts, context: &ConnectionContext) -> Self {
        // A call with several tokens is refused.
        let tokens = head.headers.get_all(header::AUTHORIZATION).iter().cloned();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
        tokens.for_each(|token| {
            headers.append(header::AUTHORIZATION, token);
        });
        Self { router, context: context.clone(), headers }
    }

    /// The part of the tape that the caller sees.
    ///
    /// # Errors
    /// The caller may not make the call.
    pub(super) async fn visible_tape(&self, rpc: Rpc) -> Result<Arc<dyn Tape>, Status> {
        self.router.visible_tape(rpc, &self.headers, &self.context).await
    }

    /// The time on the tape.
    pub(super) fn now(&self) -> Time {
        self.router.now()
    }

    /// Waits for a turn of the worker. It lasts until the caller waits for something.
    pub(super) async fn turn(&self) {
        self.router.turn(&self.context).await;
    }

    /// Begins the call of an RPC. `body` is that of its request.
    ///
    /// # Errors
    /// The call has ended already.
    pub(super) async fn begin<B: RequestBody>(&self, rpc: Rpc, body: Bytes) -> Result<Reply, Status> {
        // To resume all instruments, a request may have to name thousands of them.
        let mut request = Request::new(B::whole(body, usize::MAX));
        *request.uri_mut() = rpc.path();
        *request.headers_mut() = self.headers.clone();
        let response = self.router.clone().answer(rpc, request, self.context.clone()).await;
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status),
            None => Ok(response.into_body()),
        }
    }

    /// The answer of an RPC that answers once. It is to be read in the turn of the worker that this has waited for.
    ///
    /// # Errors
    /// The call has failed.
    pub(super) async fn answer<B: RequestBody>(&self, rpc: Rpc, body: Bytes) -> Result<Messages, Status> {
        let mut reply = self.begin::<B>(rpc, body).await?;
        let mut answer = Messages::default();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut reply).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(bytes) => answer.push(&bytes),
                Err(frame) => {
                    let status = status_in(&frame);
                    if status.code() != Code::Ok {
                        return Err(status);
                    }
                }
            }
        }
        self.turn().await;
        Ok(answer)
    }
}

/// The body of a request with this message.
pub(super) fn body_of(message: &impl Message) -> Bytes {
    let mut body = Vec::new();
    put_message(message, &mut body);
    body.into()
}

/// The status in the trailers of a call.
pub(super) fn status_in(trailers: &Frame<Bytes>) -> Status {
    let status = trailers.trailers_ref().and_then(Status::from_header_map);
    status.unwrap_or_else(|| Status::unknown("the call ended without a status"))
}
