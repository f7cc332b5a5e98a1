import { DatabaseSync } from "node:sqlite";

import { beforeEach, expect, test } from "vitest";

import { JobList } from "../../coordinator/job-list.ts";
import { type JobId, millis } from "../../format/ids.ts";
import type { JobSummary } from "../../format/messages.ts";

const summary = (id: string, at: number, change: Partial<JobSummary> = {}): JobSummary => ({
  job: id.repeat(16) as JobId,
  program: "flights",
  phase: "INITIALIZING",
  startTime: millis(at),
  endTime: -1,
  lastModification: millis(at),
  tasks: { total: 2, running: 0 },
  ...change,
});

let jobs: JobList;
beforeEach(() => {
  const db = new DatabaseSync(":memory:");
  jobs = new JobList({ exec: (query, ...bindings) => db.prepare(query).all(...bindings) });
});

test("a registered job is listed, newest first (J1)", () => {
  expect(jobs.register(summary("aa", 1_000))).toEqual({ kind: "registered" });
  expect(jobs.register(summary("bb", 2_000))).toEqual({ kind: "registered" });
  expect(jobs.list().map(({ startTime }) => startTime)).toEqual([2_000, 1_000]);
  expect(jobs.get(summary("aa", 0).job)?.startTime).toBe(1_000);
  expect(jobs.get(summary("cc", 0).job)).toBeUndefined();
});

test("registering again changes nothing; under another program it is refused", () => {
  jobs.register(summary("aa", 1_000));
  jobs.update(summary("aa", 1_100, { phase: "RUNNING" }));
  expect(jobs.register(summary("aa", 5_000))).toEqual({ kind: "known" });
  const other = summary("aa", 5_000, { program: "other" });
  expect(jobs.register(other)).toEqual({ kind: "taken", program: "flights" });
  expect(jobs.list()).toEqual([summary("aa", 1_100, { phase: "RUNNING" })]);
});

test("an older update is ignored, an equally old one taken (J2)", () => {
  jobs.register(summary("aa", 1_000));
  jobs.update(summary("aa", 1_200, { phase: "RUNNING" }));
  jobs.update(summary("aa", 1_100, { phase: "RESTARTING" }));
  expect(jobs.list()[0]?.phase).toBe("RUNNING");
  jobs.update(summary("aa", 1_200, { phase: "CANCELLING" }));
  expect(jobs.list()[0]?.phase).toBe("CANCELLING");
});

test("any update replaces a registration, though its clock be behind (J3)", () => {
  jobs.register(summary("aa", 9_000));
  jobs.update(summary("aa", 1_000, { phase: "RUNNING" }));
  expect(jobs.list()[0]?.phase).toBe("RUNNING");
});

test("an update of a job that was never registered lists it", () => {
  jobs.update(summary("aa", 1_000, { phase: "RUNNING" }));
  expect(jobs.list()).toHaveLength(1);
});
