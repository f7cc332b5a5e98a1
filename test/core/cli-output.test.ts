import { stripVTControlCharacters } from "node:util";

import { expect, test } from "vitest";

import type { JobOverview } from "../../cli/api.ts";
import { jobByPrefix } from "../../cli/jobs.ts";
import { textOf } from "../../cli/savepoint-progress.ts";
import { dataOf } from "../../cli/server-events.ts";
import { bytesText, durationText, printable, tableOf } from "../../cli/output.ts";

test("the data of server-sent events, however they are cut", async () => {
  const text =
    ': hello\n\nevent: a\ndata: {"n":1}\nid: 0\n\n: still\n\ndata: 2\ndata: 3\n\ndata: cut';
  for (const size of [1, 7, text.length]) {
    const chunks = async function* () {
      for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
    };
    expect(await Array.fromAsync(dataOf(chunks()))).toEqual(['{"n":1}', "2\n3"]);
  }
});

test("how far a savepoint is", () => {
  expect([
    textOf({ status: "WAITING" }),
    textOf({ status: "IN_PROGRESS", acknowledged: 3, total: 8, bytes: 1_200_000 }),
    textOf({ status: "COMPLETED" }),
  ]).toEqual([
    "The savepoint waits for its turn.",
    "Savepoint: 3 of 8 subtasks, 1.2 MB",
    undefined,
  ]);
});

test("columns are as wide as their widest cell, and text cannot steer the terminal", () => {
  const columns = [{ title: "KEY" }, { title: "N", align: "right" }] as const;
  const rows = [
    ["a", 1],
    ["b\u001b[2Jc", 12_345],
  ];
  expect(stripVTControlCharacters(tableOf(columns, rows)).split("\n")).toEqual([
    "KEY              N",
    "a                1",
    "b\\u001b[2Jc  12345",
  ]);
  expect(printable("a\r\n\tb\u009b")).toBe("a\\u000d\\n\\tb\\u009b");
});

test.each([
  [-1, "-"],
  [0, "0 ms"],
  [999, "999 ms"],
  [1_500, "1.5 s"],
  [61_000, "1 min 1 s"],
  [3_660_000, "1 h 1 min"],
  [180_000_000, "2 d 2 h"],
])("%d ms is %s", (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [1_234_567, "1.2 MB"],
  [5e15, "5000.0 TB"],
])("%d bytes are %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test("a job is found by a beginning that no other job's id has", () => {
  const job = (jid: string): JobOverview => ({
    jid,
    name: "",
    state: "RUNNING",
    "start-time": 0,
    "end-time": -1,
    duration: 0,
    tasks: { total: 0 },
  });
  const jobs = [job("ab1"), job("ab2"), job("c")];
  expect(jobByPrefix("c", jobs)).toEqual({ kind: "found", id: "c" });
  expect(jobByPrefix("ab2", jobs)).toEqual({ kind: "found", id: "ab2" });
  expect(jobByPrefix("ab", jobs)).toEqual({ kind: "several", jobs: jobs.slice(0, 2) });
  expect(jobByPrefix("d", jobs)).toEqual({ kind: "none" });
});
