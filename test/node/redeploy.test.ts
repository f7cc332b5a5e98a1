// A job runs, and its program is deployed in other versions: runtimes of different code, one after
// the other, over the same storage.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { type Runtime, startRuntime } from "../../local/runtime.ts";

const job = "c0de".repeat(8);
let directory: string;
let runtime: Runtime | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-redeploy-"));
});
afterAll(async () => {
  await runtime?.kill();
  await rm(directory, { recursive: true, force: true });
});

/** Ends whatever runs, at once, and starts the deployment of `version` over what it left. */
async function deploy(version: "first" | "doubled" | "renamed"): Promise<void> {
  await runtime?.kill();
  const toml = await readFile(new URL("../../wrangler.toml", import.meta.url), "utf8");
  const main = fileURLToPath(new URL(`../redeploy/${version}.ts`, import.meta.url));
  const config = join(directory, `${version}.toml`);
  await writeFile(config, toml.replace(/^main = .*$/m, `main = ${JSON.stringify(main)}`));
  runtime = await startRuntime({ directory: join(directory, "state"), config });
}

async function ask<T>(path: string, init?: RequestInit): Promise<T | undefined> {
  const response = await fetch(`${runtime!.url}${path}`, init);
  return response.ok ? ((await response.json()) as T) : undefined;
}

const send = (...events: readonly { readonly key: string; readonly n: number }[]) =>
  vi.waitUntil(
    () => ask("/topics/events/records", { method: "POST", body: JSON.stringify(events) }),
    { timeout: 20_000 },
  );

/** The committed rows of the table come to be these. */
async function tallies(expected: Readonly<Record<string, number>>): Promise<void> {
  const sums = async (): Promise<unknown> => {
    interface Answer {
      readonly rows: readonly { readonly key: string; readonly sum: number }[];
    }
    const found = await ask<Answer>(`/jobs/${job}/tables/tallies`);
    return found && Object.fromEntries(found.rows.map(({ key, sum }) => [key, sum]));
  };
  await expect.poll(sums, { timeout: 40_000, interval: 50 }).toEqual(expected);
}

test(
  "a job goes on in a version that fits, and ends with one that does not",
  { timeout: 180_000 },
  async () => {
    await deploy("first");
    const body = JSON.stringify({ jobId: job });
    expect(await ask("/jars/counting/run", { method: "POST", body })).toBeDefined();
    await send({ key: "a", n: 1 }, { key: "b", n: 2 }, { key: "a", n: 3 });
    await tallies({ a: 4, b: 2 });

    await deploy("doubled");
    await send({ key: "a", n: 10 }, { key: "c", n: 5 });
    await tallies({ a: 24, b: 2, c: 10 });
    interface Exceptions {
      readonly exceptionHistory: { readonly entries: readonly Record<string, string>[] };
    }
    const failures = async (): Promise<readonly Record<string, string>[]> =>
      (await ask<Exceptions>(`/jobs/${job}/exceptions`))!.exceptionHistory.entries;
    expect((await failures()).map(({ exceptionName }) => exceptionName)).toContain("CodeChanged");

    await deploy("renamed");
    const state = async (): Promise<string | undefined> =>
      (await ask<{ state: string }>(`/jobs/${job}`))?.state;
    await expect.poll(state, { timeout: 40_000, interval: 50 }).toBe("FAILED");
    expect((await failures())[0]).toMatchObject({
      exceptionName: "IncompatibleCode",
      stacktrace: expect.stringContaining('Operator "tally" has state in checkpoint'),
    });
    const { latest } = (await ask<{ latest: { completed: object } }>(`/jobs/${job}/checkpoints`))!;
    expect(latest.completed).toMatchObject({ status: "COMPLETED", discarded: false });
  },
);
