package com.example.ticker;

import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusException;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeoutException;
import ticker.v1.Ticker;
import ticker.v1.Ticker.SymbolStatusCode;

/**
 * Watches at one endpoint at a time. When a stream ends, the next one resumes after the last tick
 * of each symbol: no tick is lost, and none is printed twice.
 */
final class Watch {
  private static final Set<Code> RETRYABLE = Set.of(
      Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.ABORTED,
      Code.INTERNAL, Code.RESOURCE_EXHAUSTED,
      Code.FAILED_PRECONDITION); // Our own, of a foreign tape: another replica may have ours.

  private final Channels channels;
  private final List<String> symbols;
  private final Printer printer;

  // What a resume needs.
  private final Map<String, Long> lastSequences = new HashMap<>();
  private String tapeId = "";

  private int failures; // Since the last tick.

  Watch(Channels channels, List<String> symbols, Printer printer) {
    this.channels = channels;
    this.symbols = symbols;
    this.printer = printer;
  }

  /** Returns at the end of the time. An exception says why no endpoint can go on. */
  void until(Deadline end) throws IOException, InterruptedException, StatusException {
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
        printer.print("disconnected", "endpoint", endpoint, "reason", Printer.reason(e));
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
        "ltp", tick.getLtp(), "time", Printer.time(tick.getTime()),
        "bid", tick.getQuote().getBidNanos() / 1e9, "ask", tick.getQuote().getAskNanos() / 1e9,
        "snapshot", tick.getSnapshot());
  }

  private static StatusException unavailable(String reason) {
    return Status.UNAVAILABLE.withDescription(reason).asException();
  }
}
