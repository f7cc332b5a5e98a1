// What the program of a world that goes by event time must have told, said by plain loops over its rows,
// with nothing of the engine's.

import {
  type Following,
  pairTitle,
  rowTitle,
  shareOf,
  type TimedItem,
  type TimedProgram,
  type TimedShape,
  timerOf,
  timerTitle,
  windowTitle,
} from "./event-time.ts";

/** Rows of one split, in their order. */
export type SplitRows = readonly TimedItem[];

/** What must have been told of a window, a timer or a pair. */
export interface Expected {
  readonly ids: readonly number[];
  /** Of how many rows it may have been told once more, each for itself. */
  readonly again: number;
}

export interface TimedReference {
  readonly told: ReadonlyMap<string, Expected>;
  /** Ids of rows that are late, where it is known which are. */
  readonly late: ReadonlySet<number>;
}

/** Told at an event time. */
interface At extends Expected {
  readonly of: string;
  readonly at: number;
}

/** A row, and how far event time had come when it came. */
interface Row extends TimedItem {
  readonly before: number;
}

/** How far a split brings event time. */
export const watermarkOf = (rows: SplitRows, bound: number): number =>
  rows.reduce((latest, { t }) => Math.max(latest, t), -Infinity) - bound - 1;

/**
 * What is told when event time has come to `watermark`, of exactly these rows.
 *
 * @param sources the rows of each, split by split
 */
export function timedReference(
  shape: TimedShape,
  sources: readonly (readonly SplitRows[])[],
  watermark: number,
): TimedReference {
  const { program, following, late, bound } = shape;
  const isKnown = late === "known";
  const rows = sources.map((splits) =>
    splits.flatMap((split) => {
      let latest = -Infinity;
      return split.map((item): Row => {
        const before = isKnown ? latest - bound - 1 : -Infinity;
        latest = Math.max(latest, item.t);
        return { ...item, before };
      });
    }),
  );
  // A pair is told when its second row comes, and the clock goes on whatever the rows say.
  const waits = program.kind !== "interval join" && program.kind !== "clock timers";
  const due = toldBy(program, rows).filter(({ at }) => !waits || at <= watermark);
  const all = following?.kind === "windows" ? again(due, following, watermark) : due;
  return {
    told: new Map(all.map(({ of, ids, again: more }) => [of, { ids, again: more }])),
    late: new Set(isKnown ? lateOf(program, rows[0]!).map(({ id }) => id) : []),
  };
}

const byKey = (rows: readonly Row[]): Map<string, Row[]> => Map.groupBy(rows, ({ u }) => u);

const idsOf = (rows: readonly Row[]): number[] => rows.map(({ id }) => id);

function toldBy(program: TimedProgram, [rows, others]: readonly (readonly Row[])[]): At[] {
  switch (program.kind) {
    case "sliding": {
      const told: At[] = [];
      for (const [key, own] of byKey(rows!)) {
        const starts = new Set(own.flatMap(({ t }) => startsOf(t, program)));
        for (const start of starts) {
          const end = start + program.size;
          const taken = own.filter(
            ({ t, before }) => t >= start && t < end && before < end - 1 + program.lateness,
          );
          if (taken.length === 0) continue;
          const ids = program.fold === "columns" ? foldOf(taken) : idsOf(taken);
          const more = taken.filter(({ before }) => before >= end - 1).length;
          told.push({ of: windowTitle(key, start, end), at: end - 1, ids, again: more });
        }
      }
      return told;
    }
    case "session":
    case "co-group": {
      const told: At[] = [];
      for (const [key, own] of byKey([...rows!, ...(others ?? [])])) {
        let session: Row[] = [];
        const tell = (): void => {
          if (session.length === 0) return;
          const end = session.at(-1)!.t + program.gap;
          const of = windowTitle(key, session[0]!.t, end);
          told.push({ of, at: end - 1, ids: idsOf(session), again: 0 });
        };
        for (const row of own.toSorted((one, other) => one.t - other.t)) {
          if (session.length > 0 && row.t > session.at(-1)!.t + program.gap) {
            tell();
            session = [];
          }
          session.push(row);
        }
        tell();
      }
      return told;
    }
    case "timers": {
      const { size } = program;
      const inTime = rows!.filter(({ t, before }) => before < timerOf(t, size));
      return [...byKey(inTime)].flatMap(([key, own]) =>
        [...Map.groupBy(own, ({ t }) => timerOf(t, size))].map(([at, of]) => {
          return { of: timerTitle(key, at), at, ids: idsOf(of), again: 0 };
        }),
      );
    }
    case "clock timers":
      return rows!.map(({ id, t }) => ({ of: rowTitle(id), at: t, ids: [id], again: 0 }));
    case "interval join": {
      const told: At[] = [];
      for (const left of rows!) {
        for (const right of others!) {
          const distance = right.t - left.t;
          if (left.u !== right.u || distance < program.lower || distance > program.upper) continue;
          const of = pairTitle(left.id, right.id);
          const at = Math.max(left.t, right.t);
          told.push({ of, at, ids: [left.id, right.id], again: 0 });
        }
      }
      return told;
    }
    case "window join":
      return windowPairs(program.size, rows!, others!);
  }
}

/** Every pair of rows that share a window, and every row that shares its own with none. */
function windowPairs(size: number, lefts: readonly Row[], rights: readonly Row[]): At[] {
  const pair = (left: Row | undefined, right: Row | undefined): At => {
    const { t } = (left ?? right)!;
    const ids = [left, right].flatMap((row) => (row === undefined ? [] : [row.id]));
    return { of: pairTitle(left?.id, right?.id), at: timerOf(t, size), ids, again: 0 };
  };
  const meet = (one: Row, other: Row): boolean =>
    one.u === other.u && timerOf(one.t, size) === timerOf(other.t, size);
  return [
    ...lefts.flatMap((left) => {
      const met = rights.filter((right) => meet(left, right));
      return met.length === 0 ? [pair(left, undefined)] : met.map((right) => pair(left, right));
    }),
    ...rights.flatMap((right) =>
      lefts.some((left) => meet(left, right)) ? [] : [pair(undefined, right)],
    ),
  ];
}

/** Where the windows of a time begin. */
export function startsOf(
  t: number,
  {
    size,
    slide,
    offset,
  }: { readonly size: number; readonly slide: number; readonly offset: number },
): number[] {
  const starts: number[] = [];
  const last = Math.floor((t - offset) / slide) * slide + offset;
  for (let start = last; start > t - size; start -= slide) starts.push(start);
  return starts;
}

const foldOf = (rows: readonly Row[]): number[] => [
  rows.length,
  rows.reduce((sum, { h }) => sum + h, 0),
];

/** Rows that came when all that they could be in was over. */
function lateOf(program: TimedProgram, rows: readonly Row[]): readonly Row[] {
  if (program.kind === "timers") {
    return rows.filter(({ t, before }) => before >= timerOf(t, program.size));
  }
  if (program.kind !== "sliding") return [];
  const { size, lateness } = program;
  return rows.filter(({ t, before }) => {
    const isIn = startsOf(t, program).some((start) => before < start + size - 1 + lateness);
    return !isIn && t + lateness <= before;
  });
}

/** The windows of what was told, by the event times of that. */
function again(told: readonly At[], { size }: Following, watermark: number): At[] {
  const groups = Map.groupBy(told, ({ of, at }) => `${shareOf(of)} ${Math.floor(at / size)}`);
  return [...groups.values()].flatMap((own) => {
    const [{ of, at }] = own as [At];
    const start = Math.floor(at / size) * size;
    const end = start + size;
    if (end - 1 > watermark) return [];
    const ids = own.flatMap((one) => one.ids);
    return [{ of: windowTitle(shareOf(of), start, end), at: end - 1, ids, again: own.length - 1 }];
  });
}
