// Programs made for testing. Tests of one file share their storage, so each test takes a program
// that has topics of its own.

import { env } from "cloudflare:workers";
import {
  aggregatingState,
  avg,
  boundedOutOfOrderness,
  change,
  count,
  type DeadLetter,
  deadLetter,
  defineJob,
  files,
  generate,
  generateColumns,
  type JobDefinition,
  type JobOptions,
  listState,
  mapState,
  outputTag,
  reducingState,
  rows,
  session,
  sum,
  table,
  topic,
  tumbling,
  valueState,
} from "tidemark";
import { goldenJob } from "../golden/pipelines.ts";
import { kept } from "./kept.ts";

/** What most of them count. */
export interface Event {
  readonly key: string;
  readonly n: number;
}

/** Checkpoints and restarts at the pace of a test. */
const quick = {
  parallelism: 2,
  bufferTimeout: 5,
  checkpointing: { interval: 50 },
  restart: { strategy: "fixed-delay", attempts: 1_000_000, delay: 50 },
} as const satisfies JobOptions;

/** Counts and sums that tell a lost row from a doubled one, and either from a pair of both. */
const tally = { rows: count(), sum: sum((e: Event) => e.n), squares: sum((e: Event) => e.n ** 2) };

/** One row of a tally, as the table serves it. */
export interface Tally {
  readonly key: string;
  readonly rows: number;
  readonly sum: number;
  readonly squares: number;
}

const partitions = 2;

/** Three vertices of two subtasks: the topic, a stateless step, and the tally with its table. */
const counting = (name: string): JobDefinition =>
  defineJob(
    name,
    (env) => {
      env
        .from(topic<Event>(name, { partitions }), { uid: "events" })
        .rebalance()
        .map((event) => event, { uid: "step" })
        .keyBy((event) => event.key)
        .aggregate(tally, { uid: "tally" })
        .to(table("tallies"), { uid: "out" });
    },
    quick,
  );

/** Copies of one program, each with a topic of its own: one for every test of a file. */
const copiesMax = 20;

/** `counting-0` and so on. */
const copies = Array.from({ length: copiesMax }, (_, copy) => counting(`counting-${copy}`));

/** What `evenOdd` writes. */
export interface ParitySum {
  readonly key: "even" | "odd";
  readonly sum: number;
  readonly rows: number;
}

/** The example of Flink's documentation: two sources of numbers, their sums by parity. */
export const evenOdd = defineJob(
  "even-odd",
  (env) => {
    const fast = env.from(topic<number>("fast-numbers", { partitions: 1 }), { uid: "fast" });
    const slow = env.from(topic<number>("slow-numbers", { partitions: 1 }), { uid: "slow" });
    fast
      .union(slow)
      .keyBy((n) => (n % 2 === 0 ? "even" : "odd"))
      .aggregate({ sum: sum((n) => n), rows: count() }, { uid: "sums" })
      .to(table("parities"), { uid: "out" });
  },
  { ...quick, parallelism: 1 },
);

/** A row of values that JSON has no words for. */
export const exoticOf = (n: number): object => ({
  key: `row-${n}`,
  n,
  big: 2n ** 70n + BigInt(n),
  date: new Date(n * 86_400_000),
  nothing: undefined,
  nan: n % 2 === 0 ? NaN : -0,
  infinite: -Infinity,
  bytes: new Uint8Array([n, 255, 0]),
  map: new Map<unknown, unknown>([
    [n, new Set([n, "n"])],
    ["nested", { dates: [new Date(n)], none: null }],
  ]),
  ...(n % 3 === 0 && { odd: [undefined, n] }),
});

const exotic = defineJob(
  "exotic",
  (env) => {
    env
      .from(topic<number>("exotic", { partitions: 2 }), { uid: "numbers" })
      .map((n) => exoticOf(n) as { readonly n: number }, { uid: "make" })
      .to(table("values", { key: (row) => row.n }), { uid: "out" });
  },
  quick,
);

export interface Extremes {
  readonly key: string;
  readonly least: number;
  readonly most: number;
}

export interface Position {
  readonly key: string;
  readonly seen: number;
  readonly total: number;
}

/** Everything a stream can do, in one job of two topics and three tables. */
const everything = defineJob(
  "everything",
  (env) => {
    const numbers = (side: "left" | "right") =>
      env
        .from(topic<{ n: number }>(`everything-${side}`, { partitions: 2 }), { uid: side })
        .map(({ n }) => ({ n, side }), { uid: `${side}-sided` });
    const all = numbers("left").union(numbers("right"));
    all
      .keyBy(({ side }) => side)
      .aggregate({ rows: count() }, { uid: "sides" })
      .to(table("sides"), { uid: "sides-out" });
    const parts = all
      .rebalance()
      .flatMap(({ n }) => [n, 0, -n], { uid: "parts" })
      .filter((n) => n !== 0, { uid: "not-zero" });
    const keyOf = (n: number): string => `k${Math.abs(n) % 5}`;
    parts
      .map((n): Extremes => ({ key: keyOf(n), least: n, most: n }), { uid: "extreme" })
      .keyBy(({ key }) => key)
      .reduce(
        (a, b) => ({
          key: a.key,
          least: Math.min(a.least, b.least),
          most: Math.max(a.most, b.most),
        }),
        { uid: "extremes" },
      )
      .to(table("extremes"), { uid: "extremes-out" });
    parts
      .keyBy(keyOf)
      .process(
        {
          state: { seen: valueState({ default: 0 }), total: valueState<number>() },
          emits: rows<Position>(),
          process(n, ctx) {
            const { seen, total } = ctx.state;
            seen.set(seen.get() + 1);
            total.set((total.get() ?? 0) + Math.abs(n));
            ctx.emit({ key: ctx.key, seen: seen.get(), total: total.get() ?? NaN });
          },
        },
        { uid: "positions" },
      )
      .to(table("positions"), { uid: "positions-out" });
  },
  quick,
);

export interface Rate {
  readonly name: string;
  readonly factor: number;
}

/** Handed on ten at a time, multiplied by what was broadcast, and summed by key. */
const rated = defineJob(
  "rated",
  (env) => {
    const rates = env.from(topic<Rate>("rated-rates", { partitions: 1 }), {
      uid: "rates",
      parallelism: 1,
    });
    env
      .from(topic<Event>("rated-events", { partitions: 1 }), { uid: "events", parallelism: 1 })
      .process(
        {
          operatorState: { held: listState<Event>() },
          emits: rows<Event>(),
          process(event, { operatorState: { held }, emit }) {
            held.add(event);
            if (held.get().length < 10) return;
            for (const one of held.get()) emit(one);
            held.clear();
          },
        },
        { uid: "tens", parallelism: 1 },
      )
      .keyBy((event) => event.key)
      .connect(rates.broadcast({ factors: mapState<string, number>() }))
      .process(
        {
          state: { total: valueState({ default: 0 }) },
          emits: rows<{ key: string; total: number }>(),
          process({ n }, ctx) {
            const total = ctx.state.total.get() + n * (ctx.broadcast.factors.get("all") ?? 0);
            ctx.state.total.set(total);
            ctx.emit({ key: ctx.key, total });
          },
          processBroadcast({ name, factor }, ctx) {
            ctx.broadcast.factors.set(name, factor);
          },
        },
        { uid: "totals" },
      )
      .to(table("totals"), { uid: "out" });
  },
  quick,
);

/** Two pipelines that share nothing: two regions. */
export const apart = defineJob(
  "apart",
  (env) => {
    for (const side of ["here", "there"]) {
      env
        .from(topic<Event>(`apart-${side}`, { partitions: 2 }), { uid: side })
        .keyBy((event) => event.key)
        .aggregate(tally, { uid: `${side}-tally` })
        .to(table(`${side}-tallies`), { uid: `${side}-out` });
    }
  },
  quick,
);

let tantrums = 0;

/** Its map throws on the first two attempts. */
const moody = defineJob(
  "moody",
  (env) => {
    env
      .from(topic<number>("moody", { partitions: 1 }), { uid: "numbers" })
      .map(
        (n) => {
          if (n === 2 && tantrums++ < 2) throw new Error("I am moody.");
          return n;
        },
        { uid: "moods" },
      )
      .keyBy(() => "sum")
      .aggregate({ sum: sum((n) => n), rows: count() }, { uid: "sum" })
      .to(table("sums"), { uid: "out" });
  },
  quick,
);

/** Its map always throws. */
const furious = defineJob(
  "furious",
  (env) => {
    env
      .from(topic<number>("furious", { partitions: 1 }), { uid: "numbers" })
      .map(
        (n): { key: number } => {
          throw new Error(`I am furious about ${n}.`);
        },
        { uid: "fury" },
      )
      .to(table("nothing"), { uid: "out" });
  },
  quick,
);

/** Takes any row, and keeps it. */
const hostile = defineJob(
  "hostile",
  (env) => {
    const all = env
      .from(topic("hostile", { partitions }), { uid: "all" })
      .map((row) => ({ key: JSON.stringify(row).slice(0, 200), row }), { uid: "with-key" });
    all.to(table("rows"), { uid: "rows" });
    all
      .keyBy(({ row }) => typeof row)
      .aggregate({ rows: count() }, { uid: "count" })
      .to(table("counts"), { uid: "counts" });
  },
  quick,
);

const unreadable = topic<DeadLetter<Event>>("unreadable", { partitions: 2 });

/** Every seventh event is no good for its map, every eleventh for the key of its tally. */
const squeamish = defineJob(
  "squeamish",
  (env) => {
    env
      .from(topic<Event>("squeamish", { partitions: 2 }), { uid: "events" })
      .map(
        (event) => {
          if (event.n % 7 === 0) throw new TypeError(`${event.n} is no good`);
          return event;
        },
        { uid: "picky" },
      )
      .keyBy((event) => {
        if (event.n % 11 === 0) throw new RangeError(`${event.n} has no key`);
        return event.key;
      })
      .aggregate(tally, { uid: "tally" })
      .to(table("tallies"), { uid: "out" });
  },
  { ...quick, onError: deadLetter(unreadable) },
);

/** What became of each record that was no good. */
export interface Verdict {
  readonly key: string;
  readonly letters: number;
}

/** Another job, which reads the dead letters of the first. */
const coroner = defineJob(
  "coroner",
  (env) => {
    env
      .from(unreadable, { uid: "letters" })
      .keyBy(({ operator, source, value, error }) =>
        [operator, source?.topic, source?.partition, source?.offset, value.n, error.name].join(" "),
      )
      .aggregate({ letters: count() }, { uid: "verdicts" })
      .to(table("verdicts"), { uid: "out" });
  },
  quick,
);

/** Rings for each key some time after its last event. */
const patient = defineJob(
  "patient",
  (env) => {
    env
      .from(topic<Event>("patient", { partitions: 1 }), { uid: "events" })
      .keyBy((event) => event.key)
      .process(
        {
          state: { due: valueState<number>(), seen: valueState({ default: 0 }) },
          emits: rows<{ key: string; seen: number }>(),
          process(event, ctx) {
            const { due, seen } = ctx.state;
            const before = due.get();
            if (before !== undefined) ctx.timers.deleteProcessingTime(before);
            const next = ctx.timers.currentProcessingTime() + event.n;
            ctx.timers.registerProcessingTime(next);
            due.set(next);
            seen.set(seen.get() + 1);
          },
          onTimer(_, ctx) {
            ctx.emit({ key: ctx.key, seen: ctx.state.seen.get() });
            ctx.state.due.clear();
            ctx.state.seen.clear();
          },
        },
        { uid: "clock" },
      )
      .to(table("rung"), { uid: "out" });
  },
  quick,
);

/** A topic that no program reads without arguments, spread by key. */
export const keyed = topic<Event>("keyed", { partitions: 3, key: (event) => event.key });

/** Counts what its arguments say: keys that begin with `--prefix`, from `--least` on. */
export const chosen = defineJob(
  "chosen",
  (env) => {
    const prefix = env.parameters.getRequired("prefix");
    const least = env.parameters.getInt("least", 0);
    env
      .from(keyed, { uid: "events" })
      .filter((event) => event.key.startsWith(prefix) && event.n >= least, { uid: "chosen" })
      .keyBy((event) => event.key)
      .aggregate(tally, { uid: "tally" })
      .to(table("tallies"), { uid: "out" });
  },
  quick,
);

const generatedRows = 60_000;
const generatedKeys = Array.from({ length: 23 }, (_, key) => `key-${key}`);

/** What `generated` comes to. */
export const generatedTallies: readonly Tally[] = generatedKeys
  .map((key, at) => {
    let [rows, sum, squares] = [0, 0, 0];
    for (let n = at; n < generatedRows; n += generatedKeys.length) {
      rows++;
      sum += n;
      squares += n ** 2;
    }
    return { key, rows, sum, squares };
  })
  .sort((a, b) => (a.key < b.key ? -1 : 1));

/** How many numbers there are in the files of `filed`. */
export const filedRows = 30_000;

/** Counts what it makes itself, for three seconds or so, by columns all the way. */
const generated = defineJob(
  "generated",
  (env) => {
    const events = generateColumns(
      { key: generatedKeys, n: "int32", square: "float64" },
      ({ key, n, square }, first) => {
        for (let i = 0; i < n.length; i++) {
          key[i] = (first + i) % generatedKeys.length;
          n[i] = first + i;
          square[i] = (first + i) ** 2;
        }
      },
      { rows: generatedRows, rowsPerSecond: 20_000 },
    );
    env
      .from(events, { uid: "events" })
      .keyBy("key")
      .aggregate({ rows: count(), sum: sum("n"), squares: sum("square") }, { uid: "tally" })
      .to(table("tallies"), { uid: "out" });
  },
  quick,
);

/** Writes what it makes itself to files, for three seconds or so. */
const filed = defineJob(
  "filed",
  (env) => {
    env
      .from(
        generate((n) => ({ n }), { rows: filedRows, rowsPerSecond: 10_000 }),
        { uid: "events" },
      )
      .rebalance()
      .to(files("numbers", { partition: ({ n }) => [["mod", n % 3]] }), { uid: "out" });
  },
  quick,
);

/** Keeps of each key what it saw, in a state of every kind. */
const remembering = defineJob(
  "remembering",
  (env) => {
    env
      .from(
        topic<{ key: string | number | boolean; n: number }>("remembering", { partitions: 1 }),
        {
          uid: "records",
        },
      )
      .keyBy(({ key }) => key)
      .process(
        {
          state: {
            last: valueState<{ n: number; big: bigint }>(),
            all: listState<number>(),
            visits: mapState<number, number>(),
            most: reducingState((a: number, b: number) => Math.max(a, b)),
            mean: aggregatingState(avg((n: number) => n)),
            recent: valueState<number>({ ttl: "1 h" }),
          },
          emits: rows<{ key: string; n: number }>(),
          process({ n }, { key, state, emit }) {
            state.last.set({ n, big: BigInt(2 * n) });
            state.all.add(n);
            state.visits.set(n, (state.visits.get(n) ?? 0) + 1);
            state.most.add(n);
            state.mean.add(n);
            state.recent.set(n);
            emit({ key: `${typeof key} ${String(key)} ${n}`, n });
          },
        },
        { uid: "memory" },
      )
      .to(table("seen"), { uid: "out" });
  },
  quick,
);

/** Keeps far more of each key than it has to. */
const hoarding = defineJob(
  "hoarding",
  (env) => {
    env
      .from(topic<{ key: string }>("hoarding", { partitions: 1 }), { uid: "records" })
      .keyBy("key")
      .process(
        {
          state: { hoard: valueState<{ n: number; ballast: string }>() },
          emits: rows<{ key: string; n: number }>(),
          process({ key }, { state, emit }) {
            const n = (state.hoard.get()?.n ?? 0) + 1;
            state.hoard.set({ n, ballast: key.padEnd(400, key) });
            emit({ key, n });
          },
        },
        { uid: "hoard" },
      )
      .to(table("counts"), { uid: "out" });
  },
  quick,
);

/** Where `asking` finds what it multiplies numbers by; it fails where nothing is there. */
export const factorKey = "asked-for-factor";

/** Asks the bucket about every event, some at a time, until it has an answer. */
const asking = defineJob(
  "asking",
  (job) => {
    job
      .from(topic<Event>("asking", { partitions }), { uid: "events" })
      .asyncMap(
        async ({ key, n }): Promise<Event> => {
          const factor = await env.BUCKET.get(factorKey);
          if (factor === null) throw new Error("There is no factor.");
          return { key, n: n * Number(await factor.text()) };
        },
        {
          uid: "ask",
          capacity: 10,
          timeout: "5 min",
          order: "unordered",
          retry: { attempts: 10_000, delay: 20, backoff: 2, maxDelay: 100 },
        },
      )
      .keyBy("key")
      .aggregate(tally, { uid: "tally" })
      .to(table("tallies"), { uid: "out" });
  },
  quick,
);
/** A row of the topic "visits"; those with an even number come in, the others go out. */
export interface Visit {
  readonly id: number;
  readonly user: string;
  readonly at: number;
}

/** How far visits are out of order, and for how long windows of them are kept. */
export const visitsBound = 20;
export const visitsLateness = 50;

/** Windows of visits, told anew for late ones that are allowed; sessions; and pairs of both directions. */
const windowed = defineJob(
  "windowed",
  (env) => {
    const late = outputTag<Visit>("late");
    const visits = env.from(topic<Visit>("visits", { partitions: 1 }), {
      uid: "visits",
      watermarks: boundedOutOfOrderness(visitsBound, { timestamp: ({ at }: Visit) => at }),
    });
    const byUser = visits.keyBy("user");
    const windows = byUser
      .window(tumbling(100))
      .allowedLateness(visitsLateness)
      .lateOutput(late)
      .aggregate({ visits: count() }, { uid: "windows" });
    windows
      .map((row) => ({ key: `${row.key} ${row.windowStart}`, visits: row.visits }), { uid: "told" })
      .to(table("windows"), { uid: "windows-out" });
    const sessions = byUser
      .window(session(30))
      .lateOutput(late)
      .process(
        {
          emits: rows<{ key: string; visits: number }>(),
          process({ key, window, emit }, { length }) {
            emit({ key: `${key} ${window.start} ${window.end}`, visits: length });
          },
        },
        { uid: "sessions" },
      );
    sessions.to(table("sessions"), { uid: "sessions-out" });
    const [ins, outs] = [0, 1].map((rest) =>
      visits.filter(({ id }) => id % 2 === rest, { uid: rest === 0 ? "in" : "out" }).keyBy("user"),
    );
    const pairs = ins!.windowJoin(
      outs!,
      { window: tumbling(100), type: "left", lateLeft: late, lateRight: late },
      (come, go) => ({ key: `${come.id} ${go?.id ?? "-"}` }),
      { uid: "pairs" },
    );
    pairs.to(table("pairs"), { uid: "pairs-out" });
    const beside = [windows.sideOutput(late), sessions.sideOutput(late), pairs.sideOutput(late)];
    const named = beside.map((stream, of) =>
      stream.map(({ id }) => ({ key: `${["windows", "sessions", "pairs"][of]} ${id}` }), {
        uid: `late-${of}`,
      }),
    );
    named[0]!
      .union(named[1]!, named[2]!)
      .keyBy("key")
      .aggregate({ times: count() }, { uid: "late-times" })
      .to(table("late"), { uid: "late-out" });
  },
  quick,
);

/** A row of the topics "ahead" and "behind", by event time in minutes. */
export interface Sighting {
  readonly key: string;
  readonly minute: number;
}

/** Pairs what was seen in both topics within a minute; in step, or as the rows come. */
const meeting = (name: string, isAligned: boolean): JobDefinition =>
  defineJob(
    name,
    (env) => {
      const watermarks = boundedOutOfOrderness<Sighting>(0, {
        timestamp: ({ minute }) => minute * 60_000,
        ...(isAligned && {
          alignment: { group: "sightings", maxDrift: "1 h", updateInterval: "20 ms" },
        }),
      });
      const [ahead, behind] = ["ahead", "behind"].map((of) =>
        env
          .from(topic<Sighting>(of, { partitions: 1 }), { uid: of, watermarks })
          .keyBy(({ minute }) => minute % 7),
      );
      ahead!
        .intervalJoin(
          behind!,
          { between: ["-1 min", "1 min"] },
          (left, right) => ({ key: `${left.minute} ${right.minute}` }),
          { uid: "pairs" },
        )
        .to(table("pairs"), { uid: "out" });
    },
    quick,
  );

/** What is open of each order that was not cancelled: a table of which rows go. */
const open = defineJob(
  "open",
  (env) => {
    env
      .from(topic<{ order: string; buyer: string; due: number }>("orders"), { uid: "orders" })
      .map((row) => (row.due > 0 ? change.insert(row) : change.delete(row)), { uid: "kinds" })
      .keyBy("order")
      .toChangelog({ uid: "changes" })
      .keyBy("buyer")
      .aggregateChanges({ due: sum("due"), orders: count() }, { uid: "by-buyer" })
      .to(table("buyers"), { uid: "out" });
  },
  quick,
);

/** Each with topics of its own, and with its next version. */
const golden = ["golden-0", "golden-1", "golden-2"].flatMap((name) => [
  goldenJob(name, name),
  goldenJob(`${name}-next`, name, 2),
]);

/** What the savepoints of earlier releases are of. */
const earlier = kept.map(({ program }) => goldenJob(program, program));

export const programs: readonly JobDefinition[] = [
  ...golden,
  ...earlier,
  ...copies,
  evenOdd,
  exotic,
  everything,
  rated,
  apart,
  moody,
  furious,
  hostile,
  squeamish,
  coroner,
  patient,
  chosen,
  filed,
  generated,
  remembering,
  hoarding,
  asking,
  windowed,
  open,
  meeting("in-step", true),
  meeting("as-they-come", false),
];

let used = 0;

/** The name of a counting program, and of its topic, that no other test of this file was given. */
export function unusedCopy(): string {
  const copy = copies[used++];
  if (copy === undefined) throw new Error(`A file may use ${copiesMax} copies; raise copiesMax.`);
  return copy.name;
}
