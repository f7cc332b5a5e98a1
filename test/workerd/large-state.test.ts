// A state that is too large for one segment and one piece of a file, in a real bucket.

import { env } from "cloudflare:test";
import { expect, onTestFinished, test } from "vitest";

import { MiB } from "../../format/limits.ts";
import { Upload } from "../../task/shell/state-files.ts";
import { Gate, seen } from "./faults.ts";
import { call, json, run, type TestJob, until } from "./harness.ts";
import { runFrom, savepoint } from "./savepoints.ts";

const keys = 40_000;
const keyOf = (n: number): string => `key ${n}`;
const config = {
  "state.backend": "sqlite",
  "taskmanager.memory.managed.size": "4 mb",
  "execution.checkpointing.interval": "1 s",
};

async function sendAll(): Promise<void> {
  const records = Array.from({ length: keys }, (_, n) => ({ key: keyOf(n) }));
  await json(
    await call("/topics/hoarding/records", { method: "POST", body: JSON.stringify(records) }),
  );
}

/** Every so many keys. */
async function counts(job: TestJob, step = 997): Promise<Set<number | undefined>> {
  const found = new Set<number | undefined>();
  for (let n = keys - 1; n >= 0; n -= step) {
    const response = await call(`/jobs/${job.id}/tables/counts/${keyOf(n)}`);
    found.add(
      response.ok ? (await json<{ rows: { n: number }[] }>(response)).rows[0]?.n : undefined,
    );
  }
  return found;
}

const all = (job: TestJob, n: number): Promise<unknown> =>
  until(`every key came ${n} times`, async () => {
    const found = await counts(job);
    return found.size === 1 && found.has(n);
  });

test(
  "is stored in pieces, and goes on from there in another layout",
  { timeout: 90_000 },
  async () => {
    const job = await run("hoarding", { ...config, "parallelism.default": "1" });
    onTestFinished(async () => {
      await call(`/jobs/${job.id}?mode=cancel`, { method: "PATCH" });
    });
    await job.running();
    await sendAll();
    await all(job, 1);
    const before = seen.bucketCalls.length;
    const location = await savepoint(job);
    const calls = seen.bucketCalls.slice(before);
    expect(calls.filter((name) => name === "createMultipartUpload")).toHaveLength(1);
    const { objects } = await env.BUCKET.list({ prefix: location });
    const [largest] = objects.map(({ size }) => size).sort((a, b) => b - a);
    expect(largest).toBeGreaterThan(15 * MiB);
    const id = encodeURIComponent(location.replace(/^savepoints\//, ""));
    const described = await json<{
      operators: { uid: string; states: { state: string; entries: number }[] }[];
    }>(await call(`/savepoints/${id}`));
    const { states } = described.operators.find(({ uid }) => uid === "hoard")!;
    expect(states).toMatchObject([{ state: "hoard", entries: keys }]);

    const next = await runFrom("hoarding", location, {
      flinkConfiguration: config,
      parallelism: 2,
    });
    await sendAll();
    await all(next, 2);
  },
);

test("leaves no upload behind that was given up while it was begun", async () => {
  const gate = new Gate();
  let uploads = 0;
  const bucket = new Proxy(env.BUCKET, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== "createMultipartUpload") {
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      }
      return async (path: string) => {
        await gate.pass();
        const upload = await target.createMultipartUpload(path);
        uploads++;
        const abort = async (): Promise<void> => {
          await upload.abort();
          uploads--;
        };
        return { uploadPart: upload.uploadPart.bind(upload), abort };
      };
    },
  });
  const upload = new Upload(bucket, "given-up");
  const added = upload.add(new Uint8Array(5 * MiB)).catch(() => {});
  await until("it is being begun", () => gate.arrived === 1);
  const aborted = upload.abort();
  gate.open();
  await Promise.all([added, aborted]);
  expect(uploads).toBe(0);
});
