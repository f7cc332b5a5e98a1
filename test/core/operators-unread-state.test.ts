import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { allKeyGroups, keyGroup, keyGroupOf, type KeyGroupRange } from "../../format/key-groups.ts";
import type { Key } from "../../format/key.ts";
import { MiB } from "../../format/limits.ts";
import { readSegment, type SegmentEntry, writeSegment } from "../../format/segment.ts";
import type { FreezeKind } from "../../operators/state/backend.ts";
import { MemoryStateBackend, type MemoryStateTable } from "../../operators/state/memory.ts";

const maxParallelism = 4;

type Value = { readonly n: number; readonly note: string } | number | string | null;

const header = { uid: "op", state: "s", maxParallelism } as const;

const segmentOf = (kind: "full" | "delta", entries: readonly [Key, Value | undefined][]) =>
  readSegment(
    writeSegment(
      { ...header, kind },
      entries.map(([key, value]): SegmentEntry => {
        const group = keyGroupOf(key, maxParallelism);
        return value === undefined ? { group, key, deleted: true } : { group, key, value };
      }),
    ),
  );

type Source = { readonly segments: ReturnType<typeof segmentOf>[]; readonly range: KeyGroupRange };

function restored(...sources: readonly Source[]): MemoryStateTable<Value> {
  const store = new MemoryStateBackend({ maxParallelism, budget: 64 * MiB }).store("op");
  store.restore("s", sources);
  return store.table<Value>("s");
}

/** Of a full freeze, which is what a later restore would begin with. */
const frozen = (table: MemoryStateTable<Value>): Map<Key, unknown> => {
  const whole = readSegment(writeSegment({ ...header, kind: "full" }, table.freeze("full")));
  return new Map([...whole.entries()].map((entry) => [entry.key, "value" in entry && entry.value]));
};

/** What was there before, with the entries of a freeze. */
function withEntries(
  before: Iterable<[Key, Value]>,
  entries: readonly SegmentEntry[],
): Map<Key, unknown> {
  const table = new Map<Key, unknown>(before);
  for (const entry of entries) {
    if ("deleted" in entry) table.delete(entry.key);
    else table.set(entry.key, entry.value);
  }
  return table;
}

const all = allKeyGroups(maxParallelism);
const noted = (n: number): Value => ({ n, note: `${n}`.padEnd(20, ".") });

describe("restored entries that nobody has asked for", () => {
  const text = fc.oneof(
    fc.integer({ min: 0, max: 40 }).map((n): Key => `key-${n}`),
    fc.constantFrom<Key>("", "é", "\u0000a", "\ud800"),
  );
  // Segments with others among their keys are read.
  const any = fc.oneof(text, fc.constantFrom<Key>(7, true));

  test.each([
    ["texts", text],
    ["any keys", any],
  ])("are the table with those that were, whatever is done to it, of %s (S4, U1, U4)", (_, key) => {
    const value = fc.oneof(
      fc.nat(9).map(noted),
      fc.constantFrom<Value>(0, 1.5, "text", "other", null),
    );
    const held = fc.uniqueArray(fc.tuple(key, value), { selector: ([of]) => of, maxLength: 60 });
    const news = fc.uniqueArray(fc.tuple(key, fc.option(value, { nil: undefined })), {
      selector: ([of]) => of,
      maxLength: 10,
    });
    const deltas = fc.array(news, { maxLength: 4 });
    const step = fc.record({
      kind: fc.constantFrom("get", "put", "remove", "slot", "size", "freeze", "entries"),
      freezes: fc.constantFrom<FreezeKind>("delta", "delta", "merged", "full"),
      key,
      value,
    });
    fc.assert(
      fc.property(held, deltas, fc.array(step, { maxLength: 30 }), (first, news, steps) => {
        const expected = new Map<Key, Value>(first);
        for (const [of, changed] of news.flat()) {
          if (changed === undefined) expected.delete(of);
          else expected.set(of, changed);
        }
        const segments = [
          segmentOf("full", first),
          ...news.map((delta) => segmentOf("delta", delta)),
        ];
        const table = restored({ segments, range: all });
        const changed = new Set<Key>();
        let whole = new Map(first);
        for (const { kind, key: of, value: next, freezes } of steps) {
          if (kind === "get") expect(table.get(of)).toEqual(expected.get(of));
          if (kind === "slot") expect(table.slot(of).isFree).toBe(!expected.has(of));
          if (kind === "size") expect(table.size).toBe(expected.size);
          if (kind === "entries") expect(new Map(table.entries())).toEqual(expected);
          if (kind === "freeze") {
            const { mergedChanges } = table;
            const written = [...table.freeze(freezes)];
            if (freezes === "delta") {
              expect(new Set(written.map((entry) => entry.key))).toEqual(changed);
            } else {
              const since = freezes === "full" ? [] : whole;
              expect(withEntries(since, written)).toEqual(expected);
            }
            if (freezes === "full") whole = new Map(expected);
            if (freezes === "merged") expect(written.length).toBeLessThanOrEqual(mergedChanges);
            changed.clear();
          }
          if (kind !== "put" && kind !== "remove") continue;
          if (kind === "put" || expected.has(of)) changed.add(of);
          if (kind === "put") table.put(of, next);
          else table.remove(of);
          if (kind === "put") expected.set(of, next);
          else expected.delete(of);
          // What came since the last freeze and went again leaves nothing (B2); all else does.
          if (table.changes < changed.size) changed.delete(of);
        }
        expect(frozen(table)).toEqual(expected);
        expect(new Map(table.entries())).toEqual(expected);
        for (const of of expected.keys()) table.remove(of);
        expect([table.size, table.bytes]).toEqual([0, 0]);
      }),
    );
  });

  test("count against the budget as they would in memory, about", () => {
    const entries = Array.from({ length: 2_000 }, (_, n): [Key, Value] => [`key-${n}`, noted(n)]);
    const table = restored({ segments: [segmentOf("full", entries)], range: all });
    const before = table.bytes;
    expect([...table.entries()]).toHaveLength(2_000);
    expect(table.bytes / before).toBeGreaterThan(0.7);
    expect(table.bytes / before).toBeLessThan(1.4);
  });

  test("count once, however many segments have their keys, where that is the question", () => {
    const entries = Array.from({ length: 2_000 }, (_, n): [Key, Value] => [`key-${n}`, noted(n)]);
    const segments = [segmentOf("full", entries), ...Array(3).fill(segmentOf("delta", entries))];
    const { bytes } = restored({ segments: segments.slice(0, 1), range: all });
    const backend = new MemoryStateBackend({ maxParallelism, budget: 1.2 * bytes });
    const store = backend.store("op");
    store.restore("s", [{ segments, range: all }]);
    store.table("s");
    expect(backend.bytes).toBeGreaterThan(3 * bytes);
    expect(() => backend.check(0)).not.toThrow();
    expect(backend.bytes).toBeLessThan(1.2 * bytes);
    const small = new MemoryStateBackend({ maxParallelism, budget: 0.8 * bytes });
    small.store("op").restore("s", [{ segments, range: all }]);
    small.store("op").table("s");
    expect(() => small.check(0)).toThrow(/budget/);
  });

  test("are those of the range alone, and of all sources", () => {
    const entries = Array.from({ length: 100 }, (_, n): [Key, Value] => [`key-${n}`, n]);
    const [low, high] = [0, 1].map((half) =>
      entries.filter(([key]) => keyGroupOf(key, maxParallelism) >> 1 === half),
    );
    const range = { first: keyGroup(1, maxParallelism), last: keyGroup(2, maxParallelism) };
    const table = restored(
      { segments: [segmentOf("full", low!)], range },
      { segments: [segmentOf("full", high!)], range },
    );
    const own = entries.filter(([key]) => [1, 2].includes(keyGroupOf(key, maxParallelism)));
    expect(table.size).toBe(own.length);
    for (const [key, value] of entries) {
      expect(table.get(key)).toBe(own.some(([of]) => of === key) ? value : undefined);
    }
  });
});
