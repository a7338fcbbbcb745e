package com.example.ticker;

import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.Deadline;
import io.grpc.ManagedChannel;
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
import ticker.v1.TickerStreamServiceGrpc;

/**
 * Watches at one endpoint at a time. When a stream ends, the next one resumes after the last tick
 * of each symbol: no tick is lost, and none comes twice. Needs nothing but the generated code.
 */
final class Watch {
  private static final Set<Code> RETRYABLE = Set.of(
      Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.ABORTED,
      Code.INTERNAL, Code.RESOURCE_EXHAUSTED,
      Code.FAILED_PRECONDITION); // Our own, of a foreign tape: another replica may have ours.

  /** Makes a channel, whose calls fail at once when its endpoint is down. */
  interface Connector {
    ManagedChannel connect(String endpoint) throws IOException;
  }

  /** Is told what happens at an endpoint. */
  interface Listener {
    void received(String endpoint, Ticker.WatchResponse message);

    void disconnected(String endpoint, StatusException reason);
  }

  private final List<String> endpoints;
  private final List<String> symbols;
  private final Connector connector;
  private final Listener listener;

  // What a resume needs.
  private final Map<String, Long> lastSequences = new HashMap<>();
  private String tapeId = "";

  private int failures; // Since the last tick.

  Watch(List<String> endpoints, List<String> symbols, Connector connector, Listener listener) {
    this.endpoints = endpoints;
    this.symbols = symbols;
    this.connector = connector;
    this.listener = listener;
  }

  /** Returns at the end of the time. An exception says why no endpoint can go on. */
  void until(Deadline end) throws IOException, InterruptedException, StatusException {
    int foreignTapes = 0; // In a row.
    for (int current = 0; ; current = (current + 1) % endpoints.size()) {
      String endpoint = endpoints.get(current);
      try {
        follow(endpoint, end);
      } catch (StatusException e) {
        Code code = e.getStatus().getCode();
        foreignTapes = code == Code.FAILED_PRECONDITION ? foreignTapes + 1 : 0;
        // The token file has a fresh token by now, which the next stream sends.
        boolean expired = code == Code.UNAUTHENTICATED && failures == 0;
        if (end.isExpired()) {
          return;
        } else if (foreignTapes == endpoints.size() || !(expired || RETRYABLE.contains(code))) {
          throw e;
        }
        listener.disconnected(endpoint, e);
      }
      failures++;
      if (failures >= endpoints.size()) {
        // Exponential backoff with full jitter, at most 50 ms at first and 800 ms in the end.
        int bound = 50 << Math.min(failures - endpoints.size(), 4);
        Thread.sleep((long) (Math.random() * bound));
      }
    }
  }

  /** Reads one stream, until an exception says why it ended. */
  private void follow(String endpoint, Deadline end)
      throws IOException, InterruptedException, StatusException {
    // A fresh channel has no connect backoff to wait for, and no dead connection to discover.
    var channel = connector.connect(endpoint);
    var request = Ticker.WatchRequest.newBuilder()
        .addAllSymbols(symbols)
        .setDelivery(Ticker.Delivery.DELIVERY_EVERY_TICK)
        .setDetail(Ticker.Detail.DETAIL_QUOTE)
        .putAllAfterSequence(lastSequences)
        .setTapeId(tapeId);
    int patience = 3; // Seconds, for the connection and the first message.
    try {
      var stub = TickerStreamServiceGrpc.newBlockingV2Stub(channel);
      var stream = stub.withDeadline(end).watch(request.build());
      while (true) {
        var message = stream.read(patience, SECONDS);
        if (message == null) {
          throw unavailable("the stream ended");
        }
        note(message);
        listener.received(endpoint, message);
        patience = 15; // The server sends a heartbeat every 5 s.
      }
    } catch (TimeoutException e) {
      throw unavailable("no message for " + patience + " s");
    } finally {
      channel.shutdownNow();
    }
  }

  /** Keeps what a resume needs. An exception says why the stream is of no more use. */
  private void note(Ticker.WatchResponse message) throws StatusException {
    switch (message.getEventCase()) {
      case SUBSCRIPTION_RESULT -> {
        String tape = message.getSubscriptionResult().getTapeId();
        if (!tapeId.isEmpty() && !tapeId.equals(tape)) {
          throw Status.FAILED_PRECONDITION
              .withDescription("the replica plays another tape than " + tapeId).asException();
        }
        tapeId = tape;
      }
      case TICK -> {
        var tick = message.getTick();
        Long last = lastSequences.get(tick.getSymbol());
        if (last != null && tick.getSequence() != last + 1) {
          throw unavailable("the next tick of " + tick.getSymbol() + " does not follow " + last);
        }
        lastSequences.put(tick.getSymbol(), tick.getSequence());
        failures = 0;
      }
      case GAP ->
          lastSequences.put(message.getGap().getSymbol(), message.getGap().getLastSequence());
      case DRAINING -> throw unavailable("the replica is about to stop");
      default -> {} // Nothing that a resume needs.
    }
  }

  private static StatusException unavailable(String reason) {
    return Status.UNAVAILABLE.withDescription(reason).asException();
  }
}
