// A program is deployed in another version while its job runs.

import { describe, expect, test } from "vitest";
import { planOf } from "../../coordinator/plan.ts";
import { count, defineJob, type JobDefinition, sum, table, topic } from "../../stream/index.ts";
import { JobDriver } from "./job-driver.ts";

interface Row {
  readonly key: string;
  readonly n: number;
}

interface Version {
  readonly map?: boolean;
  readonly tally?: string;
  readonly fields?: "count" | "count and sum";
  readonly kind?: "aggregate" | "reduce";
  readonly topic?: string;
  readonly emptied?: boolean;
}

/** Versions of one program; a source, a tally by key, a table. */
function versionOf(version: Version): JobDefinition {
  const { map, tally = "tally", fields = "count", kind = "aggregate" } = version;
  return defineJob("counts", (env) => {
    const rows = env.from(topic<Row>(version.topic ?? "rows", { partitions: 4 }), { uid: "in" });
    const keyed = (map ? rows.map((row) => ({ ...row }), { uid: "step" }) : rows).keyBy(
      (row) => row.key,
    );
    if (version.emptied) rows.to(table("all", { key: (row: Row) => row.n }), { uid: "all" });
    else if (kind === "reduce") {
      keyed.reduce((left) => left, { uid: tally }).to(table("rows"), { uid: "out" });
    } else {
      const aggregates =
        fields === "count" ? { rows: count() } : { rows: count(), sum: sum((row: Row) => row.n) };
      keyed.aggregate(aggregates, { uid: tally }).to(table("counts"), { uid: "out" });
    }
  });
}

const config = new JobDriver().config;
const programsOf = (...jobs: readonly JobDefinition[]) =>
  new Map(jobs.map((job) => [job.name, job]));
const first = versionOf({});
const more = versionOf({ map: true });

function running(): JobDriver {
  const driver = new JobDriver({
    plan: planOf(first.graph, config),
    restart: { attempts: 1, delay: 1_000 },
  });
  driver.deployAll();
  return driver;
}

/** The coordinator comes back in the code of `version`. */
function redeployed(driver: JobDriver, ...version: readonly JobDefinition[]): void {
  driver.take();
  driver.reload({ programs: programsOf(...version) });
  driver.advance(0);
}

describe("another version of the program", () => {
  test("whose functions alone differ is the same", () => {
    const driver = running();
    redeployed(driver, versionOf({}));
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 1 });
    expect(driver.all("cancelTasks")).toEqual([]);
  });

  test("with an operator more goes on from the latest checkpoint, state by uid", () => {
    const driver = running();
    const id = driver.complete();
    redeployed(driver, more);
    expect(driver.record).toMatchObject({ phase: "RESTARTING", attempt: 2 });
    expect(driver.record.failures[0]).toMatchObject({ name: "CodeChanged", attempt: 1 });
    driver.answerAll("loadManifest");
    // Durable before it is deployed.
    expect(driver.record.plan).toEqual(planOf(more.graph, config));
    const deployments = driver.requests("deploy").map(({ deployment }) => deployment);
    expect(deployments).toHaveLength(driver.tasks.length);
    for (const { plan, task, restore } of deployments) {
      expect(plan).toEqual(driver.record.plan);
      expect(restore).toMatchObject({ checkpoint: id, isOtherCode: true });
      const { operators } = plan.vertices.find((vertex) => vertex.id === task.vertex)!;
      const uids = restore!.states.flatMap(({ keyed }) => keyed.map(({ uid }) => uid));
      const held = operators.filter((uid) => uid !== "step");
      expect([...new Set(uids)].sort()).toEqual([...held].sort());
    }
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    // It costs no restart.
    expect(driver.record.restartHistory.restarts).toBe(0);
    expect(driver.complete()).toBe(id + 1);
    driver.fail();
    driver.advance(1_000);
    driver.answerAll("loadManifest");
    expect(driver.requests("deploy")[0]!.deployment.restore).not.toHaveProperty("isOtherCode");
  });

  test("is deployed as it is where no checkpoint has completed", () => {
    const driver = running();
    redeployed(driver, versionOf({ kind: "reduce" }));
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 2 });
  });

  test("takes what has lost its place out of the running", () => {
    const driver = running();
    const before = driver.tasks;
    redeployed(driver, versionOf({ emptied: true, topic: "rows" }));
    driver.deployAll();
    const gone = before.find(({ vertex }) => driver.tasks.every((task) => task.vertex !== vertex))!;
    driver.take();
    driver.fail(gone, 1 as never);
    expect(driver.all("cancelTasks")).toMatchObject([{ attempt: 1, tasks: [gone] }]);
    expect(driver.record.phase).toBe("RUNNING");
  });

  // CheckpointStateRestoreTest
  test.each<[string, readonly JobDefinition[], RegExp]>([
    [
      "an operator is gone",
      [versionOf({ tally: "renamed" })],
      /"tally" has state in checkpoint 1 and is not in the new version/,
    ],
    [
      "an aggregate has other fields",
      [versionOf({ fields: "count and sum" })],
      /Operator "tally" .* as an aggregate of rows, and is now an aggregate of rows, sum\./,
    ],
    ["an operator is of another kind", [versionOf({ kind: "reduce" })], /"tally".* now a reduce\./],
    ["a source reads another topic", [versionOf({ topic: "others" })], /"in".*topic "others"/],
    ["the program is gone", [], /no program of that name/],
  ])("ends the job where %s, and its checkpoints stay", (_, version, message) => {
    const driver = running();
    const id = driver.complete();
    redeployed(driver, ...version);
    driver.answerAll("loadManifest");
    expect(driver.record).toMatchObject({ phase: "FAILED", isBeyondRestart: true });
    expect(driver.record.failures[0]).toMatchObject({
      name: "IncompatibleCode",
      message: expect.stringMatching(message),
    });
    expect(driver.retained).toEqual([id]);
  });

  test("wakes a job that rests", () => {
    const driver = running();
    const id = driver.complete();
    driver.activityOf = () => ({ isIdle: true, cleanSince: driver.retained[0] as never });
    for (let step = 0; step < 300 && driver.record.restingSince === undefined; step++) {
      driver.advance(100);
      for (const { id: open } of driver.record.checkpoints.open) driver.ackAll(open);
      driver.answerAll("publish");
    }
    expect(driver.record.restingSince).toBeDefined();
    redeployed(driver, more);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.record.lastRestored?.id).toBeGreaterThanOrEqual(id);
  });

  test("is left alone by a job that has ended", () => {
    const driver = running();
    driver.cancel();
    driver.reload({ programs: programsOf() });
    expect(driver.record.phase).toBe("CANCELED");
  });
});

describe("while a deployment is on its way", () => {
  const otherCode = { kind: "refused", reason: "other code", fault: "otherCode" } as const;

  test("a subtask in other code is deployed again until it has the job's, and costs no restart", () => {
    const driver = new JobDriver({ restart: { strategy: "none" } });
    for (let round = 0; round < 20; round++) {
      driver.answerDeploy(driver.requests("deploy").at(-1)!, otherCode);
      expect(driver.record.phase).toBe("RESTARTING");
      driver.advance(5_000);
    }
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 21 });
  });

  test("one that wakes up in other code ends its attempt only", () => {
    const driver = running();
    const [task] = driver.tasks;
    const failure = { attempt: driver.attempt, task: task!, name: "OtherCode", message: "x" };
    driver.event((job, now) => job.taskFailed({ ...failure, fault: "otherCode" }, now));
    driver.advance(5_000);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", attempt: 2 });
    expect(driver.record.restartHistory.restarts).toBe(0);
  });
});

describe("a job that was started with arguments", () => {
  const program = (required: string): JobDefinition =>
    defineJob("counts", (env) => {
      const least = env.parameters.getInt(required);
      env
        .from(topic<Row>("rows", { partitions: 4 }), { uid: "in" })
        .keyBy((row) => row.key)
        .aggregate(least > 1 ? { sum: sum((row) => row.n) } : { rows: count() }, { uid: "tally" })
        .to(table("counts"), { uid: "out" });
    });
  const programArgs = ["--least", "2"];
  const started = (): JobDriver => {
    const { graph } = program("least").built(programArgs);
    const driver = new JobDriver({ plan: planOf(graph, config), programArgs });
    driver.deployAll();
    return driver;
  };

  test("goes on undisturbed where the program is the same with them", () => {
    const driver = started();
    redeployed(driver, program("least"));
    expect([driver.job.phase, driver.attempt]).toEqual(["RUNNING", 1]);
  });

  test("ends where another version does not take them, and says so", () => {
    const driver = started();
    redeployed(driver, program("most"));
    expect(driver.job.phase).toBe("FAILED");
    expect(driver.job.details().failures[0]?.message).toMatch(
      /does not take the job's arguments: .*needs the parameter --most/,
    );
  });
});
