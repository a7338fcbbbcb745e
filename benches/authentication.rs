//! What it costs to open a stream: without authentication, with a token that was verified before, and with a new one.

#![allow(missing_docs)]

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, Bytes, BytesMut};
use criterion::Criterion;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use prost::Message;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::json;
use ticker::{
    access::{Audience, KeySet, Roles, Tokens, install_cryptography},
    contract::v1::WatchRequest,
    grpc::{
        Authentication, CallerLimits, ConnectionContext, HistoryPool, RequestBody, Router, Rpc,
        ServerContext, Services, WorkerContext,
    },
    hub::{Limits, Quota},
    pacer::Clock,
    tape::{Simulated, Universe},
};

const PATH: &str = "/ticker.v1.TickerStreamService/Watch";

/// A request that has arrived whole.
struct Arrived(Option<Bytes>);

impl Body for Arrived {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl RequestBody for Arrived {
    fn release(&mut self, _: usize) {}

    fn whole(body: Bytes, _: usize) -> Self {
        Self(Some(body))
    }
}

/// Opens streams to a worker.
struct Opener {
    router: Router,
    context: ConnectionContext,
    request: Bytes,
}

impl Opener {
    /// `worker` is shared, so that its turns are granted.
    fn new(worker: &WorkerContext, tokens: Option<Arc<Tokens>>) -> Result<Self, Box<dyn Error>> {
        let authentication = Authentication::new(tokens, CallerLimits::default());
        let server = ServerContext::new(1_000_000, Duration::from_secs(30), authentication);
        let context = ConnectionContext::new(1, Some(([127, 0, 0, 1], 1).into()), server);
        let message =
            WatchRequest { symbols: vec!["RELIANCE".to_owned()], ..Default::default() }.encode_to_vec();
        let mut request = BytesMut::new();
        request.put_u8(0);
        request.put_u32(message.len() as u32);
        request.put_slice(&message);
        Ok(Self {
            router: Router::new(worker.clone(), Services::default()),
            context,
            request: request.freeze(),
        })
    }

    /// Opens a stream, waits for its first frame and drops it.
    async fn open(&self, token: Option<&str>) -> usize {
        let mut request = Request::post(PATH).header("content-type", "application/grpc");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let Ok(request) = request.body(Arrived(Some(self.request.clone()))) else { return 0 };
        let answered = self.router.clone().answer(Rpc::Watch, request, self.context.clone()).await;
        let mut body = answered.into_body();
        match body.frame().await {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        }
    }
}

/// An issuer's key, and what verifies its tokens.
fn issuer() -> Result<(EncodingKey, Arc<Tokens>), Box<dyn Error>> {
    install_cryptography();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no randomness")?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| "no key")?;
    let public = DecodingKey::from_ed_der(pair.public_key().as_ref());
    let mut jwk = Jwk::from_decoding_key(&public, Some(Algorithm::EdDSA))?;
    jwk.common.key_id = Some("1".to_owned());
    let jwks = serde_json::to_string(&JwkSet { keys: vec![jwk] })?;
    let audience = Audience { issuer: "i".to_owned(), audience: "a".to_owned() };
    let tokens = Tokens::new(audience, KeySet::parse(&jwks)?, Roles::default());
    Ok((EncodingKey::from_ed_der(pkcs8.as_ref()), Arc::new(tokens)))
}

/// A token of a subject of its own.
fn token(key: &EncodingKey, number: u64) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "sub": format!("caller-{}", number % 1_000), "jti": number, "iss": "i", "aud": "a", "iat": now, "exp": now + 3_600,
        "scope": "ticker:read",
    });
    Ok(encode(&Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::EdDSA) }, &claims, key)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tape = Arc::new(Simulated::new(7, Universe::builtin()?));
    let worker = WorkerContext::new(
        tape,
        Clock::Wall,
        Limits::default(),
        Quota::unlimited(),
        HistoryPool::default(),
        Arc::default(),
    );
    runtime.spawn(worker.turns.clone().grant());
    // As the flushes of a server: another timer is due before that of a token.
    runtime.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let hub = worker.hub.clone();
    let sweep = move || while hub.sweep(64) {};
    let (key, tokens) = issuer()?;
    let known = token(&key, 0)?;
    let open = Opener::new(&worker, None)?;
    let with_tokens = Opener::new(&worker, Some(tokens))?;
    for (opener, token) in [(&open, None), (&with_tokens, Some(known.as_str()))] {
        assert!(runtime.block_on(opener.open(token)) > 0, "a stream begins with its result");
    }

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("open a stream");
    group.bench_function("without authentication", |bencher| {
        bencher.iter(|| {
            sweep();
            runtime.block_on(open.open(None))
        });
    });
    group.bench_function("with a token that was verified before", |bencher| {
        bencher.iter(|| {
            sweep();
            runtime.block_on(with_tokens.open(Some(&known)))
        });
    });
    let number = AtomicU64::new(1);
    group.bench_function("with a new token", |bencher| {
        bencher.iter_batched(
            || token(&key, number.fetch_add(1, Relaxed)).unwrap_or_default(),
            |token| {
                sweep();
                runtime.block_on(with_tokens.open(Some(&token)))
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
