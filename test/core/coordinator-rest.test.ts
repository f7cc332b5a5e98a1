// How a job comes to rest when there is nothing to do, and how it wakes.

import { describe, expect, test } from "vitest";
import { type TaskId, taskKey } from "../../format/ids.ts";
import { heartbeatInterval, heartbeatTimeout } from "../../format/limits.ts";
import { type Auto, type DriverOptions, JobDriver, twoRegions } from "./job-driver.ts";

const second = 1_000;
const minute = 60 * second;
const byHand: readonly Auto[] = ["heartbeat", "trigger", "notify", "cancelTasks", "sweep"];

function running(options: DriverOptions = {}, auto?: readonly Auto[]): JobDriver {
  const driver = new JobDriver(options, auto);
  driver.deployAll();
  return driver;
}

/** Everybody is idle, and clean since whatever completed last. */
function idle(driver: JobDriver, but?: TaskId): void {
  driver.activityOf = (task) => {
    const latest = driver.record.checkpoints.retained[0]?.id;
    if (but !== undefined && taskKey(task) === taskKey(but)) return { isIdle: false };
    return { isIdle: true, ...(latest !== undefined && { cleanSince: latest }) };
  };
}

/** Lets time pass; checkpoints that are triggered complete at once. */
function pass(driver: JobDriver, ms: number): void {
  for (let step = 0; step < ms; step += 100) {
    driver.advance(100);
    const open = driver.record.checkpoints.open.at(-1);
    if (open === undefined) continue;
    driver.ackAll(open.id);
    driver.answerAll("publish");
  }
}

function resting(options: DriverOptions = {}): JobDriver {
  const driver = running(options, [...byHand, "rest", "announce"]);
  driver.complete();
  idle(driver);
  pass(driver, 4 * heartbeatInterval);
  expect(driver.record.restingSince).toBeDefined();
  driver.take();
  return driver;
}

describe("an idle job", () => {
  test("takes no checkpoint that would hold nothing new, and comes to rest", () => {
    const driver = running();
    const id = driver.complete();
    idle(driver);
    pass(driver, 3 * heartbeatInterval);
    const last = driver.retained[0]!;
    expect(driver.record.restingSince).toBeDefined();
    // One interval each, until it was idle in two rounds.
    expect(last - id).toBeLessThanOrEqual((2 * heartbeatInterval) / second);
    expect(driver.job.nextWakeAt()).toBeUndefined();
    expect(driver.job.details().restingSince).toBe(driver.record.restingSince);
    expect(driver.record.phase).toBe("RUNNING");
    pass(driver, 10 * minute);
    expect(driver.retained[0]).toBe(last);
  });

  test("does so from one round of heartbeats to the next but one, not earlier", () => {
    const driver = running();
    driver.complete();
    idle(driver);
    pass(driver, heartbeatInterval);
    expect(driver.all("rest")).toEqual([]);
    pass(driver, heartbeatInterval);
    expect(driver.all("rest").flatMap(({ tasks }) => tasks)).toEqual(driver.tasks);
  });

  test("whose input trickles goes on as it is", () => {
    const driver = running();
    const at = driver.now;
    driver.activityOf = (task) => {
      const isBusy = Math.floor((driver.now - at) / heartbeatInterval) % 2 === 0;
      return { isIdle: taskKey(task) !== taskKey(driver.tasks[0]!) || !isBusy };
    };
    const before = driver.retained[0] ?? 0;
    pass(driver, minute);
    expect(driver.all("rest")).toEqual([]);
    expect(driver.retained[0]! - before).toBeGreaterThan(50);
  });

  // Where checkpoints come often one is mostly under way when a heartbeat is answered.
  test("whose subtasks are found with a checkpoint under way comes to rest all the same", () => {
    const driver = running();
    const answers = new Map<string, number>();
    driver.activityOf = (task) => {
      const latest = driver.record.checkpoints.retained[0]?.id;
      const answer = (answers.get(taskKey(task)) ?? 0) + 1;
      answers.set(taskKey(task), answer);
      return { isIdle: answer % 2 === 0, ...(latest !== undefined && { cleanSince: latest }) };
    };
    pass(driver, 4 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
  });

  test("with one subtask that is not idle goes on as it is", () => {
    const driver = running();
    idle(driver, driver.tasks[3]);
    pass(driver, minute);
    expect(driver.all("rest")).toEqual([]);
  });

  test.each([
    ["every minute", minute],
    ["never", undefined],
  ])("that takes checkpoints %s takes a last one", (_, interval) => {
    const driver = running();
    const rare = new JobDriver({ checkpointing: { interval: interval as never, minPause: 0 } });
    rare.deployAll();
    idle(rare);
    pass(rare, 2 * heartbeatInterval + second);
    expect(rare.record.checkpoints.counts.completed).toBe(1);
    expect(rare.record.restingSince).toBeDefined();
    expect(driver.record.restingSince).toBeUndefined();
  });

  test("waits for the pause after a checkpoint before it takes the last one", () => {
    const driver = running({ checkpointing: { interval: minute, minPause: 30 * second } });
    pass(driver, minute);
    const { completed } = driver.record.checkpoints.counts;
    expect(completed).toBe(1);
    const end = driver.now;
    // Idle, but something came in since.
    driver.activityOf = () => ({ isIdle: true });
    pass(driver, 2 * heartbeatInterval + second);
    expect(driver.record.checkpoints.counts.completed).toBe(completed);
    idle(driver);
    driver.activityOf = () => ({ isIdle: true });
    pass(driver, 30 * second - (driver.now - end));
    expect(driver.record.checkpoints.counts.completed).toBe(completed + 1);
  });

  test("that is never clean is not asked for one checkpoint after the other", () => {
    const driver = running({ checkpointing: { interval: 10 * minute } });
    driver.activityOf = () => ({ isIdle: true });
    pass(driver, minute);
    expect(driver.record.checkpoints.counts.completed).toBeLessThan(minute / heartbeatInterval);
    expect(driver.all("rest")).toEqual([]);
  });

  test("whose last checkpoint fails tries again later; it is a failure of the job's only where checkpoints were asked for", () => {
    const driver = new JobDriver({ checkpointing: { interval: undefined as never } });
    driver.deployAll();
    idle(driver);
    driver.advance(2 * heartbeatInterval + second);
    driver.decline();
    expect(driver.record).toMatchObject({ phase: "RUNNING", failures: [] });
    driver.advance(second);
    expect(driver.record.checkpoints.open).toEqual([]);
    pass(driver, 3 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
  });
});

describe("while subtasks are asked to rest", () => {
  function asked(): JobDriver {
    const driver = running({}, byHand);
    driver.complete();
    idle(driver);
    pass(driver, 2 * heartbeatInterval);
    expect(driver.requests("rest")).toHaveLength(4);
    driver.take();
    return driver;
  }

  test("none is triggered", () => {
    const driver = asked();
    driver.advance(3 * heartbeatInterval);
    expect(driver.all("trigger")).toEqual([]);
  });

  test.each(["busy", "silent"] as const)("one that is %s ends it, and all goes on", (kind) => {
    const driver = asked();
    const [first, ...others] = driver.requests("rest");
    driver.answerRest(others[0]!, { kind: "resting" });
    driver.answerRest(first!, kind === "busy" ? { kind } : { kind, message: "lost" });
    for (const other of others.slice(1)) driver.answer(other);
    expect(driver.record.restingSince).toBeUndefined();
    driver.complete();
  });

  test("one that is active ends it, also if it has answered, or its answer comes late", () => {
    const driver = asked();
    const [late, ...others] = driver.requests("rest");
    for (const other of others) driver.answer(other);
    driver.active(late!.task);
    driver.answer(late!);
    expect(driver.record.restingSince).toBeUndefined();
    driver.complete();
    // Of an earlier request, it says nothing about a later one.
    pass(driver, 2 * heartbeatInterval);
    const again = driver.requests("rest").filter(({ round }) => round !== late!.round);
    for (const request of again.slice(1)) driver.answer(request);
    driver.answerRest({ ...again[0]!, round: late!.round }, { kind: "resting" });
    expect(driver.record.restingSince).toBeUndefined();
  });

  test("one that does not answer ends it after a while", () => {
    const driver = asked();
    driver.answer(driver.requests("rest")[0]!);
    driver.advance(heartbeatTimeout + heartbeatInterval);
    expect(driver.all("trigger").length).toBeGreaterThan(0);
    driver.answerAll("rest");
    expect(driver.record.restingSince).toBeUndefined();
  });

  test("one that has lost its memory fails", () => {
    const driver = asked();
    driver.answerRest(driver.requests("rest")[1]!, { kind: "unknown" });
    expect(driver.record).toMatchObject({ phase: "RESTARTING" });
  });

  test("a coordinator that loses its memory goes on, and asks again", () => {
    const driver = asked();
    driver.reload();
    expect(driver.record.restingSince).toBeUndefined();
    pass(driver, 3 * heartbeatInterval);
    driver.answerAll("rest");
    expect(driver.record.restingSince).toBeDefined();
  });
});

describe("a resting job", () => {
  test("is disturbed by nobody who looks at it", () => {
    const driver = resting();
    driver.reload();
    expect(driver.kinds()).toEqual([]);
    expect(driver.job.nextWakeAt()).toBeUndefined();
    driver.event((job, now) => job.tick(now));
    expect(driver.kinds()).toEqual([]);
    expect(driver.listed?.isResting).toBe(true);
  });

  test("wakes up with an active subtask: durably, before the call is answered", () => {
    const driver = resting();
    driver.sleep(60 * minute);
    driver.activityOf = () => ({ isIdle: false });
    driver.active();
    expect(driver.effects[0]).toMatchObject({ kind: "persist" });
    expect(driver.record.restingSince).toBeUndefined();
    expect(driver.listed?.isResting).toBeUndefined();
    // The interval counts from now.
    const at = driver.now;
    driver.trigger();
    expect(driver.now - at).toBeGreaterThanOrEqual(driver.config.checkpointing.interval!);
    expect(driver.attempt).toBe(1);
  });

  test("wakes up after a reload, too, and only with its own attempt", () => {
    const driver = resting();
    driver.reload();
    driver.active(driver.tasks[0], 7 as never);
    expect(driver.record.restingSince).toBeDefined();
    driver.active(driver.tasks[0]);
    expect(driver.record.restingSince).toBeUndefined();
    expect(driver.job.nextWakeAt()).toBeDefined();
  });

  test("can be cancelled", () => {
    const driver = resting();
    driver.cancel();
    expect(driver.record.phase).toBe("CANCELED");
  });

  test("can fail: what rests in other regions rests on, until all come to rest again", () => {
    const driver = resting({ plan: twoRegions });
    const task = driver.tasks[0]!;
    const attempt = driver.attemptOf(task);
    const failure = { attempt, task, name: "OtherCode", message: "x", fault: "otherCode" } as const;
    driver.event((job, now) => job.taskFailed(failure, now));
    expect(driver.record).toMatchObject({ phase: "RESTARTING" });
    expect(driver.record.restingSince).toBeUndefined();
    driver.advance(5 * second);
    driver.deployAll();
    expect(driver.record.regions.map((region) => region.attempt)).toEqual([2, 1]);
    pass(driver, 4 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
  });
});
