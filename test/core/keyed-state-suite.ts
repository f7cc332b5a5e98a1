// What every backend of keyed state must do. A backend's own test file calls `keyedStateSuite`.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { keyId, type Key } from "../../format/key.ts";
import { keyGroupOf } from "../../format/key-groups.ts";
import type { SegmentEntry, SegmentHeader } from "../../format/segment.ts";
import type { KeyedStateStore, StateTable } from "../../operators/state/keyed-state.ts";

/** What one freeze gave, per table, encoded as a barrier would: later changes do not show. */
export type Frozen = ReadonlyMap<string, readonly SegmentEntry[]>;

export interface OpenStore {
  readonly store: KeyedStateStore;
  readonly freeze: (kind: SegmentHeader["kind"]) => Frozen;
}

export interface KeyedStateBackend {
  readonly name: string;
  /** A store with `maxParallelism` key groups, restored from the freezes in order. */
  readonly open: (maxParallelism: number, from?: readonly Frozen[]) => OpenStore;
}

type Step =
  | { readonly kind: "put"; readonly key: Key; readonly value: number }
  | { readonly kind: "remove"; readonly key: Key }
  | { readonly kind: "freeze"; readonly as: SegmentHeader["kind"] };

// Few keys, so that they meet; among them all that could be mistaken for one another.
const texts = ["a", "b", "", "1", "true", "[1]", "é", "\u0000a"];
const tuples: Key[] = [["a", 1], ["a", "1"], [["a"], 1], ["a1"], []];
const keys: readonly Key[] = [...texts, ...tuples, 1, 0, -0, NaN, 1n, true, false];
const key = fc.constantFrom(...keys);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put"), key, value: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove"), key }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("freeze"), as: fc.constantFrom("full", "delta") }),
  },
) as fc.Arbitrary<Step>;

const sorted = (table: StateTable<unknown>): unknown[] =>
  [...table.entries()].map(([key, value]) => [keyId(key), value]).sort(byText);
const byText = (a: unknown[], b: unknown[]): number => (text(a) < text(b) ? -1 : 1);
const text = ([id]: unknown[]): string => `${typeof id} ${String(id)}`;

export function keyedStateSuite({ name, open }: KeyedStateBackend): void {
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
      const { store, freeze } = open(128);
      const table = store.table("t");
      table.put("a", 1);
      table.remove("a");
      table.remove("never");
      expect(table.get("a")).toBeUndefined();
      expect(table.size).toBe(0);
      expect([...table.entries()]).toEqual([]);
      expect(freeze("full").get("t")).toEqual([]);
    });

    test("K1: reads what was put across freezes", () => {
      const { store, freeze } = open(128);
      const table = store.table("t");
      table.put("a", 1);
      freeze("full");
      expect(table.get("a")).toBe(1);
      freeze("delta");
      expect(table.get("a")).toBe(1);
    });

    test("K2: stores a value changed in place, if it is put afterwards", () => {
      const { store, freeze } = open(128);
      const table = store.table<number[]>("t");
      table.put("a", [1]);
      const before = freeze("full");
      const value = table.get("a")!;
      value.push(2);
      table.put("a", value);
      const after = open(128, [before, freeze("delta")]).store.table("t");
      expect(after.get("a")).toEqual([1, 2]);
      expect(open(128, [before]).store.table("t").get("a")).toEqual([1]);
    });

    test("K3: a removed key is news in a delta and absent from a full freeze", () => {
      const { store, freeze } = open(128);
      const table = store.table("t");
      table.put("a", 1);
      freeze("full");
      table.remove("a");
      expect(freeze("delta").get("t")).toEqual([
        { group: keyGroupOf("a", 128), key: "a", deleted: true },
      ]);
      expect(freeze("full").get("t")).toEqual([]);
    });

    test("a delta holds nothing of what did not change, or came and went", () => {
      const { store, freeze } = open(128);
      const table = store.table("t");
      table.put("stays", 1);
      freeze("full");
      table.put("passes", 1);
      table.remove("passes");
      expect(freeze("delta").get("t")).toEqual([]);
    });

    test("every frozen entry has its key's group", () => {
      const { store, freeze } = open(16);
      for (const key of keys) store.table("t").put(key, 1);
      for (const { key, group } of freeze("full").get("t") ?? []) {
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
              table.put(step.key, step.value);
              model.set(keyId(step.key), [step.key, step.value]);
            } else if (step.kind === "remove") {
              table.remove(step.key);
              model.delete(keyId(step.key));
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
  });
}
