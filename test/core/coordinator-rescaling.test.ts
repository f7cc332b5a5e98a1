// Another size for a running job, as its coordinator decides about it, with the coordinator lost
// after every step.

import { describe, expect, test } from "vitest";
import { twoByTwo, twoRegions, type Auto, type DriverOptions, JobDriver } from "./job-driver.ts";
import { resized } from "../../coordinator/plan.ts";
import { heartbeatInterval } from "../../format/limits.ts";

const second = 1_000;
const minute = 60 * second;
const [source, counter] = twoByTwo.vertices.map(({ id }) => id) as [string, string];

function running(options: DriverOptions = {}, auto?: readonly Auto[]): JobDriver {
  const driver = new JobDriver(
    { checkpointing: { interval: 20 * second }, restart: { attempts: 1 }, ...options },
    auto,
  );
  driver.deployAll();
  driver.take();
  return driver;
}

/** The checkpoint that is open completes. */
function completes(driver: JobDriver): void {
  driver.ackAll();
  driver.answerAll("publish");
  driver.advance(0);
}

/** The next attempt begins and runs. */
function begins(driver: JobDriver): void {
  driver.advance(0);
  driver.deployAll();
}

const sizes = (driver: JobDriver): number[] =>
  driver.record.plan.vertices.map(({ parallelism }) => parallelism);
const progress = (driver: JobDriver): object | undefined =>
  driver.job.details().rescales[0]?.progress;

describe("a job is rescaled", () => {
  // RescalingITCase, UpdateJobResourceRequirementsITCase, AutoRescalingITCase
  test.each([
    ["up", { [source]: 4, [counter]: 6 }, [4, 6]],
    ["down", { [source]: 1, [counter]: 1 }, [1, 1]],
    ["one vertex alone", { [counter]: 5 }, [2, 5]],
  ])("%s, from a checkpoint of its own that is taken at once", (_, wanted, after) => {
    const driver = running();
    expect(driver.rescale(wanted)).toEqual({ kind: "accepted" });
    expect(driver.all("trigger")).toMatchObject([{ checkpoint: 1, purpose: "aligned" }]);
    expect(progress(driver)).toEqual({ kind: "taking", checkpoint: 1 });
    completes(driver);
    expect(driver.record.phase).toBe("RESTARTING");
    expect(driver.all("notifyComplete")).toHaveLength(1);
    begins(driver);
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 2, lastRestored: { id: 1 } });
    expect(sizes(driver)).toEqual(after);
    expect(driver.retained).toEqual([1]);
    expect(progress(driver)).toMatchObject({ kind: "completed", checkpoint: 1 });
    expect(driver.job.details().failures).toEqual([]);
    // It goes on as any other, and restarts in the size it has.
    expect(driver.complete()).toBe(2);
    driver.fail();
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: 2 } });
    expect(sizes(driver)).toEqual(after);
  });

  test("and every subtask gets the states of all, by their uid", () => {
    const driver = running();
    driver.rescale({ [counter]: 3 });
    completes(driver);
    driver.take();
    driver.advance(0);
    driver.answerAll("loadManifest");
    const [deploy] = driver.all("deploy");
    expect(deploy?.deployments).toHaveLength(5);
    for (const { task, restore } of deploy!.deployments) {
      const uid = task.vertex === source ? "in" : "count";
      expect(restore?.states.flatMap(({ keyed }) => keyed.map((each) => each.uid))).toEqual([
        uid,
        uid,
      ]);
    }
  });

  test("without periodic checkpoints, and its own do not count as failed ones", () => {
    const driver = running({ checkpointing: { interval: undefined } });
    driver.rescale({ [counter]: 3 });
    driver.decline();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 1 });
    driver.rescale({ [counter]: 3 });
    completes(driver);
    begins(driver);
    expect(sizes(driver)).toEqual([2, 3]);
  });

  test("and wakes up for it", () => {
    const driver = running();
    const id = driver.complete();
    driver.activityOf = () => ({ isIdle: true, cleanSince: id });
    driver.advance(4 * heartbeatInterval);
    expect(driver.record.restingSince).toBeDefined();
    driver.activityOf = () => ({ isIdle: false });
    driver.rescale({ [counter]: 4 });
    expect(driver.record.restingSince).toBeUndefined();
    completes(driver);
    begins(driver);
    expect(sizes(driver)).toEqual([2, 4]);
  });

  test("again and again, and configured as it is", () => {
    const driver = running();
    for (const size of [4, 1, 6]) {
      driver.rescale({ [source]: size, [counter]: size });
      completes(driver);
      begins(driver);
      expect(sizes(driver)).toEqual([size, size]);
      expect(driver.job.config.parallelismOverrides).toEqual({ [source]: size, [counter]: size });
    }
    expect(driver.job.details().rescales.map(({ parallelism }) => parallelism[source])).toEqual([
      6, 1, 4,
    ]);
  });

  test("alone: what is open is waited for, and nothing else is triggered", () => {
    const driver = running({ checkpointing: { interval: second, maxConcurrent: 3 } });
    driver.trigger();
    driver.rescale({ [counter]: 3 });
    expect(progress(driver)).toEqual({ kind: "waiting" });
    driver.advance(3 * second);
    expect(driver.last).toBe(1);
    completes(driver);
    expect(progress(driver)).toEqual({ kind: "taking", checkpoint: 2 });
    driver.advance(3 * second);
    expect(driver.savepoint("1".repeat(32))).toEqual({ kind: "accepted" });
    expect(driver.last).toBe(2);
    completes(driver);
    begins(driver);
    // The savepoint is taken in the new size.
    expect(driver.all("trigger").at(-1)).toMatchObject({
      checkpoint: 3,
      purpose: { stops: false },
    });
    completes(driver);
    expect(driver.job.savepointStatus("1".repeat(32))).toMatchObject({ kind: "completed" });
  });

  test("once it runs, where it is asked for while it restarts", () => {
    const driver = running();
    driver.complete();
    driver.fail();
    expect(driver.rescale({ [counter]: 3 })).toEqual({ kind: "accepted" });
    driver.advance(second);
    driver.deployAll();
    expect(progress(driver)).toEqual({ kind: "taking", checkpoint: 2 });
    completes(driver);
    begins(driver);
    expect(sizes(driver)).toEqual([2, 3]);
  });
});

describe("a request", () => {
  test("for the size there is changes nothing", () => {
    const driver = running();
    const before = driver.record;
    expect(driver.rescale({})).toEqual({ kind: "unchanged" });
    driver.advance(0);
    expect([driver.record, driver.all("trigger")]).toEqual([before, []]);
  });

  // UpdateJobResourceRequirementsITCase
  test("is refused whole, with everything that is wrong in it", () => {
    const driver = running();
    const before = driver.record;
    const bounds = (lowerBound: number, upperBound: number) => ({ lowerBound, upperBound });
    const ask = (request: Parameters<typeof driver.job.rescale>[0]) =>
      driver.job.rescale(request, driver.now).answer;
    const answer = ask({ [counter]: bounds(5, 200), nobody: bounds(1, 1) });
    expect(answer).toEqual({
      kind: "invalid",
      reason:
        `Vertex ${counter} (count) cannot have parallelism 200; allowed: 1 to the max parallelism, ` +
        `which is 128. "counts" has no vertex "nobody"; it has ${source} (Source: in), ${counter} ` +
        `(count). Vertex ${source} (Source: in) is missing; a request names every vertex.`,
    });
    for (const [lower, upper] of [
      [3, 2],
      [0, 2],
      [-1, -1],
      [1.5, 2],
      [1, Number.NaN],
    ] as const) {
      const wrong = ask({ [source]: bounds(1, 2), [counter]: bounds(lower, upper) });
      expect(wrong).toMatchObject({ kind: "invalid" });
    }
    expect(ask({})).toMatchObject({ kind: "invalid" });
    expect(driver.record).toEqual(before);
  });

  test("is the same while it is under way, and another is refused", () => {
    const driver = running();
    driver.rescale({ [counter]: 3 });
    expect(driver.rescale({ [counter]: 3 })).toEqual({ kind: "accepted" });
    expect(driver.rescale({ [counter]: 4 })).toMatchObject({ kind: "refused" });
    completes(driver);
    expect(driver.rescale({ [counter]: 4 })).toMatchObject({ kind: "refused" });
    expect(driver.all("trigger")).toHaveLength(1);
    begins(driver);
    expect(driver.rescale({ [counter]: 3 })).toEqual({ kind: "unchanged" });
    expect(driver.rescale({ [counter]: 4 })).toEqual({ kind: "accepted" });
  });

  test("is refused by a job that ends, and ends with one", () => {
    const driver = running();
    driver.rescale({ [counter]: 3 });
    driver.cancel();
    expect(progress(driver)).toMatchObject({
      kind: "failed",
      message: expect.stringContaining("CANCEL"),
    });
    expect(driver.rescale({ [counter]: 3 })).toMatchObject({ kind: "refused" });
    const stopping = running();
    stopping.savepoint("1".repeat(32), "stop");
    expect(stopping.rescale({ [counter]: 3 })).toMatchObject({ kind: "refused" });
  });

  test("that waits gives way to a stop", () => {
    const driver = running({ checkpointing: { interval: second } });
    driver.trigger();
    driver.rescale({ [counter]: 3 });
    driver.savepoint("1".repeat(32), "stop");
    completes(driver);
    completes(driver);
    expect(progress(driver)).toMatchObject({
      kind: "failed",
      message: "The job is being stopped with a savepoint.",
    });
    expect(sizes(driver)).toEqual([2, 2]);
  });

  test("that cannot be served in time fails", () => {
    const driver = running({ checkpointing: { timeout: 5 * second, interval: undefined } });
    driver.rescale({ [counter]: 3 });
    driver.fail();
    expect(progress(driver)).toEqual({ kind: "waiting" });
    driver.sleep(5 * second);
    driver.advance(0);
    expect(progress(driver)).toMatchObject({ kind: "failed" });
  });

  test("for rows that keep their subtask parts them, and joins them again", () => {
    const driver = running({ plan: twoRegions });
    driver.rescale({ [counter]: 3 });
    completes(driver);
    begins(driver);
    expect(driver.record.plan.edges).toMatchObject([{ partitioning: "hash" }]);
    expect(driver.record.regions).toHaveLength(1);
    driver.rescale({ [source]: 3 });
    completes(driver);
    begins(driver);
    expect(driver.record.plan.edges).toMatchObject([{ partitioning: "forward" }]);
    expect(driver.record.regions).toHaveLength(3);
  });
});

describe("the checkpoint of a rescale", () => {
  test.each([
    ["is declined", (driver: JobDriver) => driver.decline()],
    ["expires", (driver: JobDriver) => driver.advance(10 * second)],
    [
      "has no manifest",
      (driver: JobDriver) => {
        driver.ackAll();
        driver.answerPublish(driver.requests("publish")[0]!, { kind: "exists", message: "No." });
      },
    ],
  ])("that %s leaves the job as it was", (_, fails) => {
    const driver = running({ checkpointing: { interval: 20 * second, tolerableFailures: 0 } });
    driver.rescale({ [counter]: 3 });
    fails(driver);
    expect(progress(driver)).toMatchObject({ kind: "failed" });
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 1, failures: [] });
    expect(driver.record.checkpoints.consecutiveFailures).toBe(0);
    expect(sizes(driver)).toEqual([2, 2]);
    expect(driver.complete()).toBe(2);
  });

  test("is taken again where an attempt has ended with it", () => {
    const driver = running();
    driver.complete();
    driver.rescale({ [counter]: 3 });
    driver.fail();
    expect(progress(driver)).toEqual({ kind: "waiting" });
    driver.advance(second);
    driver.deployAll();
    expect(progress(driver)).toEqual({ kind: "taking", checkpoint: 3 });
    completes(driver);
    begins(driver);
    expect([sizes(driver), driver.record.lastRestored?.id]).toEqual([[2, 3], 3]);
  });
});

describe("a size that does not start", () => {
  const starting = (options: DriverOptions = {}): JobDriver => {
    const driver = running(options);
    driver.complete();
    driver.rescale({ [source]: 4, [counter]: 4 });
    completes(driver);
    driver.advance(0);
    driver.answerAll("loadManifest");
    expect(driver.requests("deploy")).toHaveLength(8);
    return driver;
  };
  /** The former size runs again, from the checkpoint of the rescale. */
  const isBack = (driver: JobDriver, from = 2): void => {
    expect(driver.record.phase).toBe("RESTARTING");
    expect(progress(driver)).toMatchObject({ kind: "failed" });
    expect(driver.record.failures).toHaveLength(1);
    expect(driver.record.failures[0]?.message).toContain(
      "The new parallelism did not start; the job goes back to the former one.",
    );
    driver.advance(5 * second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: from } });
    expect(sizes(driver)).toEqual([2, 2]);
    expect(driver.record.plan).toEqual(driver.plan);
    expect(driver.job.config).toEqual(driver.config);
    // It has its one restart still.
    driver.fail();
    driver.advance(5 * second);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
  };

  test("as a deployment is refused, goes back", () => {
    const driver = starting();
    driver.answerDeploy(driver.requests("deploy")[5]!, { kind: "refused", reason: "No memory." });
    isBack(driver);
  });

  test("as objects have another version of the program, goes back", () => {
    const driver = starting();
    const [deploy] = driver.requests("deploy");
    driver.answerDeploy(deploy!, { kind: "refused", reason: "Old.", fault: "otherCode" });
    isBack(driver);
  });

  test("in time, goes back", () => {
    const driver = starting();
    driver.advance(minute);
    isBack(driver);
  });

  test("as a subtask fails before all of it runs, goes back with all regions", () => {
    const driver = starting({ plan: twoRegions });
    driver.answerAll("deploy");
    const [first] = driver.requests("start");
    driver.answer(first!);
    driver.fail(first!.task);
    isBack(driver);
  });

  test("as its checkpoint is damaged, goes back to the one before it", () => {
    const driver = starting({ checkpointing: { interval: 20 * second, retained: 2 } });
    driver.answerDeploy(driver.requests("deploy")[0]!, {
      kind: "refused",
      reason: "Checksum.",
      fault: "damagedState",
    });
    isBack(driver, 1);
  });

  test("fails for good where no other checkpoint is left", () => {
    const driver = starting();
    driver.answerDeploy(driver.requests("deploy")[0]!, {
      kind: "refused",
      reason: "Checksum.",
      fault: "damagedState",
    });
    expect(driver.record).toMatchObject({ phase: "FAILED", isBeyondRestart: true });
  });

  test("once it runs, a failure is one like any other", () => {
    const driver = starting();
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    driver.fail();
    driver.advance(second);
    driver.deployAll();
    expect(sizes(driver)).toEqual([4, 4]);
    driver.fail();
    expect(driver.record.phase).toBe("FAILED");
  });
});

describe("a checkpoint of the former size", () => {
  test("is used where the newest is damaged", () => {
    const driver = running({
      checkpointing: { interval: 20 * second, retained: 2 },
      restart: { attempts: 2 },
    });
    driver.complete();
    driver.rescale({ [counter]: 4 });
    completes(driver);
    begins(driver);
    driver.fail();
    driver.advance(second);
    driver.answerAll("loadManifest");
    driver.answerDeploy(driver.requests("deploy")[0]!, {
      kind: "refused",
      reason: "Checksum.",
      fault: "damagedState",
    });
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: 1 } });
    expect(sizes(driver)).toEqual([2, 4]);
  });
});

describe("subtasks beyond the new size", () => {
  const retired = (driver: JobDriver): number => driver.record.retired?.length ?? 0;

  test("are told until they have answered, and keep the job from resting", () => {
    const driver = running({}, ["heartbeat", "trigger", "notify", "rest", "sweep", "announce"]);
    driver.rescale({ [source]: 1, [counter]: 1 });
    completes(driver);
    begins(driver);
    expect(retired(driver)).toBe(2);
    driver.inFlight = [];
    driver.take();
    driver.advance(heartbeatInterval);
    expect(driver.all("cancelTasks")).toMatchObject([
      { attempt: 1, tasks: [{ index: 1 }, { index: 1 }] },
    ]);
    driver.reload();
    driver.advance(heartbeatInterval);
    driver.answerAll("cancelTasks");
    expect(retired(driver)).toBe(0);
    driver.take();
    driver.advance(3 * heartbeatInterval);
    expect(driver.all("cancelTasks")).toEqual([]);
  });

  test("are told also where the job has ended meanwhile", () => {
    const driver = running({}, ["heartbeat", "trigger", "notify", "rest", "sweep", "announce"]);
    driver.rescale({ [source]: 1, [counter]: 1 });
    completes(driver);
    begins(driver);
    driver.inFlight = [];
    driver.cancel();
    driver.advance(5 * minute);
    expect(driver.record.phase).toBe("CANCELED");
    driver.auto.add("cancelTasks");
    driver.advance(heartbeatInterval);
    expect(retired(driver)).toBe(0);
    expect(driver.job.nextWakeAt()).toBeUndefined();
  });

  test("are subtasks again where the job grows", () => {
    const driver = running({}, ["heartbeat", "trigger", "notify", "rest", "sweep", "announce"]);
    driver.rescale({ [source]: 1, [counter]: 1 });
    completes(driver);
    begins(driver);
    driver.inFlight = [];
    driver.rescale({ [source]: 2, [counter]: 2 });
    completes(driver);
    begins(driver);
    expect([driver.record.phase, retired(driver)]).toEqual(["RUNNING", 0]);
  });

  test("that are heard of later are cancelled", () => {
    const driver = running();
    driver.rescale({ [source]: 1, [counter]: 1 });
    const [, gone] = driver.tasks;
    completes(driver);
    begins(driver);
    driver.take();
    driver.event((job, now) =>
      job.taskFailed({ attempt: 1 as never, task: gone!, name: "SubtaskLost", message: "" }, now),
    );
    expect(driver.all("cancelTasks")).toMatchObject([{ tasks: [gone] }]);
    expect(driver.record.phase).toBe("RUNNING");
  });
});

// JobRecoveryITCase, JMFailoverITCase
describe("a coordinator that is lost during a rescale", () => {
  const steps = ["asked", "acknowledged", "published", "begun", "loaded", "deployed", "started"];

  test.each(steps.flatMap((step) => [[step, false] as const, [step, true] as const]))(
    "once it is %s goes on (what it had sent has landed: %s)",
    (lost, landed) => {
      const driver = running();
      driver.complete();
      driver.rescale({ [source]: 4, [counter]: 1 });
      const wanted = resized(driver.plan, { [source]: 4, [counter]: 1 });
      const at = (step: string): void => {
        if (step === lost) driver.reload({ landed });
      };
      at("asked");
      driver.answerAll("probeManifest");
      driver.ackAll();
      at("acknowledged");
      driver.answerAll("probeManifest");
      if (driver.requests("publish").length === 0 && driver.record.phase === "RUNNING") {
        driver.ackAll();
      }
      driver.answerAll("publish");
      at("published");
      driver.advance(0);
      at("begun");
      driver.answerAll("loadManifest");
      at("loaded");
      driver.answerAll("loadManifest");
      driver.answerAll("deploy");
      at("deployed");
      driver.answerAll("loadManifest");
      driver.answerAll("deploy");
      driver.answerAll("start");
      at("started");
      driver.advance(second);
      expect(driver.record).toMatchObject({ phase: "RUNNING", plan: wanted, failures: [] });
      expect(progress(driver)).toMatchObject({ kind: "completed" });
      expect(driver.complete()).toBeGreaterThan(2);
    },
  );

  test.each(["failed", "begun", "deployed"])("that goes back, %s, goes back", (lost) => {
    const driver = running();
    driver.rescale({ [source]: 4, [counter]: 1 });
    completes(driver);
    driver.advance(0);
    driver.answerAll("loadManifest");
    driver.answerDeploy(driver.requests("deploy")[0]!, { kind: "refused", reason: "No." });
    if (lost === "failed") driver.reload();
    driver.advance(0);
    if (lost === "begun") driver.reload();
    driver.answerAll("loadManifest");
    driver.answerAll("deploy");
    if (lost === "deployed") driver.reload();
    driver.deployAll();
    driver.advance(second);
    expect(driver.record).toMatchObject({ phase: "RUNNING", plan: driver.plan });
    expect(driver.job.config).toEqual(driver.config);
    expect(progress(driver)).toMatchObject({ kind: "failed" });
  });
});
