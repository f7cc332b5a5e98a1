// Windows and a join on the real runtime, killed while rows come: what they come to, and what was late,
// is what a plain loop makes of the rows.

import { expect, onTestFinished, test } from "vitest";

import { becomes, call, json, killCoordinator, killSubtask, run, until } from "./harness.ts";
import { type Visit, visitsBound, visitsLateness } from "./programs.ts";

const size = 100;
const gap = 30;

async function send(visits: readonly Visit[]): Promise<void> {
  const body = JSON.stringify(visits);
  await json(await call("/topics/visits/records", { method: "POST", body }));
}

/** Numbers `from` up to `to`, 8 ms apart, as far out of order as they may be. */
const visitsOf = (from: number, to: number): Visit[] =>
  Array.from({ length: to - from }, (_, i) => {
    const id = from + i;
    return { id, user: `u${(id >> 1) % 5}`, at: Math.max(0, id * 8 - ((id * 7) % visitsBound)) };
  });

/** Texts with a number each, as the tables have them. */
const counted = (texts: readonly string[]) =>
  [...Map.groupBy(texts, (text) => text)]
    .map(([key, { length: visits }]) => ({ key, visits }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));

const windowOf = ({ at }: Visit): number => Math.floor(at / size) * size;

function sessionsOf(visits: readonly Visit[]): string[] {
  return [...Map.groupBy(visits, ({ user }) => user)].flatMap(([user, own]) => {
    const times = own.map(({ at }) => at).toSorted((a, b) => a - b);
    const texts: string[] = [];
    for (let i = 0, from = 0; i < times.length; i++) {
      if (i + 1 < times.length && times[i + 1]! <= times[i]! + gap) continue;
      const text = `${user} ${times[from]} ${times[i]! + gap}`;
      texts.push(...times.slice(from, i + 1).map(() => text));
      from = i + 1;
    }
    return texts;
  });
}

function pairsOf(visits: readonly Visit[]): string[] {
  const [ins, outs] = [0, 1].map((rest) => visits.filter(({ id }) => id % 2 === rest));
  return ins!.flatMap((come) => {
    const met = outs!.filter((go) => go.user === come.user && windowOf(go) === windowOf(come));
    return met.length === 0 ? [`${come.id} -`] : met.map((go) => `${come.id} ${go.id}`);
  });
}

test(
  "windows, sessions and pairs are those of a plain loop, and so is what was late, whatever is killed",
  { timeout: 60_000 },
  async () => {
    const job = await run("windowed");
    onTestFinished(() => job.cancel());
    await job.running();

    const killed = async (title: string): Promise<void> => {
      const attempt = await job.attempt();
      await killSubtask(job.id, await job.task(title));
      await job.running(attempt + 1);
    };
    const first = visitsOf(0, 120);
    await send(first.slice(0, 50));
    await job.completes();
    await killed("windows/0");
    await send(first.slice(50, 90));
    await killSubtask(job.id, await job.task("pairs/1"));
    await killCoordinator(job.id);
    await send(first.slice(90));

    // Up to where event time has come with them.
    const watermark = Math.max(...first.map(({ at }) => at)) - visitsBound;
    const over = first.filter((visit) => windowOf(visit) + size <= watermark);
    const told = counted(over.map((visit) => `${visit.user} ${windowOf(visit)}`));
    await becomes(() => job.rows("windows"), told);

    // In a window that is over and kept for a while; and behind everything.
    const end = Math.floor(watermark / size) * size;
    expect(watermark).toBeLessThan(end + visitsLateness - 1);
    const allowed: Visit = { id: 1_000, user: "z", at: end - 1 - gap };
    const behind: Visit = { id: 1_002, user: "u0", at: 5 };
    await send([allowed, behind]);
    const late = ["pairs 1000", "pairs 1002", "sessions 1000", "sessions 1002", "windows 1002"];
    const timesOnce = late.map((key) => ({ key, times: 1 }));
    await becomes(() => job.rows("late"), timesOnce);
    await becomes(
      () => job.rows("windows"),
      [...told, { key: `z ${end - size}`, visits: 1 }].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    );

    await job.completes();
    await killed("sessions/1");
    const second = visitsOf(120, 200);
    await send(second);
    await job.completes();
    await killed("visits/0");
    // Brings event time past all of them.
    await send([{ id: 2_000, user: "end", at: 100_000 }]);

    const inTime = [...first, ...second];
    const windows = [...inTime, allowed].map((visit) => `${visit.user} ${windowOf(visit)}`);
    await job.settlesAt("windows", counted(windows));
    await job.settlesAt("sessions", counted(sessionsOf(inTime)));
    const pairs = pairsOf(inTime).toSorted();
    await job.settlesAt(
      "pairs",
      pairs.map((key) => ({ key })),
    );
    expect(await until("late rows", () => job.rows("late"))).toEqual(timesOnce);
  },
);
