// What every backend of keyed state must do. A backend's own test file calls `keyedStateSuite`.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type CheckpointId, checkpointId } from "../../format/ids.ts";
import { keyId, type Key } from "../../format/key.ts";
import { allKeyGroups, keyGroupOf } from "../../format/key-groups.ts";
import {
  readSegment,
  type SegmentEntry,
  type SegmentHeader,
  writeOrderedSegment,
  writeSegment,
} from "../../format/segment.ts";
import type { BackendStore, FreezeKind, StateBackend } from "../../operators/state/backend.ts";
import type { StateTable } from "../../operators/state/keyed-state.ts";
import { packedOf, type Packing } from "../../operators/state/packed.ts";
import { schemaOf } from "../../operators/state/schema.ts";
import type { NamedBackend } from "./state-backends.ts";

/** What one freeze gave, per table, through the bytes of a segment: later changes do not show. */
type Frozen = ReadonlyMap<string, readonly SegmentEntry[]>;

const nested = schemaOf({ holds: "map", version: 1, ttl: false });

/** A backend with one operator, and its barriers. */
class Opened {
  readonly backend: StateBackend;
  readonly store: BackendStore;
  readonly #maxParallelism: number;
  #last: number;

  constructor(
    backend: StateBackend,
    maxParallelism: number,
    from: readonly Frozen[] = [],
    checkpoint = 0,
  ) {
    this.backend = backend;
    this.store = backend.store("op");
    this.#maxParallelism = maxParallelism;
    this.#last = checkpoint;
    const range = allKeyGroups(maxParallelism);
    for (const state of new Set(from.flatMap((frozen) => [...frozen.keys()]))) {
      const segments = from.map((frozen, at) => {
        const header = this.#header(state, at === 0 ? "full" : "delta");
        return readSegment(writeSegment(header, frozen.get(state) ?? []));
      });
      this.store.restore(state, [{ segments, range }]);
    }
  }

  get checkpoint(): CheckpointId {
    return checkpointId(this.#last);
  }

  freeze(kind: FreezeKind, checkpoint = this.#last + 1): Frozen {
    const write = this.backend.freezesInOrder ? writeOrderedSegment : writeSegment;
    const frozen = new Map<string, readonly SegmentEntry[]>();
    for (const [state, table] of this.store.tables()) {
      const isEmpty = table.changes === 0;
      const header = this.#header(state, kind === "full" ? "full" : "delta");
      const segment = readSegment(write(header, table.freeze(kind)));
      const entries = [...segment.entries()];
      if (isEmpty && kind === "delta" && entries.length > 0) {
        throw new Error("A table without changes has entries in its delta.");
      }
      frozen.set(state, entries);
    }
    this.#last = checkpoint;
    this.backend.sealed(this.checkpoint);
    return frozen;
  }

  #header(state: string, kind: SegmentHeader["kind"]): SegmentHeader {
    const holds = state === "nested" ? { schema: nested.stored } : {};
    return { uid: "op", state, kind, maxParallelism: this.#maxParallelism, ...holds };
  }
}

type Step =
  | {
      readonly kind: "put";
      readonly key: Key;
      readonly value: number;
      readonly by: "key" | "slot" | "numbers";
    }
  | { readonly kind: "remove"; readonly key: Key }
  | { readonly kind: "prefetch"; readonly keys: readonly Key[] }
  | { readonly kind: "freeze"; readonly as: SegmentHeader["kind"] };

// Few keys, so that they meet; among them all that could be mistaken for one another.
const texts = ["a", "b", "", "1", "true", "[1]", "é", "\u0000a"];
const tuples: Key[] = [["a", 1], ["a", "1"], [["a"], 1], ["a1"], []];
const keys: readonly Key[] = [...texts, ...tuples, 1, 0, -0, NaN, 1n, true, false];
const key = fc.constantFrom(...keys);
/** The ways to put a value; all must come to the same. */
const by = fc.constantFrom("key", "slot", "numbers" as const);

/** One number. */
const asNumber: Packing<number> = {
  name: "a number",
  width: 1,
  pack(value, _, to, at) {
    to[at] = value as number;
    return typeof value === "number";
  },
  unpack: (_, from, at) => from[at]!,
};

function put(table: StateTable<number>, { key, value, by: way }: Step & { kind: "put" }): void {
  if (way === "key") return table.put(key, value);
  if (way === "slot") return table.putAt(table.slot(key), value);
  const packed = packedOf(table, asNumber);
  const slot = packed.slot(key)!;
  // Asked for twice, as by two rows of a batch.
  const again = packed.slot(key)!;
  expect(slot.value).toBe(table.get(key));
  expect(slot.isFree).toBe(slot.value === undefined);
  for (const [of, number] of [
    [slot, -1],
    [again, value],
  ] as const) {
    const at = packed.change(of);
    packed.numbers[at] = number;
  }
  packed.done();
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put"), key, value: fc.nat(), by }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove"), key }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("prefetch"),
      keys: fc.array(key, { maxLength: 2 * keys.length }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("freeze"), as: fc.constantFrom("full", "delta") }),
  },
) as fc.Arbitrary<Step>;

const which = fc.nat({ max: 9 });
const heldStep = fc.oneof(
  { weight: 11, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("freeze"), as: fc.constant("delta") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("complete"), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollBack"), which }) },
) as fc.Arbitrary<Step | { readonly kind: "complete" | "rollBack"; readonly which: number }>;

type NestedStep =
  | { readonly kind: "put"; readonly key: Key; readonly second: Key; readonly value: number }
  | { readonly kind: "remove"; readonly key: Key; readonly second: Key }
  | { readonly kind: "freeze"; readonly key: Key };
const first = fc.constantFrom<Key>("a", "", "ab", 1, ["a"], ["a", "b"]);
const nestedStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("put"), key: first, second: key, value: fc.nat() }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove"), key: first, second: key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("freeze"), key: first }) },
) as fc.Arbitrary<NestedStep>;

const sorted = (table: StateTable<unknown>): unknown[] =>
  [...table.entries()].map(([key, value]) => [keyId(key), value]).sort(byText);
const sortedEntries = (entries: unknown[][]): unknown[][] => entries.sort(byText);
const byText = (a: unknown[], b: unknown[]): number => (text(a) < text(b) ? -1 : 1);
const text = ([id]: unknown[]): string => `${typeof id} ${String(id)}`;

export function keyedStateSuite({ name, open: openBackend, left }: NamedBackend): void {
  const open = (maxParallelism: number, from?: readonly Frozen[]): Opened =>
    new Opened(openBackend({ maxParallelism }), maxParallelism, from);

  describe(`keyed state: ${name}`, () => {
    test("holds what was last put, under keys compared by content", () => {
      const table = open(128).store.table<string>("t");
      for (const key of keys) table.put(key, "first");
      for (const key of keys) table.put(key, String(keyId(key)));
      for (const key of keys) expect(table.get(key)).toBe(String(keyId(key)));
      expect(table.get(["a", 1])).toBe(table.get(["a", 1]));
      expect(table.size).toBe(keys.length - 1); // 0 and -0 are one key
      expect(table.get("none")).toBeUndefined();
    });

    test("gives the same table at every call, and another for another name", () => {
      const { store } = open(128);
      store.table("t").put("a", 1);
      expect(store.table("t").get("a")).toBe(1);
      expect(store.table("u").get("a")).toBeUndefined();
    });

    test("removes a key for good", () => {
      const opened = open(128);
      const { store } = opened;
      const table = store.table("t");
      table.put("a", 1);
      table.remove("a");
      table.remove("never");
      expect(table.get("a")).toBeUndefined();
      expect(table.size).toBe(0);
      expect([...table.entries()]).toEqual([]);
      expect(opened.freeze("full").get("t")).toEqual([]);
    });

    test("K1: reads what was put across freezes", () => {
      const opened = open(128);
      const { store } = opened;
      const table = store.table("t");
      table.put("a", 1);
      opened.freeze("full");
      expect(table.get("a")).toBe(1);
      opened.freeze("delta");
      expect(table.get("a")).toBe(1);
    });

    test("K2: stores a value changed in place, if it is put afterwards", () => {
      const opened = open(128);
      const { store } = opened;
      const table = store.table<number[]>("t");
      table.put("a", [1]);
      const before = opened.freeze("full");
      const value = table.get("a")!;
      value.push(2);
      table.put("a", value);
      const after = open(128, [before, opened.freeze("delta")]).store.table("t");
      expect(after.get("a")).toEqual([1, 2]);
      expect(open(128, [before]).store.table("t").get("a")).toEqual([1]);
    });

    test("K3: a removed key is news in a delta and absent from a full freeze", () => {
      const opened = open(128);
      const { store } = opened;
      const table = store.table("t");
      table.put("a", 1);
      opened.freeze("full");
      table.remove("a");
      expect(opened.freeze("delta").get("t")).toEqual([
        { group: keyGroupOf("a", 128), key: "a", deleted: true },
      ]);
      expect(opened.freeze("full").get("t")).toEqual([]);
    });

    test("a delta holds nothing of what did not change, or came and went", () => {
      const opened = open(128);
      const { store } = opened;
      const table = store.table("t");
      table.put("stays", 1);
      opened.freeze("full");
      table.put("passes", 1);
      table.remove("passes");
      expect(opened.freeze("delta").get("t")).toEqual([]);
    });

    test("every frozen entry has its key's group", () => {
      const opened = open(16);
      const { store } = opened;
      for (const key of keys) store.table("t").put(key, 1);
      for (const { key, group } of opened.freeze("full").get("t") ?? []) {
        expect(group).toBe(keyGroupOf(key, 16));
      }
    });

    test("a full freeze and the deltas after it are the table, whatever happened", () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, reopens) => {
          let opened = open(16);
          const model = new Map<unknown, [Key, number]>();
          let chain: Frozen[] = [opened.freeze("full")];
          for (const step of steps) {
            const table = opened.store.table<number>("t");
            if (step.kind === "put") {
              put(table, step);
              model.set(keyId(step.key), [step.key, step.value]);
            } else if (step.kind === "remove") {
              table.remove(step.key);
              model.delete(keyId(step.key));
            } else if (step.kind === "prefetch") {
              table.prefetch?.(step.keys);
              for (const key of step.keys) expect(table.get(key)).toBe(model.get(keyId(key))?.[1]);
            } else {
              const frozen = opened.freeze(step.as);
              chain = step.as === "full" ? [frozen] : [...chain, frozen];
              // A restored store goes on where the frozen one was, deltas included.
              if (reopens) opened = open(16, chain);
            }
          }
          chain.push(opened.freeze("delta"));
          const table = opened.store.table("t");
          const expected = [...model].map(([id, [, value]]) => [id, value]).sort(byText);
          expect(sorted(table)).toEqual(expected);
          expect(sorted(open(16, chain).store.table("t"))).toEqual(expected);
          expect(table.size).toBe(model.size);
        }),
        { numRuns: 500 },
      );
    });

    test("B4: a merged freeze stands for all deltas since the full one, where there is one", () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
          const opened = open(16);
          const table = opened.store.table<number>("t");
          let full = opened.freeze("full");
          for (const step of steps) {
            if (step.kind === "put") put(table, step);
            else if (step.kind === "remove") table.remove(step.key);
            else if (step.kind === "prefetch") table.prefetch?.(step.keys);
            else {
              const frozen = opened.freeze(step.as);
              if (step.as === "full") full = frozen;
            }
          }
          const [of] = opened.store.tables().values();
          const { mergedChanges } = of!;
          if (mergedChanges === undefined) return;
          const merged = opened.freeze("merged");
          expect(merged.get("t")!.length).toBeLessThanOrEqual(mergedChanges);
          const restored = open(16, [full, merged]).store.table("t");
          expect(sorted(restored)).toEqual(sorted(table));
        }),
        { numRuns: 300 },
      );
    });

    test("K4: of a nested table, gives what is under a key, and groups by it", () => {
      fc.assert(
        fc.property(fc.array(nestedStep, { maxLength: 60 }), (steps) => {
          let opened = open(16);
          const table = () => opened.store.table<number>("nested", nested as never);
          table();
          const model = new Map<unknown, Map<unknown, [Key, number]>>();
          let chain: Frozen[] = [opened.freeze("full")];
          const under = (key: Key) =>
            sortedEntries(
              table()
                .under(key)
                .map(([second, value]) => [keyId(second), value]),
            );
          for (const step of steps) {
            const id = keyId(step.key);
            const members = model.get(id) ?? new Map<unknown, [Key, number]>();
            model.set(id, members);
            if (step.kind === "put") {
              table().put([step.key, step.second], step.value);
              members.set(keyId(step.second), [step.second, step.value]);
            } else if (step.kind === "remove") {
              table().remove([step.key, step.second]);
              members.delete(keyId(step.second));
            } else {
              const frozen = opened.freeze("delta");
              for (const { key, group } of frozen.get("nested")!) {
                expect(group).toBe(keyGroupOf((key as readonly Key[])[0]!, 16));
              }
              chain = [...chain, frozen];
              opened = open(16, chain);
            }
            const expected = [...members].map(([second, [, value]]) => [second, value]);
            expect(under(step.key)).toEqual(sortedEntries(expected));
          }
          const all = [...model.values()].reduce((sum, members) => sum + members.size, 0);
          expect(table().size).toBe(all);
        }),
        { numRuns: 200 },
      );
    });

    test("can be taken back to any barrier since the last completed checkpoint", () => {
      interface Held {
        readonly checkpoint: CheckpointId;
        readonly model: ReadonlyMap<unknown, [Key, number]>;
        readonly chain: readonly Frozen[];
      }
      fc.assert(
        fc.property(fc.array(heldStep, { maxLength: 80 }), (steps) => {
          let opened = open(16);
          let model = new Map<unknown, [Key, number]>();
          let chain: Frozen[] = [];
          let held: Held[] = [];
          let ids = 0;
          const barrier = (kind: SegmentHeader["kind"]): void => {
            const frozen = opened.freeze(kind, ++ids);
            chain = kind === "full" ? [frozen] : [...chain, frozen];
            held.push({ checkpoint: opened.checkpoint, model: new Map(model), chain });
          };
          opened.store.table("t");
          barrier("full");
          for (const step of steps) {
            const table = opened.store.table<number>("t");
            if (step.kind === "put") {
              put(table, step);
              model.set(keyId(step.key), [step.key, step.value]);
            } else if (step.kind === "remove") {
              table.remove(step.key);
              model.delete(keyId(step.key));
            } else if (step.kind === "prefetch") {
              table.prefetch?.(step.keys);
            } else if (step.kind === "freeze") {
              barrier(step.as);
            } else {
              const one = held[step.which % held.length]!;
              if (step.kind === "complete") {
                opened.backend.completed(one.checkpoint);
                held = held.filter(({ checkpoint }) => checkpoint >= one.checkpoint);
                continue;
              }
              // What another attempt finds: rows where there are any, else what was frozen.
              const { checkpoint } = one;
              const over = left?.(opened.backend);
              const backend = openBackend({
                maxParallelism: 16,
                ...(over !== undefined && { over, checkpoint }),
              });
              opened = new Opened(backend, 16, over === undefined ? one.chain : [], checkpoint);
              opened.store.restoreRest();
              opened.store.table("t");
              model = new Map(one.model);
              chain = [...one.chain];
              held = [one];
            }
            const expected = [...model].map(([id, [, value]]) => [id, value]).sort(byText);
            expect(opened.store.table("t").size).toBe(model.size);
            for (const key of keys) {
              expect(opened.store.table("t").get(key)).toBe(model.get(keyId(key))?.[1]);
            }
            expect(sorted(opened.store.table("t"))).toEqual(expected);
          }
          const restored = open(16, [...chain, opened.freeze("delta", ++ids)]);
          const expected = [...model].map(([id, [, value]]) => [id, value]).sort(byText);
          expect(sorted(restored.store.table("t"))).toEqual(expected);
        }),
        { numRuns: 300 },
      );
    });
  });
}
