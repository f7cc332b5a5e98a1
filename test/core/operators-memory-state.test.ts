import { expect, test } from "vitest";

import { readSegment, writeSegment, type SegmentEntry } from "../../format/segment.ts";
import { MemoryStateStore } from "../../operators/state/memory.ts";
import { keyedStateSuite } from "./keyed-state-suite.ts";

// Through the bytes of a segment, as at a real barrier.
keyedStateSuite({
  name: "memory",
  open(maxParallelism, from = []) {
    const store = new MemoryStateStore(maxParallelism);
    for (const frozen of from) {
      for (const [name, entries] of frozen) store.table(name).restore(entries);
    }
    return {
      store,
      freeze(kind) {
        const frozen = new Map<string, readonly SegmentEntry[]>();
        for (const [state, table] of store.tables()) {
          const header = { uid: "op", state, kind, maxParallelism };
          const segment = readSegment(writeSegment(header, table.freeze(kind)));
          frozen.set(state, [...segment.entries()]);
        }
        return frozen;
      },
    };
  },
});

test("the bookkeeping between freezes is bounded by what is held and what was frozen", () => {
  const table = new MemoryStateStore(128).table<number>("t");
  for (let i = 0; i < 1_000; i++) {
    table.put(i, i);
    table.remove(i);
  }
  expect(table.changes).toBe(0);
  table.put("held", 1);
  table.put("held", 2);
  expect(table.changes).toBe(1);
  table.freeze("delta");
  table.remove("held");
  table.put("held", 3);
  expect(table.changes).toBe(1);
  expect(table.freeze("delta")).toMatchObject([{ key: "held", value: 3 }]);
});
