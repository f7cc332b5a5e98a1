// The Workers of test/workerd, test/chaos and test/idle must be bound as the deployed one is, or they
// prove little.

import type { Unstable_Config } from "wrangler";

const shared = [
  "compatibility_date",
  "compatibility_flags",
  "durable_objects",
  "migrations",
  "queues",
  "r2_buckets",
] as const satisfies readonly (keyof Unstable_Config)[];

export type Bindings = Pick<Unstable_Config, (typeof shared)[number]>;

/** The settings in which two Workers differ, of those that decide what their code sees. */
export const differences = (left: Bindings, right: Bindings): string[] =>
  shared.filter((key) => JSON.stringify(left[key]) !== JSON.stringify(right[key]));
