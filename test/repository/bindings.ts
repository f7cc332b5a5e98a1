// The Worker that test/workerd runs must be bound as the deployed one is, or its tests prove little.

import { join } from "node:path";
import { type Unstable_RawConfig, unstable_readConfig } from "wrangler";
import { root } from "./source-file.ts";

/** What two Workers share when they see the same runtime and the same objects. */
export interface Surroundings {
  readonly compatibility_date?: Unstable_RawConfig["compatibility_date"];
  readonly compatibility_flags?: Unstable_RawConfig["compatibility_flags"];
  readonly durable_objects?: Unstable_RawConfig["durable_objects"];
  readonly migrations?: Unstable_RawConfig["migrations"];
  readonly r2_buckets?: Unstable_RawConfig["r2_buckets"];
  readonly queues?: Unstable_RawConfig["queues"];
}

export function surroundingsOf(config: Surroundings): Surroundings {
  const { compatibility_date, compatibility_flags, durable_objects } = config;
  const { migrations, r2_buckets, queues } = config;
  return {
    ...(compatibility_date !== undefined && { compatibility_date }),
    ...(compatibility_flags !== undefined && { compatibility_flags }),
    ...(durable_objects !== undefined && { durable_objects }),
    ...(migrations !== undefined && { migrations }),
    ...(r2_buckets !== undefined && { r2_buckets }),
    ...(queues !== undefined && { queues }),
  };
}

export const readSurroundings = (path: string): Surroundings =>
  surroundingsOf(unstable_readConfig({ config: join(root, path) }, { hideWarnings: true }));
