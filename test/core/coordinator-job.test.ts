// One job from submission to its end: deployment, failure, restart, cancellation, and coordinators
// that lose their memory in every phase. Names in front of a colon are Flink's tests.

import { describe, expect, test } from "vitest";

import { attempt, checkpointId, taskKey } from "../../format/ids.ts";
import { heartbeatInterval, heartbeatTimeout } from "../../format/limits.ts";
import { type Auto, type DriverOptions, JobDriver, metadataOf, twoRegions } from "./job-driver.ts";

const second = 1_000;
const allBut = (...kinds: Auto[]): Auto[] =>
  (["heartbeat", "trigger", "notify", "cancelTasks", "sweep", "announce"] as const).filter(
    (kind) => !kinds.includes(kind),
  );

/** A job whose first attempt runs. */
function running(options: DriverOptions = {}, auto?: readonly Auto[]): JobDriver {
  const driver = new JobDriver(options, auto);
  driver.deployAll();
  driver.take();
  return driver;
}

/** A job that failed in its first attempt and waits for the second. */
function restarting(options: DriverOptions = {}): JobDriver {
  const driver = running(options);
  driver.fail();
  driver.take();
  return driver;
}

describe("deployment", () => {
  test("a submission is stored, then deployed", () => {
    const driver = new JobDriver();
    expect(driver.kinds()).toEqual(["persist", "deploy", "announce", "persist"]);
    expect(driver.record).toMatchObject({ phase: "INITIALIZING", attempt: 1 });
    const [deploy] = driver.all("deploy");
    expect(deploy?.deployments.map(({ task }) => task)).toEqual(driver.tasks);
    expect(deploy?.deployments.every(({ restore }) => restore === undefined)).toBe(true);
  });

  test("nothing starts before the last subtask is deployed (J4)", () => {
    const driver = new JobDriver();
    const requests = driver.requests("deploy");
    driver.take();
    for (const request of requests.slice(0, -1)) driver.answer(request);
    driver.advance(4 * second);
    expect(driver.all("start")).toEqual([]);
    driver.answer(requests.at(-1)!);
    expect(driver.all("start")).toMatchObject([{ attempt: 1, tasks: driver.tasks }]);
    expect(driver.record.phase).toBe("INITIALIZING");
  });

  test("it runs once the last subtask has started", () => {
    const driver = new JobDriver();
    driver.answerAll("deploy");
    const requests = driver.requests("start");
    for (const request of requests.slice(0, -1)) driver.answer(request);
    expect(driver.record.phase).toBe("INITIALIZING");
    expect(driver.job.summary().tasks).toEqual({ total: 4, running: 3 });
    driver.answer(requests.at(-1)!);
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.listed).toMatchObject({ phase: "RUNNING", tasks: { total: 4, running: 4 } });
    expect(driver.job.details().tasks.every(({ started }) => started !== undefined)).toBe(true);
  });

  test("a start that got lost is repeated, to those who did not answer", () => {
    const driver = new JobDriver();
    driver.answerAll("deploy");
    const [first, ...rest] = driver.requests("start");
    driver.answerStart(first!, { kind: "silent", message: "lost" });
    for (const request of rest) driver.answer(request);
    driver.take();
    driver.advance(heartbeatInterval);
    expect(driver.all("start")).toMatchObject([{ tasks: [first!.task] }]);
    driver.answerAll("start");
    expect(driver.record.phase).toBe("RUNNING");
  });

  test.each([
    [{ kind: "refused", reason: "no such program" } as const, "no such program"],
    [{ kind: "stale", current: attempt(9) } as const, "It runs attempt 9, newer than 1."],
  ])("a refused deployment fails the attempt: $kind", (outcome, message) => {
    const driver = new JobDriver();
    const [refused] = driver.requests("deploy");
    driver.answerDeploy(refused!, outcome);
    expect(driver.record.phase).toBe("RESTARTING");
    const failure = { attempt: 1, name: "DeployRefused", message, task: refused!.deployment.task };
    expect(driver.record.failures).toMatchObject([failure]);
  });

  test("a deployment that does not answer in time fails the attempt and names who is late", () => {
    const driver = new JobDriver();
    for (const request of driver.requests("deploy").slice(1)) driver.answer(request);
    driver.advance(59 * second);
    expect(driver.attempt).toBe(1);
    driver.advance(2 * second);
    expect(driver.record.failures).toMatchObject([{ attempt: 1, name: "DeployTimeout" }]);
    expect(driver.record.failures[0]?.message).toContain(`${"a".repeat(32)}/0`);
    expect(driver.attempt).toBe(2);
  });

  test("who is deployed is asked whether he is there, as long as others are not (O3)", () => {
    const driver = new JobDriver();
    const [, ...deployed] = driver.requests("deploy");
    for (const request of deployed) driver.answer(request);
    driver.take();
    driver.advance(heartbeatInterval);
    const waiting = deployed.map(({ deployment }) => deployment.task);
    expect(driver.all("heartbeat")).toMatchObject([{ attempt: 1, tasks: waiting }]);
    const [task] = waiting;
    driver.event((job, now) => job.heartbeat(attempt(1), task!, { kind: "unknown" }, now));
    expect(driver.record.failures).toMatchObject([{ name: "SubtaskLost", task }]);
  });

  test.each(["unknown", "stale"] as const)("a subtask that is %s at its start fails it", (kind) => {
    const driver = new JobDriver();
    driver.answerAll("deploy");
    const outcome = kind === "unknown" ? { kind } : { kind, current: attempt(3) };
    driver.answerStart(driver.requests("start")[0]!, outcome);
    expect(driver.record).toMatchObject({
      phase: "RESTARTING",
      failures: [{ name: "SubtaskLost" }],
    });
  });
});

describe("failure and restart", () => {
  test("a failure cancels every subtask, waits, and deploys the next attempt", () => {
    const driver = running();
    driver.fail(driver.tasks[3]!);
    expect(driver.all("cancelTasks")).toMatchObject([{ attempt: 1, tasks: driver.tasks }]);
    expect(driver.record).toMatchObject({
      phase: "RESTARTING",
      attempt: 1,
      restartHistory: { restarts: 1 },
    });
    expect(driver.record.failures).toMatchObject([{ task: driver.tasks[3], message: "boom" }]);
    driver.advance(499);
    expect(driver.all("deploy")).toEqual([]);
    driver.advance(1);
    expect(driver.all("deploy")).toHaveLength(1);
    expect(driver.attempt).toBe(2);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
  });

  test("CheckpointCoordinatorRestoringTest: the latest completed checkpoint, its states by vertex", () => {
    const driver = running({ checkpointing: { retained: 2 } });
    driver.complete();
    const latest = driver.complete();
    driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.fail();
    driver.advance(second);
    driver.take();
    expect(driver.requests("loadManifest")).toMatchObject([{ checkpoint: { id: latest } }]);
    driver.answerAll("loadManifest");
    const [deploy] = driver.all("deploy");
    for (const { task, restore } of deploy!.deployments) {
      expect(restore?.checkpoint).toBe(latest);
      const { operators } = driver.plan.vertices.find(({ id }) => id === task.vertex)!;
      expect(restore?.states.map((state) => state.keyed[0]?.uid)).toEqual([
        operators[0],
        operators[0],
      ]);
    }
    const { latest: seen, counts } = driver.job.overview();
    expect(seen.restored?.id).toBe(latest);
    expect(counts.restored).toBe(1);
  });

  test("a large state may take long to be deployed", () => {
    const driver = running();
    const id = driver.trigger();
    const [first, ...others] = driver.tasks;
    const ack = driver.ackOf(first!, id);
    const keyed = ack.state.keyed.map((of) => ({
      ...of,
      segments: of.segments.map((segment) => ({ ...segment, length: 200_000_000 })),
    }));
    driver.witness.wasAcknowledged(ack);
    driver.event((job, now) => job.acknowledged({ ...ack, state: { ...ack.state, keyed } }, now));
    for (const task of others) driver.ack(task, id);
    driver.answerAll("publish");
    driver.fail();
    driver.advance(second);
    driver.answerAll("loadManifest");
    driver.advance(159 * second);
    expect(driver.attempt).toBe(2);
    driver.advance(2 * second);
    expect(driver.record.failures[0]).toMatchObject({ attempt: 2, name: "DeployTimeout" });
  });

  test("RestartBackoffTimeStrategy: failures of one attempt are one failure (J2)", () => {
    const driver = running();
    for (const task of driver.tasks) driver.fail(task);
    expect(driver.record.failures).toHaveLength(1);
    expect(driver.record.restartHistory.restarts).toBe(1);
    expect(driver.all("cancelTasks")).toHaveLength(1);
    driver.advance(second);
    driver.fail(driver.tasks[0]!, attempt(1));
    expect(driver.record.restartHistory.restarts).toBe(1);
    driver.fail(driver.tasks[0]!, attempt(2));
    expect(driver.record.restartHistory.restarts).toBe(2);
  });

  test("FixedDelayRestartBackoffTimeStrategyTest: as many restarts as allowed, then FAILED", () => {
    const driver = running({ restart: { attempts: 2 } });
    for (const number of [1, 2]) {
      driver.fail();
      expect(driver.record.phase).toBe("RESTARTING");
      expect(driver.attempt).toBe(number);
      driver.advance(second);
      driver.deployAll();
    }
    driver.auto.delete("cancelTasks");
    driver.fail();
    expect(driver.record.phase).toBe("FAILING");
    driver.answerAll("cancelTasks");
    expect(driver.record.phase).toBe("FAILED");
    expect(driver.record.failures[0]?.message).toBe(
      "boom The job ends with it: " +
        "It was restarted 2 times, and its fixed-delay strategy allows 2.",
    );
    expect(driver.job.summary().endTime).toBe(driver.now);
  });

  test("NoRestartBackoffTimeStrategyTest: the first failure ends the job", () => {
    const driver = running({ restart: { strategy: "none" } });
    driver.fail();
    expect(driver.record.phase).toBe("FAILED");
    expect(driver.record.failures[0]?.message).toContain("Its restart strategy is none.");
    expect(driver.listed?.phase).toBe("FAILED");
  });

  test("messages of older and newer attempts change nothing (J1)", () => {
    const driver = restarting();
    driver.advance(second);
    driver.deployAll();
    const id = driver.trigger();
    driver.take();
    const { record } = driver;
    const task = driver.tasks[0]!;
    const silent = { kind: "silent", message: "" } as const;
    for (const other of [attempt(1), attempt(3)]) {
      const ack = { ...driver.ackOf(task, id), attempt: other };
      driver.event((job, now) => job.acknowledged(ack, now));
      driver.decline(id, other);
      driver.fail(task, other);
      driver.event((job, now) => job.heartbeat(other, task, { kind: "unknown" }, now));
      driver.event((job, now) => job.triggered(other, id, task, silent, now));
      driver.event((job, now) => job.deployed(other, task, { kind: "refused", reason: "" }, now));
      driver.event((job, now) => job.started(other, task, { kind: "unknown" }, now));
      driver.event((job, now) => job.tasksCancelled(other, driver.tasks, now));
      driver.event((job, now) => job.manifestFailed(other, { damaged: true, message: "" }, now));
    }
    expect(driver.take()).toEqual([]);
    expect(driver.record).toBe(record);
    driver.ackAll(id);
    driver.answerAll("publish");
    expect(driver.retained).toEqual([id]);
  });

  test("what a failure says is kept short, however long it is", () => {
    const driver = running();
    const failure = { attempt: driver.attempt, task: driver.tasks[0]!, name: "Error" };
    const long = "x".repeat(3_000_000);
    driver.event((job, now) => job.taskFailed({ ...failure, message: long, stack: long }, now));
    expect(JSON.stringify(driver.record).length).toBeLessThan(20_000);
  });
});

describe("damaged checkpoints", () => {
  const withTwo = (): JobDriver => {
    const driver = running({ checkpointing: { retained: 2 }, restart: { attempts: 10 } });
    driver.complete();
    driver.complete();
    driver.fail();
    driver.advance(second);
    return driver;
  };
  const damage = (driver: JobDriver, damaged: boolean): void => {
    const [request] = driver.requests("loadManifest");
    driver.inFlight = driver.inFlight.filter((each) => each !== request);
    driver.event((job, now) =>
      job.manifestFailed(request!.attempt, { damaged, message: "checksum" }, now),
    );
  };

  test("a damaged manifest falls back to the one before, and says so", () => {
    const driver = withTwo();
    damage(driver, true);
    expect(driver.record.failures[0]).toMatchObject({
      name: "CheckpointDamaged",
      message: expect.stringMatching(/^Checkpoint 2 is damaged: checksum .* checkpoint 1 is used/),
    });
    driver.advance(second);
    expect(driver.requests("loadManifest")).toMatchObject([{ checkpoint: { id: 1 } }]);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: 1 } });
    expect(driver.complete()).toBe(3);
  });

  test("CheckpointStoreITCase: a store that cannot be read now is asked again, nothing is dropped", () => {
    const driver = withTwo();
    damage(driver, false);
    driver.advance(second);
    expect(driver.retained).toEqual([2, 1]);
    expect(driver.requests("loadManifest")).toMatchObject([{ checkpoint: { id: 2 } }]);
  });

  test("DefaultCompletedCheckpointStoreTest: the last one is never skipped silently", () => {
    const driver = withTwo();
    damage(driver, true);
    driver.advance(second);
    damage(driver, true);
    expect(driver.record.phase).toBe("FAILED");
    expect(driver.retained).toEqual([1]);
    expect(driver.record.failures[0]?.message).toContain("A restart would fail in the same way.");
  });

  test("CheckpointMetadataLoadingTest: the manifest of something else is a damaged one", () => {
    const driver = withTwo();
    const [request] = driver.requests("loadManifest");
    driver.bucket.set(
      request!.checkpoint.path,
      driver.bucket.get(request!.checkpoint.path.replace("chk-2", "chk-1"))!,
    );
    driver.answer(request!);
    expect(driver.record.failures[0]?.name).toBe("CheckpointDamaged");
    expect(driver.retained).toEqual([1]);
  });

  const damagedFile = {
    kind: "refused",
    reason: "Segment state-2 has another checksum.",
    fault: "damagedState",
  } as const;

  test("a damaged file of state is as bad as a damaged manifest, and dropped once", () => {
    const driver = withTwo();
    driver.answerAll("loadManifest");
    for (const request of driver.requests("deploy")) driver.answerDeploy(request, damagedFile);
    expect(driver.retained).toEqual([1]);
    expect(driver.record.failures).toHaveLength(2);
    expect(driver.record.failures[0]).toMatchObject({
      name: "CheckpointDamaged",
      task: driver.tasks[0],
      message: expect.stringMatching(/^Checkpoint 2 .*state-2.* checkpoint 1 is used/),
    });
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: 1 } });
  });

  test("with the last one damaged the job ends, and its checkpoints stay", () => {
    const driver = running({
      checkpointing: { retention: "NO_EXTERNALIZED_CHECKPOINTS" },
      restart: { attempts: 10 },
    });
    const id = driver.complete();
    driver.fail();
    driver.advance(second);
    driver.answerAll("loadManifest");
    driver.answerDeploy(driver.requests("deploy")[0]!, damagedFile);
    driver.advance(second);
    expect(driver.record).toMatchObject({ phase: "FAILED", isBeyondRestart: true });
    expect(driver.retained).toEqual([id]);
    expect(driver.bucket.has(metadataOf(driver, id))).toBe(true);
  });

  test("what one region finds damaged, no region goes on from", () => {
    const driver = running({
      plan: twoRegions,
      checkpointing: { retained: 2 },
      restart: { attempts: 10 },
    });
    driver.complete();
    driver.complete();
    driver.fail(driver.tasks[0]);
    driver.advance(second);
    driver.answerAll("loadManifest");
    driver.answerDeploy(driver.requests("deploy")[0]!, damagedFile);
    expect(driver.record.regions.map(({ phase }) => phase)).toEqual(["waiting", "waiting"]);
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ phase: "RUNNING", lastRestored: { id: 1 } });
    expect(driver.record.regions.map((region) => region.attempt)).toEqual([3, 3]);
  });
});

describe("heartbeats", () => {
  test("every running subtask is asked in turn, and tells its metrics", () => {
    const driver = running({ checkpointing: { interval: undefined } });
    driver.advance(3 * heartbeatInterval);
    expect(driver.all("heartbeat")).toHaveLength(3);
    expect(driver.all("heartbeat")[0]).toMatchObject({ attempt: 1, tasks: driver.tasks });
    expect(driver.all("persist")).toEqual([]);
    expect(driver.job.details().tasks.every(({ metrics }) => metrics !== undefined)).toBe(true);
  });

  test.each(["unknown", "stale"] as const)("a subtask that answers %s is lost", (kind) => {
    const driver = running({}, allBut("heartbeat"));
    driver.advance(heartbeatInterval);
    const [request] = driver.requests("heartbeat");
    driver.answerHeartbeat(request!, kind === "unknown" ? { kind } : { kind, current: attempt(2) });
    expect(driver.record.failures).toMatchObject([{ name: "SubtaskLost", task: request!.task }]);
    expect(driver.record.phase).toBe("RESTARTING");
  });

  test.each([true, false])(
    "silence fails the attempt after the timeout; calls fail: %s",
    (fails) => {
      const driver = running({ checkpointing: { interval: undefined } }, allBut("heartbeat"));
      driver.advance(heartbeatInterval);
      const silentSince = driver.now;
      const [quiet] = driver.tasks;
      while (driver.record.phase === "RUNNING" && driver.now < silentSince + 2 * heartbeatTimeout) {
        for (const request of driver.requests("heartbeat")) {
          if (taskKey(request.task) !== taskKey(quiet!)) driver.answer(request);
          // A call that hangs never becomes an event.
          else if (fails) driver.answerHeartbeat(request, { kind: "silent", message: "no route" });
        }
        driver.advance(100);
      }
      expect(driver.now - silentSince).toBeGreaterThanOrEqual(heartbeatTimeout);
      expect(driver.now - silentSince).toBeLessThanOrEqual(heartbeatTimeout + heartbeatInterval);
      expect(driver.record.failures).toMatchObject([{ name: "HeartbeatTimeout", task: quiet }]);
    },
  );

  test("one lost call is no loss, and a coordinator that slept blames nobody", () => {
    const driver = running({ checkpointing: { interval: undefined } }, allBut("heartbeat"));
    driver.advance(heartbeatInterval);
    for (const request of driver.requests("heartbeat")) {
      driver.answerHeartbeat(request, { kind: "silent", message: "lost" });
    }
    driver.advance(heartbeatInterval);
    driver.answerAll("heartbeat");
    driver.sleep(10 * heartbeatTimeout);
    driver.advance(0);
    driver.answerHeartbeat(driver.requests("heartbeat")[0]!, { kind: "silent", message: "lost" });
    expect(driver.record.phase).toBe("RUNNING");
  });
});

describe("cancellation", () => {
  const phases: [string, () => JobDriver][] = [
    ["INITIALIZING", () => new JobDriver()],
    ["RUNNING", () => running()],
    ["RESTARTING", () => restarting()],
    [
      "RESTARTING",
      () => {
        const driver = restarting();
        driver.advance(second);
        return driver;
      },
    ],
  ];

  // DefaultSchedulerCheckpointCoordinatorTest: with the job end its checkpoints.
  test.each(phases)(
    "ProcessFailureCancelingITCase: in %s it ends, and nothing runs on",
    (phase, make) => {
      const driver = make();
      expect(driver.record.phase).toBe(phase);
      driver.auto.delete("cancelTasks");
      driver.take();
      expect(driver.cancel()).toBe("cancelling");
      expect(driver.record.phase).toBe("CANCELLING");
      expect(driver.all("cancelTasks")).toMatchObject([{ tasks: driver.tasks }]);
      expect(driver.cancel()).toBe("cancelling");
      driver.answerAll("cancelTasks");
      expect(driver.record.phase).toBe("CANCELED");
      driver.take();
      driver.advance(600 * second);
      for (const request of driver.requests("deploy")) driver.answer(request);
      driver.fail();
      expect(driver.cancel()).toBe("ended");
      expect(driver.all("deploy")).toEqual([]);
      expect(driver.record.phase).toBe("CANCELED");
      expect(driver.listed?.phase).toBe("CANCELED");
      expect(driver.job.nextWakeAt()).toBeUndefined();
    },
  );

  test("a subtask that was deployed behind its cancellation is cancelled again", () => {
    const driver = new JobDriver();
    driver.cancel();
    driver.take();
    const [late] = driver.requests("deploy");
    driver.answer(late!);
    expect(driver.all("cancelTasks")).toMatchObject([{ tasks: [late!.deployment.task] }]);
  });

  test("who cannot be reached is told again, and not waited for without end", () => {
    const driver = running({}, allBut("cancelTasks"));
    driver.cancel();
    const [lost, ...told] = driver.requests("cancelTasks");
    for (const request of told) driver.answer(request);
    driver.inFlight = [];
    driver.take();
    driver.advance(heartbeatInterval);
    expect(driver.all("cancelTasks")).toMatchObject([{ tasks: [lost!.task] }]);
    expect(driver.record.phase).toBe("CANCELLING");
    driver.advance(70 * second);
    expect(driver.record.phase).toBe("CANCELED");
    driver.take();
    // It is there all the same, and its alarm says every few seconds that it has lost its memory.
    const failure = { name: "SubtaskLost", message: "evicted", attempt: driver.attempt };
    driver.event((job, now) => job.taskFailed({ ...failure, task: lost!.task }, now));
    expect(driver.all("cancelTasks")).toMatchObject([{ tasks: [lost!.task] }]);
    expect(driver.record.phase).toBe("CANCELED");
  });

  test("a failure while cancelling does not restart; a cancel while failing changes nothing", () => {
    const driver = running({ restart: { strategy: "none" } }, allBut("cancelTasks"));
    driver.fail();
    expect(driver.record.phase).toBe("FAILING");
    expect(driver.cancel()).toBe("ended");
    driver.answerAll("cancelTasks");
    expect(driver.record.phase).toBe("FAILED");

    const other = running({}, allBut("cancelTasks"));
    other.cancel();
    other.fail();
    expect(other.record).toMatchObject({ phase: "CANCELLING", failures: [] });
  });

  test("a cancelled job leaves no file, also none that arrives late", () => {
    const driver = running({ checkpointing: { retained: 3 } });
    driver.complete();
    driver.complete();
    const id = driver.trigger();
    driver.ackAll(id);
    driver.cancel();
    expect(driver.record.phase).toBe("CANCELED");
    expect([...driver.bucket.keys()]).toEqual([]);
    expect(driver.job.overview().history.map(({ outcome }) => outcome)).toMatchObject([
      { kind: "failed" },
      { kind: "completed", discarded: true },
      { kind: "completed", discarded: true },
    ]);
    driver.answerAll("publish");
    driver.bucket.set(`jobs/${driver.record.job}/chk-${id}/late-0-a1`, new Uint8Array());
    driver.advance(120 * second);
    expect([...driver.bucket.keys()]).toEqual([]);
    expect(driver.job.nextWakeAt()).toBeUndefined();
  });

  test("files are swept again when the sweep itself was lost", () => {
    const driver = running({}, allBut("sweep"));
    driver.complete();
    driver.cancel();
    driver.reload();
    driver.answerAll("sweep");
    expect([...driver.bucket.keys()]).toEqual([]);
  });

  test.each([
    ["NO_EXTERNALIZED_CHECKPOINTS", { cancelled: false, failed: false }],
    ["DELETE_ON_CANCELLATION", { cancelled: false, failed: true }],
    ["RETAIN_ON_CANCELLATION", { cancelled: true, failed: true }],
  ] as const)(
    "CheckpointPropertiesTest, StandaloneCompletedCheckpointStoreTest: with %s, what is kept of the job that ended: %o",
    (retention, kept) => {
      const ends = {
        cancelled: (driver: JobDriver) => void driver.cancel(),
        failed: (driver: JobDriver) => driver.fail(),
      };
      for (const [end, how] of Object.entries(ends)) {
        const driver = running({
          checkpointing: { retention, retained: 2 },
          restart: { strategy: "none" },
        });
        const ids = [driver.complete(), driver.complete(), driver.complete()];
        driver.trigger();
        driver.ack(driver.tasks[0]!);
        how(driver);
        driver.advance(120 * second);
        const stay = kept[end as keyof typeof kept] ? [ids[2], ids[1]] : [];
        expect(driver.retained).toEqual(stay);
        const files = driver.record.checkpoints.retained.flatMap((entry) => entry.files);
        expect([...driver.bucket.keys()].sort()).toEqual([...new Set(files)].sort());
        expect(driver.manifests()).toHaveLength(stay.length);
        const listed = driver.job
          .overview()
          .history.filter(({ outcome }) => outcome.kind === "completed" && !outcome.discarded);
        expect(listed.map(({ id }) => id)).toEqual(stay);
        expect(driver.job.nextWakeAt()).toBeUndefined();
      }
    },
  );

  test("what a failed restore could not read stays, whatever is retained otherwise", () => {
    const checkpointing = { retention: "NO_EXTERNALIZED_CHECKPOINTS" } as const;
    const driver = running({ checkpointing });
    const id = driver.complete();
    driver.fail();
    driver.advance(second);
    const [request] = driver.requests("loadManifest");
    driver.event((job, now) =>
      job.manifestFailed(request!.attempt, { damaged: true, message: "It is damaged." }, now),
    );
    driver.reload();
    expect(driver.record.phase).toBe("FAILED");
    expect(driver.retained).toEqual([id]);
  });
});

describe("a coordinator that lost its memory (JobManagerHAProcessFailureRecoveryITCase)", () => {
  test("while RUNNING: subtasks are asked how they are, and not disturbed", () => {
    const driver = running();
    const before = driver.complete();
    driver.take();
    driver.reload();
    expect(driver.kinds()).toEqual(["heartbeat"]);
    expect(driver.attempt).toBe(1);
    expect(driver.complete()).toBe(before + 1);
  });

  test("while RUNNING: a pending checkpoint is aborted, its acknowledgements come too late", () => {
    const driver = running({ checkpointing: { tolerableFailures: 0 } });
    const id = driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.take();
    driver.reload();
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: id, tasks: driver.tasks }]);
    for (const task of driver.tasks.slice(1)) driver.ack(task, id);
    expect(driver.all("publish")).toEqual([]);
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.job.overview()).toMatchObject({
      counts: { failed: 1, pending: 0 },
      latest: { failed: { id } },
    });
    expect(driver.complete()).toBe(id + 1);
  });

  test("such an abort is no failure of the job's: the tolerance is as before", () => {
    const driver = running({ checkpointing: { tolerableFailures: 1 } });
    for (let round = 0; round < 3; round++) {
      driver.trigger();
      driver.reload();
    }
    driver.trigger();
    driver.decline();
    expect(driver.record.phase).toBe("RUNNING");
  });

  test("whole runtime lost: it finds its subtasks without memory and begins a new attempt", () => {
    const driver = running({}, allBut("heartbeat"));
    const id = driver.complete();
    driver.reload();
    driver.answerHeartbeat(driver.requests("heartbeat")[0]!, { kind: "unknown" });
    driver.advance(second);
    driver.deployAll();
    expect(driver.record).toMatchObject({ attempt: 2, phase: "RUNNING", lastRestored: { id } });
  });

  test("while deploying: it begins anew, under a new attempt, without spending a restart", () => {
    const driver = new JobDriver();
    const stale = driver.requests("deploy");
    driver.reload();
    expect(driver.record).toMatchObject({
      attempt: 2,
      phase: "INITIALIZING",
      restartHistory: { restarts: 0 },
    });
    for (const request of stale) driver.answer(request);
    expect(driver.all("start")).toEqual([]);
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
  });

  test("while the next attempt is being deployed: another one, from the same checkpoint", () => {
    const driver = running();
    const id = driver.complete();
    driver.fail();
    driver.advance(second);
    driver.reload();
    driver.deployAll();
    expect(driver.record).toMatchObject({ attempt: 3, phase: "RUNNING", lastRestored: { id } });
  });

  test("while RESTARTING: the delay is what it was", () => {
    const driver = restarting({ restart: { delay: 10 * second } });
    const { restartAt } = driver;
    driver.advance(4 * second);
    driver.reload();
    expect(driver.record).toMatchObject({ phase: "RESTARTING", attempt: 1 });
    expect(driver.restartAt).toBe(restartAt);
    expect(driver.all("deploy")).toEqual([]);
    driver.advance(6 * second);
    expect(driver.attempt).toBe(2);
  });

  test.each(["CANCELLING", "FAILING"] as const)("while %s: subtasks are told again", (phase) => {
    const driver = running({ restart: { strategy: "none" } }, allBut("cancelTasks"));
    if (phase === "CANCELLING") driver.cancel();
    else driver.fail();
    driver.take();
    driver.reload();
    expect(driver.all("cancelTasks")).toMatchObject([{ attempt: 1, tasks: driver.tasks }]);
    driver.answerAll("cancelTasks");
    expect(driver.record.phase).toBe(phase === "CANCELLING" ? "CANCELED" : "FAILED");
  });

  test("after the end: it says what it was, and does nothing", () => {
    const driver = running();
    driver.complete();
    driver.cancel();
    driver.advance(120 * second);
    const details = driver.job.details();
    driver.take();
    driver.reload();
    expect(driver.take()).toEqual([]);
    expect(driver.job.details()).toEqual({ ...details, tasks: expect.anything() });
    expect(driver.job.details().tasks.every(({ phase }) => phase === "CANCELED")).toBe(true);
    expect(driver.job.nextWakeAt()).toBeUndefined();
  });

  test("CheckpointIDCounterTest: ids and attempts only grow, whatever is lost", () => {
    const driver = running({ restart: { attempts: 100 } });
    const ids: number[] = [];
    for (let round = 0; round < 5; round++) {
      ids.push(driver.trigger());
      driver.reload();
      ids.push(driver.complete());
      driver.fail();
      driver.reload();
      driver.advance(second);
      driver.deployAll();
    }
    expect(ids).toEqual(ids.toSorted((left, right) => left - right));
    expect(new Set(ids).size).toBe(10);
    expect(driver.attempt).toBe(6);
  });
});

describe("announcements", () => {
  test("reach a dispatcher that was away, the last state first", () => {
    const driver = new JobDriver({ checkpointing: { interval: undefined } }, allBut("announce"));
    driver.deployAll();
    driver.inFlight = driver.inFlight.filter(({ kind }) => kind !== "announce");
    driver.advance(5 * second);
    expect(driver.requests("announce").length).toBeGreaterThanOrEqual(4);
    driver.auto.add("announce");
    driver.advance(second);
    expect(driver.listed?.phase).toBe("RUNNING");
    driver.take();
    driver.advance(10 * second);
    expect(driver.all("announce")).toEqual([]);
  });

  test("are repeated after a reload until one has arrived, also by an ended job", () => {
    const driver = running({}, allBut("announce"));
    driver.cancel();
    driver.inFlight = [];
    driver.reload();
    driver.answerAll("announce");
    expect(driver.listed?.phase).toBe("CANCELED");
  });

  test("are not made of every subtask that starts", () => {
    const driver = new JobDriver();
    driver.answerAll("deploy");
    driver.take();
    driver.answerAll("start");
    expect(driver.all("announce")).toHaveLength(1);
    expect(driver.all("persist").length).toBeLessThanOrEqual(2);
  });
});

describe("waking", () => {
  test("a job that is over and known to be is never woken", () => {
    const driver = running({ restart: { strategy: "none" } });
    driver.fail();
    expect(driver.job.nextWakeAt()).toBeUndefined();
  });

  test("a tick before its time does nothing", () => {
    const driver = running();
    driver.complete();
    driver.take();
    for (let at = 0; at < 5; at++) driver.event((job, now) => job.tick(now));
    expect(driver.take()).toEqual([]);
  });

  test("while a manifest is being written nothing else is triggered, and nobody is busy", () => {
    const driver = running({ checkpointing: { interval: 10 } });
    const id = driver.trigger();
    driver.ackAll(id);
    driver.take();
    driver.advance(heartbeatInterval);
    expect(driver.kinds()).toEqual(["heartbeat"]);
    expect(driver.job.nextWakeAt()).toBeGreaterThan(driver.now);
  });

  test("an unknown checkpoint in an answer is ignored", () => {
    const driver = running();
    driver.event((job, now) => job.swept(checkpointId(5), now));
    expect(driver.take()).toEqual([]);
  });
});
