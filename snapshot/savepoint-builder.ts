// A savepoint made of the lines of an export: segments and elements as subtasks would have written
// them, one after the other, and the manifest that names them.
//   W1. Lines are in the order of an export (N1), so that a key that is there twice is found and no more
//       than one part is in memory.
//   W2. A key's group is computed, not believed.
//   W3. Every subtask of every vertex is in the manifest, with state or without.

import { keyText } from "../format/exact-json.ts";
import { FormatError } from "../format/format-error.ts";
import { type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import type { Key } from "../format/key.ts";
import { type KeyGroup, keyGroupOf, ownerOfGroup, rangeOfSubtask } from "../format/key-groups.ts";
import type { Manifest } from "../format/manifest.ts";
import { encodeElements } from "../format/operator-state.ts";
import {
  plainSchema,
  type SegmentEntry,
  type SegmentHeader,
  type StoredSchema,
  writeOrderedSegment,
} from "../format/segment.ts";
import type { BytesHandle, KeyedStateHandle, OperatorStateHandle } from "../format/state-handle.ts";
import type { ElementLine, Header, KeyedLine, Vertex } from "./lines.ts";
import { comparePlaces, type Place, placeOf } from "./place.ts";

/** Bytes to be stored; `placed` is told where. */
export interface Part {
  readonly task: TaskId;
  readonly bytes: Uint8Array;
  placed(handle: BytesHandle): void;
}

/** Characters of lines of which a part is made at most. */
const partTextMax = 8 * 1_024 * 1_024;

interface Section {
  readonly kind: "keyed" | "operator";
  readonly operator: string;
  readonly state: string;
  readonly schema: StoredSchema;
  readonly task: TaskId;
}

export class SavepointBuilder {
  readonly #header: Header;
  readonly #vertexOf: ReadonlyMap<string, Vertex>;
  readonly #keyed = new Map<TaskKey, KeyedStateHandle[]>();
  readonly #operator = new Map<TaskKey, OperatorStateHandle[]>();
  #last:
    | { readonly place: Place; readonly schema: StoredSchema; readonly redistribution?: string }
    | undefined;
  #section: Section | undefined;
  #entries: SegmentEntry[] = [];
  #elements: unknown[] = [];
  #redistribution: OperatorStateHandle["redistribution"] = "split";
  #text = 0;

  /** @throws FormatError where nothing can be made of it */
  constructor(header: Header) {
    if (header.rowsInChannels) {
      throw new FormatError(
        "content",
        "It was exported from a checkpoint that holds rows on their way between operators, which " +
          "would be lost. Export a savepoint: those hold none",
      );
    }
    this.#header = header;
    this.#vertexOf = new Map(
      header.vertices.flatMap((vertex) => vertex.operators.map((uid) => [uid, vertex] as const)),
    );
  }

  /**
   * Takes a line; gives what is to be stored before the next.
   *
   * @param size characters of the line
   * @throws FormatError
   */
  add(line: KeyedLine | ElementLine, size: number): Part[] {
    const vertex = this.#vertexOf.get(line.operator);
    if (vertex === undefined) {
      const known = [...this.#vertexOf.keys()].map((uid) => `"${uid}"`).join(", ");
      throw wrong(
        `operator "${line.operator}" is in no vertex of the header, whose operators are: ` +
          `${known === "" ? "none" : known}`,
      );
    }
    const { maxParallelism } = this.#header.about;
    const group = line.kind === "keyed" ? this.#groupOf(line) : 0;
    const index =
      line.kind === "keyed"
        ? ownerOfGroup(group as KeyGroup, vertex.parallelism, maxParallelism)
        : line.subtask;
    if (index >= vertex.parallelism) {
      throw wrong(`subtask ${index} is not one of 0 to ${vertex.parallelism - 1}`);
    }
    this.#follow(line, group);
    const section = this.#section;
    const isSame =
      section !== undefined &&
      section.kind === line.kind &&
      section.operator === line.operator &&
      section.state === line.state &&
      section.task.index === index;
    const parts = isSame && this.#text < partTextMax ? [] : this.#cut();
    const { kind, operator, state, schema } = line;
    this.#section = { kind, operator, state, schema, task: { vertex: vertex.vertex, index } };
    this.#text += size;
    if (line.kind === "keyed") {
      this.#entries.push({ group: group as KeyGroup, key: line.key, value: line.value });
    } else {
      this.#redistribution = line.redistribution;
      this.#elements.push(line.value);
    }
    return parts;
  }

  /** There are no more lines: what is left to be stored. */
  finish(): Part[] {
    return this.#cut();
  }

  /** Once every part is placed. */
  get manifest(): Manifest {
    const { about, vertices } = this.#header;
    const tasks = vertices.flatMap(({ vertex, parallelism }) =>
      Array.from({ length: parallelism }, (_, index) => {
        const task = taskKey({ vertex, index });
        const state = {
          keyed: this.#keyed.get(task) ?? [],
          operator: this.#operator.get(task) ?? [],
        };
        return { task, state };
      }),
    );
    return { ...about, isSavepoint: true, tasks };
  }

  /** W2 */
  #groupOf({ key, schema, group }: KeyedLine): KeyGroup {
    const own = schema.holds === "map" ? (key as readonly Key[])[0]! : key;
    const found = keyGroupOf(own, this.#header.about.maxParallelism);
    if (group === undefined || group === found) return found;
    throw wrong(
      `the key ${keyText(own)} is of key group ${found}, not ${group}. Where you have changed the ` +
        `key, its line goes to that group, and "group" may be left out`,
    );
  }

  /** W1 */
  #follow(line: KeyedLine | ElementLine, group: number): void {
    const place = placeOf(line, group);
    const last = this.#last;
    const { schema } = line;
    const redistribution = line.kind === "operator" ? line.redistribution : undefined;
    this.#last = { place, schema, ...(redistribution !== undefined && { redistribution }) };
    if (last === undefined) return;
    const by = comparePlaces(last.place, place);
    if (by === 0 && line.kind === "keyed") {
      throw wrong(`the key ${keyText(line.key)} is there twice; leave one of the lines out`);
    }
    if (by > 0) {
      const where =
        line.kind === "keyed"
          ? `; the key ${keyText(line.key)} is of key group ${group}, and the line before it of ${last.place.group}`
          : "";
      throw wrong(
        `it must stand before the line before it: lines are ordered by operator, state, key group ` +
          `(or subtask) and key${where}`,
      );
    }
    const isSameState =
      last.place.operator === place.operator &&
      last.place.state === place.state &&
      last.place.kind === place.kind;
    const isSameSchema =
      last.schema.holds === schema.holds &&
      last.schema.version === schema.version &&
      last.schema.ttl === schema.ttl &&
      last.redistribution === redistribution;
    if (isSameState && !isSameSchema) {
      throw wrong(
        `its schema is another than that of the line before it, which is of the same state`,
      );
    }
  }

  /** What has been gathered becomes a part. */
  #cut(): Part[] {
    const section = this.#section;
    this.#section = undefined;
    this.#text = 0;
    if (section === undefined) return [];
    return [section.kind === "keyed" ? this.#segment(section) : this.#list(section)];
  }

  #segment({ operator: uid, state, schema, task }: Section): Part {
    const { maxParallelism } = this.#header.about;
    const { parallelism } = this.#vertexOf.get(uid)!;
    const own = handlesOf(this.#keyed, task);
    const before = own.find((each) => each.uid === uid && each.state === state);
    const isPlain = schema.holds === plainSchema.holds && schema.version === 1 && !schema.ttl;
    const header: SegmentHeader = {
      uid,
      state,
      ...(before === undefined ? { kind: "full" } : { kind: "delta", continues: true }),
      maxParallelism,
      ...(!isPlain && { schema }),
    };
    const bytes = writeOrderedSegment(header, this.#entries);
    this.#entries = [];
    const segments: BytesHandle[] = before === undefined ? [] : (before.segments as BytesHandle[]);
    if (before === undefined) {
      own.push({
        uid,
        state,
        range: rangeOfSubtask(task.index, parallelism, maxParallelism),
        segments,
      });
    }
    return { task, bytes, placed: (handle) => void segments.push(handle) };
  }

  #list({ operator: uid, state, schema, task }: Section): Part {
    const elements = this.#elements;
    const redistribution = this.#redistribution;
    this.#elements = [];
    const own = handlesOf(this.#operator, task);
    return {
      task,
      bytes: encodeElements(elements),
      placed: (bytes) =>
        void own.push({ uid, state, redistribution, schema, elements: elements.length, bytes }),
    };
  }
}

function handlesOf<T>(all: Map<TaskKey, T[]>, task: TaskId): T[] {
  const key = taskKey(task);
  const known = all.get(key) ?? [];
  all.set(key, known);
  return known;
}

const wrong = (problem: string): FormatError => new FormatError("content", problem);
