// What a test of a job does to it, beside giving it rows.

import { GraphError } from "../stream/errors.ts";
import { shown } from "../stream/names.ts";
import { type TimeSpan, timeSpanOf } from "../stream/duration.ts";

declare const step: unique symbol;

/** Something that happens between two rows of an input. Made by `crash`, `rescale` and the like. */
export interface Step {
  readonly [step]: true;
}

/** What the steps are. */
export type AnyStep =
  | { readonly kind: "crash" }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "rescale"; readonly parallelism: number }
  | { readonly kind: "wait"; readonly millis: number };

const steps = new WeakSet<object>();

function made(of: AnyStep): Step {
  steps.add(of);
  return of as unknown as Step;
}

/** The step that something in an input is; undefined where it is a row. */
export const stepOf = (given: unknown): AnyStep | undefined =>
  typeof given === "object" && given !== null && steps.has(given) ? (given as AnyStep) : undefined;

/**
 * Everything is lost that no completed checkpoint holds, in the middle of whatever is under way; the job
 * restarts from the latest one.
 *
 * @example await runJob(job, { flights: [first, crash(), second] })
 */
export const crash = (): Step => made({ kind: "crash" });

/**
 * A checkpoint, beside those that the seed draws.
 *
 * @example await runJob(job, { flights: [first, checkpoint(), second, crash(), third] })
 */
export const checkpoint = (): Step => made({ kind: "checkpoint" });

/**
 * The job goes on at another parallelism, from a checkpoint that is taken for it.
 *
 * @example await runJob(job, { flights: [first, rescale(4), second] })
 */
export function rescale(parallelism: number): Step {
  return made({ kind: "rescale", parallelism: checkedParallelism("rescale", parallelism) });
}

/** @throws GraphError for what is no parallelism, of a job with that max parallelism where it is known */
export function checkedParallelism(method: string, given: number, most = Infinity): number {
  if (Number.isInteger(given) && given >= 1 && given <= most) return given;
  const limit = most === Infinity ? "" : `, which is ${most}`;
  throw new GraphError(
    "BAD_PARALLELISM",
    `${method} was given the parallelism ${shown(given)}. Allowed: a whole number from 1 to the job's ` +
      `max parallelism${limit}.`,
  );
}

/**
 * Virtual time passes, in which timers of processing time fire and buffers are sent. Rows that came before
 * are processed before.
 *
 * @example await runJob(job, { clicks: [first, wait("10 min"), second] })
 */
export function wait(span: TimeSpan): Step {
  const millis = timeSpanOf(span);
  if (millis !== undefined) return made({ kind: "wait", millis });
  throw new GraphError(
    "BAD_ARGUMENT",
    `wait was given ${shown(span)}. Allowed: milliseconds, or a text such as "500 ms" or "10 min".`,
  );
}
