// The code that a job's records have met: its own, and before that the code of the jobs whose
// savepoints it goes back to. A record is of the era in which it was handed out; a state is of the
// era in which its operator came to be, and knows nothing of those before.

import type { Topology } from "./topology.ts";

/** By source and partition: the first record that is not below the cut. */
export type Offsets = readonly (readonly PartitionOffset[])[];

export interface PartitionOffset {
  readonly partition: number;
  readonly next: number;
}

export interface Era {
  readonly topology: Topology;
  /** Where it begins. */
  readonly from: Offsets;
}

/** Oldest first; the last is the job's own, and there is always that. */
export type Lineage = readonly Era[];

export const topologyOf = (lineage: Lineage): Topology => lineage.at(-1)!.topology;

/** The era of a record. */
export function eraOf(lineage: Lineage, source: number, of: PartitionOffset): number {
  for (let era = lineage.length - 1; era > 0; era--) {
    const from = lineage[era]!.from[source]!.find(({ partition }) => partition === of.partition);
    if (of.next >= (from?.next ?? 0)) return era;
  }
  return 0;
}

/** The era since which there has been something without a break. */
export function since(lineage: Lineage, isIn: (topology: Topology) => boolean): number {
  return lineage.findLastIndex(({ topology }) => !isIn(topology)) + 1;
}
