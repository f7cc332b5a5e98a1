// The job of a world that goes by event time: one program of windows, timers or a join, behind sources
// with watermarks. It has no other part, so that such worlds are small. What its tables must show is said
// by plain loops over the rows (event-time-reference.ts), which needs programs whose results follow from
// the rows alone:
//   E1. Rows are `in bounds`: none is earlier than the latest of its split by more than the bound, so
//       none is late, whatever overtakes what. Or which are late is `known`: there is one split, of which
//       every row moves event time on, and no barrier overtakes. Else it is `open` which are late, and
//       what is checked is that each row is in its windows or among the late ones, and in one of both.
//   E2. Times are on a grid, gaps of sessions beside it: no row comes just when a gap is over, where it
//       would depend on the order of the rows whether two sessions are one.

import {
  type Aggregate,
  boundedOutOfOrderness,
  count,
  fromIterable,
  generate,
  outputTag,
  rows,
  session,
  sliding,
  sum,
  table,
  topic,
  tumbling,
  valueState,
  watermarks,
} from "../stream/index.ts";
import type { DataStream, KeyedStream } from "../stream/data-stream.ts";
import type { JobEnvironment } from "../stream/job.ts";
import type { WatermarkStrategy } from "../stream/watermarks.ts";
import type { Service } from "./deployment.ts";

/** A row with an event time. */
export interface TimedItem {
  readonly id: number;
  readonly k: number;
  /** When it happened. */
  readonly t: number;
  readonly u: string;
  readonly h: number;
}

export type TimedSource =
  | { readonly kind: "topic"; readonly partitions: number; readonly parallelism: number }
  /** Has an end. */
  | {
      readonly kind: "generate" | "iterable";
      readonly items: readonly TimedItem[];
      readonly rowsPerSecond: number;
      readonly parallelism: number;
    };

export type TimedProgram =
  | {
      readonly kind: "sliding";
      readonly size: number;
      readonly slide: number;
      readonly offset: number;
      /** `ids`, `columns`: of panes; `rows`: windows that hold all of theirs. */
      readonly fold: "ids" | "columns" | "rows";
      readonly lateness: number;
    }
  | { readonly kind: "session"; readonly gap: number; readonly fold: "ids" | "rows" }
  /** By event time: a timer at the end of each stretch of time with rows. */
  | { readonly kind: "timers"; readonly size: number }
  /** By the clock. */
  | { readonly kind: "clock timers"; readonly delay: number }
  | { readonly kind: "interval join"; readonly lower: number; readonly upper: number }
  /** Of tumbling windows, with rows that meet none. */
  | { readonly kind: "window join"; readonly size: number }
  /** Of sessions. */
  | { readonly kind: "co-group"; readonly gap: number };

/** What becomes of what the program tells: each is counted, or is in a window once more. */
export interface Following {
  readonly kind: "counted" | "windows";
  readonly size: number;
  readonly parallelism: number;
}

/** Calls of a service for the rows of the first source, each of which stays as it is. */
export interface AskedShape {
  readonly order: "ordered" | "unordered";
  readonly capacity: number;
  /** Milliseconds after which a row goes on without its answer. */
  readonly timeout: number;
  readonly parallelism: number;
  readonly service: Service;
}

export interface TimedShape {
  readonly sources: readonly TimedSource[];
  readonly asked?: AskedShape;
  readonly bound: number;
  /** Without rows for that long a split holds nobody up. */
  readonly idleness?: number;
  readonly isPunctuated: boolean;
  readonly late: "in bounds" | "known" | "open";
  readonly program: TimedProgram;
  readonly parallelism: number;
  readonly following?: Following;
}

/** What a program says of some rows: of a window, a timer, or a pair. */
export interface Told {
  /** Which of these it is. */
  readonly of: string;
  /** Of the rows; `columns`: how many they are, and what they fold to. */
  readonly ids: readonly number[];
  /** How often it was told. */
  readonly times: number;
}

export const timedUid = (source: number): string => `timed-${source}`;
export const timedTopic = (source: number): string => `topic-${source}`;

/** Whether all of its input has an end. */
export const isBounded = ({ sources }: TimedShape): boolean =>
  sources.every(({ kind }) => kind !== "topic");

/** Whether rows may be late, and then go to a table of their own. */
export const hasLate = ({ late }: TimedShape): boolean => late !== "in bounds";

export const windowTitle = (key: string | number, start: number, end: number): string =>
  `window of ${key} [${start}, ${end})`;
export const timerTitle = (key: string, time: number): string => `timer of ${key} at ${time}`;
export const pairTitle = (left: number | undefined, right: number | undefined): string =>
  `pair ${left ?? "none"}+${right ?? "none"}`;
export const rowTitle = (id: number): string => `row ${id}`;

/** The last instant of the stretch of time that a timer is for. */
export const timerOf = (t: number, size: number): number => Math.floor(t / size) * size + size - 1;

/** By which what was told is dealt to further windows. */
export const shareOf = (of: string): number => of.length % 2;

export interface TimedSurroundings {
  readonly stumble: () => void;
  /** Told of what fires, where anybody wants to know. */
  readonly log: ((line: string) => void) | undefined;
  readonly tables: readonly {
    readonly name: string;
    readonly uid: string;
    readonly parallelism: number;
  }[];
}

const lateTag = outputTag<TimedItem>("late");

/** @param around the first table is that of what is told, the second, where rows may be late, of those */
export function timedProgram(
  env: JobEnvironment,
  shape: TimedShape,
  around: TimedSurroundings,
): void {
  const [first, ...others] = shape.sources.map((source, at) => sourceOf(env, shape, source, at));
  const { told, late } = programOf([asked(first!, shape.asked), ...others], shape, around);
  const shown = followed(told, shape.following);
  const [main, second] = around.tables;
  const { uid, parallelism } = main!;
  shown.to(table(main!.name, { key: (row: Told) => row.of }), { uid, parallelism });
  if (second === undefined || late === undefined) return;
  late.to(table(second.name, { key: (row: TimedItem) => rowTitle(row.id) }), {
    uid: second.uid,
    parallelism: second.parallelism,
  });
}

function sourceOf(
  env: JobEnvironment,
  shape: TimedShape,
  source: TimedSource,
  at: number,
): DataStream<TimedItem> {
  const { parallelism } = source;
  const options = { uid: timedUid(at), parallelism, watermarks: strategyOf(shape) };
  if (source.kind === "topic") {
    const { partitions } = source;
    return env.from(topic<TimedItem>(timedTopic(at), { partitions }), options);
  }
  const { kind, items, rowsPerSecond } = source;
  if (kind === "iterable") return env.from(fromIterable(items), options);
  return env.from(
    generate((index) => items[index]!, { rows: items.length, rowsPerSecond }),
    options,
  );
}

function asked(stream: DataStream<TimedItem>, shape: AskedShape | undefined) {
  if (shape === undefined) return stream;
  const { order, capacity, timeout, parallelism } = shape;
  return stream.asyncMap((row) => row, {
    uid: "asked",
    parallelism,
    order,
    capacity,
    timeout,
    // More often than a service fails in a row: the tries end with the time.
    retry: { attempts: 1_000, delay: 10, backoff: 2, maxDelay: 200 },
    onTimeout: (row) => row,
  });
}

function strategyOf({ bound, idleness, isPunctuated }: TimedShape): WatermarkStrategy<TimedItem> {
  const idle = idleness !== undefined && { idleness };
  if (!isPunctuated) return boundedOutOfOrderness(bound, { timestamp: "t", ...idle });
  return watermarks<TimedItem, number>({
    timestamp: ({ t }) => t,
    create: () => -Infinity,
    onRow: (latest, t) => Math.max(latest, t),
    watermark: (latest) => latest - bound - 1,
    punctuated: true,
    ...idle,
  });
}

interface Outcome {
  readonly told: DataStream<Told>;
  readonly late?: DataStream<TimedItem> | undefined;
}

function programOf(
  [first, second]: readonly DataStream<TimedItem>[],
  shape: TimedShape,
  { stumble, log }: TimedSurroundings,
): Outcome {
  const { program, parallelism } = shape;
  const options = { uid: "program", parallelism };
  const keyOf = ({ u }: TimedItem): string => {
    stumble();
    return u;
  };
  const keyed = first!.keyBy(keyOf);
  const says = (of: string, ids: readonly number[]): Told => {
    log?.(`${of} is told: ${ids.join(" ")}`);
    return { of, ids, times: 1 };
  };
  switch (program.kind) {
    case "sliding":
    case "session":
      return windowsOf(first!, keyed, { shape, program, says });
    case "timers": {
      const told = keyed.process(
        {
          state: { held: valueState<(readonly [t: number, id: number])[]>() },
          emits: rows<Told>(),
          process({ t, id, ...rest }, { state: { held }, timers, output }) {
            stumble();
            const at = timerOf(t, program.size);
            if (timers.currentWatermark() >= at) return output(lateTag, { t, id, ...rest });
            held.set([...(held.get() ?? []), [t, id]]);
            timers.registerEventTime(at);
            // One that is taken back at once, and must not fire.
            timers.registerEventTime(at + 7);
            timers.deleteEventTime(at + 7);
          },
          onTimer(time, { key, state: { held }, timers, timeDomain, emit }) {
            const all = held.get() ?? [];
            const own = all.filter(([t]) => timerOf(t, program.size) === time);
            const rest = all.filter(([t]) => timerOf(t, program.size) !== time);
            if (rest.length === 0) held.clear();
            else held.set(rest);
            const isEarly = time > timers.currentWatermark() || timeDomain !== "event";
            const isAfterOthers = rest.some(([t]) => timerOf(t, program.size) < time);
            const wrong = isEarly ? ", too early" : isAfterOthers ? ", out of order" : "";
            const ids = own.map(([, id]) => id);
            emit(says(timerTitle(key, time) + wrong, ids));
          },
        },
        options,
      );
      return { told, late: told.sideOutput(lateTag) };
    }
    case "clock timers": {
      const told = keyed.process(
        {
          state: { held: valueState<number[]>() },
          emits: rows<Told>(),
          process({ id }, { state: { held }, timers }) {
            stumble();
            held.set([...(held.get() ?? []), id]);
            timers.registerProcessingTime(timers.currentProcessingTime() + program.delay);
          },
          onTimer(time, { state: { held }, timers, emit }) {
            const isEarly = time > timers.currentProcessingTime();
            for (const id of held.get() ?? []) {
              emit(says(rowTitle(id) + (isEarly ? ", too early" : ""), [id]));
            }
            held.clear();
          },
        },
        options,
      );
      return { told };
    }
    case "interval join": {
      const { lower, upper } = program;
      const told = keyed.intervalJoin(
        second!.keyBy(({ u }) => u),
        { between: [lower, upper] },
        (left, right) => says(pairTitle(left.id, right.id), [left.id, right.id]),
        options,
      );
      return { told };
    }
    case "window join": {
      const told = keyed.windowJoin(
        second!.keyBy(({ u }) => u),
        { window: tumbling(program.size), type: "full" },
        (left, right) => {
          const ids = [left, right].flatMap((row) => (row === undefined ? [] : [row.id]));
          return says(pairTitle(left?.id, right?.id), ids);
        },
        options,
      );
      return { told };
    }
    case "co-group": {
      const told = keyed.coGroup(
        second!.keyBy(({ u }) => u),
        { window: session(program.gap) },
        {
          emits: rows<Told>(),
          process({ key, window: { start, end }, emit }, left, right) {
            const ids = [...left, ...right].map(({ id }) => id);
            emit(says(windowTitle(key, start, end), ids));
          },
        },
        options,
      );
      return { told };
    }
  }
}

/** Whether a program has two inputs. */
export const joins = ({ kind }: TimedProgram): boolean =>
  kind === "interval join" || kind === "window join" || kind === "co-group";

const idsOf: Aggregate<TimedItem, readonly number[], readonly number[]> = {
  create: () => [],
  add: (held, { id }) => [...held, id],
  merge: (left, right) => [...left, ...right],
  result: (held) => held,
};

function windowsOf(
  stream: DataStream<TimedItem>,
  keyed: KeyedStream<TimedItem, string>,
  of: {
    readonly shape: TimedShape;
    readonly program: TimedProgram & { readonly kind: "sliding" | "session" };
    readonly says: (of: string, ids: readonly number[]) => Told;
  },
): Outcome {
  const { shape, program, says } = of;
  const options = { uid: "program", parallelism: shape.parallelism };
  const assigner = assignerOf(program);
  const lateness = program.kind === "sliding" ? program.lateness : 0;
  if (program.fold === "columns") {
    const told = stream
      .keyBy("u")
      .window(assigner)
      .allowedLateness(lateness)
      .lateOutput(lateTag)
      .aggregate({ n: count(), h: sum("h") }, options);
    const named = told.map(
      ({ key, windowStart, windowEnd, n, h }) =>
        says(windowTitle(key, windowStart, windowEnd), [n, h]),
      // In one chain with the windows: what is told again comes after what was told before.
      { uid: "named", parallelism: shape.parallelism },
    );
    return { told: named, late: told.sideOutput(lateTag) };
  }
  const windows = keyed.window(assigner).allowedLateness(lateness).lateOutput(lateTag);
  if (program.fold === "ids") {
    const told = windows.aggregate(
      { ids: idsOf },
      {
        emits: rows<Told>(),
        process({ key, window: { start, end }, emit }, { ids }) {
          emit(says(windowTitle(key, start, end), ids));
        },
      },
      options,
    );
    return { told, late: told.sideOutput(lateTag) };
  }
  const told = windows.process(
    {
      emits: rows<Told>(),
      process({ key, window: { start, end }, emit }, items) {
        const ids = Array.from(items, ({ id }) => id);
        emit(says(windowTitle(key, start, end), ids));
      },
    },
    options,
  );
  return { told, late: told.sideOutput(lateTag) };
}

function assignerOf(program: TimedProgram & { readonly kind: "sliding" | "session" }) {
  if (program.kind === "session") return session(program.gap);
  const { size, slide, offset } = program;
  return size === slide ? tumbling(size, { offset }) : sliding(size, slide, { offset });
}

function followed(told: DataStream<Told>, following: Following | undefined): DataStream<Told> {
  if (following === undefined) return told;
  const { kind, size, parallelism } = following;
  const options = { uid: "following", parallelism };
  if (kind === "counted") {
    return told.keyBy("of").reduce(
      (left, right) => ({
        of: left.of,
        ids: left.ids.length > right.ids.length ? left.ids : right.ids,
        times: left.times + right.times,
      }),
      options,
    );
  }
  return told
    .keyBy(({ of }) => shareOf(of))
    .window(tumbling(size))
    .process(
      {
        emits: rows<Told>(),
        process({ key, window: { start, end }, emit }, all) {
          const every = [...all];
          const ids = every.flatMap((one) => one.ids);
          emit({ of: windowTitle(key, start, end), ids, times: every.length });
        },
      },
      options,
    );
}
