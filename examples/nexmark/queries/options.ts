// How all queries run, unless a submission says otherwise.

import type { JobOptions } from "tidemark";

// Some keep a row of every bid (q18, q19, q20): of a million events more than the usual budget of memory.
export const options: JobOptions = {
  parallelism: 2,
  checkpointing: { interval: "1s" },
  state: { memoryBudget: "1024 mb" },
};
