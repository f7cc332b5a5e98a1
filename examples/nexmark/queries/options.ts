// How all queries run, unless a submission says otherwise.

import type { JobOptions } from "tidemark";

export const options: JobOptions = { parallelism: 2, checkpointing: { interval: "1s" } };
