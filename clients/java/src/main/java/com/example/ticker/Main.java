package com.example.ticker;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;
import static java.util.stream.Collectors.joining;

import com.google.protobuf.Timestamp;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusException;
import java.io.File;
import java.io.IOException;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeoutException;
import java.util.logging.LogManager;
import picocli.CommandLine;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import ticker.v1.Ticker;
import ticker.v1.Ticker.SymbolStatusCode;

/** Prints the last candles of some symbols, and then every tick, across replicas that fail. */
public final class Main implements Callable<Integer> {
  private static final Set<Code> RETRYABLE = Set.of(
      Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.ABORTED,
      Code.INTERNAL, Code.RESOURCE_EXHAUSTED,
      Code.FAILED_PRECONDITION); // Our own, of a foreign tape: another replica may have ours.

  /** A call about a symbol that is refused ends with one of these. The watch says why it is. */
  private static final Set<Code> REFUSALS =
      Set.of(Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT);

  private static final DateTimeFormatter NANOSECONDS =
      new DateTimeFormatterBuilder().appendInstant(9).toFormatter();

  @Option(names = "--symbols", split = ",", defaultValue = "RELIANCE,TCS")
  private List<String> symbols;

  @Option(names = "--seconds", defaultValue = "10")
  private double seconds;

  @Mixin private Channels channels;
  @Mixin private Printer printer;

  // What a resume needs.
  private final Map<String, Long> lastSequences = new HashMap<>();
  private String tapeId = "";

  private int failures; // Since the last tick.

  /** Exits with 0 at the end of the time, 1 after a failure, and 2 after a bad command line. */
  public static void main(String[] args) {
    // What gRPC logs about failed connections comes back in the status of the calls as well.
    LogManager.getLogManager().reset();
    CommandLine command = new CommandLine(new Main());
    command.setParameterExceptionHandler((e, arguments) -> fail(2, e));
    command.setExecutionExceptionHandler((e, main, result) -> fail(1, e));
    System.exit(command.execute(args));
  }

  private static int fail(int exitCode, Exception e) {
    System.err.println("error: " + reason(e));
    return exitCode;
  }

  /** One line, with the root cause, which says why a connection failed. */
  private static String reason(Exception e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String reason = root == e ? e.getMessage() : e.getMessage() + ": " + root.getMessage();
    // That of a call that waited for a connection has the stack traces of failed ones.
    return reason.lines().filter(line -> !line.startsWith("\t")).collect(joining(" "));
  }

  @Override
  public Integer call() throws IOException, InterruptedException, StatusException {
    check(seconds > 0, "--seconds must be positive");
    check(!symbols.contains(""), "--symbols takes SYMBOL[,SYMBOL...]");
    check(!channels.endpoints.isEmpty(), "--endpoints takes HOST:PORT[,HOST:PORT...]");
    for (String endpoint : channels.endpoints) {
      check(endpoint.matches(".+:\\d{1,5}"), endpoint + " is not HOST:PORT");
    }
    File ca = channels.tlsCa;
    File token = channels.tokenFile;
    check(ca == null || ca.canRead(), "cannot read " + ca);
    check(token == null || token.canRead(), "cannot read " + token);
    check(token == null || ca != null, "--token-file needs --tls-ca");
    printHistory();
    watch(Deadline.after((long) (seconds * 1000), MILLISECONDS));
    return 0;
  }

  private void check(boolean condition, String message) {
    if (!condition) {
      throw new CommandLine.ParameterException(new CommandLine(this), message);
    }
  }

  /** Prints the identity of the tape, and the last five minutes of each symbol. */
  private void printHistory() throws IOException, StatusException {
    var channel = channels.toAll();
    var tape = channels.stub(channel).withDeadlineAfter(5, SECONDS)
        .getTape(Ticker.GetTapeRequest.getDefaultInstance());
    printer.print("tape", "tape_id", tape.getTapeId(), "time", time(tape.getTime()));
    for (String symbol : symbols) {
      var request = Ticker.ListCandlesRequest.newBuilder().setSymbol(symbol);
      request.getIntervalBuilder().setSeconds(60);
      request.getStartTimeBuilder().setSeconds(tape.getTime().getSeconds() - 300);
      request.setEndTime(tape.getTime());
      try {
        do {
          var page = channels.stub(channel).withDeadlineAfter(5, SECONDS)
              .listCandles(request.build());
          for (Ticker.Candle candle : page.getCandlesList()) {
            printer.print("candle", "symbol", symbol, "open_time", time(candle.getOpenTime()),
                "open", candle.getOpenPrice(), "high", candle.getHighPrice(),
                "low", candle.getLowPrice(), "close", candle.getClosePrice(),
                "volume", candle.getVolume());
          }
          request.setPageToken(page.getNextPageToken());
        } while (!request.getPageToken().isEmpty());
      } catch (StatusException e) {
        if (!REFUSALS.contains(e.getStatus().getCode())) {
          throw e;
        }
      }
    }
    channel.shutdownNow();
  }

  private static String time(Timestamp time) {
    return NANOSECONDS.format(Instant.ofEpochSecond(time.getSeconds(), time.getNanos()));
  }

  /**
   * Watches at one endpoint at a time. When a stream ends, the next one resumes after the last tick
   * of each symbol: no tick is lost, and none is printed twice.
   */
  private void watch(Deadline end) throws IOException, InterruptedException, StatusException {
    int endpoints = channels.endpoints.size();
    int foreignTapes = 0; // In a row.
    for (int current = 0; ; current = (current + 1) % endpoints) {
      String endpoint = channels.endpoints.get(current);
      try {
        follow(endpoint, end);
      } catch (StatusException e) {
        Code code = e.getStatus().getCode();
        foreignTapes = code == Code.FAILED_PRECONDITION ? foreignTapes + 1 : 0;
        // The token file has a fresh token by now, which the next stream sends.
        boolean expired = code == Code.UNAUTHENTICATED && failures == 0;
        if (end.isExpired()) {
          return;
        } else if (foreignTapes == endpoints || !(expired || RETRYABLE.contains(code))) {
          throw e;
        }
        printer.print("disconnected", "endpoint", endpoint, "reason", reason(e));
      }
      failures++;
      if (failures >= endpoints) {
        // Exponential backoff with full jitter, at most 50 ms at first and 800 ms in the end.
        int bound = 50 << Math.min(failures - endpoints, 4);
        Thread.sleep((long) (Math.random() * bound));
      }
    }
  }

  /** Reads one stream, until an exception says why it ended. */
  private void follow(String endpoint, Deadline end)
      throws IOException, InterruptedException, StatusException {
    // A fresh channel has no connect backoff to wait for, and no dead connection to discover.
    var channel = channels.to(endpoint);
    var request = Ticker.WatchRequest.newBuilder()
        .addAllSymbols(symbols)
        .setDelivery(Ticker.Delivery.DELIVERY_EVERY_TICK)
        .setDetail(Ticker.Detail.DETAIL_QUOTE)
        .putAllAfterSequence(lastSequences)
        .setTapeId(tapeId);
    int patience = 3; // Seconds, for the connection and the first message.
    try {
      var stream = channels.stub(channel).withDeadline(end).watch(request.build());
      while (true) {
        var message = stream.read(patience, SECONDS);
        if (message == null) {
          throw unavailable("the stream ended");
        }
        accept(endpoint, message);
        patience = 15; // The server sends a heartbeat every 5 s.
      }
    } catch (TimeoutException e) {
      throw unavailable("no message for " + patience + " s");
    } finally {
      channel.shutdownNow();
    }
  }

  private void accept(String endpoint, Ticker.WatchResponse message) throws StatusException {
    switch (message.getEventCase()) {
      case SUBSCRIPTION_RESULT -> accept(endpoint, message.getSubscriptionResult());
      case TICK -> accept(message.getTick());
      case GAP -> {
        var gap = message.getGap();
        lastSequences.put(gap.getSymbol(), gap.getLastSequence());
        printer.print("gap", "symbol", gap.getSymbol(),
            "first_sequence", gap.getFirstSequence(), "last_sequence", gap.getLastSequence());
      }
      case CAUGHT_UP -> {
        var caughtUp = message.getCaughtUp();
        printer.print(
            "caught_up", "symbol", caughtUp.getSymbol(), "sequence", caughtUp.getSequence());
      }
      case DRAINING -> throw unavailable("the replica is about to stop");
      default -> {} // A heartbeat, or that the token expires soon.
    }
  }

  private void accept(String endpoint, Ticker.SubscriptionResult result) throws StatusException {
    if (!tapeId.isEmpty() && !tapeId.equals(result.getTapeId())) {
      throw Status.FAILED_PRECONDITION
          .withDescription("the replica plays another tape than " + tapeId).asException();
    }
    tapeId = result.getTapeId();
    printer.print("connected", "endpoint", endpoint, "tape_id", tapeId);
    for (var status : result.getStatusesList()) {
      if (status.getCode() != SymbolStatusCode.SYMBOL_STATUS_CODE_SUBSCRIBED) {
        printer.print("refused", "symbol", status.getSymbol(), "message", status.getMessage());
      }
    }
  }

  private void accept(Ticker.Tick tick) throws StatusException {
    Long last = lastSequences.get(tick.getSymbol());
    if (last != null && tick.getSequence() != last + 1) {
      throw unavailable("the next tick of " + tick.getSymbol() + " does not follow " + last);
    }
    lastSequences.put(tick.getSymbol(), tick.getSequence());
    failures = 0;
    printer.print("tick", "symbol", tick.getSymbol(), "sequence", tick.getSequence(),
        "ltp", tick.getLtp(), "time", time(tick.getTime()),
        "bid", tick.getQuote().getBidNanos() / 1e9, "ask", tick.getQuote().getAskNanos() / 1e9,
        "snapshot", tick.getSnapshot());
  }

  private static StatusException unavailable(String reason) {
    return Status.UNAVAILABLE.withDescription(reason).asException();
  }
}
