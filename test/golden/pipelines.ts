// Pipelines with all kinds of state, in one program, and what they must show of the rows they were fed,
// whatever happened meanwhile. They are run through crashes and changes of size and code, and the
// savepoints that are kept for ever (test/fixtures) are theirs.

import {
  avg,
  aggregatingState,
  count,
  type DeadLetter,
  deadLetter,
  defineJob,
  type JobDefinition,
  listState,
  mapState,
  reducingState,
  rows,
  sum,
  table,
  topic,
  valueState,
} from "tidemark";

export interface Event {
  /** Events are what counts. A probe asks what was broadcast, a flush for what is held. */
  readonly kind: "event" | "probe" | "flush";
  readonly key: string;
  readonly n: number;
}

export interface Rule {
  readonly name: string;
  readonly weight: number;
}

export const eventPartitions = 4;
export const rulePartitions = 2;

const tally = {
  rows: count(),
  sum: sum((event: Event) => event.n),
  squares: sum((event: Event) => event.n ** 2),
};

/** Milliseconds after an event at which its timer is due. */
const timerDelay = 150;

const keyOf = ({ key }: Event): string => key;

/** Tables, in the order in which they are compared. */
export const tables = ["count", "reduce", "kinds", "rules", "picky", "timers", "held"] as const;

/**
 * The program `name`, over topics whose names begin with `topics`. The second version has one operator
 * more, and one state in another shape.
 */
export function goldenJob(name: string, topics: string, version: 1 | 2 = 1): JobDefinition {
  const letters = topic<DeadLetter<Event>>(`${topics}-letters`, { partitions: 1 });
  return defineJob(
    name,
    (env) => {
      const rules = env.from(topic<Rule>(`${topics}-rules`, { partitions: rulePartitions }), {
        uid: "rules",
        parallelism: 1,
      });
      const all = env.from(
        topic<Event>(`${topics}-events`, { partitions: eventPartitions, key: keyOf }),
        { uid: "all" },
      );
      const events = all.filter(({ kind }) => kind === "event", { uid: "events" });
      const counted = events.keyBy(({ key }) => key).aggregate(tally, { uid: "count" });
      (version === 1 ? counted : counted.filter(() => true, { uid: "passed" })).to(table("count"), {
        uid: "count-out",
      });
      events
        .keyBy(({ key }) => key)
        .reduce((left, right) => ({ ...right, n: left.n + right.n }), { uid: "reduce" })
        .to(table("reduce"), { uid: "reduce-out", parallelism: 2 });
      events
        .keyBy(({ key }) => key)
        .process(
          {
            state: {
              total: valueState<{ readonly sum: number }>(
                version === 1
                  ? {}
                  : { version: 2, migrate: (old) => ({ sum: (old as { sum: number }).sum }) },
              ),
              last: listState<number>(),
              rests: mapState<number, number>(),
              most: reducingState((a: number, b: number) => Math.max(a, b)),
              mean: aggregatingState(avg((event: Event) => event.n)),
            },
            emits: rows<object>(),
            process(event, ctx) {
              const { total, last, rests, most, mean } = ctx.state;
              total.set({ sum: (total.get()?.sum ?? 0) + event.n });
              last.update([...last.get(), event.n].slice(-3));
              rests.set(event.n % 3, (rests.get(event.n % 3) ?? 0) + 1);
              most.add(event.n);
              mean.add(event);
              const counts = [0, 1, 2].map((rest) => rests.get(rest) ?? 0);
              const shown = { sum: total.get()!.sum, last: last.get(), rests: counts };
              ctx.emit({ key: ctx.key, ...shown, most: most.get(), mean: mean.get() });
            },
          },
          { uid: "kinds" },
        )
        .to(table("kinds", { key: (row) => (row as { key: string }).key }), {
          uid: "kinds-out",
          parallelism: 1,
        });
      all
        .keyBy(({ key }) => key)
        .connect(rules.broadcast({ weights: mapState<string, number>() }))
        .process(
          {
            state: { n: valueState({ default: 0 }) },
            emits: rows<{ key: string; n: number; weight: number }>(),
            process({ kind, key }, { state: { n }, broadcast: { weights }, emit }) {
              if (kind === "event") n.set(n.get() + 1);
              if (kind !== "probe") return;
              let weight = 0;
              for (const [, one] of weights.entries()) weight += one;
              emit({ key, n: n.get(), weight });
            },
            processBroadcast({ name: rule, weight }, { broadcast: { weights } }) {
              weights.set(rule, (weights.get(rule) ?? 0) + weight);
            },
          },
          { uid: "weigh" },
        )
        .to(table("rules"), { uid: "rules-out", parallelism: 1 });
      events
        .map(
          (event) => {
            if (event.n % 7 === 0) throw new TypeError(`${event.n} is no good`);
            return event;
          },
          { uid: "picky", onError: deadLetter(letters) },
        )
        .keyBy(({ key }) => key)
        .aggregate(tally, { uid: "picky-count" })
        .to(table("picky"), { uid: "picky-out" });
      events
        .keyBy(({ key }) => key)
        .process(
          {
            state: { waiting: valueState({ default: 0 }), rung: valueState({ default: 0 }) },
            emits: rows<{ key: string; rung: number }>(),
            process(_, { state: { waiting }, timers }) {
              waiting.set(waiting.get() + 1);
              timers.registerProcessingTime(timers.currentProcessingTime() + timerDelay);
            },
            onTimer(_, { key, state: { waiting, rung }, emit }) {
              rung.set(rung.get() + waiting.get());
              waiting.clear();
              emit({ key, rung: rung.get() });
            },
          },
          { uid: "timers" },
        )
        .to(table("timers"), { uid: "timers-out", parallelism: 1 });
      all
        .rebalance()
        .process(
          {
            operatorState: { held: listState<number>() },
            emits: rows<{ key: string }>(),
            process({ kind, n }, { operatorState: { held }, emit }) {
              if (kind === "event") held.add(n);
              if (kind !== "flush") return;
              for (const one of held.get()) emit({ key: `${one}` });
              held.clear();
            },
          },
          { uid: "hold" },
        )
        .to(table("held"), { uid: "held-out", parallelism: 1 });
    },
    {
      parallelism: 1,
      bufferTimeout: 5,
      checkpointing: { interval: 100, tolerableFailures: 1_000 },
      restart: { strategy: "fixed-delay", attempts: 1_000_000, delay: 50 },
    },
  );
}

/** What was fed, and what the tables and the dead letters must come to be. */
export class Fed {
  readonly #byKey = new Map<string, number[]>();
  #weight = 0;
  #n = 0;

  /** The next events, of no more than a few keys. */
  events(many: number): Event[] {
    return Array.from({ length: many }, () => {
      const n = ++this.#n;
      const key = `key-${(n * 7) % 11}`;
      this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), n]);
      return { kind: "event", key, n };
    });
  }

  rule(): Rule {
    this.#weight += 3;
    return { name: `rule-${this.#weight % 4}`, weight: 3 };
  }

  /** One of every key, and as many as it takes to reach every subtask. */
  questions(subtasks = 8): Event[] {
    return [
      ...[...this.#byKey.keys()].map((key): Event => ({ kind: "probe", key, n: 0 })),
      ...Array.from({ length: 2 * subtasks }, (_, n): Event => ({
        kind: "flush",
        key: `${n}`,
        n: 0,
      })),
    ];
  }

  get expected(): Record<(typeof tables)[number], unknown[]> {
    const each = (of: (key: string, all: number[]) => object): object[] =>
      [...this.#byKey].map(([key, all]) => ({ key, ...of(key, all) }));
    const tallied = (all: readonly number[]): object => ({
      rows: all.length,
      sum: sumOf(all),
      squares: sumOf(all.map((n) => n ** 2)),
    });
    return {
      count: inOrder(each((_, all) => tallied(all))),
      reduce: inOrder(each((_, all) => ({ kind: "event", n: sumOf(all) }))),
      kinds: inOrder(
        each((_, all) => ({
          sum: sumOf(all),
          last: all.slice(-3),
          rests: [0, 1, 2].map((rest) => all.filter((n) => n % 3 === rest).length),
          most: Math.max(...all),
          mean: sumOf(all) / all.length,
        })),
      ),
      rules: inOrder(each((_, all) => ({ n: all.length, weight: this.#weight }))),
      picky: inOrder(each((_, all) => tallied(all.filter((n) => n % 7 !== 0)))),
      timers: inOrder(each((_, all) => ({ rung: all.length }))),
      held: inOrder([...this.#byKey.values()].flat().map((n) => ({ key: `${n}` }))),
    };
  }

  /** Of the events that were no good, each once. */
  get letters(): number[] {
    return [...this.#byKey.values()]
      .flat()
      .filter((n) => n % 7 === 0)
      .sort((left, right) => left - right);
  }
}

export const inOrder = (found: readonly unknown[]): unknown[] =>
  (found as { key: string }[]).toSorted((left, right) => (left.key < right.key ? -1 : 1));

const sumOf = (all: readonly number[]): number => all.reduce((total, n) => total + n, 0);
