import { describe, expect, test } from "vitest";

import { jobIdFrom } from "../../format/ids.ts";
import { HttpError } from "../../worker/errors.ts";
import { forkRequestOf, runRequestOf } from "../../worker/run-request.ts";

const run = (body: unknown, query: Record<string, string> = {}) =>
  runRequestOf("flights", body === undefined ? "" : JSON.stringify(body), query);

function refusalOf(body: unknown, query?: Record<string, string>): HttpError {
  try {
    run(body, query);
  } catch (error) {
    if (error instanceof HttpError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

const nothing = {
  jobId: undefined,
  parallelism: undefined,
  flinkConfiguration: {},
  programArgs: [],
  restore: undefined,
};

describe("a request to run", () => {
  test("may say nothing", () => {
    expect(run(undefined)).toEqual(nothing);
    expect(run({})).toEqual(nothing);
  });

  test("takes what Flink's dashboard sends: nulls, empty texts, numbers as texts", () => {
    const sent = {
      entryClass: "flights",
      parallelism: "3",
      programArgs: null,
      savepointPath: "",
      allowNonRestoredState: null,
    };
    expect(run(sent)).toEqual({ ...nothing, parallelism: 3 });
    const query = { "entry-class": "", parallelism: "5", savepointPath: "" };
    expect(run(sent, query)).toMatchObject({ parallelism: 5 });
  });

  test("carries settings as texts, and a job id", () => {
    const jobId = "0123456789abcdef".repeat(2);
    const flinkConfiguration = { "execution.checkpointing.interval": 500, a: true, b: "c" };
    expect(run({ jobId, flinkConfiguration })).toEqual({
      ...nothing,
      jobId,
      flinkConfiguration: { "execution.checkpointing.interval": "500", a: "true", b: "c" },
    });
  });

  test.each<[unknown, Record<string, string>]>([
    [{ programArgs: "--airport 'S F O'" }, {}],
    [{ programArgsList: ["--airport", "S F O"], programArgs: "" }, {}],
    [{}, { "program-args": '--airport "S F O"' }],
    [{ programArgsList: ["--other"] }, { programArg: "--airport,S F O" }],
  ])("carries program arguments: %j with %j", (body, query) => {
    expect(run(body, query).programArgs).toEqual(["--airport", "S F O"]);
  });

  test.each([
    ["parallelism: must be a whole number", { parallelism: 0 }],
    ["parallelism: must be a whole number", { parallelism: "two" }],
    ["parallelism: must be a whole number", { parallelism: 1.5 }],
    ["jobId: must be 32 lower-case hex digits", { jobId: "ABC" }],
    ["flinkConfiguration.a: must be", { flinkConfiguration: { a: {} } }],
    ['unknown field "paralelism" \\(allowed: entryClass, parallelism', { paralelism: 2 }],
    ["CLAIM needs a savepointPath", { claimMode: "CLAIM" }],
    ["two names of one setting", { claimMode: "CLAIM", restoreMode: "NO_CLAIM" }],
    ['"other.Main" is not in "flights"', { entryClass: "other.Main" }],
    ["must be a JSON object", [1]],
  ])("is refused with 400: %s", (reason, body) => {
    const refusal = refusalOf(body);
    expect(refusal.status).toBe(400);
    expect(refusal.message).toMatch(new RegExp(reason));
  });

  test("is refused with 400 for an unknown query parameter", () => {
    expect(refusalOf({}, { parallel: "2" }).message).toMatch(/Allowed: entry-class, parallelism/);
  });

  test("begins with a savepoint or a checkpoint, named by its folder or its manifest", () => {
    const job = "0123456789abcdef".repeat(2);
    for (const folder of [
      `savepoints/a/savepoint-${job}-17`,
      `jobs/${job}/chk-3`,
      "savepoints/s",
    ]) {
      for (const savepointPath of [folder, `${folder}/`, `${folder}/_metadata`]) {
        expect(run({ savepointPath, claimMode: "NO_CLAIM" }).restore).toEqual({
          path: `${folder}/_metadata`,
          allowNonRestoredState: false,
          claims: false,
        });
      }
    }
    const query = { savepointPath: "savepoints/s", allowNonRestoredState: "true" };
    expect(run({}, query).restore).toMatchObject({ allowNonRestoredState: true });
    for (const name of ["claimMode", "restoreMode"]) {
      const { restore } = run({ savepointPath: "savepoints/s", [name]: "CLAIM" });
      expect(restore).toMatchObject({ claims: true });
    }
  });

  test.each([
    "jobs/x",
    "savepoints/../jobs/x",
    "savepoints",
    "savepoints//a",
    "savepoints/.a",
    "/savepoints/a",
    "jobs/0/chk-1",
    `jobs/${"0".repeat(32)}/chk-0`,
    `jobs/${"0".repeat(32)}/chk-1/x`,
    "s3://bucket/savepoints/a",
    `savepoints/${"a/".repeat(9)}b`,
  ])("is refused with 400 for a savepointPath like %s", (savepointPath) => {
    expect(refusalOf({ savepointPath }).message).toMatch(/neither a savepoint/);
  });

  test.each([{ claimMode: "LEGACY" }, { restoreMode: "LEGACY" }])(
    "is refused with 400 for what Flink has removed: %o",
    (body) => {
      expect(refusalOf(body).status).toBe(400);
    },
  );
});

describe("a request to fork a job", () => {
  const job = jobIdFrom(new Uint8Array(16).fill(7));
  const fork = (body: unknown) => forkRequestOf(job, JSON.stringify(body));

  test("may say nothing, or what a request to run may say but for what to begin with", () => {
    expect(forkRequestOf(job, "")).toEqual({
      program: undefined,
      jobId: undefined,
      parallelism: undefined,
      flinkConfiguration: {},
      programArgs: undefined,
      allowNonRestoredState: false,
    });
    expect(fork({ programArgsList: [] }).programArgs).toEqual([]);
    expect(fork({ programArgs: "--a 1" }).programArgs).toEqual(["--a", "1"]);
    const sent = { programId: "other", parallelism: "3", allowNonRestoredState: true, jobId: "" };
    expect(fork(sent)).toMatchObject({
      program: "other",
      parallelism: 3,
      jobId: undefined,
      allowNonRestoredState: true,
    });
  });

  test.each([{ savepointPath: "savepoints/s" }, { claimMode: "CLAIM" }, { parallelism: "x" }, []])(
    "is refused with 400: %o",
    (body) => {
      expect(() => fork(body)).toThrow(HttpError);
    },
  );
});
