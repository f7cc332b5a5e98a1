// Versions of one program, as deployments of their own.

import { count, defineJob, sum, table, topic } from "tidemark";
import { tidemark } from "tidemark/worker";

interface Event {
  readonly key: string;
  readonly n: number;
}

/** `doubled`: with a step between source and tally. `tally`: the uid of the tally. */
export const deploymentOf = ({ doubled = false, tally = "tally" } = {}) =>
  tidemark({
    jobs: [
      defineJob(
        "counting",
        (env) => {
          const events = env.from(topic<Event>("events", { partitions: 2 }), { uid: "events" });
          const all = doubled
            ? events.map(({ key, n }) => ({ key, n: 2 * n }), { uid: "doubled", parallelism: 1 })
            : events;
          all
            .keyBy((event) => event.key)
            .aggregate({ rows: count(), sum: sum((event: Event) => event.n) }, { uid: tally })
            .to(table("tallies"), { uid: "out" });
        },
        {
          parallelism: 2,
          bufferTimeout: 5,
          checkpointing: { interval: 100 },
          restart: { strategy: "fixed-delay", attempts: 10, delay: 100 },
        },
      ),
    ],
  });
