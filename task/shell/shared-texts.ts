// The texts of rows on their way out, once for all subtasks of an edge that share this isolate: each of them sends
// much the same texts, and a dictionary of thousands for each is memory that every collection of garbage goes
// through, and that is in no cache of the processor when it is its turn.
//   H1. Nothing depends on who shares what, but time and memory (W2 of row-columns.ts).
//   H2. They go with the last subtask that uses them.

import type { JobId } from "../../format/ids.ts";
import { FieldTexts } from "../../format/row-columns.ts";

const shared = new Map<string, WeakRef<FieldTexts>>();

/** Those of a job, by the edge that rows leave by. */
export const sharedTexts =
  (job: JobId) =>
  (edge: number): FieldTexts => {
    const key = `${job} ${edge}`;
    const known = shared.get(key)?.deref();
    if (known !== undefined) return known;
    for (const [other, texts] of shared) if (texts.deref() === undefined) shared.delete(other);
    const texts = new FieldTexts();
    shared.set(key, new WeakRef(texts));
    return texts;
  };
