import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { startRuntime } from "../../local/runtime.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-runtime-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const isUp = (url: string): Promise<boolean> =>
  fetch(url).then(
    () => true,
    () => false,
  );

test("what was acknowledged before SIGKILL is there after a restart", async () => {
  const first = await startRuntime({ directory });
  const posted = await fetch(`${first.url}/topics/flights/records`, {
    method: "POST",
    body: '{"n":1}\n{"n":2}\n',
    headers: { "Idempotency-Key": "a" },
  });
  expect(posted.status).toBe(200);
  await first.kill();
  expect(await isUp(first.url)).toBe(false);

  const port = Number(new URL(first.url).port);
  const second = await startRuntime({ directory, port });
  expect(second.url).toBe(first.url);
  const repeated = await fetch(`${second.url}/topics/flights/records`, {
    method: "POST",
    body: '{"n":1}\n{"n":2}\n',
    headers: { "Idempotency-Key": "a" },
  });
  expect(await repeated.json()).toMatchObject({ duplicate: true, partitions: [{ count: 2 }] });
  await second.stop();
  expect(await isUp(second.url)).toBe(false);
});

test("a runtime that cannot start says where its log is", async () => {
  const runtime = await startRuntime({ directory });
  const port = Number(new URL(runtime.url).port);
  try {
    await expect(startRuntime({ directory: join(directory, "b"), port })).rejects.toThrow(
      /runtime\.log says why/,
    );
    expect(await readFile(join(directory, "b", "runtime.log"), "utf8")).toMatch(/in use/);
  } finally {
    await runtime.stop();
  }
});
