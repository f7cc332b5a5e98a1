// Any order of answers, losses, failures and reloads: the witness looks at every effect, and in the
// end, with the faults gone, the job gets somewhere.

import fc from "fast-check";
import { expect, test } from "vitest";

import { sizesOf } from "../../coordinator/plan.ts";
import { isTerminal } from "../../coordinator/job-record.ts";
import { attempt as attemptOf, checkpointId, type TaskId, taskKey } from "../../format/ids.ts";
import type { CheckpointType } from "../../format/job-status.ts";
import { decodeManifest, manifestFiles } from "../../format/manifest.ts";
import type { CheckpointAck } from "../../format/messages.ts";
import { isInSavepoint } from "../../format/paths.ts";
import { JobDriver, type Request, twoByTwo, twoRegions } from "./job-driver.ts";

const seconds = 1_000;

type Step =
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "sleep"; readonly ms: number }
  | { readonly kind: "answer"; readonly at: number; readonly how: number }
  | { readonly kind: "answerAll"; readonly what: Request["kind"] }
  | {
      readonly kind: "ack";
      readonly task: number;
      readonly back: number;
      readonly full: boolean;
      readonly attemptsBack: number;
    }
  | { readonly kind: "ackAll" }
  | { readonly kind: "decline"; readonly back: number; readonly attemptsBack: number }
  | { readonly kind: "fail"; readonly task: number; readonly attemptsBack: number }
  | { readonly kind: "reload"; readonly landed: boolean }
  | { readonly kind: "idle"; readonly how: "busy" | "changed" | "clean"; readonly but: number }
  | { readonly kind: "active"; readonly task: number }
  | {
      readonly kind: "savepoint";
      readonly of: number;
      readonly ends: "stop" | "cancel" | undefined;
    }
  | { readonly kind: "checkpoint"; readonly of: number; readonly type: CheckpointType }
  | { readonly kind: "rescale"; readonly sizes: readonly [number, number] }
  | { readonly kind: "cancel" };

const back = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 2 }) },
);
const task = fc.nat({ max: 3 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.nat(3 * seconds) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.nat(70 * seconds) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sleep"), ms: fc.nat(30 * seconds) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("answer"), at: fc.nat(20), how: fc.nat(9) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("answerAll"),
      what: fc.constantFrom<Request["kind"][]>(
        "loadManifest",
        "deploy",
        "start",
        "publish",
        "heartbeat",
        "heartbeat",
        "notify",
        "rest",
        "cancelTasks",
        "sweep",
        "deleteFolder",
        "probeManifest",
        "announce",
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("ack"),
      task,
      back,
      full: fc.boolean(),
      attemptsBack: back,
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("ackAll") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("decline"), back, attemptsBack: back }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail"), task, attemptsBack: back }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reload"), landed: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("idle"),
      how: fc.constantFrom("busy", "changed", "clean", "clean"),
      but: fc.integer({ min: -12, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("active"), task }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("savepoint"),
      of: fc.nat(5),
      ends: fc.constantFrom(undefined, undefined, undefined, undefined, "stop", "cancel"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("checkpoint"),
      of: fc.nat(9),
      type: fc.constantFrom<CheckpointType>("CONFIGURED", "FULL"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("rescale"),
      sizes: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    }),
  },
) as fc.Arbitrary<Step>;

const scenario = fc.record({
  plan: fc.constantFrom(twoByTwo, twoRegions),
  checkpointing: fc.record({
    minPause: fc.constantFrom(0, 1_500),
    maxConcurrent: fc.constantFrom(1, 1, 2, 3),
    tolerableFailures: fc.constantFrom(0, 1, 5),
    retained: fc.constantFrom(1, 2, 3),
    retention: fc.constantFrom(
      "NO_EXTERNALIZED_CHECKPOINTS" as const,
      "DELETE_ON_CANCELLATION" as const,
      "RETAIN_ON_CANCELLATION" as const,
    ),
  }),
  restart: fc.record({ attempts: fc.constantFrom(0, 2, 1_000), delay: fc.constantFrom(0, 700) }),
  warm: fc.boolean(),
  steps: fc.array(step, { minLength: 10, maxLength: 120 }),
  cancelAfter: fc.option(fc.nat(150)),
});

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

/** Answers one request: mostly well, else in one of the ways in which it can go wrong. */
function answer(driver: JobDriver, request: Request, how: number): void {
  if (how <= 5) return driver.answer(request);
  const lost = how === 6;
  const message = "lost";
  switch (request.kind) {
    case "deploy":
      return driver.answerDeploy(request, {
        kind: "refused",
        reason: message,
        ...(how === 9 && { fault: "damagedState" }),
      });
    case "start":
      return driver.answerStart(request, lost ? { kind: "silent", message } : { kind: "unknown" });
    case "heartbeat":
    case "notify":
      return driver.answerHeartbeat(
        request,
        how === 8 ? { kind: "unknown" } : { kind: "silent", message },
      );
    case "rest":
      return driver.answerRest(
        request,
        how === 6
          ? { kind: "silent", message }
          : { kind: how === 7 ? "unknown" : how === 8 ? "busy" : "resting" },
      );
    case "publish":
      if (how === 6) return driver.answerPublish(request, { kind: "unknown", message });
      if (how === 7) return driver.answerPublish(request, { kind: "exists", message });
      driver.bucket.set(request.candidate.path, request.bytes);
      return driver.answerPublish(request, { kind: "unknown", message });
    case "loadManifest":
      driver.inFlight = driver.inFlight.filter((each) => each !== request);
      return driver.event((job, now) =>
        job.manifestFailed(request.attempt, { damaged: how > 7, message }, now),
      );
    case "trigger":
      driver.inFlight = driver.inFlight.filter((each) => each !== request);
      return driver.event((job, now) =>
        job.triggered(
          request.attempt,
          request.checkpoint!,
          request.task,
          lost ? { kind: "silent", message } : { kind: "unknown" },
          now,
        ),
      );
    default:
      // Never answered.
      driver.inFlight = driver.inFlight.filter((each) => each !== request);
  }
}

/** One of its subtasks, however many there are. */
const someOf = ({ tasks }: JobDriver, number: number): TaskId => tasks[number % tasks.length]!;

function act(driver: JobDriver, step: Step): void {
  const { checkpoints } = driver.record;
  switch (step.kind) {
    case "advance":
      return driver.advance(step.ms);
    case "sleep":
      return driver.sleep(step.ms);
    case "answer": {
      const request = driver.inFlight[step.at % Math.max(1, driver.inFlight.length)];
      return request === undefined ? undefined : answer(driver, request, step.how);
    }
    case "answerAll":
      return driver.answerAll(step.what);
    case "ack": {
      const id = checkpointId(Math.max(1, checkpoints.nextId - 1 - step.back));
      const from = someOf(driver, step.task);
      const own = checkpoints.open.find((open) => open.id === id);
      if (own !== undefined && step.attemptsBack === 0) {
        return driver.ack(from, own.id, { full: step.full });
      }
      // Anything else is a stray: of a checkpoint that is over or unheard of, of another attempt.
      const attempt = driver.attemptOf(from);
      const stray: CheckpointAck = {
        attempt: attemptOf(Math.max(1, attempt - step.attemptsBack)),
        checkpoint: id,
        task: from,
        state: { keyed: [], operator: [] },
        metrics: { alignment: 0, syncDuration: 0, asyncDuration: 0, bytes: 0, stateBytes: 0 },
      };
      if (stray.attempt === attempt && own !== undefined) return;
      return driver.event((job, now) => job.acknowledged(stray, now));
    }
    case "ackAll":
      return checkpoints.open.length === 0 ? undefined : driver.ackAll(checkpoints.open.at(-1)!.id);
    case "decline":
      return driver.decline(
        checkpointId(Math.max(1, checkpoints.nextId - 1 - step.back)),
        attemptOf(Math.max(1, driver.attempt - step.attemptsBack)),
      );
    case "fail": {
      const failing = someOf(driver, step.task);
      const attempt = driver.attemptOf(failing);
      return driver.fail(failing, attemptOf(Math.max(1, attempt - step.attemptsBack)));
    }
    case "reload":
      return driver.reload({ landed: step.landed });
    case "idle":
      driver.activityOf = (each) => {
        const busy = driver.tasks[step.but];
        const isBusy = busy !== undefined && taskKey(busy) === taskKey(each);
        if (step.how === "busy" || isBusy) return { isIdle: false };
        const latest = driver.record.checkpoints.retained[0]?.id;
        const isClean = step.how === "clean" && latest !== undefined;
        return { isIdle: true, ...(isClean && { cleanSince: latest }) };
      };
      return;
    case "active":
      return driver.active(someOf(driver, step.task));
    case "savepoint":
      driver.savepoint(`${step.of}`.repeat(32), step.ends);
      return;
    case "checkpoint":
      driver.checkpoint(`${step.of}`.repeat(32), step.type);
      return;
    case "rescale": {
      const [sources, counters] = driver.plan.vertices;
      driver.rescale({ [sources!.id]: step.sizes[0], [counters!.id]: step.sizes[1] });
      return;
    }
    case "cancel":
      driver.cancel();
      return;
    default:
      step satisfies never;
  }
}

/** No more faults: everybody has something to do, everything is answered, and time passes. */
function heal(driver: JobDriver): void {
  driver.activityOf = () => {
    const { stopping } = driver.record;
    if (stopping === undefined) return { isIdle: false };
    const { id: checkpoint } = stopping.savepoint;
    return { isIdle: false, stopped: { checkpoint, isCommitted: true } };
  };
  for (const request of driver.requests("rest")) driver.answerRest(request, { kind: "busy" });
  if (driver.record.restingSince !== undefined) driver.active();
  for (let round = 0; round < 400; round++) {
    for (const request of driver.inFlight) {
      if (driver.inFlight.includes(request)) driver.answer(request);
    }
    const { open } = driver.record.checkpoints;
    if (open.length > 0 && driver.record.checkpoints.publishing.length === 0) {
      driver.ackAll(open.at(-1)!.id);
    }
    driver.advance(250);
    const isQuiet = driver.inFlight.length === 0 && driver.job.nextWakeAt() === undefined;
    if (isTerminal(driver.record.phase) && isQuiet) return;
  }
}

/** One region's restart is due in the very tick in which another's deployment has timed out. */
const restartDueAsAnotherTimesOut: Scenario = {
  plan: twoRegions,
  checkpointing: {
    minPause: 0,
    maxConcurrent: 1,
    tolerableFailures: 0,
    retained: 1,
    retention: "NO_EXTERNALIZED_CHECKPOINTS",
  },
  restart: { attempts: 2, delay: 700 },
  warm: false,
  steps: [
    { kind: "answer", at: 0, how: 6 },
    { kind: "advance", ms: 59_523 },
    { kind: "advance", ms: 1_177 },
    { kind: "answer", at: 0, how: 0 },
    { kind: "answer", at: 0, how: 0 },
    { kind: "reload", landed: false },
    { kind: "reload", landed: false },
    { kind: "advance", ms: 0 },
    { kind: "reload", landed: false },
  ],
  cancelAfter: null,
};

/** The files of savepoints that are in the bucket, and those of the savepoints that are complete. */
const savepointFilesIn = ({ bucket }: JobDriver): string[] =>
  [...bucket.keys()].filter(isInSavepoint).sort();

const savepointFilesOf = ({ record, bucket }: JobDriver): string[] =>
  (record.savepoints ?? [])
    .flatMap(({ progress }) => {
      if (progress.kind !== "completed") return [];
      const { path } = progress;
      return [path, ...manifestFiles(decodeManifest(bucket.get(path)!, path))];
    })
    .sort();

test(
  "random orders of events keep J1 to J9, K1 to K6, P1 to P5, N1 to N3 and X1 to X5, and end well",
  { timeout: 120_000 },
  () => {
    fc.assert(
      fc.property(scenario, ({ plan, checkpointing, restart, warm, steps, cancelAfter }) => {
        const driver = new JobDriver({ plan, checkpointing, restart }, []);
        if (warm) {
          driver.deployAll();
          driver.complete();
        }
        for (const [at, one] of steps.entries()) {
          if (at === cancelAfter) driver.cancel();
          act(driver, one);
        }
        if (cancelAfter !== null && cancelAfter >= steps.length) driver.cancel();
        const before = driver.record.checkpoints.counts.completed;
        heal(driver);
        const { phase, checkpoints, announced, lastModification } = driver.record;
        expect(announced).toBe(lastModification);
        expect(driver.listed?.phase).toBe(phase);
        expect(driver.history.length).toBeLessThanOrEqual(14);
        if (cancelAfter !== null) expect(["CANCELED", "FAILED", "FINISHED"]).toContain(phase);
        const savepoints = driver.record.savepoints ?? [];
        expect(
          savepoints.every(({ progress: { kind } }) => kind === "completed" || kind === "failed"),
        ).toBe(true);
        const asked = driver.record.manualCheckpoints ?? [];
        expect(
          asked.every(({ progress: { kind } }) => kind === "completed" || kind === "failed"),
        ).toBe(true);
        expect(savepointFilesOf(driver)).toEqual(savepointFilesIn(driver));
        const [last] = driver.job.details().rescales;
        expect(["completed", "failed", undefined]).toContain(last?.progress.kind);
        expect(driver.record.retired ?? []).toEqual([]);
        if (!isTerminal(phase)) expect(driver.record.next).toBeUndefined();
        if (last?.progress.kind === "completed") {
          expect(sizesOf(driver.record.plan)).toEqual(last.parallelism);
        }
        if (isTerminal(phase)) {
          expect(driver.job.nextWakeAt()).toBeUndefined();
          const kept = checkpoints.retained.flatMap((entry) => entry.files);
          const own = [...driver.bucket.keys()].filter((path) => !isInSavepoint(path));
          expect(own.sort()).toEqual([...new Set(kept)].sort());
        } else {
          expect(phase).toBe("RUNNING");
          expect(checkpoints.counts.completed).toBeGreaterThan(before + 10);
          const { total, running } = driver.job.summary().tasks;
          expect(running).toBe(total);
        }
      }),
      { numRuns: 500, examples: [[restartDueAsAnotherTimesOut]] },
    );
  },
);
