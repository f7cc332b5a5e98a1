// What the figures were measured on.

import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  platform: `${platform()} ${arch()}`,
});

/** Of what takes part. */
export const versions = (): Readonly<Record<string, string>> => ({
  node: process.version,
  ...Object.fromEntries(
    ["workerd", "miniflare", "@electric-sql/d2ts", "rxjs"].map((name) => [name, versionOf(name)]),
  ),
});

function versionOf(name: string): string {
  const packages = fileURLToPath(new URL("../node_modules/", import.meta.url));
  const text = readFileSync(join(packages, name, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
