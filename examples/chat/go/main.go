// A chat over gRPC: all four kinds of call, and what a service needs around them. Server first, client below.
//
// ../rust/src/main.rs does the same in Rust and prints the same lines.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "example.com/chat/chatv1"
)

func main() {
	log.SetFlags(0)
	flags := flag.NewFlagSet("chat server | client", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:50061", "`address` of the server")
	connect := flags.String("connect", "127.0.0.1:50061", "`address` to call")
	chat := flags.String("chat", "", "enter the room under this `name`: each line of standard input is a message")
	if len(os.Args) < 2 {
		flags.Usage()
		os.Exit(2)
	}
	flags.Parse(os.Args[2:])
	switch command := os.Args[1]; {
	case command == "server":
		serve(*listen)
	case command == "client" && *chat != "":
		talk(*connect, *chat)
	case command == "client":
		tour(*connect)
	default:
		flags.Usage()
		os.Exit(2)
	}
}

// ---- Server ----

const (
	// How many messages wait for a slow reader, and the size of one in bytes. Together they limit the memory of the room.
	waiting = 256
	largest = 16 * 1024
	// How long calls may go on when the server stops.
	grace = 2 * time.Second
)

type chat struct {
	pb.UnimplementedChatServiceServer
	stopping <-chan struct{}
	mu       sync.Mutex
	room     map[*member]struct{}
}

// member is a caller in the room.
type member struct {
	hears  chan *pb.StreamChatResponse
	missed uint64
}

func (c *chat) SayHello(ctx context.Context, request *pb.SayHelloRequest) (*pb.SayHelloResponse, error) {
	// How gRPC counts retries: absent from the first attempt, then 1, 2 and so on.
	previous, _ := strconv.ParseUint(fromMetadata(ctx, "grpc-previous-rpc-attempts"), 10, 32)
	if request.GetText() == "" {
		// The message is for people. A program finds the field in the details.
		refused, err := status.New(codes.InvalidArgument, "the text is empty").WithDetails(&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "text", Description: "must not be empty"}},
		})
		if err != nil {
			return nil, err
		}
		return nil, refused.Err()
	}
	if uint32(previous) < request.GetFailures() {
		return nil, status.Error(codes.Unavailable, "this attempt fails, as the request asks")
	}
	if err := wait(ctx, request.GetDelay().AsDuration(), "SayHello"); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("hello %s: %s", fromMetadata(ctx, "user"), request.GetText())
	return &pb.SayHelloResponse{Text: text, Attempt: uint32(previous) + 1}, nil
}

func (c *chat) ServerStream(
	request *pb.ServerStreamRequest, stream grpc.ServerStreamingServer[pb.ServerStreamResponse],
) error {
	for number := uint32(1); number <= request.GetCount(); number++ {
		if err := wait(stream.Context(), 100*time.Millisecond, "ServerStream"); err != nil {
			return err
		}
		// Blocks while the connection can take no more, so a slow reader costs no memory.
		if err := stream.Send(&pb.ServerStreamResponse{Text: request.GetText(), Number: number}); err != nil {
			return err
		}
	}
	return nil
}

func (c *chat) ClientStream(stream grpc.ClientStreamingServer[pb.ClientStreamRequest, pb.ClientStreamResponse]) error {
	for count := uint32(0); ; count++ {
		_, err := stream.Recv()
		// EOF is the half-close: the caller has sent everything and waits for the answer.
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.ClientStreamResponse{Count: count})
		}
		if err != nil {
			return err
		}
	}
}

func (c *chat) StreamChat(stream grpc.BidiStreamingServer[pb.StreamChatRequest, pb.StreamChatResponse]) error {
	self := &member{hears: make(chan *pb.StreamChatResponse, waiting)}
	c.mu.Lock()
	c.room[self] = struct{}{}
	c.mu.Unlock()
	defer c.leave(self)
	// They tell the caller that it is in the room. By itself grpc-go sends the headers with the first message.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	left := make(chan error, 1)
	// One goroutine may receive while another one sends. Recv fails when this method returns.
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				left <- err
				return
			}
			c.say(self, fromMetadata(stream.Context(), "user"), request.GetText())
		}
	}()
	for {
		select {
		case message := <-self.hears:
			if err := stream.Send(message); err != nil {
				return err
			}
		case err := <-left:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		// A room never ends by itself, so the server would wait for ever.
		case <-c.stopping:
			return status.Error(codes.Unavailable, "the server stops")
		}
	}
}

// say gives a message to all others. It never waits for a slow reader, which would hold up everyone.
func (c *chat) say(self *member, user, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.room {
		if other == self {
			continue
		}
		select {
		case other.hears <- &pb.StreamChatResponse{User: user, Text: text, Missed: other.missed}:
			other.missed = 0
		default:
			other.missed++
		}
	}
}

func (c *chat) leave(self *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.room, self)
}

// wait stands for work. It ends early, and reports it, when the caller cancels the call or its deadline is over. Only the
// context says so: work that does not look at it goes on for nobody.
func wait(ctx context.Context, duration time.Duration, method string) error {
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		fmt.Printf("%s of %s ended early: cancelled, or its deadline is over\n", method, fromMetadata(ctx, "user"))
		return status.FromContextError(ctx.Err()).Err()
	}
}

// checkUser is what both interceptors of the server do. They see the calls of all services, those of reflection too.
// A name that nobody proves protects nothing: a real service checks a token here.
func checkUser(ctx context.Context, method string) error {
	if fromMetadata(ctx, "user") == "" && strings.HasPrefix(method, "/"+pb.ChatService_ServiceDesc.ServiceName+"/") {
		return status.Error(codes.Unauthenticated, "send your name in the metadata: user")
	}
	return nil
}

func checkUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := checkUser(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

func checkStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := checkUser(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(server, stream)
}

func fromMetadata(ctx context.Context, key string) string {
	return strings.Join(metadata.ValueFromIncomingContext(ctx, key), "")
}

func serve(address string) {
	listener := must(net.Listen("tcp", address))
	fmt.Println("listening on", listener.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	server := grpc.NewServer(
		grpc.UnaryInterceptor(checkUnary), grpc.StreamInterceptor(checkStream), grpc.MaxRecvMsgSize(largest),
	)
	pb.RegisterChatServiceServer(server, &chat{stopping: ctx.Done(), room: map[*member]struct{}{}})
	// Describes the services to grpcurl and the like, which then need no files.
	reflection.Register(server)
	go func() { check(server.Serve(listener)) }()
	<-ctx.Done()
	// A second Ctrl-C ends the program at once.
	stop()
	fmt.Println("stopping")
	time.AfterFunc(grace, server.Stop)
	// Takes no new calls, and waits for those that it has.
	server.GracefulStop()
	fmt.Println("stopped")
}

// ---- Client ----

// How long to wait for anything.
const limit = 10 * time.Second

// Retries are right for an idempotent call only: the work may be done and its answer lost. grpc-go waits with jitter,
// and counts the attempts in the metadata. One deadline holds for all attempts.
const retries = `{"methodConfig": [{
	"name": [{"service": "chat.v1.ChatService", "method": "SayHello"}],
	"retryPolicy": {
		"maxAttempts": 4,
		"initialBackoff": "0.1s",
		"backoffMultiplier": 2,
		"maxBackoff": "1s",
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

// client makes a client of its own name. Its interceptors add the name to every call.
func client(address, user string) pb.ChatServiceClient {
	return pb.NewChatServiceClient(must(grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, reply any,
			conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "user", user), method, request, reply, conn, options...)
		}),
		grpc.WithStreamInterceptor(func(
			ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
			method string, open grpc.Streamer, options ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return open(metadata.AppendToOutgoingContext(ctx, "user", user), desc, conn, method, options...)
		}),
	)))
}

// enter enters the room. What is sent goes to all others, until CloseSend half-closes the call.
func enter(
	ctx context.Context, client pb.ChatServiceClient,
) grpc.BidiStreamingClient[pb.StreamChatRequest, pb.StreamChatResponse] {
	stream := must(client.StreamChat(ctx))
	// The headers say that the caller is in the room.
	must(stream.Header())
	return stream
}

// must ends the program when a call that should work has failed.
func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal("Error: ", err)
	}
}

func tour(address string) {
	// No call without a deadline: a server that hangs would hang its callers too. It ends streams as well.
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	anna, ben := client(address, "anna"), client(address, "ben")

	fmt.Println("SayHello, unary: one request, one response")
	hello := must(anna.SayHello(ctx, &pb.SayHelloRequest{Text: "good morning"}))
	fmt.Printf("  %s (attempt %d)\n", hello.GetText(), hello.GetAttempt())

	fmt.Println("Retry: two attempts fail with UNAVAILABLE, the third does not")
	hello = must(anna.SayHello(ctx, &pb.SayHelloRequest{Text: "can you hear me?", Failures: 2}))
	fmt.Printf("  %s (attempt %d)\n", hello.GetText(), hello.GetAttempt())

	fmt.Println("Status with details: an empty text")
	_, err := anna.SayHello(ctx, &pb.SayHelloRequest{})
	fmt.Printf("  %s: %s\n", status.Code(err), status.Convert(err).Message())
	for _, detail := range status.Convert(err).Details() {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range request.GetFieldViolations() {
				fmt.Printf("  %s: %s\n", violation.GetField(), violation.GetDescription())
			}
		}
	}

	fmt.Println("Deadline: an answer that takes 10 s, a caller that waits 100 ms")
	soon, forget := context.WithTimeout(ctx, 100*time.Millisecond)
	defer forget()
	_, err = anna.SayHello(soon, &pb.SayHelloRequest{Text: "hurry", Delay: durationpb.New(10 * time.Second)})
	code := status.Code(err)
	// A tonic server has the same deadline and answers CANCELLED, which may arrive before our own clock strikes.
	if code == codes.Canceled {
		code = codes.DeadlineExceeded
	}
	fmt.Printf("  %s\n", code)

	fmt.Println("ServerStream, server streaming: the caller leaves after 3 of 1000 messages")
	here, leave := context.WithCancel(ctx)
	answers := must(anna.ServerStream(here, &pb.ServerStreamRequest{Text: "tick", Count: 1000}))
	for range 3 {
		answer := must(answers.Recv())
		fmt.Printf("  %s %d\n", answer.GetText(), answer.GetNumber())
	}
	// It cancels the call. Without it the server would go on.
	leave()
	fmt.Println("  cancelled")

	fmt.Println("ClientStream, client streaming: the answer comes after the half-close")
	texts := must(anna.ClientStream(ctx))
	for _, text := range []string{"one", "two", "three"} {
		check(texts.Send(&pb.ClientStreamRequest{Text: text}))
	}
	fmt.Printf("  %d messages\n", must(texts.CloseAndRecv()).GetCount())

	fmt.Println("StreamChat, bidirectional streaming: two callers in a room")
	annas, bens := enter(ctx, anna), enter(ctx, ben)
	check(annas.Send(&pb.StreamChatRequest{Text: "hello, ben"}))
	check(bens.Send(&pb.StreamChatRequest{Text: "hello, anna"}))
	heard := must(bens.Recv())
	fmt.Printf("  ben hears %s: %s\n", heard.GetUser(), heard.GetText())
	heard = must(annas.Recv())
	fmt.Printf("  anna hears %s: %s\n", heard.GetUser(), heard.GetText())
	check(annas.CloseSend())
	check(bens.CloseSend())
	_, annasEnd := annas.Recv()
	_, bensEnd := bens.Recv()
	if errors.Is(annasEnd, io.EOF) && errors.Is(bensEnd, io.EOF) {
		fmt.Println("  both have left")
	}
}

// talk is a chat over standard input and output.
func talk(address, name string) {
	stream := enter(context.Background(), client(address, name))
	fmt.Println(name, "is in the room, Ctrl-D leaves")
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			// Recv reports why a stream has ended, Send does not.
			_ = stream.Send(&pb.StreamChatRequest{Text: lines.Text()})
		}
		_ = stream.CloseSend()
	}()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		check(err)
		if message.GetMissed() > 0 {
			fmt.Printf("(%d messages missed)\n", message.GetMissed())
		}
		fmt.Printf("%s: %s\n", message.GetUser(), message.GetText())
	}
}
