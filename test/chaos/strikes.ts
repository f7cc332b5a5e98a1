// Carries out a schedule of faults, and keeps a record of what came of each.
//   S1. Faults are dealt in the order of the schedule, each to a runtime that is up, and none once
//       the time is over.
//   S2. A strike is recorded when it is known what it did, with the time at which it was dealt.

import { ask } from "../../examples/flights/http.ts";
import type { LocalJob } from "../../examples/flights/local-job.ts";
import type { FlightBody, Producer } from "../../examples/flights/producer.ts";
import { pause } from "../../examples/flights/until.ts";
import type { ChaosObject } from "./objects.ts";
import { bodiesRemembered, type Fault, type Planned } from "./schedule.ts";
import type { Wire } from "./wire.ts";

/** Milliseconds that an object may take to end. */
const abortTimeout = 10_000;

export interface Strike {
  readonly fault: Fault;
  /** Since the Unix epoch. */
  readonly at: number;
  /** What was done, as a sentence. */
  readonly text: string;
  /** False where it came to nothing: an object that stayed, or could not be reached. */
  readonly isDone: boolean;
}

export interface Field {
  readonly job: LocalJob;
  readonly objects: readonly ChaosObject[];
  readonly wire: Wire;
  readonly producer: Producer;
  readonly pace: { pause(milliseconds: number): void };
  readonly bodies: RecentBodies;
  /** Milliseconds from now on in which things go wrong. */
  readonly milliseconds: number;
  readonly signal: AbortSignal;
}

/** The bodies that were taken to be sent last, the latest first. */
export class RecentBodies {
  readonly #bodies: FlightBody[] = [];

  async *of(bodies: AsyncIterable<FlightBody>): AsyncGenerator<FlightBody> {
    for await (const body of bodies) {
      this.#bodies.unshift(body);
      this.#bodies.length = Math.min(this.#bodies.length, bodiesRemembered);
      yield body;
    }
  }

  /** The body before so many others, or the oldest known. */
  before(age: number): FlightBody | undefined {
    return this.#bodies[Math.min(age, this.#bodies.length - 1)];
  }
}

/**
 * Resolves when the time is over and it is known what came of each fault. An eviction that
 * still waits for its object by then is given up.
 */
export async function carryOut(
  schedule: readonly Planned[],
  field: Field,
  onStrike: (strike: Strike) => void,
): Promise<void> {
  const endsAt = Date.now() + field.milliseconds;
  const open: Promise<void>[] = [];
  const over = Promise.withResolvers<void>();
  for (const { gap, fault } of schedule) {
    await pause(gap, field.signal);
    if (Date.now() >= endsAt) break;
    const dealtAt = Date.now();
    const record = (outcome: Outcome): void => onStrike({ fault, at: dealtAt, ...outcome });
    const striking = strike(fault, field, over.promise).then(record);
    // The rest may last: an eviction waits until nobody holds the object, a repetition until it is
    // accepted.
    if (fault.kind === "kill") await striking;
    else open.push(striking);
    // One that fails is told of at the end.
    striking.catch(() => {});
  }
  over.resolve();
  await Promise.all(open);
}

type Outcome = Pick<Strike, "text" | "isDone">;

async function strike(fault: Fault, field: Field, over: Promise<void>): Promise<Outcome> {
  const { job, objects, wire, producer, pace, bodies } = field;
  switch (fault.kind) {
    case "kill": {
      await job.restart(fault.downtime);
      return done(`SIGKILL, started again after ${fault.downtime} ms`);
    }
    case "abort":
      return await abort(objects[fault.object]!, field);
    case "evict": {
      const object = objects[fault.object]!;
      const problem = await Promise.race([
        job.evict(object).then(() => undefined, String),
        over.then(() => "It was still held at the end."),
      ]);
      return problem === undefined
        ? done(`evicted ${object.title}`)
        : { text: `did not evict ${object.title}: ${problem}`, isDone: false };
    }
    case "cut":
      wire.cut(fault);
      return done(
        fault.side === "request"
          ? `cuts a request after ${fault.bytes} bytes`
          : "cuts a connection before the answer",
      );
    case "pause":
      pace.pause(fault.milliseconds);
      return done(`sends nothing for ${fault.milliseconds} ms`);
    case "repeat": {
      const body = bodies.before(fault.age);
      if (body === undefined) return { text: "nothing to repeat yet", isDone: false };
      const copies = Array.from({ length: fault.copies }, () => producer.deliver(body));
      const kept = (await Promise.all(copies)).filter(({ duplicate }) => duplicate).length;
      return done(
        `sent flights from ${body.position} on ${fault.copies} times more, ${kept} duplicates`,
      );
    }
  }
}

async function abort({ binding, name, title }: ChaosObject, field: Field): Promise<Outcome> {
  const query = new URLSearchParams({ name });
  const answer = await ask(`${field.job.url}/chaos/abort/${binding}?${query}`, {
    method: "POST",
    signal: field.signal,
    timeout: abortTimeout,
  });
  return answer.kind === "answer"
    ? done(`aborted ${title}`)
    : { text: `did not abort ${title}: ${answer.problem}`, isDone: false };
}

const done = (text: string): Outcome => ({ text, isDone: true });
