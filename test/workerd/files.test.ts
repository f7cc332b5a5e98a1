// Files of rows in a bucket: every row in one of them, whoever is killed between what and what.

import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";

import { filesPrefix } from "../../format/paths.ts";
import { faults, Gate, heal } from "./faults.ts";
import { becomes, killSubtask, run, type TestJob, until } from "./harness.ts";
import { filedRows } from "./programs.ts";

afterEach(heal);

/** All files of the job, by path. */
async function filesOf({ id }: TestJob): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let cursor: string | undefined;
  do {
    const page = await env.BUCKET.list({
      prefix: filesPrefix(id, "numbers"),
      ...(cursor !== undefined && { cursor }),
    });
    for (const { key } of page.objects) found.set(key, await (await env.BUCKET.get(key))!.text());
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return found;
}

test("no line is lost or there twice, and no file changes", { timeout: 90_000 }, async () => {
  const job = await run("filed");
  for (const isStored of [true, false]) {
    // A file is stored, and its sender dies before it hears of it; or it dies before.
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (!path.startsWith("files/")) return put();
      const outcome = isStored ? await put() : undefined;
      await gate.pass();
      return outcome ?? put();
    };
    await until("a file is under way", () => gate.arrived > 0);
    const attempt = await job.attempt();
    await killSubtask(job.id, await job.task("out/0"));
    await killSubtask(job.id, await job.task("out/1"));
    heal();
    gate.open();
    await job.running(attempt + 1);
    await job.completes(1);
  }
  const early = await filesOf(job);
  expect(early.size).toBeGreaterThan(0);
  await becomes(() => job.state(), "FINISHED");
  const all = await filesOf(job);
  for (const [path, text] of early) expect(all.get(path)).toBe(text);
  const seen = new Set<number>();
  for (const [path, text] of all) {
    for (const line of text.trimEnd().split("\n")) {
      const { n } = JSON.parse(line) as { n: number };
      expect(path).toContain(`/mod=${n % 3}/part-`);
      expect(seen.has(n)).toBe(false);
      seen.add(n);
    }
  }
  expect(seen.size).toBe(filedRows);
  expect((await env.BUCKET.head([...all.keys()][0]!))?.httpMetadata?.contentType).toBe(
    "application/x-ndjson",
  );
});
