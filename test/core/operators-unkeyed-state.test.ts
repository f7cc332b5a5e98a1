// Process functions with state that no key owns: rows that are left out, and timers beside broadcast
// state. What a snapshot holds of it is in task-operator-state and task-broadcast.

import { describe, expect, test } from "vitest";

import { createOperator } from "../../operators/create.ts";
import { isTimed, type Operator, type RecordBatch } from "../../operators/operator.ts";
import type { Rejected } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import { MemoryStateBackend } from "../../operators/state/memory.ts";
import type { OperatorSpec } from "../../stream/graph.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import { decodeElements } from "../../format/operator-state.ts";
import { listState, mapState, rows, type MapState } from "tidemark";

class Harness {
  readonly rejected: Rejected[] = [];
  readonly emitted: unknown[] = [];
  readonly states = new OperatorStates([]);
  readonly operator: Operator;
  readonly out = { emit: (batch: RecordBatch) => void this.emitted.push(...batch.rows()) };

  constructor(spec: OperatorSpec, key?: (row: never) => string) {
    const backend = new MemoryStateBackend({ maxParallelism: 128, budget: Infinity });
    this.operator = createOperator(
      { uid: "op", spec, ...(key && { key }) },
      {
        uid: "op",
        state: backend.store("op"),
        operatorState: this.states.store("op"),
        subtask: { index: 0, parallelism: 1 },
        now: () => 1_000,
        watermark: () => -Infinity,
        reject: (rejected) => void this.rejected.push(rejected),
      },
    );
  }

  run(input: number, ...given: readonly unknown[]): this {
    this.operator.processBatch(new RowBatch(given), this.out, input);
    return this;
  }

  /** The elements of that state as the next snapshot has them. */
  held(state: string): unknown[] {
    const found = this.states.freeze().find(({ handle }) => handle.state === state);
    return found === undefined ? [] : decodeElements(found.bytes);
  }
}

describe("a row that is left out", () => {
  test("has added nothing to a list, and emitted nothing", () => {
    const fn = {
      operatorState: { list: listState<number>() },
      emits: rows<unknown>(),
      process(
        n: number,
        {
          operatorState: { list },
          emit,
        }: { operatorState: { list: Lists }; emit: (row: unknown) => void },
      ) {
        const before = list.get();
        if (n === 3) list.clear();
        if (n === 4) list.update([7, 7]);
        list.add(n);
        emit(n);
        if (n >= 2 && n <= 4) throw new Error(`no ${n}`);
        emit(before);
      },
    };
    const harness = new Harness({ kind: "process", fn: fn as never });
    harness.run(0, 1, 2, 3, 4, 5);
    expect(harness.held("list")).toEqual([1, 5]);
    expect(harness.emitted).toEqual([1, [], 5, [1]]);
    expect(harness.rejected.map(({ value }) => value)).toEqual([2, 3, 4]);
    expect(harness.rejected[0]?.error.message).toContain('"op" (process)');
    const { bytes } = harness.states;
    harness.run(0, 2);
    expect(harness.states.bytes).toBe(bytes);
  });

  test("has changed nothing in broadcast state", () => {
    const fn = {
      emits: rows<unknown>(),
      process: () => {},
      processBroadcast(
        row: string,
        { broadcast: { map }, emit }: { broadcast: { map: Maps }; emit: (row: unknown) => void },
      ) {
        emit(row);
        if (row === "a" || row === "b") return map.set(row, 1);
        map.set("a", 2);
        map.set("new", 1);
        map.delete("b");
        if (row === "clear") map.clear();
        throw new Error("no");
      },
    };
    const broadcast = { map: mapState<string, number>() };
    const harness = new Harness({ kind: "processBroadcast", fn, broadcast });
    harness.run(1, "a", "b");
    const { bytes } = harness.states;
    harness.run(1, "change", "clear");
    expect(new Map(harness.held("map") as [string, number][])).toEqual(
      new Map([
        ["a", 1],
        ["b", 1],
      ]),
    );
    expect(harness.states.bytes).toBe(bytes);
    expect(harness.emitted).toEqual(["a", "b"]);
    expect(harness.rejected.map(({ value }) => value)).toEqual(["change", "clear"]);
    expect(harness.rejected[0]?.error.message).toContain('"op" (processBroadcast)');
  });
});

interface Lists {
  get(): readonly number[];
  add(n: number): void;
  update(all: readonly number[]): void;
  clear(): void;
}
type Maps = MapState<string, number>;

test("a keyed function beside broadcast state has timers, which may read it", () => {
  interface Context {
    readonly key: string;
    readonly broadcast: { readonly map: Maps };
    readonly timers: { registerProcessingTime(time: number): void };
    emit(row: unknown): void;
  }
  const fn = {
    state: {},
    emits: rows<unknown>(),
    process: (_: unknown, ctx: Context) => ctx.timers.registerProcessingTime(2_000),
    processBroadcast: (n: number, ctx: Context) => ctx.broadcast.map.set("n", n),
    onTimer(time: number, ctx: Context) {
      ctx.emit([ctx.key, time, ctx.broadcast.map.get("n")]);
      ctx.broadcast.map.set("n", 0);
    },
  };
  const broadcast = { map: mapState<string, number>() };
  const harness = new Harness({ kind: "processBroadcast", fn, broadcast }, () => "k");
  harness.run(1, 5).run(0, "row");
  const { operator } = harness;
  if (!isTimed(operator)) throw new Error("It has no timers.");
  expect(operator.nextTimerAt).toBe(2_000);
  operator.fireTimers(2_000, harness.out);
  expect(operator.nextTimerAt).toBeUndefined();
  // The second half threw: a timer reaches one subtask alone.
  expect(harness.emitted).toEqual([]);
  expect(harness.rejected[0]?.error.message).toContain("Broadcast state");
  expect(harness.held("map")).toEqual([["n", 5]]);
});
