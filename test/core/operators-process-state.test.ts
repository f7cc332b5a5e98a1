// The states of process functions: what each kind holds and leaves behind, how values expire, and
// what becomes of them when the program declares them anew.

import { describe, expect, test } from "vitest";

import type { Key } from "../../format/key.ts";
import { allKeyGroups } from "../../format/key-groups.ts";
import { readSegment, type SegmentEntry, writeSegment } from "../../format/segment.ts";
import { checkpointId } from "../../format/ids.ts";
import { createOperator } from "../../operators/create.ts";
import type { RecordBatch } from "../../operators/operator.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import { stateBackends } from "./state-backends.ts";
import {
  aggregatingState,
  avg,
  GraphError,
  listState,
  mapState,
  reducingState,
  rows,
  StateError,
  UserCodeError,
  valueState,
  type ProcessContext,
  type StateDescriptors,
} from "tidemark";

const maxParallelism = 16;
const range = allKeyGroups(maxParallelism);

type Step<S extends StateDescriptors> = (ctx: ProcessContext<Key, unknown, S>) => void;

/** A process function that runs whatever a test says, with its state and its clock in hand. */
class Harness<S extends StateDescriptors> {
  readonly backend: StateBackend;
  readonly #run: (row: unknown) => unknown[];
  now: number;
  #checkpoint = 0;

  constructor(open: () => StateBackend, state: S, from: readonly Uint8Array[] = [], now = 1_000) {
    this.now = now;
    this.backend = open();
    const store = this.backend.store("op");
    for (const bytes of from) {
      const segment = readSegment(bytes);
      store.restore(segment.header.state, [{ segments: [segment], range }]);
    }
    const ctx = {
      uid: "op",
      state: store,
      operatorState: new OperatorStates([]).store("op"),
      subtask: { index: 0, parallelism: 1 },
      now: () => this.now,
      watermark: () => -Infinity,
    };
    const fn = {
      state,
      emits: rows<unknown>(),
      process: (row: { step: Step<S> }, context: ProcessContext<Key, unknown, S>) =>
        row.step(context),
    };
    const spec = { kind: "process", fn: fn as never } as const;
    const key = (row: { key: Key }): Key => row.key;
    const operator = createOperator({ uid: "op", spec, key }, ctx);
    store.restoreRest();
    this.#run = (row) => {
      const emitted: unknown[] = [];
      const out = { emit: (batch: RecordBatch) => void emitted.push(...batch.rows()) };
      operator.processBatch(new RowBatch([row]), out, 0);
      return emitted;
    };
  }

  at(key: Key, step: Step<S>): unknown[] {
    return this.#run({ key, step });
  }

  size(name: string): number {
    return this.backend.store("op").tables().get(name)!.size;
  }

  /** The bytes of a full snapshot of every state. */
  snapshot(): Uint8Array[] {
    const segments = [...this.backend.store("op").tables()].map(([state, table]) =>
      writeSegment(
        { uid: "op", state, kind: "full", maxParallelism, schema: table.schema },
        table.freeze("full"),
      ),
    );
    this.backend.sealed(checkpointId(++this.#checkpoint));
    return segments;
  }
}

const entriesOf = (bytes: Uint8Array): SegmentEntry[] => [...readSegment(bytes).entries()];

describe.each(stateBackends)("on $name", ({ open }) => {
  const harness = <S extends StateDescriptors>(
    state: S,
    from?: readonly Uint8Array[],
    now?: number,
  ): Harness<S> => new Harness(() => open({ maxParallelism }), state, from, now);

  describe("list state", () => {
    test("keeps elements in order, per key, across a restore", () => {
      const state = { seen: listState<number>() };
      const first = harness(state);
      first.at("a", ({ state: { seen } }) => {
        expect(seen.get()).toEqual([]);
        seen.add(1);
        seen.add(2, 3);
      });
      first.at("b", ({ state: { seen } }) => seen.update([9, 8]));
      const second = harness(state, first.snapshot());
      second.at("a", ({ state: { seen } }) => {
        seen.add(4);
        expect(seen.get()).toEqual([1, 2, 3, 4]);
      });
      second.at("b", ({ state: { seen } }) => expect(seen.get()).toEqual([9, 8]));
    });

    test("what was handed out does not change (P3)", () => {
      const one = harness({ seen: listState<number>() });
      const emitted = one.at("a", (ctx) => {
        ctx.state.seen.add(1);
        ctx.emit(ctx.state.seen.get());
        ctx.state.seen.add(2);
        ctx.emit(ctx.state.seen.get());
      });
      expect(emitted).toEqual([[1], [1, 2]]);
    });

    test("that is emptied leaves no trace", () => {
      const one = harness({ seen: listState<number>() });
      one.at("a", ({ state: { seen } }) => seen.add(1));
      one.at("a", ({ state: { seen } }) => seen.update([]));
      one.at("b", ({ state: { seen } }) => {
        seen.add();
        seen.add(1);
        seen.clear();
      });
      expect(one.size("seen")).toBe(0);
      expect(one.snapshot().flatMap(entriesOf)).toEqual([]);
    });
  });

  describe("map state", () => {
    const state = { visits: mapState<Key, number>() };

    test("keeps an entry by itself for each of its keys", () => {
      const first = harness(state);
      for (const key of ["a", "b"]) {
        first.at(key, ({ state: { visits } }) => {
          visits.set("x", 1);
          visits.set(1, 2);
          visits.set("1", 3);
          visits.set(["t", 1], 4);
        });
      }
      first.at("a", ({ state: { visits } }) => visits.delete("x"));
      const [bytes] = first.snapshot();
      expect(entriesOf(bytes!)).toHaveLength(7);
      const second = harness(state, [bytes!]);
      second.at("a", ({ state: { visits } }) => {
        expect([visits.has("x"), visits.get(1), visits.get("1")]).toEqual([false, 2, 3]);
        const entries = [...visits.entries()].sort((a, b) => a[1] - b[1]);
        expect(entries).toEqual([
          [1, 2],
          ["1", 3],
          [["t", 1], 4],
        ]);
      });
      second.at("c", ({ state: { visits } }) => expect(visits.isEmpty()).toBe(true));
    });

    test("a delta holds the entries that changed", () => {
      const one = harness(state);
      one.at("a", ({ state: { visits } }) => {
        for (let n = 0; n < 500; n++) visits.set(n, n);
      });
      one.snapshot();
      one.at("a", ({ state: { visits } }) => {
        visits.set(7, -7);
        visits.delete(8);
      });
      const delta = [...one.backend.store("op").tables().get("visits")!.freeze("delta")];
      expect(delta.map((entry) => entry.key)).toHaveLength(2);
      expect(delta.map((entry) => entry.key)).toEqual(
        expect.arrayContaining([
          ["a", 7],
          ["a", 8],
        ]),
      );
    });

    test("MapStateNullValueCheckpointingITCase: an entry may hold null, and keeps it", () => {
      const nullable = { notes: mapState<string, string | null>() };
      const first = harness(nullable);
      first.at("a", ({ state: { notes } }) => notes.set("x", null));
      const second = harness(nullable, first.snapshot());
      second.at("a", ({ state: { notes } }) => {
        expect([notes.has("x"), notes.get("x"), notes.get("y")]).toEqual([true, null, undefined]);
        expect([...notes.entries()]).toEqual([["x", null]]);
      });
    });

    test("whose last entry goes leaves no trace, and clear removes all", () => {
      const one = harness(state);
      one.at("a", ({ state: { visits } }) => {
        visits.set("x", 1);
        visits.set("y", 1);
        for (const [key] of visits.entries()) visits.delete(key);
        expect(visits.isEmpty()).toBe(true);
      });
      one.at("b", ({ state: { visits } }) => {
        visits.set("x", 1);
        visits.set("y", 1);
      });
      one.at("b", ({ state: { visits } }) => visits.clear());
      expect(one.size("visits")).toBe(0);
    });
  });

  describe("reducing and aggregating state", () => {
    const state = {
      worst: reducingState((a: number, b: number) => Math.max(a, b)),
      mean: aggregatingState(avg((n: number) => n)),
    };

    test("fold what is added, across a restore", () => {
      const add =
        (n: number): Step<typeof state> =>
        ({ state: { worst, mean } }) => {
          worst.add(n);
          mean.add(n);
        };
      const first = harness(state);
      first.at("a", ({ state: { worst, mean } }) => {
        expect([worst.get(), mean.get()]).toEqual([undefined, undefined]);
      });
      for (const n of [3, 9]) first.at("a", add(n));
      const second = harness(state, first.snapshot());
      second.at("a", add(6));
      second.at("a", ({ state: { worst, mean } }) => {
        expect([worst.get(), mean.get()]).toEqual([9, 6]);
        worst.clear();
        mean.clear();
      });
      expect([second.size("worst"), second.size("mean")]).toEqual([0, 0]);
    });

    test("refuse to hold nothing", () => {
      const one = harness({ odd: reducingState<number>(() => undefined as never) });
      one.at("a", (ctx) => ctx.state.odd.add(1));
      expect(() => one.at("a", (ctx) => ctx.state.odd.add(1))).toThrow(UserCodeError);
    });
  });

  describe("values that expire", () => {
    test("live from their last write, and are never returned after it", () => {
      const one = harness({ last: valueState<number>({ ttl: "1 s" }) });
      const read = (): unknown[] => one.at("a", (ctx) => ctx.emit(ctx.state.last.get()));
      one.at("a", (ctx) => ctx.state.last.set(1));
      one.now += 999;
      expect(read()).toEqual([1]);
      one.at("a", (ctx) => ctx.state.last.set(2));
      one.now += 999;
      expect(read()).toEqual([2]);
      one.now += 1;
      expect(read()).toEqual([undefined]);
      expect(one.size("last")).toBe(0);
    });

    test("HeapAsyncSnapshotTtlStateTest: keep their time over a snapshot and a restore", () => {
      const state = {
        last: valueState({ default: 0, ttl: 1_000 }),
        list: listState<number>({ ttl: 1_000 }),
        map: mapState<string, number>({ ttl: 1_000 }),
        sum: reducingState((a: number, b: number) => a + b, { ttl: 1_000 }),
        mean: aggregatingState(
          avg((n: number) => n),
          { ttl: 1_000 },
        ),
      };
      const write =
        (n: number): Step<typeof state> =>
        ({ state: { last, list, map, sum, mean } }) => {
          last.set(n);
          list.add(n);
          map.set(`k${n}`, n);
          sum.add(n);
          mean.add(n);
        };
      const first = harness(state);
      first.at("a", write(1));
      first.now += 600;
      first.at("a", write(2));
      const second = harness(state, first.snapshot(), first.now);
      const read = (): unknown =>
        second.at("a", ({ state: { last, list, map, sum, mean } }) => {
          seen = [last.get(), list.get(), [...map.entries()], sum.get(), mean.get()];
        });
      let seen: unknown[] = [];
      read();
      expect(seen[0]).toBe(2);
      expect(seen[1]).toEqual([1, 2]);
      expect(seen[2]).toHaveLength(2);
      expect(seen.slice(3)).toEqual([3, 1.5]);
      second.now += 500; // the first elements are 1,100 ms old, what was written again is 500
      read();
      expect(seen).toEqual([2, [2], [["k2", 2]], 3, 1.5]);
      second.now += 500;
      read();
      expect(seen).toEqual([0, [], [], undefined, undefined]);
      for (const name of Object.keys(state)) expect([name, second.size(name)]).toEqual([name, 0]);
    });

    test("go without being asked for, a few with every batch", () => {
      const one = harness({
        last: valueState<number>({ ttl: 1_000 }),
        list: listState<number>({ ttl: 1_000 }),
      });
      for (let n = 0; n < 300; n++) {
        one.at(`key-${n}`, ({ state: { last, list } }) => {
          last.set(n);
          list.add(n);
        });
      }
      one.now += 1_000;
      one.at("other", () => {});
      expect(one.size("last")).toBeGreaterThan(200);
      for (let n = 0; n < 60; n++) one.at("other", () => {});
      expect([one.size("last"), one.size("list")]).toEqual([0, 0]);
    });

    test("are in no full snapshot", () => {
      const one = harness({ last: valueState<number>({ ttl: 1_000 }) });
      for (let n = 0; n < 300; n++) one.at(`key-${n}`, (ctx) => ctx.state.last.set(n));
      one.now += 500;
      one.at("late", (ctx) => ctx.state.last.set(0));
      one.now += 500;
      expect(one.snapshot().flatMap(entriesOf)).toMatchObject([{ key: "late" }]);
    });

    test("may begin or cease to expire with another version of the program", () => {
      const plain = harness({ last: valueState<number>() });
      plain.at("a", (ctx) => ctx.state.last.set(1));
      const mortal = harness({ last: valueState<number>({ ttl: 10 }) }, plain.snapshot(), 5_000);
      mortal.at("a", (ctx) => expect(ctx.state.last.get()).toBe(1));
      const again = harness({ last: valueState<number>() }, mortal.snapshot(), 5_005);
      again.at("a", (ctx) => expect(ctx.state.last.get()).toBe(1));
      mortal.now += 10;
      mortal.at("a", (ctx) => expect(ctx.state.last.get()).toBeUndefined());
    });
  });

  describe("a state in another version", () => {
    const stored = (): Uint8Array[] => {
      const one = harness({
        name: valueState<string>({ version: 2 }),
        tags: listState<string>({ version: 2, ttl: "1 h" }),
        by: mapState<string, string>({ version: 2 }),
      });
      one.at("a", ({ state: { name, tags, by } }) => {
        name.set("Ada Lovelace");
        tags.add("x", "y");
        by.set("k", "v");
      });
      return one.snapshot();
    };

    test("is migrated value by value, and stored in today's", () => {
      const upper = {
        version: 3,
        migrate: (old: unknown, from: number) => ({ text: `${String(old)} from ${from}` }),
      };
      const state = {
        name: valueState<{ text: string }>(upper),
        tags: listState<{ text: string }>({ ...upper, ttl: "1 h" }),
        by: mapState<string, { text: string }>(upper),
      };
      const one = harness(state, stored());
      for (const table of one.backend.store("op").tables().values()) {
        expect(table.isUpgraded).toBe(true);
      }
      const segments = one.snapshot().map(readSegment);
      expect(segments.map(({ header }) => header.schema?.version)).toEqual([3, 3, 3]);
      const again = harness(state, one.snapshot());
      again.at("a", ({ state: { name, tags, by } }) => {
        expect(name.get()).toEqual({ text: "Ada Lovelace from 2" });
        expect(tags.get()).toEqual([{ text: "x from 2" }, { text: "y from 2" }]);
        expect(by.get("k")).toEqual({ text: "v from 2" });
      });
    });

    test("is refused where it is newer, or nothing migrates it, or its kind is another", () => {
      const refused = (state: StateDescriptors): StateError => {
        try {
          harness(state, stored());
        } catch (error) {
          if (error instanceof StateError) return error;
          throw error;
        }
        throw new Error("It was not refused.");
      };
      const newer = refused({ name: valueState() });
      expect([newer.code, newer.uid]).toEqual(["STATE_VERSION", "op"]);
      expect(newer.message).toMatch(/State "name" of operator "op" .* version 2.* version 1/);
      const unmigrated = refused({ name: valueState({ version: 3 }) });
      expect(unmigrated.message).toMatch(
        /"name" .*"op" .* version 2.* version 3 without .*migrate/,
      );
      expect(refused({ tags: valueState({ version: 2 }) })).toMatchObject({ code: "STATE_KIND" });
    });

    test("whose migration throws says whose it was", () => {
      const migrate = (): never => {
        throw new RangeError("no");
      };
      expect(() => harness({ name: valueState({ version: 3, migrate }) }, stored())).toThrow(
        /Operator "op" \(migrate of state "name"\) failed: RangeError: no/,
      );
    });

    test("that no operator declares any more is carried on as it was", () => {
      const one = harness({ other: valueState() }, stored());
      const carried = one.snapshot().map(readSegment);
      const by = carried.find(({ header }) => header.state === "by")!;
      expect(by.header.schema).toEqual({ holds: "map", version: 2, ttl: false });
      expect([...by.entries()]).toMatchObject([{ key: ["a", "k"], value: "v" }]);
    });
  });
});

test("a descriptor refuses what makes no sense", () => {
  for (const wrong of [
    () => valueState({ ttl: "soon" as never }),
    () => valueState({ ttl: 0 }),
    () => listState({ version: 0 }),
    () => listState({ version: 1.5 }),
    () => reducingState(1 as never),
    () => aggregatingState({} as never),
  ]) {
    expect(wrong).toThrow(GraphError);
  }
});
