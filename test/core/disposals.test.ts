// What the dispatcher remembers of savepoints that are to be deleted.

import { DatabaseSync } from "node:sqlite";

import { beforeEach, expect, test } from "vitest";

import { Disposals } from "../../coordinator/disposals.ts";
import { type JobId, millis } from "../../format/ids.ts";
import { disposableFolder, jobOfSavepoint } from "../../format/paths.ts";

const folder = "savepoints/a/";
const start = millis(1_000_000);

let db: DatabaseSync;
const opened = (): Disposals =>
  new Disposals({ exec: (query, ...bindings) => db.prepare(query).all(...bindings) });
let disposals: Disposals;
beforeEach(() => {
  db = new DatabaseSync(":memory:");
  disposals = opened();
});

test("a request is known by its trigger id, also to another memory (D1)", () => {
  disposals.accept({ trigger: "t", folder }, start);
  disposals = opened();
  expect([disposals.known("t"), disposals.known("u")]).toEqual([{ folder }, undefined]);
  expect([disposals.status("t"), disposals.status("u")]).toEqual([
    { kind: "inProgress" },
    undefined,
  ]);
  expect(disposals.open).toEqual([{ trigger: "t", folder, due: start }]);
  disposals.deleted("t", start);
  expect([disposals.status("t"), disposals.open]).toEqual([{ kind: "completed" }, []]);
});

test("nobody begins with what is being deleted, nor with a manifest that was read before (D3)", () => {
  const isGoing = (at: number): boolean => disposals.isGoing(folder, millis(at));
  expect(isGoing(start)).toBe(false);
  disposals.accept({ trigger: "t", folder }, start);
  expect(isGoing(start + 10 ** 9)).toBe(true);
  expect(disposals.isOpen(folder)).toBe(true);
  disposals.deleted("t", start);
  expect(disposals.isOpen(folder)).toBe(false);
  expect([isGoing(start + 59_999), isGoing(start + 60_000)]).toEqual([true, false]);
  expect(disposals.isGoing("savepoints/a/b/", start)).toBe(false);
});

test("a store that takes no deletion is tried again, ever later, and then given up", () => {
  disposals.accept({ trigger: "t", folder }, start);
  const waits: number[] = [];
  for (let now = Number(start); disposals.open.length > 0; now += waits.at(-1) ?? 0) {
    disposals.notDeleted("t", "it is down", millis(now));
    waits.push(...disposals.open.map(({ due }) => due - now));
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  expect(disposals.status("t")).toEqual({
    kind: "failed",
    message: "It is not deleted whole after 10 tries. The last failed: it is down",
  });
  expect([disposals.isGoing(folder, start), disposals.wasBegun(folder)]).toEqual([false, true]);
});

test("the last outcomes are kept, and all that is open", () => {
  disposals.accept({ trigger: "open", folder }, start);
  for (let n = 0; n < 100; n++) {
    disposals.accept({ trigger: `t${n}`, folder }, start);
    disposals.deleted(`t${n}`, start);
  }
  disposals.accept({ trigger: "last", folder }, start);
  const known = ["open", "t0", "t35", "t36", "t99", "last"].map((id) => disposals.known(id));
  expect(known.map((each) => each !== undefined)).toEqual([true, false, false, true, true, true]);
});

test.each([
  ["savepoints/a", "savepoints/a/"],
  ["savepoints/a/b/", "savepoints/a/b/"],
  ["savepoints/a/_metadata", "savepoints/a/"],
  ["savepoints/", undefined],
  ["savepoints", undefined],
  ["", undefined],
  ["savepoints/../jobs", undefined],
  ["savepoints/./a", undefined],
  ["savepoints/a/../../jobs", undefined],
  ["savepoints//a", undefined],
  ["/savepoints/a", undefined],
  [`jobs/${"0".repeat(32)}/chk-1`, undefined],
  [`savepoints/${"a/".repeat(9)}b`, undefined],
])("the folder that %j means", (text, expected) => {
  expect(disposableFolder(text)).toBe(expected);
});

test("a folder's name tells whose savepoint it is, unless it was given another", () => {
  const job = "0a".repeat(16) as JobId;
  expect(jobOfSavepoint(`savepoints/x/savepoint-${job}-7/`)).toBe(job);
  expect(jobOfSavepoint(`savepoints/x/savepoint-${job}-7/copy/`)).toBeUndefined();
  expect(jobOfSavepoint(`savepoints/mine/`)).toBeUndefined();
});
