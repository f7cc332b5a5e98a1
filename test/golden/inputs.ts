// What happens to the golden pipelines, written in their input.

export type Step =
  | { readonly rows: number }
  /** Everything is lost but the last completed checkpoint. */
  | "crash"
  | "savepoint"
  | { readonly stopAndStartAt: number }
  /** The same in the second version of the program. */
  | { readonly upgradeAt: number }
  /** From the last checkpoint, with the rows on their way in it. */
  | { readonly rescale: number };

const some = { rows: 30 };

/** All of it, from one subtask to three, two, and one. */
export const eventful: readonly Step[] = [
  some,
  { rescale: 3 },
  "crash",
  some,
  "savepoint",
  { upgradeAt: 2 },
  some,
  "crash",
  some,
  { rescale: 1 },
  some,
];

/** Rows that were on their way, and the widest plan. */
export const widened: readonly Step[] = [some, { rescale: 8 }, "crash", some];

/** By savepoints alone. */
export const upgraded: readonly Step[] = [
  some,
  { stopAndStartAt: 3 },
  "crash",
  some,
  { upgradeAt: 2 },
  some,
];

export const inputs: readonly (readonly [title: string, steps: readonly Step[]])[] = [
  ["straight", [some, some]],
  ["crash", [some, "crash", some, "crash", some]],
  ["savepoint", [some, "savepoint", some, "crash", some]],
  [
    "stopped and started at 1, 3, 2, 8",
    [some, { stopAndStartAt: 3 }, some, { stopAndStartAt: 2 }, some, { stopAndStartAt: 8 }, some],
  ],
  ["widened", widened],
  ["upgraded", upgraded],
  ["rescaled 1, 3, 2, 8", [some, { rescale: 3 }, some, { rescale: 2 }, some, { rescale: 8 }, some]],
  ["all of it", eventful],
];
