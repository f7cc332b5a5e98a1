// The plain run that everything is compared with: the records in, every state and table out, with
// none of the engine's code but the functions of single rows.

import { eraOf, type Lineage, type Offsets, since, topologyOf } from "./lineage.ts";
import { applied } from "./steps.ts";
import {
  groupOf,
  type Group,
  type Item,
  joined,
  keyOfItem,
  latest,
  partsOf,
  type Stat,
  statOf,
  type TableShape,
  tableName,
} from "./topology.ts";
import {
  itemView,
  keyText,
  rowsOf,
  type StateView,
  type View,
  type Views,
  viewsOf,
} from "./views.ts";

export interface Reference extends Views {
  /** The items behind all steps, by id. */
  readonly items: StateView;
}

/** An item behind all steps, with what is asked of it for every cut. */
interface Arrived {
  readonly item: Item;
  readonly id: string;
  readonly view: View;
  readonly key: string;
  readonly stat: Stat;
  readonly era: number;
  /** Of the pipeline that shares nothing with the others. */
  readonly isApart: boolean;
}

/** The plain runs over the records of one job and of those that it goes back to. */
export class References {
  readonly #lineage: Lineage;
  /** All records there are of a partition, in order. */
  readonly #records: (source: number, partition: number) => readonly Item[];
  /** What became of each record, by source, partition and offset. */
  readonly #arrived: readonly (readonly (readonly Arrived[])[][])[];
  #last: { readonly offsets: string; readonly reference: Reference } | undefined;

  constructor(lineage: Lineage, records: (source: number, partition: number) => readonly Item[]) {
    this.#lineage = lineage;
    this.#records = records;
    this.#arrived = topologyOf(lineage).sources.map(({ partitions }) =>
      Array.from({ length: partitions }, () => []),
    );
  }

  /** What all states and tables are after exactly the records below these offsets. */
  below(offsets: Offsets): Reference {
    const text = offsets.map((own) => own.map((one) => `${one.partition}:${one.next}`)).join(";");
    if (this.#last?.offsets !== text) {
      this.#last = { offsets: text, reference: referenceOf(this.#lineage, this.#below(offsets)) };
    }
    return this.#last.reference;
  }

  /** And after all records there are. */
  whole(): Reference {
    return this.below(
      topologyOf(this.#lineage).sources.map(({ partitions }, source) =>
        Array.from({ length: partitions }, (_, partition) => {
          return { partition, next: this.#records(source, partition).length };
        }),
      ),
    );
  }

  *#below(offsets: Offsets): Generator<Arrived> {
    for (const [source, own] of offsets.entries()) {
      for (const { partition, next } of own) {
        const records = this.#records(source, partition);
        const arrived = this.#arrived[source]![partition]!;
        while (arrived.length < Math.min(next, records.length)) {
          const offset = arrived.length;
          arrived.push(this.#arrivedFrom(source, { partition, next: offset }, records[offset]!));
        }
        for (let at = 0; at < next; at++) yield* arrived[at]!;
      }
    }
  }

  #arrivedFrom(source: number, at: Offsets[number][number], record: Item): Arrived[] {
    const era = eraOf(this.#lineage, source, at);
    const { sources, steps, key: shape } = this.#lineage[era]!.topology;
    const { steps: own, isApart = false } = sources[source]!;
    return applied(isApart ? own : [...own, ...steps], [record]).map((item) => {
      const key = keyOfItem(shape)(item);
      const [id, view, stat] = [keyText(item.id), itemView(item), statOf(key, item)];
      return { item, id, view, key: keyText(key), stat, era, isApart };
    });
  }
}

function referenceOf(lineage: Lineage, arrived: Iterable<Arrived>): Reference {
  const topology = topologyOf(lineage);
  const [one, two] = topology.stages;
  const hasTwo = since(lineage, ({ stages }) => stages.length > 1);
  const items = new Map<string, View>();
  const apart = new Map<string, View>();
  const stats = new Map<string, Stat>();
  const seen = new Map<string, number[]>();
  /** Rows by key that the second stage was told of. */
  const told = new Map<string, number>();
  const eras = new Eras();
  for (const { item, id, view, key, stat, era, isApart } of arrived) {
    if (era > 0) eras.item(id, era);
    if (isApart) {
      apart.set(id, view);
      continue;
    }
    items.set(id, view);
    if (one === undefined) continue;
    if (era > 0) eras.stat(key, era);
    const before = stats.get(key);
    stats.set(key, before === undefined ? stat : joined(before, stat));
    if (two !== undefined && era >= hasTwo) told.set(key, (told.get(key) ?? 0) + 1);
    if (one.kind !== "process") continue;
    const ids = seen.get(key);
    if (ids === undefined) seen.set(key, [item.id]);
    else ids.push(item.id);
  }
  const groups = new Map<string, Group>();
  if (two !== undefined) {
    for (const [text, rows] of told) {
      const stat = stats.get(text)!;
      const key = groupOf(stat.key);
      const group = keyText(key);
      const { parts, updates } = groups.get(group) ?? { parts: {}, updates: 0 };
      groups.set(group, { key, parts: latest(parts, partsOf(stat)), updates: updates + rows });
      if (lineage.length > 1) eras.group(group, text);
    }
  }
  const views = viewsOf(topology, { items, apart, stats, seen, groups });
  if (lineage.length === 1 || topology.timed !== undefined) return { items, ...views };
  const [states, tables] = [new Map(views.states), new Map(views.tables)];
  for (const shape of topology.tables) {
    const from = since(lineage, (before) => before.tables.some(({ id }) => id === shape.id));
    const whole = views.tables.get(tableName(shape))!;
    const rows = new Map([...whole].filter(([key]) => eras.ofRow(shape, key) >= from));
    states.set(rowsOf(shape), rows);
    tables.set(tableName(shape), rows);
  }
  return { items, states, tables };
}

/** The era in which each row of a table was last written; 0 where nothing is said. */
class Eras {
  readonly #items = new Map<string, number>();
  readonly #stats = new Map<string, number>();
  readonly #groups = new Map<string, number>();

  item(id: string, era: number): void {
    this.#items.set(id, era);
  }

  stat(key: string, era: number): void {
    if (era > (this.#stats.get(key) ?? 0)) this.#stats.set(key, era);
  }

  /** The row of a group is written whenever one of its keys is. */
  group(group: string, key: string): void {
    const era = this.#stats.get(key) ?? 0;
    if (era > (this.#groups.get(group) ?? 0)) this.#groups.set(group, era);
  }

  ofRow({ of }: TableShape, key: string): number {
    const eras = of === "first" ? this.#stats : of === "second" ? this.#groups : this.#items;
    return eras.get(key) ?? 0;
  }
}
