// count and sum by key with d2ts: a version per batch, and its own `groupBy`. It keeps the rows of a key,
// equal ones as one, and folds them again whenever another comes.

import { D2, groupBy, groupByOperators, MessageType, MultiSet, output } from "@electric-sql/d2ts";

import { batches, type Purchase, type Tally } from "../data.ts";

const { count, sum } = groupByOperators;

export function countWithD2ts(rows: number): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  const graph = new D2({ initialFrontier: 0 });
  const input = graph.newInput<Purchase>();
  input.pipe(
    groupBy(({ user }: Purchase) => ({ user }), {
      n: count(),
      total: sum((row: Purchase) => row.amount),
    }),
    output((message) => {
      if (message.type !== MessageType.DATA) return;
      // Of an update the old result is withdrawn (-1) and the new one added (1), in any order.
      for (const [[, { user, n, total }], multiplicity] of message.data.collection.getInner()) {
        if (multiplicity > 0) tallies.set(user, { n, total });
      }
    }),
  );
  graph.finalize();
  let version = 0;
  for (const batch of batches(rows)) {
    input.sendData(version, new MultiSet(batch.map((row) => [row, 1])));
    input.sendFrontier(++version);
    graph.run();
  }
  return tallies;
}
