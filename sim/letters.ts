// The dead letters of a world: which there must be, said by the plain functions.
//   L1. Every row that a step rejects is in the topic once, or at least once where checkpoints promise
//       no more; with the record it comes from where its step is in the chain of a source.
//   L2. Of a job that a savepoint has stopped, these are the rows of the records below it, and no others.

import type { DeadLetter } from "../stream/on-error.ts";
import { eraOf, type Lineage, type Offsets, topologyOf } from "./lineage.ts";
import { applied } from "./steps.ts";
import type { Topics } from "./topics.ts";
import {
  afterUnion,
  behindSource,
  isRejected,
  type Item,
  lettersTopic,
  type StepShape,
  stepUid,
} from "./topology.ts";

/** The letters of jobs that go on from one another: they write to one topic. */
export interface Letters {
  readonly topic: string;
  readonly lineage: Lineage;
  /** Where the first of these jobs began; at the beginning of everything where absent. */
  readonly from?: Offsets;
  /** Some of these jobs promise no more than that none is missing. */
  readonly atLeast: boolean;
  /** Rows of earlier records were on their way when the first of these jobs began. */
  readonly hadRows?: boolean;
}

/** What is wrong with the letters so far. `below`: exactly these records have been processed. */
export function letterProblem(
  { topic, lineage, from, atLeast: mayRepeat, hadRows = false }: Letters,
  topics: Topics,
  how: {
    /** Something went wrong after which more may be there. */
    readonly isLoose: boolean;
    readonly below: Offsets | undefined;
    /** Jobs that have gone on elsewhere from a savepoint of one that goes on here. */
    readonly branches: number;
  },
): string | undefined {
  const { below, branches } = how;
  const atLeast = mayRepeat || how.isLoose;
  const found = new Map<string, number>();
  for (const letter of written(topic, topics)) {
    const { operator, value, source } = letter;
    const key = `${operator} ${value.id}`;
    found.set(key, (found.get(key) ?? 0) + 1);
    if (source === null) continue;
    const records = topics.rows(source.topic, source.partition) as readonly Item[];
    const record = records[source.offset];
    // Ids that a flatMap has made hold that of the record below a million.
    if (record?.id !== value.id % 1_000_000) return `${key} says it is of ${record?.id}`;
  }
  const expected = below && expectedLetters(lineage, topics, { from, below });
  const allowed = below && hadRows ? expectedLetters(lineage, topics, { below }) : expected;
  // What is there too often may have been written by other code, or of records that come again.
  const isClosed =
    !atLeast || (lineage.length === 1 && below !== undefined && isAll(below, topics));
  for (const [key, times] of found) {
    // What was prepared in the savepoint, a branch commits as well; it is the same unless prepared anew.
    if (times > 1 + branches && !atLeast) return `${key} is there ${times} times`;
    if (allowed?.has(key) === false && isClosed) return `${key} was not rejected`;
  }
  const missing = expected && [...expected].find((key) => !found.has(key));
  return missing === undefined ? undefined : `${missing} is missing`;
}

const isAll = (below: Offsets, topics: Topics): boolean =>
  below.every((own, source) =>
    own.every(({ partition, next }) => topics.rows(`topic-${source}`, partition).length === next),
  );

const written = (topic: string, topics: Topics): DeadLetter<Item>[] =>
  Array.from(
    { length: lettersTopic(topic).partitions },
    (_, partition) => topics.rows(topic, partition) as readonly DeadLetter<Item>[],
  ).flat();

function expectedLetters(
  lineage: Lineage,
  topics: Topics,
  { from, below }: { readonly from?: Offsets | undefined; readonly below: Offsets },
): ReadonlySet<string> {
  const letters = new Set<string>();
  const through = (steps: readonly StepShape[], place: string, items: readonly Item[]) =>
    steps.reduce((before, step) => {
      for (const item of step.kind === "reject" ? before.filter(isRejected) : []) {
        letters.add(`${stepUid(place, step)} ${item.id}`);
      }
      return applied([step], before);
    }, items);
  for (const source of topologyOf(lineage).sources.keys()) {
    for (const { partition, next } of below[source]!) {
      const records = topics.rows(`topic-${source}`, partition) as readonly Item[];
      const first = from?.[source]?.find((one) => one.partition === partition)?.next ?? 0;
      for (let at = first; at < next; at++) {
        const { topology } = lineage[eraOf(lineage, source, { partition, next: at })]!;
        const { steps, isApart } = topology.sources[source]!;
        const items = through(steps, behindSource(source), [records[at]!]);
        if (isApart !== true) through(topology.steps, afterUnion, items);
      }
    }
  }
  return letters;
}
