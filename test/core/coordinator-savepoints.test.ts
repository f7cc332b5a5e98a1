// Savepoints of one job, as its coordinator decides about them.

import { describe, expect, test } from "vitest";
import { heartbeatInterval } from "../../format/limits.ts";
import { decodeManifest, manifestFiles } from "../../format/manifest.ts";
import type { TaskId } from "../../format/ids.ts";
import { type Auto, type DriverOptions, JobDriver } from "./job-driver.ts";

const second = 1_000;
const minute = 60 * second;
const first = "1".repeat(32);
const other = "2".repeat(32);

function running(
  checkpointing: DriverOptions["checkpointing"] = {},
  auto?: readonly Auto[],
): JobDriver {
  const driver = new JobDriver({ checkpointing }, auto);
  driver.deployAll();
  driver.take();
  return driver;
}

/** What is being taken completes. */
function completes(driver: JobDriver): void {
  driver.ackAll();
  driver.answerAll("publish");
}

const location = (driver: JobDriver, id: number): string =>
  `savepoints/savepoint-${driver.record.job}-${id}/`;

/** Everybody has stopped for that savepoint, and committed it or not yet. */
function stops(driver: JobDriver, { isCommitted }: { readonly isCommitted: boolean }): void {
  driver.activityOf = () => {
    const checkpoint = driver.last;
    return { isIdle: false, stopped: { checkpoint, isCommitted } };
  };
}

describe("a savepoint", () => {
  test("CheckpointRequestDeciderTest: is forced, and waits for neither interval nor pause", () => {
    const driver = running({ interval: 10 * minute, minPause: 10 * minute });
    expect(driver.savepoint(first)).toEqual({ kind: "accepted" });
    expect(driver.all("trigger")).toMatchObject([
      { checkpoint: 1, purpose: { folder: location(driver, 1), stops: false } },
    ]);
  });

  test("is taken where there are no periodic checkpoints", () => {
    const driver = running({ interval: undefined });
    driver.savepoint(first);
    completes(driver);
    expect(driver.job.savepointStatus(first)).toMatchObject({ kind: "completed" });
  });

  test("CheckpointRequestDeciderTest: waits for what is open, and others for it, in order", () => {
    const driver = running({ maxConcurrent: 5 });
    driver.advance(second);
    driver.savepoint(first);
    driver.savepoint(other);
    expect(driver.all("trigger")).toHaveLength(1);
    completes(driver);
    expect(driver.all("trigger").map(({ purpose }) => purpose)).toEqual([
      undefined,
      { folder: location(driver, 2), stops: false },
    ]);
    driver.advance(3 * second);
    expect(driver.all("trigger")).toHaveLength(2);
    completes(driver);
    expect(driver.last).toBe(3);
    completes(driver);
    expect([first, other].map((trigger) => driver.job.savepointStatus(trigger))).toMatchObject([
      { kind: "completed", path: `${location(driver, 2)}_metadata` },
      { kind: "completed", path: `${location(driver, 3)}_metadata` },
    ]);
    driver.advance(0);
    expect(driver.last).toBe(4);
  });

  test("CompletedCheckpointStoreTest: neither subsumes nor is subsumed, nor told to anyone", () => {
    const driver = running();
    driver.complete();
    driver.take();
    driver.savepoint(first);
    completes(driver);
    expect(driver.retained).toEqual([1]);
    expect(driver.kinds().filter((kind) => kind.startsWith("notify"))).toEqual([]);
    expect(driver.all("deleteFiles")).toEqual([]);
    expect(driver.job.overview().latest).toMatchObject({
      completed: { id: 1 },
      savepoint: { id: 2, isSavepoint: true },
    });
    for (let n = 0; n < 3; n++) driver.complete();
    expect([...driver.bucket.keys()].filter((path) => path.startsWith("savepoints/"))).toHaveLength(
      5,
    );
    driver.cancel();
    driver.advance(3 * minute);
    expect([...driver.bucket.keys()].every((path) => path.startsWith("savepoints/"))).toBe(true);
    expect(driver.bucket.size).toBe(5);
  });

  test("names its files relatively, wherever its folder is", () => {
    const driver = running();
    driver.savepoint(first);
    driver.ackAll();
    const [publish] = driver.all("publish");
    const at = (path: string): string[] => manifestFiles(decodeManifest(publish!.bytes, path));
    const folder = location(driver, 1);
    const names = driver.tasks.map(({ vertex, index }: TaskId) => `${vertex}-${index}`);
    expect(at(publish!.candidate.path)).toEqual(names.map((name) => `${folder}${name}`));
    expect(at("savepoints/copy/_metadata")).toEqual(names.map((name) => `savepoints/copy/${name}`));
  });

  test("CheckpointFailureManagerTest: that fails is not counted, and its folder is deleted twice", () => {
    const driver = running({ interval: 10 * minute, tolerableFailures: 0 });
    driver.savepoint(first);
    driver.decline();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 1 });
    expect(driver.job.savepointStatus(first)).toMatchObject({
      kind: "failed",
      message: expect.stringContaining("no room"),
    });
    const folder = location(driver, 1);
    expect(driver.all("deleteFolder")).toEqual([{ kind: "deleteFolder", folder }]);
    driver.answerAll("deleteFolder");
    driver.advance(minute);
    driver.answerAll("deleteFolder");
    driver.advance(3 * minute);
    expect(driver.all("deleteFolder")).toHaveLength(2);
    expect(driver.record.leftovers).toEqual([]);
  });

  test("PendingCheckpointTest: expires like any other, and while it waits", () => {
    const driver = running({ timeout: 5 * second, interval: undefined });
    driver.savepoint(first);
    driver.savepoint(other);
    driver.advance(5 * second);
    for (const trigger of [first, other]) {
      const message = expect.stringContaining("expired");
      expect(driver.job.savepointStatus(trigger)).toMatchObject({ kind: "failed", message });
    }
    expect(driver.record.phase).toBe("RUNNING");
  });

  test("fails with the attempt; one that waits is taken by the next", () => {
    const driver = running();
    driver.savepoint(first);
    driver.savepoint(other);
    driver.fail();
    expect(driver.job.savepointStatus(first)).toMatchObject({ kind: "failed" });
    driver.advance(second);
    driver.deployAll();
    completes(driver);
    expect(driver.job.savepointStatus(other)).toMatchObject({ kind: "completed" });
  });

  test("whose coordinator is lost has failed, unless its manifest is there", () => {
    for (const landed of [false, true]) {
      const driver = running();
      driver.savepoint(first);
      driver.ackAll();
      driver.reload({ landed });
      driver.answerAll("probeManifest");
      const kind = landed ? "completed" : "failed";
      expect(driver.job.savepointStatus(first)).toMatchObject({ kind });
    }
    const driver = running();
    driver.savepoint(first);
    driver.reload();
    const message = expect.stringContaining("restarted");
    expect(driver.job.savepointStatus(first)).toMatchObject({ kind: "failed", message });
  });

  test("of a resting job wakes it, and it rests again on the checkpoint that it had", () => {
    const driver = running({ interval: 20 * second });
    driver.complete();
    driver.activityOf = () => ({
      isIdle: true,
      cleanSince: driver.record.checkpoints.retained[0]!.id,
    });
    driver.advance(4 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
    const [latest] = driver.retained;
    driver.savepoint(first);
    completes(driver);
    expect(driver.job.savepointStatus(first)).toMatchObject({ kind: "completed" });
    driver.advance(4 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
    expect(driver.retained).toEqual([latest]);
  });
});

describe("a stop with a savepoint", () => {
  test("StopWithSavepointTerminationManagerTest: all commit, then the job ends FINISHED", () => {
    const driver = running();
    stops(driver, { isCommitted: false });
    driver.savepoint(first, "stop");
    expect(driver.all("trigger")).toMatchObject([{ purpose: { stops: true } }]);
    completes(driver);
    expect(driver.all("notifyComplete")).toMatchObject([{ checkpoint: 1, tasks: driver.tasks }]);
    driver.advance(2 * minute);
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.all("trigger")).toHaveLength(1);
    stops(driver, { isCommitted: true });
    driver.advance(heartbeatInterval);
    expect(driver.record.phase).toBe("FINISHED");
    expect(driver.record.checkpoints.retained).toEqual([]);
    expect(driver.savepoint(other)).toMatchObject({ kind: "refused" });
    expect(driver.savepoint(first, "stop")).toEqual({ kind: "accepted" });
  });

  test("that drains is remembered as one, and is not the same as one that does not", () => {
    const driver = running();
    expect(driver.savepoint(first, "stop", { drains: true })).toEqual({ kind: "accepted" });
    expect(driver.savepoint(first, "stop", { drains: true })).toEqual({ kind: "accepted" });
    expect(driver.savepoint(first, "stop")).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("another request") as string,
    });
    driver.reload();
    expect(driver.record.savepoints).toMatchObject([{ trigger: first, drains: true }]);
  });

  test("to cancel ends CANCELED", () => {
    const driver = running();
    stops(driver, { isCommitted: true });
    driver.savepoint(first, "cancel");
    completes(driver);
    expect(driver.record.phase).toBe("CANCELED");
  });

  test("StopWithSavepointTerminationHandlerImplTest: who is lost commits from the savepoint", () => {
    const driver = running();
    driver.complete();
    stops(driver, { isCommitted: false });
    driver.savepoint(first, "stop");
    completes(driver);
    driver.fail();
    driver.take();
    driver.advance(second);
    expect(driver.all("loadManifest")).toMatchObject([
      { checkpoint: { path: `${location(driver, 2)}_metadata` } },
    ]);
    driver.answerAll("loadManifest");
    const [deploy] = driver.all("deploy");
    for (const { restore } of deploy!.deployments) {
      expect(restore).toMatchObject({ checkpoint: 2, isStopped: true });
    }
    stops(driver, { isCommitted: true });
    driver.deployAll();
    driver.advance(heartbeatInterval);
    expect(driver.record.phase).toBe("FINISHED");
  });

  test("that fails is told again to whoever did not hear of it", () => {
    const driver = running({ interval: undefined }, ["heartbeat", "trigger"]);
    stops(driver, { isCommitted: false });
    driver.savepoint(first, "stop");
    driver.decline();
    driver.take();
    driver.advance(heartbeatInterval);
    const told = driver.all("notifyAborted").flatMap(({ tasks }) => tasks);
    expect(told).toEqual(expect.arrayContaining([...driver.tasks]));
    expect(driver.record.phase).toBe("RUNNING");
  });
});

describe("a savepoint is needed", () => {
  const pathOf = (driver: JobDriver, id: number): string => `${location(driver, id)}_metadata`;

  test("while it is taken, and by nobody when it is there", () => {
    const driver = running();
    driver.savepoint(first);
    expect(driver.job.needOf(pathOf(driver, 1))).toBe("is taking it");
    expect(driver.job.needOf(pathOf(driver, 2))).toBeUndefined();
    completes(driver);
    expect(driver.job.needOf(pathOf(driver, 1))).toBeUndefined();
  });

  test("by the job that is stopped with it, until that has ended", () => {
    const driver = running();
    stops(driver, { isCommitted: false });
    driver.savepoint(first, "stop");
    completes(driver);
    driver.reload();
    expect(driver.job.needOf(pathOf(driver, 1))).toBe("is being stopped with it");
    stops(driver, { isCommitted: true });
    driver.advance(heartbeatInterval);
    expect(driver.job.phase).toBe("FINISHED");
    expect(driver.job.needOf(pathOf(driver, 1))).toBeUndefined();
  });
});
