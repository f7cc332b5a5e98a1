import { describe, expect, test } from "vitest";

import { HttpError } from "../../worker/errors.ts";
import { runRequestOf } from "../../worker/run-request.ts";

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
        });
      }
    }
    const query = { savepointPath: "savepoints/s", allowNonRestoredState: "true" };
    expect(run({}, query).restore).toMatchObject({ allowNonRestoredState: true });
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

  test.each([{ claimMode: "CLAIM" }, { restoreMode: "LEGACY" }])(
    "is refused with 501 for what is not supported yet: %o",
    (body) => {
      expect(refusalOf(body).status).toBe(501);
    },
  );
});
