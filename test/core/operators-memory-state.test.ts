import { describe, expect, test } from "vitest";

import { KiB, MiB } from "../../format/limits.ts";
import { MemoryStateBackend, MemoryStateStore } from "../../operators/state/memory.ts";
import { StateError } from "tidemark";

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

describe("the memory budget", () => {
  const row = (n: number) => ({ id: `row-${n}`, n, tags: ["a", "b"] });

  test.each([
    [512, "512 bytes"],
    [64 * KiB, "64.0 KiB"],
    [64 * MiB, "64.0 MiB"],
  ])("of %i bytes is told as %s", (budget, text) => {
    const backend = new MemoryStateBackend({ maxParallelism: 128, budget });
    const table = backend.store("large").table<string>("rows");
    for (let n = 0; backend.bytes <= budget; n++) table.put(`${n}`, `${n % 10}`.repeat(budget / 8));
    expect(() => backend.check(0)).toThrow(`(state.memoryBudget) is ${text}.`);
  });

  test("follows what is held, and is exceeded with an error that says what to do", () => {
    const backend = new MemoryStateBackend({ maxParallelism: 128, budget: 1 * MiB });
    backend.store("small").table("t").put("a", 1);
    const table = backend.store("large").table<object>("rows");
    let n = 0;
    for (; backend.bytes <= MiB; n++) table.put(`key-${n}`, row(n));
    expect(n).toBeGreaterThan(1_500);
    expect(n).toBeLessThan(8_000);
    expect(() => backend.check(0)).toThrow(StateError);
    expect(() => backend.check(0)).toThrow(
      /takes about 1\.0 MiB, .*\(state\.memoryBudget\) is 1\.0 MiB\. Operator "large" holds .*parallelism.*"sqlite"/,
    );
    for (let i = 0; i < n; i += 2) {
      table.put(`key-${i}`, row(i)); // the same again adds nothing
      table.remove(`key-${i}`);
    }
    backend.check(0);
    for (let i = 1; i < n; i += 2) table.remove(`key-${i}`);
    expect(backend.bytes).toBe(backend.store("small").bytes);
  });
});
