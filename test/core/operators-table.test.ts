// The table sink against the simplest thing that could be right: a whole copy per checkpoint.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeBatch, encodeRows } from "../../format/batch.ts";
import { checkpointId, type CheckpointId } from "../../format/ids.ts";
import { comesBefore, type Key, keyId } from "../../format/key.ts";
import type { KeyGroup } from "../../format/key-groups.ts";
import { MemoryStateStore, type MemoryStateTable } from "../../operators/state/memory.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import { TableOperator, type TableRead } from "../../operators/table.ts";
import type { RowKind } from "../../stream/changelog.ts";
import { keyField } from "../../stream/table.ts";
import { anyKey } from "./format-arbitraries.ts";

interface Row {
  readonly key: string;
  readonly n: number;
  /** What a change does (T5). */
  readonly $kind?: RowKind;
}

interface Opened {
  readonly table: TableOperator;
  readonly rows: MemoryStateTable<unknown>;
}

function opened(): Opened {
  const rows = new MemoryStateStore(16).table<unknown>("rows");
  return { table: new TableOperator({ uid: "out" }, "t", keyField, rows), rows };
}

const write = (table: TableOperator, ...rows: readonly Row[]): void =>
  table.processBatch(new RowBatch(rows));
const writeColumns = (table: TableOperator, ...rows: readonly Row[]): void =>
  table.processBatch(decodeBatch(encodeRows(rows)));
const shown = (table: TableOperator, mode: TableRead): Record<string, number> =>
  Object.fromEntries([...table.entries(mode)].map(([key, row]) => [key, (row as Row).n]));

describe("a table", () => {
  test("TwoPhaseCommitSinkFunctionTest: shows the latest row at once, and as committed only what a checkpoint holds", () => {
    const { table } = opened();
    write(table, { key: "a", n: 1 });
    expect(table.read("latest", "a")).toEqual({ key: "a", n: 1 });
    expect(table.read("committed", "a")).toBeUndefined();
    expect(shown(table, "committed")).toEqual({});
    expect(table.committedCheckpoint).toBeNull();

    table.prepareCommit(checkpointId(1));
    write(table, { key: "a", n: 2 }, { key: "a", n: 3 }, { key: "b", n: 4 });
    expect(shown(table, "committed")).toEqual({});
    table.commit(checkpointId(1));
    expect(table.committedCheckpoint).toBe(1);
    expect(shown(table, "committed")).toEqual({ a: 1 });
    expect(shown(table, "latest")).toEqual({ a: 3, b: 4 });
  });

  test("T3, SinkV2CommitterOperatorTest: an aborted checkpoint's rows become final with the next that completes", () => {
    const { table } = opened();
    write(table, { key: "a", n: 1 });
    table.prepareCommit(checkpointId(1));
    write(table, { key: "a", n: 2 });
    table.prepareCommit(checkpointId(2));
    write(table, { key: "a", n: 3 });
    table.commit(checkpointId(2));
    expect(shown(table, "committed")).toEqual({ a: 2 });
  });

  test("StreamCheckpointNotifierITCase: commits once, however often and late it is told", () => {
    const { table } = opened();
    table.prepareCommit(checkpointId(1));
    table.prepareCommit(checkpointId(3));
    table.commit(checkpointId(3));
    table.commit(checkpointId(3));
    table.commit(checkpointId(1));
    expect(table.committedCheckpoint).toBe(3);
  });

  test("T2: refuses a barrier that is not newer", () => {
    const { table } = opened();
    table.prepareCommit(checkpointId(2));
    expect(() => table.prepareCommit(checkpointId(2))).toThrow(/^T2: .* barrier 2 after 2/);
  });

  test("names the operator and the row, if a key is none", () => {
    const { table } = opened();
    const rows = new RowBatch([{ key: "a" }, { key: null }]);
    expect(() => table.processBatch(rows)).toThrow(
      'Operator "out" (table "t") failed on row 1 of its batch: TypeError: The key is null',
    );
  });

  test("T5: serves rows without their kinds, and refuses what is none", () => {
    const { table } = opened();
    write(table, { key: "a", n: 1, $kind: "+I" });
    expect(table.read("latest", "a")).toEqual({ key: "a", n: 1 });
    expect(() => write(table, { key: "a", n: 1, $kind: "-X" as RowKind })).toThrow(
      /failed on row 0 .* A row has "-X" as \$kind, which is "\+I"/,
    );
  });

  test("is answered page after page in the order of keys, each row once", () => {
    const keys = fc.array(anyKey, { maxLength: 40 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 12 }), (given, limit) => {
        const rows = new MemoryStateStore(16).table<unknown>("rows");
        const table = new TableOperator({ uid: "out" }, "t", ({ key }: { key: Key }) => key, rows);
        table.processBatch(new RowBatch(given.map((key, n) => ({ key, n }))));
        const found: unknown[] = [];
        let before: Key | undefined;
        for (;;) {
          const page = table.page("latest", limit, before);
          for (const key of page.keys) {
            if (before !== undefined) expect(comesBefore(keyId(before), keyId(key))).toBe(true);
            before = key;
          }
          expect(page.rows).toEqual(page.keys.map((key) => table.read("latest", key)));
          found.push(...page.rows);
          if (!page.hasMore) break;
          expect(page.rows).toHaveLength(limit);
        }
        expect(new Set(found)).toEqual(new Set([...table.entries("latest")].map(([, row]) => row)));
        expect(found).toHaveLength(rows.size);
      }),
    );
  });

  type Step =
    | { readonly kind: "write"; readonly rows: readonly Row[]; readonly asColumns: boolean }
    | { readonly kind: "barrier" }
    | { readonly kind: "commit"; readonly back: number }
    | { readonly kind: "crash" };

  const row: fc.Arbitrary<Row> = fc.record(
    {
      key: fc.constantFrom("a", "b", "c", "d"),
      n: fc.nat(99),
      $kind: fc.constantFrom("+I", "-U", "+U", "-D"),
    },
    { requiredKeys: ["key", "n"] },
  );
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("write"),
        rows: fc.array(row),
        asColumns: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("barrier") }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("commit"), back: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash") }) },
  ) as fc.Arbitrary<Step>;

  test("is a copy of all rows per checkpoint, for every order of events", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let { table, rows } = opened();
        // The model: all rows, and a copy of them at each barrier. Only what is durable survives.
        let latest: Record<string, number> = {};
        let copies = new Map<CheckpointId, Record<string, number>>();
        const frozen = new Map<CheckpointId, ReturnType<typeof rows.freeze>>();
        let committed: CheckpointId | null = null;
        let last = 0;
        for (const step of steps) {
          if (step.kind === "write") {
            (step.asColumns ? writeColumns : write)(table, ...step.rows);
            for (const { key, n, $kind } of step.rows) {
              if ($kind === "-D") delete latest[key];
              else if ($kind !== "-U") latest[key] = n;
            }
            expect(rows.size).toBe(Object.keys(latest).length);
          } else if (step.kind === "barrier") {
            const id = checkpointId(++last);
            table.prepareCommit(id);
            const entries = rows.freeze("full") as { group: KeyGroup; key: Key; value: unknown }[];
            frozen.set(
              id,
              entries.map(({ group, key, value }) => structuredClone({ group, key, value })),
            );
            copies.set(id, { ...latest });
          } else if (step.kind === "commit") {
            const id = [...copies.keys()].at(-1 - step.back);
            if (id === undefined) continue;
            table.commit(id);
            if (committed === null || id > committed) committed = id;
          } else {
            ({ table, rows } = opened());
            latest = committed === null ? {} : { ...copies.get(committed) };
            if (committed !== null) {
              rows.restore(frozen.get(committed)!);
              table.restored(committed);
              copies = new Map([[committed, { ...latest }]]);
            } else {
              copies = new Map();
            }
          }
          expect(table.committedCheckpoint).toBe(committed);
          expect(shown(table, "latest")).toEqual(latest);
          const final = committed === null ? {} : copies.get(committed);
          expect(shown(table, "committed")).toEqual(final);
          for (const key of ["a", "b", "c", "d"]) {
            expect((table.read("committed", key) as Row | undefined)?.n).toBe(final?.[key]);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
