// Streams flights into the topic, as any HTTP client would.
//   P1. A body goes under one Idempotency-Key until it is accepted, so a kill, which may swallow
//       the request or only its answer, loses nothing and doubles nothing.
//   P2. Bodies are accepted in no particular order.

import type { FlightBody } from "./flights.ts";
import { ask } from "./http.ts";
import type { LocalJob } from "./local-job.ts";
import { pause } from "./until.ts";

const requestsInFlight = 4;

/** Milliseconds that one try may take, all tries of one body, and between two. */
const tryTimeout = 20_000;
const bodyTimeout = 60_000;
const retryDelay = 100;

export class Producer {
  /** Accepted so far. */
  rows = 0;
  bytes = 0;
  /** Bodies that had to be sent again, and those of them that had been kept the first time. */
  repeated = 0;
  duplicates = 0;
  readonly #job: LocalJob;
  readonly #signal: AbortSignal;
  #limit = Infinity;
  #limitMoved = Promise.withResolvers<void>();

  constructor(job: LocalJob, signal: AbortSignal) {
    this.#job = job;
    this.#signal = signal;
  }

  async send(bodies: AsyncIterable<FlightBody>): Promise<void> {
    const senders = Array.from({ length: requestsInFlight }, async () => {
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

  async #sendOne({ position, rows, ndjson }: FlightBody): Promise<void> {
    let problem: string | undefined;
    for (const deadline = Date.now() + bodyTimeout; Date.now() < deadline;) {
      const answer = await ask(`${this.#job.url}/topics/flights/records`, {
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
        this.rows += rows;
        this.bytes += ndjson.length;
        if (problem !== undefined) this.repeated += 1;
        if ((answer.body as { duplicate: boolean }).duplicate) this.duplicates += 1;
        return;
      }
      problem = answer.problem;
      // No connections to a port that nobody listens on: on the loopback device a client can be
      // given that very port, connect to itself, and keep the server from coming back.
      await this.#job.up();
      await pause(retryDelay, this.#signal);
    }
    const seconds = bodyTimeout / 1_000;
    throw new Error(`Flights from ${position} on were not accepted for ${seconds} s: ${problem}`);
  }
}
