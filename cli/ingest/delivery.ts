// Sends batches, several at a time, until each is kept exactly once.
//   D1. A batch goes under one key until it is accepted. The key says which stream and from which
//       position on; the deployment refuses a key that was used for another body. So repeating a
//       command repeats nothing in the topic, and a stream that only looks like an earlier one, or is
//       cut into other batches, is refused instead of doubled.
//   D2. The first batch is accepted before any other is sent: a stream that is not what it was under
//       this name is found out before it leaves anything.
//   D3. After an error nothing more is begun; what is on its way comes to its end.

import type { Api, AppendBody } from "../api.ts";
import { exitCodes, Problem } from "../problem.ts";
import { badLine, type BadRecord, type Batch, bodyOf, without } from "./batches.ts";

/** Milliseconds between two tries: the first, the longest. */
const backoffMin = 100;
const backoffMax = 10_000;

export type DeliverOutcome =
  /** `tries`: of this call. `duplicate`: an earlier request had left the records. */
  | { readonly kind: "accepted"; readonly tries: number; readonly duplicate: boolean }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string }
  | { readonly kind: "givenUp"; readonly reason: string };

/** Sends one body under one key until it is accepted or refused, for `patience` milliseconds. */
export async function deliver(
  api: Pick<Api, "append" | "pause">,
  topic: string,
  { body, patience }: { readonly body: AppendBody; readonly patience: number },
): Promise<DeliverOutcome> {
  const deadline = Date.now() + patience;
  for (let tries = 1; ; tries++) {
    const outcome = await api.append(topic, body);
    if (outcome.kind === "answer") {
      return { kind: "accepted", tries, duplicate: outcome.body.duplicate };
    }
    if (outcome.kind === "refused") return outcome;
    if (Date.now() > deadline) return { kind: "givenUp", reason: outcome.reason };
    const backoff = Math.min(backoffMax, backoffMin * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
    await api.pause(Math.max(outcome.after ?? 0, backoff));
  }
}

export interface DeliveryOptions {
  readonly api: Pick<Api, "append" | "pause" | "place">;
  readonly topic: string;
  /** What the stream is known by. */
  readonly stream: string;
  /** Milliseconds that one batch may be refused for want of an answer. */
  readonly patience: number;
  /** Throws where the record may not be skipped. */
  readonly onBad: (bad: BadRecord) => void;
}

/** What has been accepted so far. */
export interface Delivered {
  records: number;
  bytes: number;
  /** Requests that had to be sent again. */
  repeated: number;
  /** Records that an earlier request had left. */
  keptBefore: number;
}

export class Delivery {
  readonly delivered: Delivered = { records: 0, bytes: 0, repeated: 0, keptBefore: 0 };
  readonly #options: DeliveryOptions;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  async sendAll(batches: AsyncGenerator<Batch>, inFlight: number): Promise<void> {
    const first = await batches.next();
    if (first.done === true) return;
    await this.send(first.value);
    let isOver = false;
    const senders = Array.from({ length: inFlight }, async () => {
      try {
        while (!isOver) {
          const next = await batches.next();
          if (next.done === true || isOver) return;
          await this.send(next.value);
        }
      } finally {
        isOver = true;
      }
    });
    // All of them, for the sake of D3; then the first that failed.
    const ends = await Promise.allSettled(senders);
    await batches.return(undefined);
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Sends one batch until it is accepted. @throws Problem when it is not */
  async send(batch: Batch): Promise<void> {
    const { onBad } = this.#options;
    for (let left = batch; left.lines.length > 0;) {
      const outcome = await this.#sendBody(left);
      if (outcome.kind === "accepted") return;
      const bad = badLine(left, outcome.reason);
      if (bad === undefined) throw this.#refusal(left, outcome);
      onBad(bad);
      left = without(left, bad);
    }
  }

  async #sendBody(batch: Batch): Promise<Exclude<DeliverOutcome, { kind: "givenUp" }>> {
    const { api, topic, stream, patience } = this.#options;
    const ndjson = bodyOf(batch);
    const body = { key: `${stream}-${batch.position}`, ndjson };
    const outcome = await deliver(api, topic, { body, patience });
    if (outcome.kind === "givenUp") throw this.#givenUp(outcome.reason);
    if (outcome.kind === "accepted") this.#count(batch, ndjson.length, outcome);
    return outcome;
  }

  #count(
    { lines }: Batch,
    bytes: number,
    { tries, duplicate }: { readonly tries: number; readonly duplicate: boolean },
  ): void {
    this.delivered.records += lines.length;
    this.delivered.bytes += bytes;
    if (tries > 1) this.delivered.repeated += 1;
    // After a lost answer the first try was our own.
    if (duplicate && tries === 1) this.delivered.keptBefore += lines.length;
  }

  #refusal(
    { places }: Batch,
    { status, reason }: Extract<DeliverOutcome, { kind: "refused" }>,
  ): Problem {
    if (status !== 422) return new Problem(reason);
    return new Problem(
      `Other records were sent as this stream's before (from ${places[0]} on). Repeat an ingestion with the ` +
        `same file and the same --batch, --types and --skip-bad; or, if this is another stream that only ` +
        `begins alike, give it a name of its own with --id.`,
    );
  }

  #givenUp(reason: string): Problem {
    const message =
      `${this.#options.api.place} took no records for ${this.#options.patience / 1_000} s: ${reason}\n` +
      `Repeat the command when it is back; what was taken will not be taken twice.`;
    return new Problem(message, exitCodes.unavailable);
  }
}
