// Side outputs: streams beside the one that an operator emits to, each with rows of a type of its own.
//   T1. A side output is known by its name, in an operator's code and on the edges that carry its rows.
//   T2. Its stream can be had only of an operator that may emit to it; what nobody reads is dropped.

import type { DataStream } from "./data-stream.ts";
import type { OperatorSpec } from "./graph.ts";
import { checkedName, shown } from "./names.ts";

declare const rowType: unique symbol;

/** Names a side output, and the type of its rows. See `outputTag`. */
export interface OutputTag<in out T> {
  readonly kind: "outputTag";
  readonly name: string;
  readonly [rowType]?: (row: T) => T;
}

/**
 * Declares a side output by its name: 1 to 64 of [A-Za-z0-9_.-]. A process function emits rows to it by
 * `ctx.output`, and its stream is what `sideOutput` of the process gives. Two tags of one name are the
 * same side output.
 *
 * @example
 * const diverted = outputTag<Flight>("diverted");
 * const onTime = flights.process({
 *   emits: rows<Flight>(),
 *   process(flight, ctx) {
 *     if (flight.delay < 240) ctx.emit(flight);
 *     else ctx.output(diverted, flight);
 *   },
 * }, { uid: "sort" });
 * onTime.sideOutput(diverted).to(table("diverted", { key: (flight) => flight.origin }), { uid: "out" });
 */
export function outputTag<T>(name: string): OutputTag<T> {
  return { kind: "outputTag", name: checkedName("side output", name) };
}

/** What emits to side outputs. */
export interface SideOutputs {
  /**
   * Emits a row to a side output, with the event time that `emit` would give it. Of a row that is left
   * out by `onError` nothing is emitted, here as anywhere.
   */
  readonly output: <T>(tag: OutputTag<T>, row: NoInfer<T>) => void;
}

/** What a process function emits, and its side outputs. */
export interface ProcessedStream<T> extends DataStream<T> {
  /**
   * The rows that the operator emitted to the tag. Rows of two outputs of one operator are in no order
   * to one another.
   *
   * @example counted.sideOutput(late).to(table("late", { key: (row) => row.id }), { uid: "late" })
   */
  sideOutput<S>(tag: OutputTag<S>): DataStream<S>;
}

/** A tag that rows of that type may go to: of theirs, or of one that is wider. */
export interface OutputTagFor<in T> {
  readonly kind: "outputTag";
  readonly name: string;
  readonly [rowType]?: (row: T) => unknown;
}

/** A tag of rows of any type. */
export type AnyOutputTag = Pick<OutputTag<never>, "kind" | "name">;

/** Whether a value is a tag; for programs that were never compiled. */
export const isOutputTag = (given: unknown): given is AnyOutputTag =>
  (given as Partial<AnyOutputTag> | null | undefined)?.kind === "outputTag";

/** The name of a tag that code gives at run time. @throws TypeError where it gives none */
export function nameOfTag(given: unknown): string {
  if (isOutputTag(given)) return given.name;
  const example = `a tag: const late = outputTag<Flight>("late"); … ctx.output(late, flight)`;
  throw new TypeError(`ctx.output was given ${shown(given)} as its tag. Allowed: ${example}.`);
}

/** The side outputs that an operator may emit to, by name; `any` that its code has a tag of. */
export function sideOutputsOf(spec: OperatorSpec): "any" | readonly string[] {
  switch (spec.kind) {
    case "process":
    case "processBroadcast":
    case "coProcess":
    case "coGroup":
      return "any";
    case "window": {
      // A function of windows has ctx.output.
      if (spec.fn !== undefined) return "any";
      return spec.lateOutput === undefined ? [] : [spec.lateOutput.name];
    }
    case "intervalJoin":
    case "windowJoin":
      return namesOf(spec.join.lateLeft, spec.join.lateRight);
    case "temporalJoin":
      return namesOf(spec.join.lateLeft);
    default:
      return [];
  }
}

const namesOf = (...tags: readonly (AnyOutputTag | undefined)[]): string[] =>
  tags.flatMap((tag) => (tag === undefined ? [] : [tag.name]));
