// What must hold of the tables of a program that goes by event time, in each cut and in the end.
//   X14. What a table shows as of a checkpoint follows from the records below its source offsets: no
//        window and no timer was told before the watermark can have come to it, or without one of its
//        rows, or once more than there were late rows for it; no pair of rows that are not both there,
//        and no row is late but those that are.
//        Where which rows are late depends on what overtakes what, a row is in its windows from the first
//        that it was in time for, or among the late ones, and never in both.
//   X15. In the end all is told that event time has come to; and of a job that has ended, or was drained,
//        all there is, and nothing is left in the states of its program.

import type { GeneratorProgress } from "../connectors/generator-source.ts";
import type { TopicOffsets } from "../connectors/topic-source.ts";
import {
  hasLate,
  rowTitle,
  type TimedItem,
  type TimedShape,
  timedUid,
  timerOf,
  timerTitle,
  type Told,
  windowTitle,
} from "./event-time.ts";
import {
  type Expected,
  type SplitRows,
  startsOf,
  type TimedReference,
  timedReference,
  watermarkOf,
} from "./event-time-reference.ts";
import type { StateView, View } from "./views.ts";

/** Which rows of which source were handed out. */
export type TimedOffsets = ReadonlyMap<number, readonly SplitOffset[]>;

interface SplitOffset {
  readonly split: number;
  readonly next: number;
}

/** What tables show: of what was told, and of late rows. */
export interface TimedTables {
  readonly told: StateView;
  readonly late: StateView;
}

/** How long blocks of a generator are, and how many splits it deals them to. */
const block = 100;
const generatorSplits = 128;

/** Of a row of either table. */
export function timedView(value: unknown): View {
  if (typeof value === "object" && value !== null && "of" in value) {
    const { times, ids } = value as Told;
    return { text: [times, ...ids].join(" "), weight: 0 };
  }
  return { text: `1 ${(value as TimedItem).id}`, weight: 0 };
}

export class TimedChecks {
  readonly #shape: TimedShape;
  readonly #records: (source: number, partition: number) => readonly TimedItem[];
  readonly #sources: ReadonlyMap<string, number>;

  constructor(
    shape: TimedShape,
    records: (source: number, partition: number) => readonly TimedItem[],
  ) {
    this.#shape = shape;
    this.#records = records;
    this.#sources = new Map(shape.sources.map((_, at) => [timedUid(at), at]));
  }

  /** Takes what a source says of how far it has come; of other states it takes nothing. */
  take(
    offsets: Map<number, SplitOffset[]>,
    { uid, state }: { readonly uid: string; readonly state: string },
    elements: () => readonly unknown[],
  ): void {
    const source = this.#sources.get(uid);
    if (source === undefined || (state !== "offsets" && state !== "progress")) return;
    const own =
      state === "offsets"
        ? (elements() as TopicOffsets).map(({ partition, next }) => ({ split: partition, next }))
        : (elements() as GeneratorProgress).map(({ split, taken }) => ({ split, next: taken }));
    offsets.set(source, [...(offsets.get(source) ?? []), ...own]);
  }

  /** X14. What is wrong with the tables as of a checkpoint, behind the end of event time or not. */
  cutProblem(offsets: TimedOffsets, tables: TimedTables, isAtEnd: boolean): string | undefined {
    const sources = this.#below(offsets);
    if (this.#shape.late === "open") return this.#openProblem(sources, tables, -Infinity);
    const watermark = isAtEnd ? Infinity : this.#watermark(sources);
    const reference = timedReference(this.#shape, sources, watermark);
    return this.#beyond(reference, tables);
  }

  /** X15. And in the end: with these offsets or after all records, with all of event time or not. */
  finalProblem(
    tables: TimedTables,
    { offsets, hasEnded }: { readonly offsets?: TimedOffsets; readonly hasEnded: boolean },
  ): string | undefined {
    const { late, program } = this.#shape;
    const sources = offsets === undefined ? this.#all() : this.#below(offsets);
    const watermark = hasEnded ? Infinity : this.#watermark(sources);
    if (late === "open") return this.#openProblem(sources, tables, watermark);
    const reference = timedReference(this.#shape, sources, watermark);
    const wrong = this.#beyond(reference, tables);
    // Who ends waits for no clock.
    if (wrong !== undefined || (hasEnded && program.kind === "clock timers")) return wrong;
    for (const [of, { ids, again }] of reference.told) {
      const found = tables.told.get(JSON.stringify(of));
      if (found === undefined) return `${of} is not told`;
      if (textOf(idsOf(found)) !== textOf(ids)) {
        return `${of} is told with ${idsOf(found).join(" ")}, and not with ${ids.join(" ")}`;
      }
      const isWhole = this.#shape.following?.kind !== "windows" || timesOf(found) === again + 1;
      if (!isWhole) return `${of} was told of ${timesOf(found)}, and not of ${again + 1}`;
    }
    for (const id of reference.late) {
      if (!tables.late.has(JSON.stringify(rowTitle(id)))) return `row ${id} is late, and not shown`;
    }
    return undefined;
  }

  /** What is there and should not be. */
  #beyond(reference: TimedReference, { told, late }: TimedTables): string | undefined {
    for (const [key, view] of told) {
      const of = JSON.parse(key) as string;
      const expected = reference.told.get(of);
      if (expected === undefined) return `${of} is told, with ${view.text}`;
      const wrong = this.#unlike(view, expected);
      if (wrong !== undefined) return `${of} ${wrong}`;
    }
    for (const [key, view] of late) {
      if (!reference.late.has(idsOf(view)[0]!)) return `${JSON.parse(key)} is shown as late`;
    }
    return undefined;
  }

  #unlike(view: View, { ids, again }: Expected): string | undefined {
    const { program, following } = this.#shape;
    const found = idsOf(view);
    if (timesOf(view) > again + 1) return `is told ${timesOf(view)} times`;
    if (again === 0 || following?.kind === "windows") {
      if (textOf(found) === textOf(ids)) return undefined;
    } else if (program.kind === "sliding" && program.fold === "columns") {
      if (found[0]! <= ids[0]!) return undefined;
    } else {
      const known = new Set(ids);
      if (found.every((id) => known.has(id)) && new Set(found).size === found.length) {
        return undefined;
      }
    }
    return `is told with ${found.join(" ")}, and not with ${ids.join(" ")}`;
  }

  /** What must hold whichever rows are late. */
  #openProblem(
    sources: readonly (readonly SplitRows[])[],
    { told, late }: TimedTables,
    watermark: number,
  ): string | undefined {
    const { program } = this.#shape;
    const rows = new Map(sources.flat(2).map((row) => [row.id, row]));
    const lateIds = new Set([...late.values()].flatMap(idsOf));
    for (const id of lateIds) if (!rows.has(id)) return `row ${id} is late, and not there yet`;
    /** What each row is in. */
    const titles = new Map<number, Set<string>>();
    for (const [key, view] of told) {
      const of = JSON.parse(key) as string;
      if (timesOf(view) > 1) return `${of} is told ${timesOf(view)} times`;
      for (const id of idsOf(view)) {
        const row = rows.get(id);
        if (row === undefined) return `${of} is told with row ${id}, which is not there yet`;
        if (lateIds.has(id)) return `${of} is told with row ${id}, which is late`;
        const own = titles.get(id) ?? new Set();
        if (own.has(of)) return `${of} is told with row ${id} twice`;
        titles.set(id, own.add(of));
        if (program.kind === "session" && !isWithin(row.t, of)) return `row ${id} is in ${of}`;
      }
    }
    for (const [id, row] of rows) {
      const found = [...(titles.get(id) ?? [])];
      if (program.kind === "session") {
        if (found.length > 1) return `row ${id} is in ${found.join(" and ")}`;
        const isMissing = found.length === 0 && !lateIds.has(id) && watermark === Infinity;
        if (isMissing) return `row ${id} is neither late nor in a window`;
        continue;
      }
      const wrong = this.#misplaced(row, new Set(found), lateIds.has(id), watermark);
      if (wrong !== undefined) return `row ${id} ${wrong}`;
    }
    return undefined;
  }

  #misplaced(
    { t, u }: TimedItem,
    found: ReadonlySet<string>,
    isLate: boolean,
    watermark: number,
  ): string | undefined {
    const { program } = this.#shape;
    const own =
      program.kind === "sliding"
        ? startsOf(t, program).toReversed()
        : program.kind === "timers"
          ? [timerOf(t, program.size) - program.size + 1]
          : [];
    const size = "size" in program ? program.size : 0;
    const titled = own.map((start) => ({
      at: start + size - 1,
      of:
        program.kind === "timers"
          ? timerTitle(u, start + size - 1)
          : windowTitle(u, start, start + size),
    }));
    const known = new Set(titled.map(({ of }) => of));
    for (const of of found) if (!known.has(of)) return `is in ${of}, where it does not belong`;
    const first = titled.findIndex(({ of }) => found.has(of));
    for (const [at, one] of titled.entries()) {
      const isMissing = !found.has(one.of) && one.at <= watermark;
      if (isMissing && first !== -1 && at > first) return `is not in ${one.of}`;
    }
    const isOver = titled.length > 0 && titled.every(({ at }) => at <= watermark);
    return isOver && first === -1 && !isLate ? "is neither late nor in a window" : undefined;
  }

  /** As far as event time can have come with these rows. */
  #watermark(sources: readonly (readonly SplitRows[])[]): number {
    const { bound, idleness, sources: shapes } = this.#shape;
    return Math.min(
      ...shapes.map((shape, source) => {
        const splits = sources[source]!;
        const times = splits.map((rows) => watermarkOf(rows, bound));
        if (shape.kind !== "topic") {
          const rows = splits.reduce((sum, split) => sum + split.length, 0);
          return rows === shape.items.length ? Infinity : Math.max(-Infinity, ...times);
        }
        return idleness === undefined ? Math.min(...times) : Math.max(...times);
      }),
    );
  }

  #below(offsets: TimedOffsets): SplitRows[][] {
    return this.#shape.sources.map((shape, source) => {
      const own = offsets.get(source) ?? [];
      if (shape.kind !== "topic") return [rowsBelow(shape.items, own)];
      return Array.from({ length: shape.partitions }, (_, partition) => {
        const { next = 0 } = own.find(({ split }) => split === partition) ?? {};
        return this.#records(source, partition).slice(0, next);
      });
    });
  }

  #all(): SplitRows[][] {
    return this.#shape.sources.map((shape, source) => {
      if (shape.kind !== "topic") return [[...shape.items]];
      return Array.from({ length: shape.partitions }, (_, partition) => [
        ...this.#records(source, partition),
      ]);
    });
  }
}

/** Which tables a program has. */
export const timedTables = (shape: TimedShape): readonly ("told" | "late")[] =>
  hasLate(shape) ? ["told", "late"] : ["told"];

/** The rows of a generator that its splits have handed out. */
function rowsBelow(items: readonly TimedItem[], offsets: readonly SplitOffset[]): TimedItem[] {
  const taken = new Map(offsets.map(({ split, next }) => [split, next]));
  return items.filter((_, index) => {
    const nth = Math.floor(index / block);
    const within = Math.floor(nth / generatorSplits) * block + (index % block);
    return within < (taken.get(nth % generatorSplits) ?? 0);
  });
}

const timesOf = ({ text }: View): number => Number.parseInt(text, 10);
const idsOf = ({ text }: View): number[] => text.split(" ").slice(1).map(Number);
const textOf = (ids: readonly number[]): string => ids.toSorted((a, b) => a - b).join(" ");

/** Whether a time is in the window of that title. */
function isWithin(t: number, title: string): boolean {
  const [, start, end] = /\[(-?\d+), (-?\d+)\)/.exec(title) ?? [];
  return t >= Number(start) && t < Number(end);
}
