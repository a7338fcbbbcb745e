package com.example.ticker;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.io.IOException;
import java.time.Duration;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeoutException;
import ticker.v1.Ticker.Delivery;
import ticker.v1.Ticker.Detail;
import ticker.v1.Ticker.Gap;
import ticker.v1.Ticker.SubscriptionResult;
import ticker.v1.Ticker.SymbolStatus;
import ticker.v1.Ticker.SymbolStatusCode;
import ticker.v1.Ticker.Tick;
import ticker.v1.Ticker.WatchRequest;
import ticker.v1.Ticker.WatchResponse;
import ticker.v1.TickerStreamServiceGrpc;

/**
 * Watches symbols at one endpoint at a time. When a stream ends, the next one resumes after the
 * last tick of each symbol: no tick is lost, and none is printed twice.
 */
final class Watch {
  private static final Set<Status.Code> RETRYABLE =
      EnumSet.of(
          Status.Code.UNAVAILABLE,
          Status.Code.CANCELLED,
          Status.Code.UNKNOWN,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.ABORTED,
          Status.Code.INTERNAL,
          Status.Code.RESOURCE_EXHAUSTED);

  // Why this client leaves a stream.
  private static final Status DRAINING =
      Status.UNAVAILABLE.withDescription("the replica is about to stop");
  private static final Status TOKEN_EXPIRING =
      Status.ABORTED.withDescription("the token expires soon");
  private static final Status FOREIGN_TAPE =
      Status.ABORTED.withDescription("the replica plays another tape");

  /** Longest wait for the first message, which includes the time to connect. */
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(3);

  /** Longest wait for a later message. The server sends a heartbeat every 5 s. */
  private static final Duration SILENCE_TIMEOUT = Duration.ofSeconds(15);

  private final Options options;
  private final Channels channels;
  private final Output output;
  private final Deadline end;

  // What a resume needs.
  private final Map<String, Long> lastSequences = new HashMap<>();
  private String tapeId = "";

  private final Set<String> refused = new HashSet<>();
  private int attempts; // Since the last tick.

  Watch(Options options, Channels channels, Output output, Deadline end) {
    this.options = options;
    this.channels = channels;
    this.output = output;
    this.end = end;
  }

  /** Returns when the time is over. */
  void run() throws IOException, InterruptedException, StatusException {
    List<String> endpoints = options.endpoints();
    int current = 0;
    int foreignTapes = 0;
    while (true) {
      attempts++;
      String endpoint = endpoints.get(current);
      Status reason = follow(endpoint);
      if (end.isExpired()) {
        return;
      }
      if (!RETRYABLE.contains(reason.getCode())) {
        throw reason.asException();
      }
      output.disconnected(endpoint, reason);

      foreignTapes = reason == FOREIGN_TAPE ? foreignTapes + 1 : 0;
      if (foreignTapes == endpoints.size()) {
        throw Status.FAILED_PRECONDITION
            .withDescription("no endpoint plays the tape " + tapeId + " any more")
            .asException();
      }
      if (reason != TOKEN_EXPIRING) {
        current = (current + 1) % endpoints.size();
      }
      backOff(attempts - endpoints.size());
    }
  }

  /** Reads one stream. The status says why it ended. */
  private Status follow(String endpoint) throws IOException, InterruptedException {
    // A fresh channel has no connect backoff to wait for, and no dead connection to discover.
    ManagedChannel channel = channels.to(endpoint);
    Duration patience = CONNECT_TIMEOUT;
    boolean tokenExpires = false;
    try {
      BlockingClientCall<?, WatchResponse> stream =
          TickerStreamServiceGrpc.newBlockingV2Stub(channel).withDeadline(end).watch(request());
      while (true) {
        WatchResponse message = stream.read(patience.toMillis(), MILLISECONDS);
        if (message == null) {
          return Status.UNAVAILABLE.withDescription("the stream ended");
        }
        patience = SILENCE_TIMEOUT;
        switch (message.getEventCase()) {
          case SUBSCRIPTION_RESULT -> accept(endpoint, message.getSubscriptionResult());
          case TICK -> accept(message.getTick());
          case GAP -> accept(message.getGap());
          case CAUGHT_UP -> output.caughtUp(message.getCaughtUp());
          case DRAINING -> {
            return DRAINING;
          }
          case TOKEN_EXPIRING -> tokenExpires = true;
          default -> {} // A heartbeat: the stream is alive.
        }
        // With the token of this stream, the next one would be told at once that it expires.
        if (tokenExpires && channels.hasFreshToken()) {
          return TOKEN_EXPIRING;
        }
      }
    } catch (TimeoutException e) {
      return Status.UNAVAILABLE.withDescription("no message for " + patience.toSeconds() + " s");
    } catch (StatusException e) {
      return e.getStatus();
    } finally {
      channel.shutdownNow();
    }
  }

  private WatchRequest request() {
    return WatchRequest.newBuilder()
        .addAllSymbols(options.symbols())
        .setDelivery(Delivery.DELIVERY_EVERY_TICK)
        .setDetail(Detail.DETAIL_QUOTE)
        .putAllAfterSequence(lastSequences)
        .setTapeId(tapeId)
        .build();
  }

  private void accept(String endpoint, SubscriptionResult result)
      throws IOException, StatusException {
    boolean subscribed = false;
    for (SymbolStatus status : result.getStatusesList()) {
      if (status.getCode() == SymbolStatusCode.SYMBOL_STATUS_CODE_FOREIGN_TAPE) {
        throw FOREIGN_TAPE.asException();
      } else if (status.getCode() == SymbolStatusCode.SYMBOL_STATUS_CODE_SUBSCRIBED) {
        subscribed = true;
      } else if (refused.add(status.getSymbol())) {
        output.refused(status);
      }
    }
    if (subscribed) {
      tapeId = result.getTapeId();
      output.connected(endpoint, tapeId);
    }
  }

  private void accept(Tick tick) throws IOException, StatusException {
    attempts = 0;
    long sequence = tick.getSequence();
    Long last = lastSequences.get(tick.getSymbol());
    if (last != null && sequence != last + 1) {
      if (Long.compareUnsigned(sequence, last) <= 0) {
        return;
      }
      // Cannot happen, and the next stream asks for them.
      throw Status.INTERNAL
          .withDescription("ticks of " + tick.getSymbol() + " are missing after " + last)
          .asException();
    }
    lastSequences.put(tick.getSymbol(), sequence);
    output.tick(tick);
  }

  private void accept(Gap gap) throws IOException {
    lastSequences.put(gap.getSymbol(), gap.getLastSequence());
    output.gap(gap);
  }

  /** Exponential backoff with full jitter, once every endpoint has been tried. */
  private void backOff(int attempt) throws InterruptedException {
    if (attempt >= 0) {
      long bound = attempt < 5 ? 50L << attempt : 1000;
      long wait = ThreadLocalRandom.current().nextLong(bound);
      Thread.sleep(Math.max(0, Math.min(wait, end.timeRemaining(MILLISECONDS))));
    }
  }
}
