// `tidemark dev` from its start to its end, and the bin by way of npx.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, expect, test } from "vitest";

import { start, tidemark } from "./tidemark.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-dev-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test("dev runs the application, says how to go on, and ends with its wrangler", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const busy = await tidemark(["dev", "--port", String(port)]);
  expect(busy.code).toBe(1);
  expect(busy.stderr).toBe(
    `error: Port ${port} is taken; end what listens there, or choose another with --port.\n`,
  );
  taken.close();
  await once(taken, "close");

  const url = `http://127.0.0.1:${port}`;
  const config = join(root, "wrangler.toml");
  const args = ["dev", "--port", String(port), "--config", config, "--", "--persist-to", directory];
  const dev = start(args, { env: { WRANGLER_SEND_METRICS: "false" } });
  dev.stdin!.end();
  let stderr = "";
  dev.stderr!.on("data", (text) => (stderr += String(text)));
  dev.stdout!.resume();
  await expect
    .poll(() => stderr, { timeout: 45_000 })
    .toContain(
      `Tidemark is up at ${url}.\nStart a job with\n  npx tidemark run flight-delays --url ${url}\n`,
    );
  expect(await tidemark(["programs"], { url })).toMatchObject({
    code: 0,
    stdout: "flight-delays\n",
  });
  dev.kill("SIGTERM");
  expect(await once(dev, "exit")).toEqual([0, null]);
  expect((await tidemark(["programs"], { url })).code).toBe(3);
});

test("where there is no application, dev says so", async () => {
  const { code, stderr } = await tidemark(["dev", "--config", join(directory, "wrangler.toml")]);
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^error: There is no .*wrangler\.toml in .*; run this where the application is/,
  );
});

test("npx finds the bin and runs it by the project's own Node", async () => {
  const { stdout } = await promisify(execFile)("npx", ["--no-install", "tidemark", "--version"], {
    cwd: root,
  });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
