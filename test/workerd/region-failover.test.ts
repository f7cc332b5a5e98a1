// Flink's RegionFailoverITCase: what fails is restarted, and what shares nothing with it goes on.

import { expect, test } from "vitest";
import { objectName } from "../../format/ids.ts";
import { constructions } from "./faults.ts";
import { killSubtask, Producer, run, stateInFiles } from "./harness.ts";

test(
  "RegionFailoverITCase: a lost subtask restarts its pipeline, not the other",
  { timeout: 60_000 },
  async () => {
    const producers = { here: new Producer("apart-here"), there: new Producer("apart-there") };
    const job = await run("apart", stateInFiles);
    await job.running();
    const stops = Object.values(producers).map((producer) => producer.stream());
    await job.completes(2);

    const others = ["there/0", "there/1", "there-tally/0", "there-tally/1"];
    const names = await Promise.all(
      others.map(async (title) => objectName.subtask(job.id, await job.task(title))),
    );
    const constructed = names.map(constructions);
    for (const [round, title] of ["here/0", "here-tally/1", "here-tally/0"].entries()) {
      await killSubtask(job.id, await job.task(title));
      await job.running(round + 2);
      await job.completes(2);
    }
    await Promise.all(stops.map((stop) => stop()));
    await job.settlesAt("here-tallies", producers.here.expected);
    await job.settlesAt("there-tallies", producers.there.expected);

    expect(names.map(constructions)).toEqual(constructed);
    const { attempt, failures, plan, tasks } = await job.details();
    expect(attempt).toBe(4);
    expect(failures).toHaveLength(3);
    const uidOf = new Map(plan.vertices.map(({ id, operators }) => [id, operators[0]!]));
    expect(
      Object.fromEntries(tasks.map((each) => [uidOf.get(each.task.vertex), each.attempt])),
    ).toEqual({ here: 4, "here-tally": 4, there: 1, "there-tally": 1 });
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  },
);
