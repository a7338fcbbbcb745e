//! A chat over gRPC: all four kinds of call, and what a service needs around them. Server first, client below.
//!
//! `../go/main.go` does the same in Go and prints the same lines.

use std::{io, mem, net::SocketAddr, pin::Pin, sync::Arc, thread, time::Duration};

use anyhow::Context;
use async_stream::try_stream;
use clap::Parser;
use scopeguard::{ScopeGuard, guard};
use tokio::{
    net::TcpListener,
    signal,
    sync::{broadcast, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt};

use pb::{
    chat_service_client::ChatServiceClient,
    chat_service_server::{ChatService, ChatServiceServer},
    *,
};

/// What `build.rs` has generated from `chat.proto`.
mod pb {
    tonic::include_proto!("chat.v1");
    pub(crate) const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("chat");
}

/// A chat over gRPC.
#[derive(Parser)]
enum Command {
    /// Serves until Ctrl-C
    Server {
        #[arg(long, default_value = "127.0.0.1:50061")]
        listen: SocketAddr,
    },
    /// Shows every kind of call, or chats
    Client {
        #[arg(long, default_value = "127.0.0.1:50061")]
        connect: String,
        /// Enters the room under this name: each line of standard input is a message
        #[arg(long, value_name = "NAME")]
        chat: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Server { listen } => serve(listen).await,
        Command::Client { connect, chat } => {
            let endpoint = Endpoint::from_shared(format!("http://{connect}"))?.connect_timeout(LIMIT);
            let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {connect}"))?;
            match chat {
                Some(name) => talk(channel, &name).await,
                // No call without a deadline: a server that hangs would hang its callers too. The deadlines of tonic
                // hold until the headers of an answer only, so this one is for all calls and their streams.
                None => timeout(LIMIT, tour(channel)).await?,
            }
        }
    }
}

// ---- Server ----

/// How many messages wait for a slow reader, and the size of one in bytes. Together they limit the memory of the room.
const WAITING: usize = 256;
const LARGEST: usize = 16 * 1024;
/// How long calls may go on when the server stops.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Chat {
    /// Who says it, and what.
    room: broadcast::Sender<(Arc<str>, String)>,
    stopping: CancellationToken,
}

type Reply<T> = Result<Response<T>, Status>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ChatService for Chat {
    async fn say_hello(&self, request: Request<SayHelloRequest>) -> Reply<SayHelloResponse> {
        let user = user(&request).to_owned();
        // How gRPC counts retries: absent from the first attempt, then 1, 2 and so on.
        let previous = request.metadata().get("grpc-previous-rpc-attempts");
        let previous = previous.and_then(|count| count.to_str().ok()?.parse().ok()).unwrap_or(0);
        let SayHelloRequest { text, failures, delay } = request.into_inner();
        if text.is_empty() {
            // The message is for people. A program finds the field in the details.
            let details = ErrorDetails::with_bad_request_violation("text", "must not be empty");
            return Err(Status::with_error_details(Code::InvalidArgument, "the text is empty", details));
        }
        if previous < failures {
            return Err(Status::unavailable("this attempt fails, as the request asks"));
        }
        let call = guard(format!("SayHello of {user}"), ended_early);
        sleep(delay.and_then(|delay| delay.try_into().ok()).unwrap_or_default()).await;
        ScopeGuard::into_inner(call);
        Ok(Response::new(SayHelloResponse {
            text: format!("hello {user}: {text}"),
            attempt: previous.saturating_add(1),
        }))
    }

    type ServerStreamStream = BoxStream<ServerStreamResponse>;

    async fn server_stream(&self, request: Request<ServerStreamRequest>) -> Reply<Self::ServerStreamStream> {
        let call = guard(format!("ServerStream of {}", user(&request)), ended_early);
        let ServerStreamRequest { text, count } = request.into_inner();
        // Runs only while the connection can take more, so a slow reader costs no memory.
        Ok(Response::new(Box::pin(try_stream! {
            for number in 1..=count {
                sleep(Duration::from_millis(100)).await;
                yield ServerStreamResponse { text: text.clone(), number };
            }
            ScopeGuard::into_inner(call);
        })))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<ClientStreamRequest>>,
    ) -> Reply<ClientStreamResponse> {
        let (mut requests, mut count) = (request.into_inner(), 0);
        // `None` is the half-close: the caller has sent everything and waits for the answer.
        while requests.message().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(ClientStreamResponse { count }))
    }

    type StreamChatStream = BoxStream<StreamChatResponse>;

    async fn stream_chat(
        &self,
        request: Request<Streaming<StreamChatRequest>>,
    ) -> Reply<Self::StreamChatStream> {
        let mut member = Member {
            name: user(&request).into(),
            says: request.into_inner(),
            // Before the headers of the answer, which tell the caller that it is in the room.
            hears: self.room.subscribe(),
            missed: 0,
            chat: self.clone(),
        };
        Ok(Response::new(Box::pin(try_stream! {
            while let Some(message) = member.next_message().await? {
                yield message;
            }
        })))
    }
}

/// A caller in the room.
struct Member {
    name: Arc<str>,
    says: Streaming<StreamChatRequest>,
    hears: broadcast::Receiver<(Arc<str>, String)>,
    missed: u64,
    chat: Chat,
}

impl Member {
    /// Waits for a message of another member, and passes on what this one says. `None` when it has left.
    async fn next_message(&mut self) -> Result<Option<StreamChatResponse>, Status> {
        loop {
            tokio::select! {
                // In this order: a member that says much must not miss what it could hear.
                biased;
                // A room never ends by itself, so the server would wait for ever.
                () = self.chat.stopping.cancelled() => return Err(Status::unavailable("the server stops")),
                message = self.hears.recv() => match message {
                    // The same pointer: its own message.
                    Ok((user, _)) if Arc::ptr_eq(&user, &self.name) => {}
                    Ok((user, text)) => {
                        let missed = mem::take(&mut self.missed);
                        return Ok(Some(StreamChatResponse { user: user.to_string(), text, missed }));
                    }
                    // The room holds the newest messages only, whoever has not read the older ones.
                    Err(broadcast::error::RecvError::Lagged(count)) => self.missed += count,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                },
                request = self.says.message() => match request? {
                    // Fails only when nobody is in the room.
                    Some(request) => _ = self.chat.room.send((self.name.clone(), request.text)),
                    None => return Ok(None),
                },
            }
        }
    }
}

/// Reports a call that ends early. When the caller cancels it, or its deadline is over, tonic drops the future or the
/// stream: the work stops where it awaits, and gets no error. Only a guard, which acts when it is dropped, can notice.
fn ended_early(call: String) {
    println!("{call} ended early: cancelled, or its deadline is over");
}

/// The server's interceptor sees the metadata of each call of this service, unary or stream, before the method does.
/// A name that nobody proves protects nothing: a real service checks a token here.
fn check_user(request: Request<()>) -> Result<Request<()>, Status> {
    match user(&request) {
        "" => Err(Status::unauthenticated("send your name in the metadata: user")),
        _ => Ok(request),
    }
}

fn user<T>(request: &Request<T>) -> &str {
    request.metadata().get("user").and_then(|name| name.to_str().ok()).unwrap_or_default()
}

async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on {}", listener.local_addr()?);
    let stopping = CancellationToken::new();
    let chat = Chat { room: broadcast::Sender::new(WAITING), stopping: stopping.clone() };
    let chat = ChatServiceServer::new(chat).max_decoding_message_size(LARGEST);
    // Describes the service, and the details of its errors, to grpcurl and the like, which then need no files.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let serving = Server::builder()
        .add_service(InterceptedService::new(chat, check_user))
        .add_service(reflection().build_v1()?)
        // Many tools know this version only.
        .add_service(reflection().build_v1alpha()?)
        // Takes no new calls once it is cancelled, and waits for those that it has.
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stopping.clone().cancelled_owned(),
        );
    let stop = async {
        signal::ctrl_c().await?;
        println!("stopping");
        stopping.cancel();
        sleep(GRACE).await;
        anyhow::Ok(())
    };
    tokio::select! {
        result = serving => result?,
        result = stop => result?,
    }
    println!("stopped");
    Ok(())
}

// ---- Client ----

/// How long to wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

type Client = ChatServiceClient<InterceptedService<Channel, AddUser>>;

/// The interceptor of the client: it adds the name to every call.
#[derive(Clone)]
struct AddUser(MetadataValue<Ascii>);

impl Interceptor for AddUser {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("user", self.0.clone());
        Ok(request)
    }
}

/// A client of its own name. All clients share the connection.
fn client(channel: &Channel, name: &str) -> anyhow::Result<Client> {
    let name = name.parse().context("a name has visible ASCII characters only")?;
    Ok(ChatServiceClient::with_interceptor(channel.clone(), AddUser(name)))
}

/// Makes the call up to four times while the answer is UNAVAILABLE. Retries are right for an idempotent call only: the
/// work may be done and its answer lost. tonic has no service config, which tells other libraries to do the same.
async fn hello_with_retries(client: &mut Client, hello: SayHelloRequest) -> Result<SayHelloResponse, Status> {
    let deadline = Instant::now() + LIMIT;
    let mut backoff = Duration::from_millis(100);
    let mut attempt = 0_u32;
    loop {
        let mut request = Request::new(hello.clone());
        // One deadline for all attempts.
        request.set_timeout(deadline - Instant::now());
        if attempt > 0 {
            request.metadata_mut().insert("grpc-previous-rpc-attempts", attempt.into());
        }
        match client.say_hello(request).await {
            Err(status) if status.code() == Code::Unavailable && attempt < 3 => attempt += 1,
            result => return result.map(Response::into_inner),
        }
        // Jitter, so that clients that failed together do not all come back together.
        sleep(backoff.mul_f64(rand::random())).await;
        backoff *= 2;
    }
}

/// Enters the room. What is sent goes to all others, until the sender is dropped: that half-closes the call.
async fn enter(
    client: &mut Client,
) -> Result<(mpsc::Sender<StreamChatRequest>, Streaming<StreamChatResponse>), Status> {
    let (say, said) = mpsc::channel(1);
    let heard = client.stream_chat(ReceiverStream::new(said)).await?.into_inner();
    Ok((say, heard))
}

async fn tour(channel: Channel) -> anyhow::Result<()> {
    let mut anna = client(&channel, "anna")?;
    let mut ben = client(&channel, "ben")?;

    println!("SayHello, unary: one request, one response");
    let hello = SayHelloRequest { text: "good morning".into(), ..Default::default() };
    let answer = anna.say_hello(hello).await?.into_inner();
    println!("  {} (attempt {})", answer.text, answer.attempt);

    println!("Retry: two attempts fail with UNAVAILABLE, the third does not");
    let hello = SayHelloRequest { text: "can you hear me?".into(), failures: 2, delay: None };
    let answer = hello_with_retries(&mut anna, hello).await?;
    println!("  {} (attempt {})", answer.text, answer.attempt);

    println!("Status with details: an empty text");
    if let Err(status) = anna.say_hello(SayHelloRequest::default()).await {
        println!("  {:?}: {}", status.code(), status.message());
        if let Some(details) = status.get_details_bad_request() {
            for violation in details.field_violations {
                println!("  {}: {}", violation.field, violation.description);
            }
        }
    }

    println!("Deadline: an answer that takes 10 s, a caller that waits 100 ms");
    let delay = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    let mut request = Request::new(SayHelloRequest { text: "hurry".into(), failures: 0, delay });
    request.set_timeout(Duration::from_millis(100));
    if let Err(status) = anna.say_hello(request).await {
        // tonic, as client and as server, says CANCELLED for what gRPC calls DEADLINE_EXCEEDED.
        let code = if status.code() == Code::Cancelled { Code::DeadlineExceeded } else { status.code() };
        println!("  {code:?}");
    }

    println!("ServerStream, server streaming: the caller leaves after 3 of 1000 messages");
    let request = ServerStreamRequest { text: "tick".into(), count: 1000 };
    let mut answers = anna.server_stream(request).await?.into_inner();
    while let Some(ServerStreamResponse { text, number }) = answers.message().await? {
        println!("  {text} {number}");
        if number == 3 {
            break;
        }
    }
    // That cancels the call. Without it the server would go on.
    drop(answers);
    println!("  cancelled");

    println!("ClientStream, client streaming: the answer comes after the half-close");
    // The end of the requests is the half-close.
    let texts = ["one", "two", "three"].map(|text| ClientStreamRequest { text: text.into() });
    let answer = anna.client_stream(tokio_stream::iter(texts)).await?.into_inner();
    println!("  {} messages", answer.count);

    println!("StreamChat, bidirectional streaming: two callers in a room");
    let (anna_says, mut anna_hears) = enter(&mut anna).await?;
    let (ben_says, mut ben_hears) = enter(&mut ben).await?;
    anna_says.send(StreamChatRequest { text: "hello, ben".into() }).await?;
    ben_says.send(StreamChatRequest { text: "hello, anna".into() }).await?;
    for (name, hears) in [("ben", &mut ben_hears), ("anna", &mut anna_hears)] {
        if let Some(StreamChatResponse { user, text, .. }) = hears.message().await? {
            println!("  {name} hears {user}: {text}");
        }
    }
    // The half-closes.
    drop((anna_says, ben_says));
    if anna_hears.message().await?.is_none() && ben_hears.message().await?.is_none() {
        println!("  both have left");
    }
    Ok(())
}

/// A chat over standard input and output.
async fn talk(channel: Channel, name: &str) -> anyhow::Result<()> {
    let (say, mut heard) = enter(&mut client(&channel, name)?).await?;
    println!("{name} is in the room, Ctrl-D leaves");
    // Not a task: a read of a terminal cannot be cancelled, and tokio would wait for it at the end of the program.
    thread::spawn(move || {
        for text in io::stdin().lines().map_while(Result::ok) {
            if say.blocking_send(StreamChatRequest { text }).is_err() {
                break;
            }
        }
    });
    while let Some(StreamChatResponse { user, text, missed }) = heard.message().await? {
        if missed > 0 {
            println!("({missed} messages missed)");
        }
        println!("{user}: {text}");
    }
    Ok(())
}
