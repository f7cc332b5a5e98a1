// The parts of the `sqlite` backend's rows, each by itself; what they come to is held to the suite of all
// backends (keyed-state-suite.ts).

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type CheckpointId, checkpointId } from "../../format/ids.ts";
import { type Key, keyBytes } from "../../format/key.ts";
import { allKeyGroups, keyGroupOf } from "../../format/key-groups.ts";
import { plainSchema } from "../../format/segment.ts";
import { blocksFrom, blocksOf } from "../../operators/state/block-reads.ts";
import { hashOf, KeyFilter } from "../../operators/state/key-filter.ts";
import { groupOfRow, inOrder, keyOfRow, pairKey, rowKey } from "../../operators/state/row-key.ts";
import {
  BlockReader,
  compareBytes,
  findInBlock,
  rowBytes,
  writeRow,
} from "../../operators/state/run-block.ts";
import { Fences, runSchema } from "../../operators/state/sorted-run.ts";
import { StateRows } from "../../operators/state/sqlite-rows.ts";
import { testDatabase } from "./state-backends.ts";

const maxParallelism = 128;
const owner = { range: allKeyGroups(maxParallelism), maxParallelism };
const keyed = (key: Key): Uint8Array => rowKey(key, key, maxParallelism);
const number = (value: number): Uint8Array => new Uint8Array(Float64Array.of(value).buffer);

describe("a block", () => {
  test("gives back the rows that were written to it, one by one and by key", () => {
    const row = fc.record({
      k: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      v: fc.option(fc.uint8Array({ maxLength: 20_000 })),
    });
    const rows = fc.uniqueArray(row, { comparator: (a, b) => compareBytes(a.k, b.k) === 0 });
    fc.assert(
      fc.property(rows, fc.uint8Array(), (rows, other) => {
        const size = rows.reduce((sum, { k, v }) => sum + rowBytes(k.length, v), 0);
        const block = new Uint8Array(size);
        let end = 0;
        for (const { k, v } of rows) end = writeRow(k, v, block, end);
        expect(end).toBe(size);
        const reader = new BlockReader();
        reader.open(block);
        for (const { k, v } of rows) {
          expect(reader.next()).toBe(true);
          expect(reader.key).toEqual(k);
          expect(reader.value).toEqual(v);
          expect(findInBlock(block, k)).toEqual(v);
        }
        expect(reader.next()).toBe(false);
        const isKnown = rows.some(({ k }) => compareBytes(k, other) === 0);
        if (!isKnown) expect(findInBlock(block, other)).toBeUndefined();
      }),
    );
  });
});

describe("blocks", () => {
  // Most as small as those of a run, with zeros and what is no text; some with one row that is larger.
  const block = fc.oneof(
    { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 40 }) },
    { weight: 2, arbitrary: fc.constant(new Uint8Array(1_000).fill(0)) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1_001, maxLength: 3_000 }) },
  );

  test("K1: are given as they were written, however many are asked for together", () => {
    const held = fc.array(fc.option(block), { maxLength: 60 });
    fc.assert(
      fc.property(
        held,
        fc.nat(70),
        fc.nat(70),
        fc.infiniteStream(fc.boolean()),
        (held, a, b, drawn) => {
          const db = testDatabase();
          for (const statement of runSchema) db.exec(statement);
          const blocks = new Map<number, Uint8Array>();
          for (const [at, bytes] of held.entries()) {
            if (bytes === null) continue;
            db.exec("INSERT INTO state_blocks VALUES (?, ?)", at, bytes);
            blocks.set(at, bytes);
          }
          const wanted = [...Array(70).keys()].filter(() => drawn.next().value);
          const expected = wanted.flatMap((id) => (blocks.has(id) ? [[id, blocks.get(id)]] : []));
          const found = [...blocksOf(db, wanted.toReversed())];
          expect(found.toSorted(([left], [right]) => left - right)).toEqual(expected);
          const [first, end] = [Math.min(a, b), Math.max(a, b)];
          const range = [...blocks].filter(([id]) => id >= first && id < end);
          expect(blocksFrom(db, first, end - first)).toEqual(range.map(([, bytes]) => bytes));
        },
      ),
    );
  });

  test("of more bytes than a BLOB may have are read with several statements", () => {
    const db = testDatabase();
    for (const statement of runSchema) db.exec(statement);
    for (let id = 0; id < 3_000; id++) {
      db.exec("INSERT INTO state_blocks VALUES (?, ?)", id, new Uint8Array(1_000).fill(id));
    }
    db.statements.count = 0;
    const found = blocksOf(db, [...Array(3_000).keys()]);
    expect(db.statements.count).toBe(3);
    expect(found.size).toBe(3_000);
    for (const [id, bytes] of found) expect(bytes[999]).toBe(id & 255);
  });
});

describe("a filter", () => {
  test("F1: has every key that was added, and few others", () => {
    const filter = KeyFilter.for(20_000);
    const hash = (i: number): number => hashOf(keyed(`user-${i}`));
    for (let i = 0; i < 20_000; i++) filter.add(hash(i));
    for (let i = 0; i < 20_000; i++) expect(filter.mayHave(hash(i))).toBe(true);
    let wrong = 0;
    for (let i = 20_000; i < 40_000; i++) if (filter.mayHave(hash(i))) wrong++;
    expect(wrong).toBeLessThan(400); // 2 %; about 0.7 % is what it is made for
  });
});

describe("fences", () => {
  const bytes = fc.uint8Array({ maxLength: 9 });
  // As hashes do, evenly, and as keys of one hash do, all in one place.
  const even = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((hash) => {
    return new Uint8Array([0, hash & 3, hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, 7]);
  });
  const crowded = fc.nat(300).map((i) => new Uint8Array([0, 1, 9, 9, 9, 9, i >> 8, i & 255]));

  test("say after how many of them a key comes, wherever they lie", () => {
    const key = fc.oneof(bytes, even, crowded);
    const keys = fc.uniqueArray(key, {
      maxLength: 600,
      comparator: (a, b) => compareBytes(a, b) === 0,
    });
    fc.assert(
      fc.property(keys, fc.array(key, { maxLength: 50 }), (keys, others) => {
        const fences = new Fences();
        const sorted = keys.toSorted(compareBytes);
        for (const fence of sorted) fences.add(fence, 0, fence.length);
        for (const key of [...sorted, ...others]) {
          const before = sorted.filter((fence) => compareBytes(fence, key) <= 0).length;
          expect(fences.before(key)).toBe(before);
        }
      }),
    );
  });
});

describe("keys of rows", () => {
  const key = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.tuple(fc.string(), fc.nat()));

  test("O1: are read again, in the order of groups, those of a pair's first half together", () => {
    fc.assert(
      fc.property(fc.array(key, { maxLength: 200 }), fc.string(), (keys, first) => {
        const rows = inOrder(keys.map((key) => ({ k: keyed(key), v: null })));
        const ids = (keys: readonly Key[]): string[] => keys.map((key) => keyBytes(key).join());
        const read = ids(rows.map(({ k }) => keyOfRow(k)));
        expect(new Set(read)).toEqual(new Set(ids(keys)));
        expect(read).toHaveLength(keys.length);
        for (const [at, { k }] of rows.entries()) {
          expect(groupOfRow(k)).toBe(keyGroupOf(keyOfRow(k), maxParallelism));
          if (at > 0) expect(compareBytes(rows[at - 1]!.k, k)).toBeLessThanOrEqual(0);
        }
        const prefix = pairKey(first, maxParallelism);
        for (const key of keys) {
          const pair = rowKey([first, key], first, maxParallelism);
          expect(pair.subarray(0, prefix.length)).toEqual(prefix);
        }
      }),
    );
  });
});

describe("rows in runs", () => {
  const open = (checkpoint = 0, database = testDatabase(), isHeld = false) => {
    const rows = new StateRows(database, owner, checkpoint, isHeld);
    rows.putTable({ id: 1, uid: "op", state: "t", schema: plainSchema });
    return { database, rows };
  };
  const write = (rows: StateRows, from: number, to: number, value: number | null): void => {
    const of = [];
    for (let i = from; i < to; i++) {
      of.push({ k: keyed(`user-${i}`), v: value === null ? null : number(value) });
    }
    rows.write(1, inOrder(of));
  };
  const all = (rows: StateRows): number => [...rows.scan(1)].length;
  const stored = (database: ReturnType<typeof testDatabase>, table: string): number =>
    Number(database.exec(`SELECT count(*) AS n FROM ${table}`)[0]!["n"]);
  const settle = (rows: StateRows, checkpoint: CheckpointId, entries: number): void => {
    rows.sealed(checkpoint, { 1: entries });
    rows.completed(checkpoint);
    for (let i = 0; i < 200; i++) rows.advance();
  };

  test("runs of one size are merged until few are left, and what they held is freed", () => {
    const { database, rows } = open();
    for (let i = 0; i < 100; i++) {
      write(rows, 0, 200, i);
      settle(rows, checkpointId(i + 1), 200);
    }
    expect(stored(database, "state_runs")).toBeLessThan(20);
    expect(stored(database, "state_blocks")).toBeLessThan(20 * 10);
    expect(all(rows)).toBe(200);
    for (let i = 0; i < 200; i++) {
      expect(rows.get(1, keyed(`user-${i}`))).toEqual(number(99));
    }
  });

  test("a table that is empty again has no rows left", () => {
    const { database, rows } = open();
    for (let i = 0; i < 20; i++) write(rows, 100 * i, 100 * (i + 1), i);
    settle(rows, checkpointId(1), 2_000);
    write(rows, 0, 2_000, null);
    settle(rows, checkpointId(2), 0);
    expect(all(rows)).toBe(0);
    // The last one is freed with the step after.
    for (const table of ["state_runs", "state_parts", "state_filters", "state_blocks"]) {
      expect(stored(database, table)).toBe(0);
    }
  });

  test("R3: a rollback finds what was merged and what was about to be", () => {
    const { database, rows } = open();
    for (let i = 0; i < 6; i++) write(rows, 3_000 * i, 3_000 * (i + 1), 1);
    settle(rows, checkpointId(1), 18_000);
    for (let i = 0; i < 6; i++) write(rows, 0, 3_000, 2);
    rows.sealed(checkpointId(2), { 1: 18_000 });
    // A merge of the second epoch has begun, and is lost with the rest of it.
    rows.advance();
    for (let i = 0; i < 3; i++) write(rows, 0, 10, null);
    expect(StateRows.hold(database, owner, 2)).toBe(true);
    const second = open(2, database, true).rows;
    expect(second.count(1)).toBe(18_000);
    expect(second.get(1, keyed("user-5"))).toEqual(number(2));
    expect(StateRows.hold(database, owner, 1)).toBe(false);
    for (let i = 0; i < 100; i++) second.advance();
    expect(all(second)).toBe(18_000);
    expect(second.get(1, keyed("user-5"))).toEqual(number(2));
    expect(second.get(1, keyed("user-17999"))).toEqual(number(1));
    expect(stored(database, "state_runs")).toBe(
      Number(database.exec("SELECT count(*) AS n FROM state_runs WHERE live = 1")[0]!["n"]),
    );
  });

  test("that are restored are written as they come, however large a key group is", () => {
    const database = testDatabase();
    const state = new StateRows(database, owner, 1, false);
    state.putTable({ id: 1, uid: "op", state: "t", schema: plainSchema });
    // Of one group, in the order of their rows.
    const keys = inOrder(
      Array.from({ length: 300_000 }, (_, n) => ({ k: keyed(`key ${n}`), v: null })).filter(
        ({ k }) => groupOfRow(k) === 3,
      ),
    ).slice(0, 2_000);
    expect(keys).toHaveLength(2_000);
    const rows = state.restorer(1, true, keys.length);
    let most = 0;
    for (const [at, { k }] of keys.entries()) {
      rows.add({ k, v: new Uint8Array(10_000) });
      most = Math.max(most, (at + 1) * 10_000 - 10_000 * stored(database, "state_blocks"));
    }
    // One part of a run, and what is sorted.
    expect(most).toBeLessThan(8_000_000);
    rows.done();
    expect(stored(database, "state_runs")).toBe(1);
    expect(state.count(1)).toBe(2_000);
  });

  test("of large rows are written and read a few at a time", () => {
    const database = testDatabase();
    const state = new StateRows(database, owner, 1, false);
    state.putTable({ id: 1, uid: "op", state: "t", schema: plainSchema });
    const keys = inOrder(Array.from({ length: 60 }, (_, n) => ({ k: keyed(n), v: null })));
    const rows = state.restorer(1, true, keys.length);
    let most = 0;
    for (const [at, { k }] of keys.entries()) {
      rows.add({ k, v: new Uint8Array(300_000) });
      most = Math.max(most, at + 1 - stored(database, "state_blocks"));
    }
    expect(most).toBeLessThan(8);
    rows.done();
    expect(stored(database, "state_blocks")).toBe(60);
    expect(stored(database, "state_runs")).toBe(1);
    const before = database.statements.count;
    let read = 0;
    for (const _ of state.all(1)) if (++read === 3) break;
    // Two of them, then no more than a part has, each with its own statement.
    expect(database.statements.count - before).toBeLessThan(8);
    expect([...state.all(1)]).toHaveLength(60);
  });

  test("R4: what an earlier layout left is not gone back to", () => {
    const { database } = open();
    database.exec(`UPDATE state_about SET about = '{"owner":{},"floor":1}'`);
    expect(StateRows.hold(database, owner, 1)).toBe(false);
  });

  test("a scan goes on while runs are merged and dropped", () => {
    const { rows } = open();
    for (let i = 0; i < 6; i++) write(rows, 2_000 * i, 2_000 * (i + 1), 1);
    rows.sealed(checkpointId(1), { 1: 12_000 });
    rows.completed(checkpointId(1));
    let seen = 0;
    for (const _ of rows.scan(1)) if (seen++ % 100 === 0) rows.advance();
    expect(seen).toBe(12_000);
  });
});
