// Streams flights into the topic over HTTP, like every client.
//   P1. A body goes under one Idempotency-Key until it is accepted, so a kill, which may swallow
//       the request or only its answer, loses nothing and doubles nothing.
//   P2. Bodies are accepted in no particular order.

import type { FlightBody } from "./flights.ts";
import { ask } from "./http.ts";
import { pause } from "./until.ts";

const requestsInFlightDefault = 4;

/** Milliseconds that one try may take, all tries of one body, and between two. */
const tryTimeout = 20_000;
const bodyTimeout = 60_000;
const retryDelay = 100;

/** Where the topic is. */
export interface Server {
  readonly url: string;
  /** Resolves once the server takes requests. */
  up(): Promise<void>;
}

/** How a body came to be accepted. */
interface Accepted {
  readonly tries: number;
  /** It had been kept by an earlier request. */
  readonly duplicate: boolean;
}

export class Producer {
  /** Accepted so far. */
  rows = 0;
  bytes = 0;
  /** Bodies that had to be sent again, and those of them that had been kept the first time. */
  repeated = 0;
  duplicates = 0;
  readonly #server: Server;
  readonly #signal: AbortSignal;
  readonly #requestsInFlight: number;
  #limit = Infinity;
  #limitMoved = Promise.withResolvers<void>();

  constructor(
    server: Server,
    signal: AbortSignal,
    { requestsInFlight = requestsInFlightDefault }: { readonly requestsInFlight?: number } = {},
  ) {
    this.#server = server;
    this.#requestsInFlight = requestsInFlight;
    this.#signal = signal;
  }

  async send(bodies: AsyncIterable<FlightBody>): Promise<void> {
    const senders = Array.from({ length: this.#requestsInFlight }, async () => {
      for await (const body of bodies) {
        while (body.position >= this.#limit) await this.#limitMoved.promise;
        await this.#sendOne(body);
      }
    });
    await Promise.all(senders);
  }

  /** Sends nothing from the flight at `position` on, until it is told another. */
  holdAt(position: number): void {
    this.#limit = position;
    this.#limitMoved.resolve();
    this.#limitMoved = Promise.withResolvers<void>();
  }

  async #sendOne(body: FlightBody): Promise<void> {
    const { tries, duplicate } = await this.deliver(body);
    this.rows += body.rows;
    this.bytes += body.ndjson.length;
    if (tries > 1) this.repeated += 1;
    if (duplicate) this.duplicates += 1;
  }

  /** Sends one body until it is accepted; sent already or just now, it counts once (P1). */
  async deliver({ position, ndjson }: FlightBody): Promise<Accepted> {
    let problem: string | undefined;
    const deadline = Date.now() + bodyTimeout;
    for (let tries = 1; Date.now() < deadline; tries++) {
      const answer = await ask(`${this.#server.url}/topics/flights/records`, {
        method: "POST",
        headers: {
          "Content-Type": "application/x-ndjson",
          "Idempotency-Key": `flights-from-${position}`,
        },
        body: ndjson,
        signal: this.#signal,
        timeout: tryTimeout,
      });
      if (answer.kind === "answer") {
        return { tries, duplicate: (answer.body as { duplicate: boolean }).duplicate };
      }
      problem = answer.problem;
      // No connections to a port that nobody listens on: on the loopback device a client can be
      // given that very port, connect to itself, and keep the server from coming back.
      await this.#server.up();
      await pause(retryDelay, this.#signal);
    }
    const seconds = bodyTimeout / 1_000;
    throw new Error(`Flights from ${position} on were not accepted for ${seconds} s: ${problem}`);
  }
}
