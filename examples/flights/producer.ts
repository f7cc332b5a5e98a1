// Streams flights into a topic over HTTP, like every client.
//   P1. A body goes under one Idempotency-Key until it is accepted, so a kill, which may swallow
//       the request or only its answer, loses nothing and doubles nothing.
//   P2. Bodies are accepted in no particular order, unless there is one request in flight at a time.
//   P3. A 500 is no answer to get over: it ends the run. Everything else is what a client has to
//       expect, and is left to the command line's way of sending.

import { Api, type AppendBody, type Appended, type Outcome } from "../../cli/api.ts";
import { deliver } from "../../cli/ingest/delivery.ts";

/** Part of the stream: the body of one request. */
export interface FlightBody {
  /** Of the first flight, from 0. */
  readonly position: number;
  readonly rows: number;
  readonly ndjson: Buffer<ArrayBuffer>;
}

const requestsInFlightDefault = 4;

/** Milliseconds that one try may take, and all tries of one body. */
const tryTimeout = 20_000;
const bodyTimeout = 60_000;

/** Where the topic is. */
export interface Server {
  readonly url: string;
  /** Resolves once the server takes requests. */
  up(): Promise<void>;
}

export interface ProducerOptions {
  readonly topic: string;
  /** Requests on their way at a time; 4 where absent. */
  readonly requestsInFlight?: number;
  readonly signal: AbortSignal;
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
  readonly #api: Api;
  readonly #topic: string;
  readonly #requestsInFlight: number;
  #limit = Infinity;
  #limitMoved = Promise.withResolvers<void>();

  constructor(
    server: Server,
    { topic, requestsInFlight = requestsInFlightDefault, signal }: ProducerOptions,
  ) {
    this.#server = server;
    this.#topic = topic;
    this.#requestsInFlight = requestsInFlight;
    this.#api = new Api({
      url: new URL(server.url),
      token: undefined,
      timeout: tryTimeout,
      signal,
    });
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
    const body = { key: `${this.#topic}-from-${position}`, ndjson };
    const client = {
      append: (topic: string, flights: AppendBody) => this.#append(topic, flights),
      pause: (milliseconds: number) => this.#api.pause(milliseconds),
    };
    const outcome = await deliver(client, this.#topic, { body, patience: bodyTimeout });
    switch (outcome.kind) {
      case "accepted":
        return outcome;
      case "refused":
        throw new Error(`Flights from ${position} on were refused: ${outcome.reason}`);
      case "givenUp": {
        const seconds = bodyTimeout / 1_000;
        throw new Error(
          `Flights from ${position} on were not accepted for ${seconds} s: ${outcome.reason}`,
        );
      }
    }
  }

  async #append(topic: string, body: AppendBody): Promise<Outcome<Appended>> {
    // No connections to a port that nobody listens on: on the loopback device a client can be
    // given that very port, connect to itself, and keep the server from coming back.
    await this.#server.up();
    const outcome = await this.#api.append(topic, body);
    if (outcome.kind !== "unavailable" || outcome.status !== 500) return outcome;
    return { kind: "refused", status: outcome.status, reason: outcome.reason };
  }
}
