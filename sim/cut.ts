// What a manifest holds, compared with what it must hold.
//   X1. Every manifest that comes to stand is a consistent cut: exactly the records below the source
//       offsets in it are in the states it names or in its channels, each once (at least once in
//       that mode). Every subtask's part of a keyed state is that of its key groups, as Flink deals
//       them.
//   X2. What it says of a subtask, that subtask acknowledged, under the attempt that its region ran
//       when the manifest's attempt was the job's last.

import type { TopicOffsets } from "../connectors/topic-source.ts";
import { Regions } from "../coordinator/regions.ts";
import { type Attempt, type CheckpointId, parseTaskKey, type TaskKey } from "../format/ids.ts";
import { type Manifest, manifestFiles } from "../format/manifest.ts";
import type { CheckpointAck } from "../format/messages.ts";
import { isInSavepoint } from "../format/paths.ts";
import { edgeOf, type ExecutionPlan, vertexOf } from "../format/plan.ts";
import type { TaskStateHandle } from "../format/state-handle.ts";
import { SideCut } from "./broadcast-side.ts";
import type { TimedItem } from "./event-time.ts";
import { TimedChecks, type TimedOffsets, type TimedTables } from "./event-time-checks.ts";
import { type Lineage, type Offsets, topologyOf } from "./lineage.ts";
import { References } from "./reference.ts";
import { isSame, Snapshots } from "./snapshots.ts";
import { type Item, sourceUid, tableUid, type Topology } from "./topology.ts";
import { arriving, itemsUnderWay, type UnderWay } from "./under-way.ts";
import { difference, type Held, type StateView, type View } from "./views.ts";
import { must, Violation } from "./violation.ts";

/** What a manifest was found to hold. */
export interface Cut {
  readonly path: string;
  readonly checkpoint: CheckpointId;
  /** That it was taken in. */
  readonly plan: ExecutionPlan;
  readonly files: ReadonlySet<string>;
  /** Of the sources of items. */
  readonly offsets: Offsets;
  /** Rows were on their way. */
  readonly hasRows: boolean;
  /** Of sources with event time. */
  readonly timed: TimedOffsets;
  /** States but those of tables that hold anything. */
  readonly holding: readonly string[];
  /** Rows of each table by the subtask that holds them, as in `taskKey`. */
  readonly tables: ReadonlyMap<string, StateView>;
  /** Rows of each table, by the uid of its sink. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, Held>>;
}

/** What a job ran while an attempt was its last. */
interface Ran {
  readonly plan: ExecutionPlan;
  readonly regions: Regions;
  readonly attempts: readonly Attempt[];
}

export class Cuts {
  readonly #topology: Topology;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #atLeast: boolean;
  readonly #references: References;
  readonly #rules: (partition: number, next: number) => readonly Item[];
  readonly #snapshots: Snapshots;
  readonly #cuts = new Map<CheckpointId, Cut>();
  /** By the job's attempt. */
  readonly #ran = new Map<Attempt, Ran>();
  readonly #acks = new Map<string, CheckpointAck[]>();
  readonly #timed: TimedChecks | undefined;
  /** Whether event time comes to its end before savepoints from now on. */
  isDrained = false;

  constructor(of: {
    readonly lineage: Lineage;
    readonly files: ReadonlyMap<string, Uint8Array>;
    readonly atLeast: boolean;
    /** All records there are of a partition of a topic, in order. */
    readonly records: (source: number, partition: number) => readonly Item[];
    readonly view: (state: string) => (value: unknown) => View;
  }) {
    const { lineage, files, atLeast, records, view } = of;
    this.#topology = topologyOf(lineage);
    this.#files = files;
    this.#atLeast = atLeast;
    this.#rules = (partition, next) =>
      records(this.#topology.sources.length, partition).slice(0, next);
    this.#references = new References(lineage, records);
    const { timed } = this.#topology;
    this.#timed =
      timed &&
      new TimedChecks(timed, (source, partition) => {
        return records(source, partition) as readonly unknown[] as readonly TimedItem[];
      });
    this.#snapshots = new Snapshots({ bytesOf: (path) => files.get(path)!, view });
  }

  /** Undefined where none stands, or one whose files are not all there. */
  get(checkpoint: CheckpointId): Cut | undefined {
    return this.#cuts.get(checkpoint);
  }

  /** What a table is after all records there are. */
  whole(table: string): StateView {
    return this.#references.whole().tables.get(table)!;
  }

  /** X15. What is wrong with what a program by event time shows in the end; nothing of others. */
  timedProblem(
    tables: TimedTables,
    end: Parameters<TimedChecks["finalProblem"]>[1],
  ): string | undefined {
    return this.#timed?.finalProblem(tables, end);
  }

  /** The attempts that the regions of that plan run while `attempt` is the job's last. */
  runs(attempt: Attempt, plan: ExecutionPlan, attempts: readonly Attempt[]): void {
    const before = this.#ran.get(attempt);
    const regions = before?.plan === plan ? before.regions : new Regions(plan);
    this.#ran.set(attempt, { plan, regions, attempts });
  }

  acknowledging(ack: CheckpointAck): void {
    const key = ackKey(ack.checkpoint, `${ack.task.vertex}/${ack.task.index}`);
    const acks = this.#acks.get(key);
    if (acks === undefined) this.#acks.set(key, [ack]);
    else acks.push(ack);
  }

  /** A manifest has come to stand. */
  add(path: string, manifest: Manifest): void {
    const { checkpoint, attempt, tasks } = manifest;
    must(!this.#cuts.has(checkpoint), () => `X1: two manifests of checkpoint ${checkpoint}`);
    const files = new Set([path, ...manifestFiles(manifest)]);
    // A manifest that arrives after its attempt has ended is litter, and so are its files: nobody
    // may record it.
    for (const file of files) if (!this.#files.has(file)) return;
    const ran = this.#ran.get(attempt);
    if (ran === undefined) throw new Violation(`X2: ${path} is of attempt ${attempt}, never begun`);
    const { plan } = ran;
    const offsets: TopicOffsets[] = this.#topology.sources.map(() => []);
    const found = new Map<string, ReadonlyMap<string, Held>>();
    const tables = new Map<string, StateView>();
    const underWay: UnderWay[] = [];
    const timed = new Map<number, { readonly split: number; readonly next: number }[]>();
    const side = new SideCut(this.#topology, plan, this.#snapshots);
    let hasRows = false;
    for (const { task, state: named } of tasks) {
      const state = this.#acknowledged(named, task, checkpoint, attempt);
      const { vertex, index } = parseTaskKey(task);
      const { parallelism } = vertexOf(plan, vertex);
      for (const handle of state.operator) {
        // What it becomes is seen in the topic (letters.ts).
        if (handle.state === "commits/topics") continue;
        if (this.#timed !== undefined) {
          this.#timed.take(timed, handle, () => this.#snapshots.elements(handle));
          continue;
        }
        if (side.took(handle, index)) continue;
        const source = this.#topology.sources.findIndex((_, at) => sourceUid(at) === handle.uid);
        const elements = this.#snapshots.elements(handle) as TopicOffsets;
        offsets[source] = [...offsets[source]!, ...elements];
      }
      for (const handle of state.keyed) {
        const what = `checkpoint ${checkpoint}: ${handle.uid}/${handle.state}`;
        const own = this.#snapshots.state(task, handle, (group) => {
          const owner = ownerOf(group, parallelism, plan.maxParallelism);
          must(owner === index, () => `X1: ${what} of ${task} has a key of subtask ${owner}`);
        });
        const name = `${handle.uid}/${handle.state}`;
        found.set(name, joined(found.get(name), own, what));
        if (handle.state === "rows") tables.set(`${task} ${handle.uid}`, own);
      }
      for (const handle of state.channels ?? []) {
        hasRows = true;
        if (this.#timed !== undefined || side.tookRows(handle)) continue;
        const { toUid } = edgeOf(plan, handle.edge);
        underWay.push({ uid: toUid, rows: this.#snapshots.rows(handle) });
      }
    }
    this.#onePartitionEach(offsets, checkpoint);
    const expected = this.#references.below(offsets);
    const cut = underWay.length === 0 ? found : arriving(this.#topology, found, underWay);
    for (const [name, state] of expected.states) {
      const wrong = difference(cut.get(name) ?? new Map<string, View>(), state, this.#atLeast);
      must(wrong === undefined, () => `X1: checkpoint ${checkpoint}: state ${name}: ${wrong}`);
    }
    const wrong = side.fault({
      rules: this.#rules,
      passing: itemsUnderWay(this.#topology, underWay),
      passed: Array.from(expected.items.keys(), Number),
      atLeast: this.#atLeast,
    });
    must(wrong === undefined, () => `X1: checkpoint ${checkpoint}: ${wrong}`);
    const rows = new Map(
      [...found].flatMap(([name, held]) => {
        const [uid, state] = name.split("/");
        return state === "rows" ? [[uid!, held] as const] : [];
      }),
    );
    const holding = [...found].flatMap(([name, held]) =>
      held.size === 0 || name.endsWith("/rows") ? [] : [name],
    );
    const isAtEnd = this.isDrained && isInSavepoint(path);
    const late = this.#timed?.cutProblem(timed, this.#timedTables(rows), isAtEnd);
    must(late === undefined, () => `X14: checkpoint ${checkpoint}: ${late}`);
    const what = { offsets, hasRows, timed, holding, tables, rows };
    this.#cuts.set(checkpoint, { path, checkpoint, plan, files, ...what });
  }

  #timedTables(rows: Cut["rows"]): TimedTables {
    const of = (kind: "told" | "late"): StateView => {
      const shape = this.#topology.tables.find((table) => table.of === kind);
      return (shape && rows.get(tableUid(shape))) ?? new Map<string, View>();
    };
    return { told: of("told"), late: of("late") };
  }

  /** Splits that were dealt to two would count their records twice. */
  #onePartitionEach(offsets: Offsets, checkpoint: CheckpointId): void {
    for (const [source, own] of offsets.entries()) {
      const known = new Set(own.map(({ partition }) => partition));
      const what = `X1: checkpoint ${checkpoint}: two subtasks read one partition of ${sourceUid(source)}`;
      must(known.size === own.length, () => what);
    }
  }

  /** What the region of a subtask ran while `attempt` was the job's last. */
  #attemptOf(task: TaskKey, attempt: Attempt): Attempt | undefined {
    const { regions, attempts } = this.#ran.get(attempt) ?? {};
    return attempts?.[regions?.indexOf(parseTaskKey(task)) ?? -1];
  }

  /** As it was acknowledged, which is what the manifest must say. */
  #acknowledged(
    named: TaskStateHandle,
    task: TaskKey,
    checkpoint: CheckpointId,
    attempt: Attempt,
  ): TaskStateHandle {
    const acks = this.#acks.get(ackKey(checkpoint, task)) ?? [];
    const own = this.#attemptOf(task, attempt);
    const ack = acks.find((one) => one.attempt === own && isSame(one.state, named));
    if (ack === undefined) {
      throw new Violation(`X2: ${task} did not say that in attempt ${own}`);
    }
    return ack.state;
  }
}

/** Flink's formula, said once more. */
export const ownerOf = (group: number, parallelism: number, maxParallelism: number): number =>
  Math.floor((group * parallelism) / maxParallelism);

const ackKey = (checkpoint: CheckpointId, task: string): string => `${checkpoint} ${task}`;

/** What two subtasks hold of one state. */
function joined(
  all: ReadonlyMap<string, Held> | undefined,
  own: ReadonlyMap<string, Held>,
  what: string,
): ReadonlyMap<string, Held> {
  if (all === undefined || all.size === 0) return own;
  const both = new Map(all);
  for (const [key, held] of own) {
    must(!both.has(key), () => `X1: ${what}: two subtasks hold ${key}`);
    both.set(key, held);
  }
  return both;
}
