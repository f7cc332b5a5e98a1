// Checkpoints of one job that another begins with: what is held for it, until when, and what goes after.
// Two drivers share a bucket; what the one says to the other is carried over by hand.

import { expect, test } from "vitest";

import { askAfter, holdsMax } from "../../coordinator/holds.ts";
import { tellAgain } from "../../coordinator/restore-point.ts";
import type { HoldOutcome, HoldRequest } from "../../format/holds.ts";
import { attempt, checkpointId, jobIdFrom, millis } from "../../format/ids.ts";
import { heartbeatInterval } from "../../format/limits.ts";
import type { JobSubmission } from "../../format/messages.ts";
import { jobPrefix } from "../../format/paths.ts";
import { type DriverOptions, JobDriver } from "./job-driver.ts";

const other = jobIdFrom(new Uint8Array(16).fill(9));
const third = jobIdFrom(new Uint8Array(16).fill(10));

type Held = Extract<HoldOutcome, { kind: "held" }>;
type Restore = NonNullable<JobSubmission["restore"]>;

/** A job with one completed checkpoint. */
function origin(options: DriverOptions = {}): JobDriver {
  const driver = new JobDriver(options);
  driver.deployAll();
  driver.complete();
  driver.take();
  return driver;
}

function held(driver: JobDriver, request: Partial<HoldRequest> = {}): Held {
  const answer = driver.hold({ by: other, ...request });
  if (answer.kind !== "held") throw new Error(answer.reason);
  return answer;
}

/** A job that begins with what is held. */
function begun(from: JobDriver, { hold, path }: Held, restore: Partial<Restore> = {}): JobDriver {
  const checkpoint = from.record.holds!.find(({ nth }) => nth === hold.nth)!.checkpoint.id;
  const job = new JobDriver({
    job: other,
    bucket: from.bucket,
    restore: { path, checkpoint, allowNonRestoredState: false, hold, ...restore },
  });
  job.deployAll();
  return job;
}

const filesOf = (driver: JobDriver): string[] =>
  [...driver.bucket.keys()].filter((path) => path.startsWith(jobPrefix(driver.record.job)));

/** The holder's word that it needs nothing any more, and the answer. */
function carried(from: JobDriver, to: JobDriver): void {
  const [request] = from.requests("letGo");
  if (request === undefined) throw new Error("Nothing was let go.");
  to.event((job, now) => job.released(request.hold.nth, now));
  from.answer(request);
}

test("H1: what is held outlives the origin's retention, and goes when it is let go", () => {
  const driver = origin();
  const { hold } = held(driver);
  const { files } = driver.record.holds![0]!.checkpoint;
  for (let round = 0; round < 3; round++) driver.complete({ full: true });
  expect(files.every((path) => driver.bucket.has(path))).toBe(true);
  driver.event((job, now) => job.released(hold.nth, now));
  expect(files.some((path) => driver.bucket.has(path))).toBe(false);
  expect(driver.record.holds).toEqual([]);
});

test("H4: what a later checkpoint shares with it stays", () => {
  const driver = origin();
  const { hold } = held(driver);
  driver.complete();
  driver.event((job, now) => job.released(hold.nth, now));
  for (const { files } of driver.record.checkpoints.retained) {
    expect(files.every((path) => driver.bucket.has(path))).toBe(true);
  }
  expect(driver.manifests()).toHaveLength(1);
});

test("H4: of two holds on one checkpoint the last takes it along", () => {
  const driver = origin();
  const first = held(driver);
  const second = held(driver, { by: third });
  expect(second.path).toBe(first.path);
  driver.complete({ full: true });
  driver.event((job, now) => job.released(first.hold.nth, now));
  expect(driver.bucket.has(first.path)).toBe(true);
  driver.event((job, now) => job.released(second.hold.nth, now));
  expect(driver.bucket.has(first.path)).toBe(false);
});

test("H1: a checkpoint that is not retained any more, or that there is none of, is not held", () => {
  const none = new JobDriver();
  expect(none.hold({ by: other })).toEqual({
    kind: "refused",
    reason: expect.stringMatching(/no completed checkpoint yet.*POST .*savepoints/) as string,
  });
  const driver = origin();
  const path = driver.record.checkpoints.retained[0]!.path;
  driver.complete();
  expect(driver.hold({ by: other, path })).toEqual({
    kind: "refused",
    reason: expect.stringMatching(/not retained/) as string,
  });
  driver.cancel();
  expect(driver.hold({ by: other })).toEqual({
    kind: "refused",
    reason: expect.stringMatching(/is CANCELED and has left no checkpoint/) as string,
  });
});

test("H1: what is held for one can be held for another when it is retained no longer", () => {
  const driver = origin();
  const { path } = held(driver);
  driver.complete();
  expect(held(driver, { by: third, path }).path).toBe(path);
});

test("H1: a client that asks without end is refused", () => {
  const driver = origin();
  for (let count = 0; count < holdsMax; count++) held(driver);
  expect(driver.hold({ by: other }).kind).toBe("refused");
});

const isKept = (driver: JobDriver, { path }: Held): boolean => driver.bucket.has(path);

test("H2: who has not said that it needs it is asked once a minute, and not any more once it has", () => {
  const driver = origin();
  const hold = held(driver);
  driver.complete({ full: true });
  driver.sleep(askAfter - 10_000);
  expect(driver.requests("askHolder")).toHaveLength(0);
  driver.advance(20_000);
  expect(driver.requests("askHolder")).toHaveLength(1);
  driver.inFlight = [];
  driver.reload();
  driver.deployAll();
  driver.advance(2 * askAfter);
  const [again] = driver.requests("askHolder");
  driver.answer(again!);
  expect(driver.record.holds![0]!.isFirm).toBe(true);
  driver.take();
  driver.advance(3 * askAfter);
  expect(driver.kinds()).not.toContain("askHolder");
  expect(isKept(driver, hold)).toBe(true);
});

test("H2: who needs nothing, or was never there, loses the hold", () => {
  const driver = origin();
  const hold = held(driver);
  driver.complete({ full: true });
  driver.event((job, now) => job.holderAnswered(hold.hold.nth, false, now));
  expect(driver.record.holds).toEqual([]);
  expect(isKept(driver, hold)).toBe(false);
});

test("H2: the Worker withdraws what came to nothing, and nothing that is firm", () => {
  const driver = origin();
  const [first, second] = [held(driver), held(driver)];
  driver.event((job, now) => job.holderAnswered(second.hold.nth, true, now));
  for (const { hold } of [first, second]) {
    driver.event((job, now) => job.withdrawn(hold.nth, now));
  }
  expect(driver.record.holds!.map(({ nth }) => nth)).toEqual([second.hold.nth]);
});

for (const end of ["cancelled", "failed"] as const) {
  test(`H3: it outlives the origin, ${end}, and is let go of after that`, () => {
    const driver = origin({ restart: { attempts: 0 } });
    const hold = held(driver);
    driver.event((job, now) => job.holderAnswered(hold.hold.nth, true, now));
    if (end === "cancelled") driver.cancel();
    else driver.fail();
    driver.advance(3 * 60_000);
    expect(["CANCELED", "FAILED"]).toContain(driver.record.phase);
    expect(isKept(driver, hold)).toBe(true);
    driver.reload();
    driver.event((job, now) => job.released(hold.hold.nth, now));
    expect(isKept(driver, hold)).toBe(driver.retained.length > 0);
    driver.advance(3 * 60_000);
    if (driver.retained.length === 0) expect(driver.bucket.size).toBe(0);
  });
}

test("H3: a coordinator that was lost goes on holding, whatever it sweeps", () => {
  const driver = origin();
  const hold = held(driver);
  const { files } = driver.record.holds![0]!.checkpoint;
  driver.reload();
  driver.fail();
  driver.advance(1_000);
  driver.deployAll();
  driver.complete({ full: true });
  driver.reload();
  driver.complete({ full: true });
  expect(files.every((path) => driver.bucket.has(path))).toBe(true);
  driver.event((job, now) => job.released(hold.hold.nth, now));
  driver.complete({ full: true });
  expect(files.some((path) => driver.bucket.has(path))).toBe(false);
});

test("a job that rests holds without waking up, and deletes without waking up", () => {
  const driver = origin();
  driver.activityOf = () => ({ isIdle: true, cleanSince: driver.last });
  for (let rounds = 0; rounds < 4 * heartbeatInterval; rounds += 100) {
    driver.advance(100);
    if (driver.record.checkpoints.open.length === 0) continue;
    driver.ackAll();
    driver.answerAll("publish");
  }
  driver.take();
  const { restingSince } = driver.record;
  expect(restingSince).toBeDefined();
  const hold = held(driver);
  driver.advance(askAfter);
  driver.answerAll("askHolder");
  driver.event((job, now) => job.released(hold.hold.nth, now));
  expect(driver.record.restingSince).toBe(restingSince);
  expect(driver.kinds().filter((kind) => kind !== "persist")).toEqual(["askHolder"]);
});

test("inline: a copy of the manifest is held in the bucket, and its folder deleted afterwards", () => {
  const driver = origin({ checkpointing: { storage: "inline" } });
  const { hold, path } = held(driver);
  const copy = driver.job.copyFor(hold.nth)!;
  expect(copy).toEqual({ from: driver.record.checkpoints.retained[0]!.path, to: path });
  driver.bucket.set(path, driver.bucket.get(copy.from)!);
  driver.event((job, now) => job.released(hold.nth, now));
  for (let times = 0; times < 2; times++) {
    driver.answerAll("deleteFolder");
    expect(driver.bucket.has(path)).toBe(false);
    driver.advance(60_000);
  }
  expect(driver.requests("deleteFolder")).toEqual([]);
  expect(driver.record.leftovers).toEqual([]);
});

test("L1: a fork needs what it began with until its own first checkpoint, through failures and reloads", () => {
  const driver = origin();
  const hold = held(driver);
  const fork = begun(driver, hold);
  expect(fork.job.needs(hold.hold)).toBe(true);
  driver.complete({ full: true });
  fork.fail();
  fork.advance(1_000);
  fork.reload();
  fork.deployAll();
  expect(fork.record.lastRestored?.path).toBe(hold.path);
  expect(fork.requests("letGo")).toEqual([]);
  fork.complete({ full: true });
  expect(fork.requests("letGo")).toHaveLength(1);
  expect(isKept(driver, hold)).toBe(true);
  carried(fork, driver);
  expect(isKept(driver, hold)).toBe(false);
  expect(fork.job.needs(hold.hold)).toBe(false);
  fork.take();
  fork.complete();
  fork.reload();
  expect(fork.kinds()).not.toContain("letGo");
});

test("L1: one whose own checkpoint refers to the other's files would keep them", () => {
  const driver = origin();
  const hold = held(driver);
  const fork = begun(driver, hold);
  fork.complete({ full: false });
  expect(fork.requests("letGo")).toEqual([]);
  fork.complete({ full: true });
  expect(fork.requests("letGo")).toHaveLength(1);
});

test("L4: the owner is told again until it answers, also after the fork has ended, and by its successor", () => {
  const driver = origin();
  const fork = begun(driver, held(driver));
  fork.cancel();
  expect(fork.record.phase).toBe("CANCELED");
  expect(fork.requests("letGo")).toHaveLength(1);
  fork.advance(tellAgain);
  expect(fork.requests("letGo")).toHaveLength(2);
  fork.reload();
  expect(fork.requests("letGo")).toHaveLength(1);
  carried(fork, driver);
  expect(driver.record.holds).toEqual([]);
  fork.inFlight = [];
  fork.advance(10 * tellAgain);
  expect(fork.requests("letGo")).toEqual([]);
});

const claimedFrom = (driver: JobDriver, path: string): Restore["claimed"] => ({
  attempt: attempt(1),
  completedAt: millis(1),
  files: driver.record.holds!.find((hold) => hold.path === path)!.checkpoint.files,
});

test("H5: a checkpoint that is claimed is the owner's until the claim is firm", () => {
  const driver = origin({ checkpointing: { retention: "RETAIN_ON_CANCELLATION" } });
  expect(driver.hold({ by: other, claims: true })).toEqual({
    kind: "refused",
    reason: expect.stringMatching(/is RUNNING and needs .* itself; use NO_CLAIM/) as string,
  });
  driver.cancel();
  const first = held(driver, { claims: true });
  driver.event((job, now) => job.withdrawn(first.hold.nth, now));
  expect(isKept(driver, first)).toBe(true);
  const hold = held(driver, { claims: true });
  expect(driver.hold({ by: third, claims: true })).toEqual({
    kind: "refused",
    reason: expect.stringContaining(`is claimed by job ${other}`) as string,
  });
  const claimed = claimedFrom(driver, hold.path)!;
  const job = begun(driver, hold, { claimed });
  driver.advance(askAfter);
  driver.answerAll("askHolder");
  expect(driver.retained).toEqual([]);
  expect(isKept(driver, hold)).toBe(true);
  job.complete({ full: true });
  carried(job, driver);
  driver.advance(3 * 60_000);
  expect(filesOf(driver)).toEqual([]);
});

test("L2: what is claimed is retained like any other, and a fallback", () => {
  const driver = origin({ checkpointing: { retention: "RETAIN_ON_CANCELLATION" } });
  driver.cancel();
  const hold = held(driver, { claims: true });
  const claimed = claimedFrom(driver, hold.path)!;
  const job = new JobDriver({
    job: other,
    bucket: driver.bucket,
    checkpointing: { retained: 2 },
    restore: {
      path: hold.path,
      checkpoint: checkpointId(1),
      allowNonRestoredState: false,
      hold: hold.hold,
      claimed,
    },
  });
  job.deployAll();
  const own = job.complete({ full: true });
  expect(job.retained).toEqual([own, 1]);
  expect(job.requests("letGo")).toEqual([]);
  const [latest] = job.record.checkpoints.retained;
  job.bucket.set(latest!.path, job.bucket.get(latest!.path)!);
  job.fail();
  job.advance(1_000);
  const [load] = job.requests("loadManifest");
  job.inFlight = [];
  job.event((at, now) => at.manifestFailed(load!.attempt, { damaged: true, message: "Bad." }, now));
  job.advance(1_000);
  job.deployAll();
  expect(job.record.lastRestored?.path).toBe(hold.path);
  job.complete({ full: true });
  job.complete({ full: true });
  expect(job.requests("letGo")).toHaveLength(1);
});

for (const [retention, keeps] of [
  ["RETAIN_ON_CANCELLATION", true],
  ["DELETE_ON_CANCELLATION", false],
] as const) {
  test(`SavepointITCase, CLAIM: at the end of the job its retention decides (${retention})`, () => {
    const folder = "savepoints/mine/";
    const path = `${folder}_metadata`;
    const bucket = new Map<string, Uint8Array>();
    const from = origin();
    bucket.set(path, from.bucket.get(from.record.checkpoints.retained[0]!.path)!);
    const claimed = { attempt: attempt(1), completedAt: millis(1), files: [path] };
    const restore = { path, checkpoint: checkpointId(1), allowNonRestoredState: false, claimed };
    const job = new JobDriver({
      job: from.record.job,
      bucket,
      restore,
      checkpointing: { retention },
    });
    expect(job.retained).toEqual([1]);
    job.cancel();
    expect(job.record.phase).toBe("CANCELED");
    job.answerAll("discard");
    expect(bucket.has(path)).toBe(keeps);
  });
}

test("SavepointITCase, CLAIM: a savepoint is deleted when a later checkpoint has replaced it", () => {
  const path = "savepoints/mine/_metadata";
  const nested = "savepoints/mine/other/_metadata";
  const from = origin();
  const bucket = new Map([...from.bucket, [nested, new Uint8Array()] as const]);
  bucket.set(path, from.bucket.get(from.record.checkpoints.retained[0]!.path)!);
  const claimed = { attempt: attempt(1), completedAt: millis(1), files: [path] };
  const restore = { path, checkpoint: checkpointId(1), allowNonRestoredState: false, claimed };
  const job = new JobDriver({ job: from.record.job, bucket, restore });
  job.deployAll();
  const third = held(job, { by: other });
  expect(third.path).toBe(path);
  job.complete({ full: true });
  expect(job.requests("discard")).toEqual([]);
  job.event((at, now) => at.released(third.hold.nth, now));
  expect(job.requests("discard")).toHaveLength(1);
  job.reload();
  job.answerAll("discard");
  expect(bucket.has(path)).toBe(false);
  expect(bucket.has(nested)).toBe(true);
  job.take();
  job.advance(10 * tellAgain);
  expect(job.kinds()).not.toContain("discard");
});
