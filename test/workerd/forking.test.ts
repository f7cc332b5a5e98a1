// Jobs that begin with another's latest checkpoint and share its files, in the real bucket.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import type { CoordinatorPeerApi } from "../../format/holds.ts";
import { checkpointId, type JobId, jobIdFrom, objectName } from "../../format/ids.ts";
import { jobPrefix } from "../../format/paths.ts";
import { faults, Gate, heal } from "./faults.ts";
import {
  call,
  coordinatorOf,
  json,
  killCoordinator,
  killSubtask,
  stateInFiles,
  streaming,
  TestJob,
  until,
} from "./harness.ts";
import { forkOf, post, programOf, stopped } from "./savepoints.ts";

afterEach(heal);

const incremental = { ...stateInFiles, "execution.checkpointing.incremental": "true" };

/** Checkpoints of all jobs but that one wait for the gate to open. */
function onlyCheckpointsOf(job: TestJob): Gate {
  const gate = new Gate();
  faults.onPut = async (path, put) => {
    if (path.startsWith("jobs/") && !path.startsWith(jobPrefix(job.id))) await gate.pass();
    return put();
  };
  return gate;
}

const nothingIsLeftOf = (job: TestJob): Promise<unknown> =>
  until(`nothing of job ${job.id} is left`, async () => (await job.files()).length === 0);

const peerOf = (job: JobId): CoordinatorPeerApi =>
  env.COORDINATOR.getByName(objectName.coordinator(job)) as never;

/** Every job that ends here discards what it has. */
async function ended(...jobs: readonly TestJob[]): Promise<void> {
  for (const job of jobs) await job.cancel();
  for (const job of jobs) await nothingIsLeftOf(job);
}

describe("a fork", () => {
  for (const [title, configuration, body] of [
    ["of its own size", incremental, {}],
    ["at another size", incremental, { parallelism: 3 }],
    ["on sqlite", { ...incremental, "state.backend": "sqlite" }, {}],
    [
      "in other settings",
      incremental,
      {
        flinkConfiguration: {
          "state.backend": "sqlite",
          "execution.checkpointing.interval": "50ms",
        },
      },
    ],
    ["unaligned", { ...incremental, "execution.checkpointing.unaligned.enabled": "true" }, {}],
    [
      "unaligned, at another size",
      { ...incremental, "execution.checkpointing.unaligned.enabled": "true" },
      { parallelism: 3 },
    ],
    ["with its state in its coordinator", { "execution.checkpointing.storage": "jobmanager" }, {}],
  ] as const) {
    test(
      `${title} and its origin both count as one that was never forked, and leave nothing`,
      { timeout: 60_000 },
      async () => {
        const { job, producer, stop } = await streaming(configuration);
        const fork = await forkOf(job, body);
        const { restored } = (await fork.checkpoints()).latest;
        expect(restored).toMatchObject({ is_savepoint: false });
        expect((restored as { external_path?: string }).external_path).toContain(jobPrefix(job.id));
        await fork.completes(2);
        const second = await forkOf(fork);
        await second.completes(1);
        await stop();
        for (const each of [job, fork, second]) {
          await each.settlesAt("tallies", producer.expected);
        }
        await ended(fork, job, second);
      },
    );
  }

  test("lives on shared files whatever becomes of its origin, until it has a checkpoint of its own", async () => {
    const { job, producer, stop } = await streaming(incremental);
    const gate = onlyCheckpointsOf(job);
    const fork = await forkOf(job);
    const shared = (await job.files()).length;
    expect(shared).toBeGreaterThan(0);
    await job.completes(3);
    await killCoordinator(job.id);
    await job.completes(2);
    await killSubtask(fork.id, await fork.task("tally/0"));
    await fork.running(2);
    await job.cancel();
    await killCoordinator(job.id);
    await killCoordinator(fork.id);
    await killSubtask(fork.id, await fork.task("tally/1"));
    await fork.running(3);
    expect((await job.files()).length).toBeGreaterThan(0);
    gate.open();
    heal();
    await fork.completes(1);
    await nothingIsLeftOf(job);
    await stop();
    await fork.settlesAt("tallies", producer.expected);
    await fork.keepsOnlyWhatItNeeds();
    await ended(fork);
  });

  test("that ends before its first checkpoint lets go", async () => {
    const { job, stop } = await streaming(incremental);
    onlyCheckpointsOf(job);
    const fork = await forkOf(job);
    await stop();
    await stopped(job);
    expect((await job.files()).length).toBeGreaterThan(0);
    await fork.cancel();
    await nothingIsLeftOf(job);
    expect(await fork.files()).toEqual([]);
  });

  test("of a job that rests leaves it asleep", async () => {
    const { job, producer, stop } = await streaming(incremental);
    await stop();
    const restingSince = async (): Promise<number | undefined> =>
      (await job.details()).restingSince;
    const since = await until("the job rests", restingSince);
    const fork = await forkOf(job, {
      flinkConfiguration: { "execution.checkpointing.interval": "50ms" },
    });
    expect(await until("the table is served", () => fork.rows("tallies"))).toEqual(
      producer.expected,
    );
    await until("the fork has let go", async () => (await fork.checkpoints()).counts.completed > 0);
    expect(await restingSince()).toBe(since);
    await job.keepsOnlyWhatItNeeds();
  });

  test("is the same fork under the same id, also when its origin has nothing left", async () => {
    const { job } = await streaming(incremental);
    const fork = await forkOf(job);
    await fork.completes(1);
    await job.cancel();
    const again = await post(`/jobs/${job.id}/fork`, { jobId: fork.id });
    expect(await json(again)).toMatchObject({ jobid: fork.id });
    const other = await post(`/jobs/${job.id}/fork`);
    expect(other.status).toBe(409);
    expect(await other.text()).toMatch(/is CANCELED and has left no checkpoint/);
  });

  test("is refused with all reasons before anything is listed, and nothing stays held", async () => {
    const { job, stop } = await streaming(incremental);
    const before = await json<{ jobs: unknown[] }>(await call("/jobs"));
    for (const [body, status, reason] of [
      [{ programId: "even-odd" }, 422, /"tally" has state .* is not in program "even-odd"/],
      [{ programId: "even-odd" }, 422, /"events" has state/],
      [{ programId: "none" }, 404, /no program "none"/],
      [{ flinkConfiguration: { "pipeline.max-parallelism": "64" } }, 422, /key groups/],
      [{ parallelism: 0 }, 400, /parallelism/],
      [{ parallelism: 1_000 }, 400, /max parallelism/],
      [{ savepointPath: "savepoints/x" }, 400, /unknown field "savepointPath"/],
      [{ jobId: job.id }, 409, /is the job that is to be forked/],
    ] as const) {
      const response = await post(`/jobs/${job.id}/fork`, body);
      const { errors } = await response.json<{ errors: string[] }>();
      expect([response.status, errors[0]]).toEqual([status, expect.stringMatching(reason)]);
    }
    expect(await json(await call("/jobs"))).toEqual(before);
    await stop();
    await job.completes(1);
    await job.keepsOnlyWhatItNeeds();
    const other = await forkOf(job, { programId: "even-odd", allowNonRestoredState: true });
    expect(await programOf(other)).toBe("even-odd");
  });

  test("whose submission comes when its hold is given up is refused, and repeated", async () => {
    const { job } = await streaming(incremental);
    const by = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    const answer = await coordinatorOf(job.id).hold({ by });
    if (answer.kind !== "held") throw new Error(answer.kind);
    const { hold, path } = answer;
    // What the origin asks after a minute.
    expect(await peerOf(by).needs(hold)).toBe(false);
    const { plan, config } = await job.details();
    const restore = { path, checkpoint: checkpointId(1), allowNonRestoredState: false, hold };
    const late = await coordinatorOf(by).submit({ job: by, plan, config, restore });
    expect(late.kind).toBe("refused");
    await json(await post(`/jobs/${job.id}/fork`, { jobId: by }));
    const fork = new TestJob(by);
    await fork.completes(1);
    await coordinatorOf(job.id).withdraw(hold.nth);
    await job.keepsOnlyWhatItNeeds();
    await ended(fork, job);
  });
});

describe("a start from a retained checkpoint of a job that runs", () => {
  test("ResumeCheckpointManuallyITCase: keeps it from that job's retention", async () => {
    const { job, producer, stop } = await streaming(incremental);
    const gate = onlyCheckpointsOf(job);
    const next = await until("it is started before the checkpoint is subsumed", async () => {
      const { latest } = await job.checkpoints();
      const jobId = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
      const body = { jobId, savepointPath: latest.completed!.external_path };
      const response = await post(`/jars/${await programOf(job)}/run`, body);
      if (response.ok) return new TestJob(jobId);
      expect(response.status).toBe(409);
      return false;
    });
    await next.running();
    await job.completes(3);
    await killSubtask(next.id, await next.task("tally/0"));
    await next.running(2);
    gate.open();
    heal();
    await next.completes(1);
    await job.keepsOnlyWhatItNeeds();
    await stop();
    await next.settlesAt("tallies", producer.expected);
    await ended(next, job);
  });
});
