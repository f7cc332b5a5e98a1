// Which subtasks share a fate, and what becomes of those that do not.

import { describe, expect, test } from "vitest";
import { Regions } from "../../coordinator/regions.ts";
import { taskKey } from "../../format/ids.ts";
import type { ExecutionPlan, Partitioning } from "../../format/plan.ts";
import { type Auto, type DriverOptions, JobDriver, twoByTwo, twoRegions } from "./job-driver.ts";

const second = 1_000;

describe("regions", () => {
  const planOf = (
    parallelisms: Readonly<Record<string, number>>,
    edges: readonly (readonly [from: string, to: string, by: Partitioning])[],
  ): ExecutionPlan => ({
    program: "regions",
    fingerprint: "f".repeat(32),
    maxParallelism: 128,
    vertices: Object.entries(parallelisms).map(([id, parallelism]) => ({
      id,
      name: id,
      parallelism,
      operators: [id],
    })),
    edges: edges.map(([from, to, partitioning], id) => {
      return { id, from, fromUid: from, to, toUid: to, input: 0, partitioning };
    }),
  });
  const regionsOf = (plan: ExecutionPlan): string[][] =>
    new Regions(plan).tasks.map((tasks) => tasks.map(taskKey));

  test("every subtask of a vertex without channels is one", () => {
    expect(regionsOf(planOf({ a: 3 }, []))).toEqual([["a/0"], ["a/1"], ["a/2"]]);
  });

  test("forward edges slice a job, a shuffle joins it", () => {
    const edges = [["a", "b", "forward"]] as const;
    expect(regionsOf(planOf({ a: 2, b: 2 }, edges))).toEqual([
      ["a/0", "b/0"],
      ["a/1", "b/1"],
    ]);
    const shuffled = [...edges, ["b", "c", "hash"]] as const;
    expect(regionsOf(planOf({ a: 2, b: 2, c: 1 }, shuffled))).toEqual([
      ["a/0", "a/1", "b/0", "b/1", "c/0"],
    ]);
  });

  test("a shuffle from one to many, and from many to one, joins all of them", () => {
    const fan = [
      ["a", "b", "rebalance"],
      ["c", "d", "hash"],
    ] as const;
    expect(regionsOf(planOf({ a: 1, b: 3, c: 3, d: 1 }, fan))).toEqual([
      ["a/0", "b/0", "b/1", "b/2"],
      ["c/0", "c/1", "c/2", "d/0"],
    ]);
  });

  test("two sources that meet are one region", () => {
    const union = [
      ["a", "c", "forward"],
      ["b", "c", "forward"],
    ] as const;
    expect(regionsOf(planOf({ a: 1, b: 1, c: 1 }, union))).toEqual([["a/0", "b/0", "c/0"]]);
    expect(regionsOf(twoByTwo)).toHaveLength(1);
  });
});

const running = (options: DriverOptions = {}, auto?: readonly Auto[]): JobDriver => {
  const driver = new JobDriver({ plan: twoRegions, ...options }, auto);
  driver.deployAll();
  return driver;
};
/** The subtasks of the two regions of `twoRegions`. */
const partsOf = ({ tasks }: JobDriver) => ({
  one: [tasks[0]!, tasks[2]!],
  other: [tasks[1]!, tasks[3]!],
});

describe("a failure", () => {
  test("RegionFailoverITCase: ends and restarts its region; the other goes on", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    const id = driver.complete();
    driver.take();
    driver.fail(one[0]);
    expect(driver.record.phase).toBe("RESTARTING");
    expect(driver.all("cancelTasks").flatMap(({ tasks }) => tasks)).toEqual(one);
    expect(driver.job.summary().tasks).toEqual({ total: 4, running: 2 });
    driver.advance(second);
    expect(driver.requests("loadManifest")).toHaveLength(1);
    driver.answerAll("loadManifest");
    const deployed = driver.requests("deploy").map(({ deployment }) => deployment);
    expect(deployed.map(({ task }) => task)).toEqual(one);
    expect(deployed.map(({ attempt, restore }) => [attempt, restore?.checkpoint])).toEqual([
      [2, id],
      [2, id],
    ]);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 2 });
    expect(driver.job.details().tasks.map(({ attempt }) => attempt)).toEqual([2, 1, 2, 1]);

    driver.take();
    driver.complete();
    expect(driver.all("trigger").map(({ attempt, tasks }) => [attempt, tasks])).toEqual([
      [2, [one[0]]],
      [1, [other[0]]],
    ]);
    expect(driver.all("notifyComplete").map(({ attempt, tasks }) => [attempt, tasks])).toEqual([
      [2, one],
      [1, other],
    ]);
  });

  test("aborts open checkpoints, tells who goes on, and none is triggered until all run", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    const id = driver.trigger();
    driver.ack(other[1]!);
    driver.take();
    driver.fail(one[1]);
    expect(driver.all("notifyAborted")).toMatchObject([
      { attempt: 1, checkpoint: id, tasks: other },
    ]);
    driver.ack(other[0]!, id);
    driver.advance(30 * second);
    expect(driver.all("trigger")).toEqual([]);
    driver.deployAll();
    driver.complete();
    expect(driver.retained).toEqual([id + 1]);
  });

  test("what a running region wrote for an aborted checkpoint stays until the next completes", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    driver.complete();
    const aborted = driver.trigger();
    const { state } = driver.ackOf(other[1]!, aborted);
    driver.ack(other[1]!, aborted);
    driver.fail(one[0]);
    driver.advance(second);
    driver.deployAll();
    driver.complete();
    const paths = state.keyed.flatMap(({ segments }) =>
      segments.flatMap((segment) => (segment.kind === "file" ? [segment.path] : [])),
    );
    expect(paths.filter((path) => !driver.bucket.has(path))).toEqual([]);
    expect(driver.record.checkpoints.retained[0]?.files).toEqual(expect.arrayContaining(paths));
  });

  test("of the other region while one waits joins its restart, and counts once", () => {
    const driver = running({ restart: { attempts: 1, delay: 5 * second } });
    const { one, other } = partsOf(driver);
    driver.fail(one[0]);
    driver.advance(2 * second);
    driver.fail(other[0]);
    expect(driver.record.failures.map(({ attempt, task }) => [attempt, task])).toEqual([
      [1, other[0]],
      [1, one[0]],
    ]);
    driver.advance(3 * second);
    expect(driver.requests("deploy").map(({ deployment }) => deployment.attempt)).toEqual([
      2, 2, 2, 2,
    ]);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    driver.fail(one[0]);
    expect(driver.record.phase).toBe("FAILED");
  });

  test("of the other region while one is deployed has an attempt of its own", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    driver.fail(one[0]);
    driver.advance(second);
    driver.fail(other[0]);
    driver.deployAll();
    expect(driver.record.phase).toBe("RESTARTING");
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 3 });
    expect(driver.record.regions.map(({ attempt }) => attempt)).toEqual([2, 3]);
  });

  test("that is not one subtask's ends all of them", () => {
    const driver = running();
    driver.trigger();
    driver.decline();
    expect(driver.record.failures[0]).toMatchObject({ name: "CheckpointFailed" });
    expect(driver.record.regions.map(({ phase }) => phase)).toEqual(["waiting", "waiting"]);
    driver.advance(second);
    driver.deployAll();
    expect(driver.record.regions.map(({ attempt }) => attempt)).toEqual([2, 2]);
  });

  test("a coordinator that lost its memory leaves the region alone that runs", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    driver.fail(one[0]);
    driver.advance(second);
    driver.take();
    driver.reload();
    expect(driver.all("heartbeat").flatMap(({ tasks }) => tasks)).toEqual(other);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.record.regions.map(({ attempt }) => attempt)).toEqual([3, 1]);
  });

  test("messages of an attempt that its region does not run change nothing", () => {
    const driver = running();
    const { one, other } = partsOf(driver);
    driver.fail(one[0]);
    driver.advance(second);
    driver.deployAll();
    const { failures } = driver.record;
    driver.fail(one[0], driver.attemptOf(other[0]!));
    driver.fail(other[0], driver.attemptOf(one[0]!));
    expect(driver.record.failures).toEqual(failures);
    expect(driver.record.phase).toBe("RUNNING");
  });
});
