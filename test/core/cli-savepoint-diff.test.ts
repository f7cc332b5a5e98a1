// What `savepoint diff` tells, against comparing two maps; and what it refuses to compare.

import fc from "fast-check";
import { expect, test } from "vitest";

import { keysOfText, keyText } from "../../format/exact-json.ts";
import { keyGroupOf } from "../../format/key-groups.ts";
import type { Key } from "../../format/key.ts";
import { readExport } from "../../cli/exports.ts";
import { diffOf, isSame } from "../../cli/savepoint-diff.ts";
import { keyPart } from "../../cli/state-path.ts";
import { elementLine, endLine, headerLine, keyedLine } from "../../snapshot/lines.ts";
import { checkpointId, attempt, type JobId, millis } from "../../format/ids.ts";
import { order } from "../../snapshot/states.ts";
import { anyKey } from "./format-arbitraries.ts";

const maxParallelism = 8;

const header = (groups = maxParallelism): object =>
  headerLine({
    about: {
      job: "ab".repeat(16) as JobId,
      program: "p",
      fingerprint: "f",
      checkpoint: checkpointId(3),
      attempt: attempt(1),
      completedAt: millis(0),
      maxParallelism: groups,
    },
    vertices: [],
    rowsInChannels: false,
  });

interface World {
  /** Of two states, by operator. */
  readonly keyed: Readonly<Record<"a" | "b", readonly (readonly [Key, number])[]>>;
  /** Of subtasks. */
  readonly elements: readonly (readonly number[])[];
}

const schema = { holds: "value", version: 1, ttl: false } as const;

/** The lines of an export, with group or, as people write them, without. */
function linesOf({ keyed, elements }: World, withGroup: boolean): string[] {
  const lines: object[] = [header()];
  for (const operator of ["a", "b"] as const) {
    const entries = keyed[operator].map(([key, value]) => {
      return { key, value, group: keyGroupOf(key, maxParallelism), schema };
    });
    entries.sort((x, y) => x.group - y.group || order(keyText(x.key), keyText(y.key)));
    for (const entry of entries) {
      const { group, ...line } = keyedLine(operator, "s", entry) as { group: number };
      lines.push(withGroup ? { ...line, group } : line);
    }
  }
  for (const [subtask, own] of elements.entries()) {
    for (const [element, value] of own.entries()) {
      const of = { operator: "c", state: "s", redistribution: "split", schema } as const;
      lines.push(elementLine({ ...of, subtask, element, value }));
    }
  }
  return [...lines, endLine].map((line) => JSON.stringify(line));
}

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

/** Everything by what it is called. */
function named({ keyed, elements }: World): Map<string, number> {
  return new Map([
    ...(["a", "b"] as const).flatMap((operator) =>
      keyed[operator].map(([key, value]) => [`${operator} ${keyText(key)}`, value] as const),
    ),
    ...elements.flatMap((own, subtask) =>
      own.map((value, element) => [`c ${subtask} ${element}`, value] as const),
    ),
  ]);
}

function naive(a: World, b: World): Record<string, Record<string, number>> {
  const [left, right] = [named(a), named(b)];
  const counts: Record<string, Record<string, number>> = {};
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const own = (counts[name[0]!] ??= { added: 0, removed: 0, changed: 0, equal: 0 });
    const kind = !left.has(name)
      ? "added"
      : !right.has(name)
        ? "removed"
        : left.get(name) === right.get(name)
          ? "equal"
          : "changed";
    own[kind]!++;
  }
  return counts;
}

const keys = fc.oneof(fc.constantFrom<Key>("x", 1, "1", -0, ["a", 1]), anyKey);
const entries = fc.uniqueArray(fc.tuple(keys, fc.nat(2)), {
  selector: ([key]) => keyText(key),
  maxLength: 20,
});
const world: fc.Arbitrary<World> = fc.record({
  keyed: fc.record({ a: entries, b: entries }),
  elements: fc.array(fc.array(fc.nat(2), { maxLength: 3 }), { maxLength: 3 }),
});

const compared = async (a: readonly string[], b: readonly string[], limit: number) =>
  diffOf(await readExport("A", each(a)), await readExport("B", each(b)), limit);

test("a merge of two exports tells what comparing everything tells", async () => {
  const drawn = fc.asyncProperty(world, world, fc.nat(30), async (a, b, limit) => {
    const states = await compared(linesOf(a, true), linesOf(b, false), limit);
    const counts = Object.fromEntries(
      states.map(({ operator, added, removed, changed, equal }) => [
        operator,
        { added, removed, changed, equal },
      ]),
    );
    expect(counts).toEqual(naive(a, b));
    for (const { added, removed, changed, differences } of states) {
      expect(differences).toHaveLength(Math.min(limit, added + removed + changed));
    }
    expect(isSame(await compared(linesOf(a, true), linesOf(a, false), limit))).toBe(true);
  });
  await fc.assert(drawn, { numRuns: 200 });
});

const small: World = { keyed: { a: [["k", 1]], b: [["k", 2]] }, elements: [[1, 2]] };
const whole = linesOf(small, true);

test("what was there is told with what is there now", async () => {
  const changed = whole.map((line) => line.replace('"value":2,', '"value":{"$bigint":"9"},'));
  const states = await compared(whole, changed, 5);
  expect(states.map(({ differences }) => differences)).toEqual([
    [],
    [{ kind: "changed", key: "k", before: { value: 2 }, after: { value: { $bigint: "9" } } }],
    [
      {
        kind: "changed",
        subtask: 0,
        element: 1,
        before: { value: 2 },
        after: { value: { $bigint: "9" } },
      },
    ],
  ]);
});

test("another schema is a difference of every key, and is told once", async () => {
  const newer = whole.map((line) => line.replace('"version":1,"ttl"', '"version":2,"ttl"'));
  const [first] = await compared(whole, newer, 0);
  expect(first).toMatchObject({ changed: 1, equal: 0, differences: [] });
  expect(first!.schema).toEqual({ before: schema, after: { ...schema, version: 2 } });
});

test.each<[string, readonly string[], RegExp]>([
  ["cut short", whole.slice(0, -1), /^B is cut short: its last line must be \{"end":true\}/],
  ["of no export", ["{}"], /^B, line 1: It /],
  ["empty", [], /^B is no export of a savepoint/],
  ["damaged", [...whole.slice(0, -1), '{"error":"Damage."}'], /^B, line 6: .*Damage\.$/],
  ["out of order", [whole[0]!, whole[2]!, whole[1]!, endLineText()], /^B, line 3: .*ordered by/],
  ["twice the same key", [whole[0]!, whole[1]!, whole[1]!, endLineText()], /^B, line 3: .*twice/],
  ["longer than its end", [...whole, whole[1]!], /^B, line 7: .*behind the last line/],
  ["of other key groups", [JSON.stringify(header(16)), endLineText()], /^A has 8 key groups and B/],
])("an export that is %s is refused", async (_, lines, reason) => {
  await expect(compared(whole, lines, 1)).rejects.toThrow(reason);
});

function endLineText(): string {
  return JSON.stringify(endLine);
}

test("a key that a URL would drop is written as JSON, and means the same", () => {
  for (const text of ["", ".", ".."]) {
    expect(keyPart(text)).toBe(`"${text}"`);
    expect(keysOfText(keyPart(text))[0]).toBe(text);
  }
  for (const text of ["ATL", "...", "12", '"12"', "a/b"]) expect(keyPart(text)).toBe(text);
});
