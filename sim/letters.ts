// The dead letters of a world: which there must be in the end, said by the plain functions.
//   L1. Every row that a step rejects is in the topic once, or at least once where checkpoints promise
//       no more; with the record it comes from where its step is in the chain of a source.

import type { DeadLetter } from "../stream/on-error.ts";
import { applied } from "./reference.ts";
import type { Topics } from "./topics.ts";
import { deadLetters, isRejected, type Item, type StepShape, type Topology } from "./topology.ts";

/** What is wrong with the letters so far, or undefined. `whole`: no more records will come. */
export function letterProblem(
  topology: Topology,
  topics: Topics,
  { atLeast, whole }: { readonly atLeast: boolean; readonly whole: boolean },
): string | undefined {
  const found = new Map<string, number>();
  for (const letter of written(topics)) {
    const { operator, value, source } = letter;
    const key = `${operator} ${value.id}`;
    found.set(key, (found.get(key) ?? 0) + 1);
    if (source === null) continue;
    const records = topics.rows(source.topic, source.partition) as readonly Item[];
    const record = records[source.offset];
    // Ids that a flatMap has made hold that of the record below a million.
    if (record?.id !== value.id % 1_000_000) return `${key} says it is of ${record?.id}`;
  }
  const expected = whole ? expectedLetters(topology, topics) : undefined;
  for (const [key, times] of found) {
    if (times > 1 && !atLeast) return `${key} is there ${times} times`;
    if (expected?.has(key) === false) return `${key} was not rejected`;
  }
  const missing = expected && [...expected].find((key) => !found.has(key));
  return missing === undefined ? undefined : `${missing} is missing`;
}

const written = (topics: Topics): DeadLetter<Item>[] =>
  Array.from(
    { length: deadLetters.partitions },
    (_, partition) => topics.rows(deadLetters.name, partition) as readonly DeadLetter<Item>[],
  ).flat();

function expectedLetters(topology: Topology, topics: Topics): ReadonlySet<string> {
  const letters = new Set<string>();
  const through = (steps: readonly StepShape[], name: string, items: readonly Item[]) =>
    steps.reduce((before, step, at) => {
      for (const item of step.kind === "reject" ? before.filter(isRejected) : []) {
        letters.add(`${name}-${at} ${item.id}`);
      }
      return applied([step], before);
    }, items);
  topology.sources.forEach(({ partitions, steps, isApart }, source) => {
    for (let partition = 0; partition < partitions; partition++) {
      const records = topics.rows(`topic-${source}`, partition) as readonly Item[];
      const items = through(steps, `before-${source}`, records);
      if (isApart !== true) through(topology.steps, "after", items);
    }
  });
  return letters;
}
