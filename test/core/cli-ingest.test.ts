import { expect, test } from "vitest";

import type { AppendBody, Appended, Outcome } from "../../cli/api.ts";
import { type BadRecord, type Batch, batchesOf } from "../../cli/ingest/batches.ts";
import { columnsOf, headerProblem, rowOf } from "../../cli/ingest/column-types.ts";
import { csvEntries } from "../../cli/ingest/csv.ts";
import { Delivery } from "../../cli/ingest/delivery.ts";
import type { Entries, Entry } from "../../cli/ingest/entries.ts";
import { ndjsonEntries } from "../../cli/ingest/ndjson.ts";

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all<T>(some: AsyncIterable<readonly T[]>): Promise<T[]> {
  const found: T[] = [];
  for await (const part of some) found.push(...part);
  return found;
}

const record = (json: string, place: number): Entry => ({ kind: "record", json, place });

// ---- NDJSON

test.each([1, 2, 3, 7, 1_000])("lines are found in chunks of %d bytes", async (size) => {
  const text = '\uFEFF{"a":"é"}\r\n\n  \n2\n"\u2028"';
  expect(await all(ndjsonEntries(chunksOf(Buffer.from(text), size)))).toEqual([
    record('{"a":"é"}\r', 1),
    record("2", 4),
    record('"\u2028"', 5),
  ]);
});

test("a line that is not UTF-8 is the only one that is bad", async () => {
  const bytes = Buffer.concat([
    Buffer.from('"é"\n"'),
    Buffer.from([0xff]),
    Buffer.from('"\n"ü"\n'),
  ]);
  expect(await all(ndjsonEntries(chunksOf(bytes, 100)))).toEqual([
    record('"é"', 1),
    { kind: "bad", reason: "is not UTF-8", place: 2 },
    record('"ü"', 3),
  ]);
});

test("a line without end is not gathered for ever", async () => {
  const endless = ndjsonEntries(chunksOf(Buffer.alloc(2 << 20, "a"), 1 << 16));
  await expect(all(endless)).rejects.toThrow(/is larger than 524288 bytes .* is this NDJSON\?/);
});

// ---- CSV

const options = (types: [string, "string" | "number" | "boolean"][] = []) => ({
  name: "a.csv",
  delimiter: ",",
  columns: undefined,
  types: new Map(types),
  onFirst: () => {},
});

const csv = (text: string, given = options()): Promise<Entry[]> =>
  all(csvEntries(chunksOf(Buffer.from(text), 5), given));

test("columns are texts, numbers or booleans by their first rows", async () => {
  const text = 'zip,n,ok,t\n007,1,true,"a, ""b"""\n123,-2.5e3,False,\n\n1,,,"x\ny"\n';
  expect(await csv(text)).toEqual([
    record('{"zip":"007","n":1,"ok":true,"t":"a, \\"b\\""}', 2),
    record('{"zip":"123","n":-2500,"ok":false,"t":""}', 3),
    record('{"zip":"1","n":null,"ok":null,"t":"x\\ny"}', 6),
  ]);
});

test("what does not fit its column is bad, and says what to declare", async () => {
  const rows = Array.from({ length: 1_000 }, (_, i) => `${i}\n`).join("");
  const entries = await csv(`n\n${rows}007\n1,2\n8\n`);
  expect(entries).toHaveLength(1_003);
  expect(entries.slice(1_000)).toEqual([
    {
      kind: "bad",
      reason: 'has "007" in column "n" of type number; declare it by --types n=string',
      place: 1_002,
    },
    { kind: "bad", reason: "has 2 cells, and there are 1 columns", place: 1_003 },
    record('{"n":8}', 1_004),
  ]);
});

test.each([
  ["007", "number", 7],
  ["+.5", "number", 0.5],
  ["12345678901234567890", "number", undefined],
  ["0x10", "number", undefined],
  ["TRUE", "boolean", true],
  ["yes", "boolean", undefined],
  ["1", "string", "1"],
] as const)("%j declared as %s is %j", (cell, type, value) => {
  const outcome = rowOf(columnsOf(["c"], [], new Map([["c", type]])), [cell]);
  expect(outcome).toEqual(
    value === undefined
      ? { kind: "bad", reason: expect.stringContaining(`column "c" of type ${type}`) }
      : { kind: "row", json: JSON.stringify({ c: value }) },
  );
});

test("numbers that a number cannot hold stay texts", () => {
  const columns = columnsOf(["id"], [["1"], ["12345678901234567890"]], new Map());
  expect(columns).toEqual([{ name: "id", type: "string", isDeclared: false }]);
});

test.each([
  [["a", ""], "column 2 has no name"],
  [["a", "b", "a"], 'two columns are named "a"'],
  [["__proto__"], 'a column is named "__proto__"'],
  [["a", "b"], undefined],
])("header %j: %s", (names, problem) => {
  expect(headerProblem(names)).toBe(problem);
});

test.each([
  ['a\n"1', /Quote Not Closed/],
  ["a,a\n1,2", /two columns are named "a"/],
])("%j ends with its reason", async (text, reason) => {
  await expect(csv(text)).rejects.toThrow(reason);
});

// ---- Batches

async function* entries(lines: readonly (string | undefined)[]): Entries {
  yield lines.map((json, i) =>
    json === undefined ? { kind: "bad", reason: "is bad", place: i + 1 } : record(json, i + 1),
  );
}

async function cut(lines: readonly (string | undefined)[], rows: number) {
  const skipped: BadRecord[] = [];
  const batches: Batch[] = [];
  const onBad = (bad: BadRecord): void => void skipped.push(bad);
  for await (const batch of batchesOf(entries(lines), { rows, onBad })) batches.push(batch);
  return { batches, places: skipped.map(({ place }) => place) };
}

test("what is skipped does not move the positions of other batches", async () => {
  const good = await cut(["1", "2", "3", "4", "5"], 2);
  const spoilt = await cut(["1", "2", undefined, '{"__proto__":1}', "5"], 2);
  expect(good.batches.map(({ position }) => position)).toEqual([0, 2, 4]);
  expect(spoilt.batches).toEqual([good.batches[0], good.batches[2]]);
  expect(spoilt.places).toEqual([3, 4]);
});

test("no batch leaves before all that precedes its end was read and found good", async () => {
  const onBad = ({ place }: BadRecord): never => {
    throw new Error(`line ${place}`);
  };
  const batches = batchesOf(entries(["1", "2", "3", "{", "5"]), { rows: 2, onBad });
  expect((await batches.next()).value).toMatchObject({ places: [1, 2] });
  await expect(batches.next()).rejects.toThrow("line 4");
});

// ---- Delivery

/** A topic as far as a delivery sees it, which refuses whatever `refusalOf` says. */
function topicThat(refusalOf: (body: string, key: string) => Outcome<Appended> | undefined) {
  const kept = new Map<string, string>();
  return {
    kept,
    place: "here",
    pause: async () => {},
    append: async (_: string, { key, ndjson }: AppendBody): Promise<Outcome<Appended>> => {
      // As over a network, answers take their time.
      await new Promise((resolve) => setImmediate(resolve));
      const body = new TextDecoder().decode(ndjson);
      const refusal = refusalOf(body, key);
      if (refusal !== undefined) return refusal;
      const duplicate = kept.has(key);
      kept.set(key, body);
      return { kind: "answer", body: { duplicate } };
    },
  };
}

async function* batches(count: number): AsyncGenerator<Batch> {
  for (let i = 0; i < count; i++)
    yield { position: 2 * i, lines: [`${2 * i}`, `${2 * i + 1}`], places: [2 * i + 1, 2 * i + 2] };
}

const refused = (status: number, reason: string): Outcome<Appended> => ({
  kind: "refused",
  status,
  reason,
});

test("a record that only the deployment can refuse is left out, and named by its place", async () => {
  const api = topicThat((body) =>
    body.includes("5\n") ? refused(400, "Line 2: the topic's key is undefined") : undefined,
  );
  const skipped: BadRecord[] = [];
  const onBad = (bad: BadRecord): void => void skipped.push(bad);
  const delivery = new Delivery({ api, topic: "t", stream: "s", patience: 1_000, onBad });
  await delivery.sendAll(batches(4), 3);
  expect(skipped).toEqual([{ place: 6, reason: "the topic's key is undefined" }]);
  expect(Object.fromEntries(api.kept)).toEqual({
    "s-0": "0\n1\n",
    "s-2": "2\n3\n",
    "s-4": "4\n",
    "s-6": "6\n7\n",
  });
  expect(delivery.delivered).toMatchObject({ records: 7, keptBefore: 0 });
});

test("another stream is found out before any of it is sent; after an error nothing is begun", async () => {
  const deliveryTo = (api: ReturnType<typeof topicThat>) =>
    new Delivery({ api, topic: "t", stream: "s", patience: 1_000, onBad: () => {} });
  const taken = topicThat((_, key) => (key === "s-0" ? refused(422, "used") : undefined));
  await expect(deliveryTo(taken).sendAll(batches(9), 4)).rejects.toThrow(
    /^Other records were sent/,
  );
  expect(taken.kept.size).toBe(0);

  const broken = topicThat((_, key) => (key === "s-2" ? refused(404, "gone") : undefined));
  await expect(deliveryTo(broken).sendAll(batches(99), 4)).rejects.toThrow("gone");
  expect(broken.kept.size).toBeLessThanOrEqual(4);
});
