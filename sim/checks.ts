// What must hold, watched from outside: by what is in the bucket, what became durable, and what
// readers are shown; never by what a core says of itself.
//   X1. Every manifest that comes to stand is a consistent cut: exactly the records below the source
//       offsets in it are in the states it names or in its channels, each once (at least once in
//       that mode).
//   X2. What it says of a subtask, that subtask acknowledged, under the attempt that its region ran
//       when the manifest's attempt was the job's last.
//   X3. A checkpoint is complete once its manifest stands and its record is durable, and not before;
//       a reader of committed rows is shown exactly the rows of a complete one, and never an older
//       one than before, unless a damaged checkpoint was given up.
//   X4. What a retained manifest needs is there, from the moment it is recorded until it is not
//       retained any more. No key is ever written twice.
//   X5. Ids of checkpoints and attempts, as recorded durably, only grow.

import type { TopicOffsets } from "../connectors/topic-source.ts";
import type { JobRecord } from "../coordinator/job-record.ts";
import { Regions } from "../coordinator/regions.ts";
import { type Attempt, type CheckpointId, parseTaskKey, type TaskKey } from "../format/ids.ts";
import { rangeHas } from "../format/key-groups.ts";
import { decodeManifest, type Manifest, manifestFiles } from "../format/manifest.ts";
import type { CheckpointAck } from "../format/messages.ts";
import { checkpointOfPath } from "../format/paths.ts";
import type { ExecutionPlan } from "../format/plan.ts";
import type { TaskStateHandle } from "../format/state-handle.ts";
import { SideCut } from "./broadcast-side.ts";
import {
  arriving,
  difference,
  type Held,
  itemsUnderWay,
  References,
  type StateView,
  type UnderWay,
  type View,
  viewOf,
} from "./reference.ts";
import { isSame, Snapshots } from "./snapshots.ts";
import { type Item, sourceUid, type Topology } from "./topology.ts";
import type { Observer } from "./deployment.ts";
import type { Seen } from "./deployed.ts";

/** A check that failed. */
export class Violation extends Error {}

/** What a manifest was found to hold. */
interface Cut {
  readonly files: ReadonlySet<string>;
  /** Rows of each table by the subtask that holds them. */
  readonly tables: ReadonlyMap<string, StateView>;
}

const must = (holds: boolean, rule: () => string): void => {
  if (!holds) throw new Violation(rule());
};

export class Checks implements Observer {
  readonly #topology: Topology;
  readonly #plan: ExecutionPlan;
  readonly #regions: Regions;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #atLeast: boolean;
  readonly #isInline: boolean;
  readonly #references: References;
  readonly #rules: (partition: number, next: number) => readonly Item[];
  readonly #snapshots = new Snapshots({
    bytesOf: (path) => this.#files.get(path)!,
    view: (state) => this.view(state),
  });
  readonly #cuts = new Map<CheckpointId, Cut>();
  readonly #complete = new Set<CheckpointId>();
  readonly #written = new Set<string>();
  /** By the job's attempt: the attempts of its regions. */
  readonly #ran = new Map<Attempt, readonly Attempt[]>();
  readonly #acks = new Map<string, CheckpointAck[]>();
  readonly #views = new Map<string, (value: unknown) => View>();
  /** What each reader of a table was shown last. */
  readonly #shown = new Map<TaskKey, CheckpointId>();
  #record: JobRecord | undefined;
  #restarts = 0;
  #rests = 0;
  #fallbacks = 0;

  constructor(world: {
    readonly topology: Topology;
    readonly seen: Seen;
    readonly checkpointing: {
      readonly mode: "EXACTLY_ONCE" | "AT_LEAST_ONCE";
      readonly storage: "inline" | "r2";
    };
  }) {
    const { topology, seen, checkpointing } = world;
    const { plan, topics, files } = seen;
    this.#topology = topology;
    this.#plan = plan;
    this.#regions = new Regions(plan);
    this.#files = files;
    this.#atLeast = checkpointing.mode === "AT_LEAST_ONCE";
    this.#isInline = checkpointing.storage === "inline";
    this.#rules = (partition, next) => {
      const rules = topics.rows(`topic-${topology.sources.length}`, partition);
      return (rules as readonly Item[]).slice(0, next);
    };
    this.#references = new References(
      topology,
      (source, partition) => topics.rows(`topic-${source}`, partition) as readonly Item[],
    );
  }

  get completed(): number {
    return this.#complete.size;
  }

  /**
   * Restarts that followed a failure. A coordinator that dies while it deploys begins another attempt
   * too, and that is none.
   */
  get restarts(): number {
    return this.#restarts;
  }

  /** How often it went back behind its latest checkpoint, as that was damaged. */
  get fallbacks(): number {
    return this.#fallbacks;
  }

  /** How often it came to rest. */
  get rests(): number {
    return this.#rests;
  }

  /** As of the last durable write. */
  get record(): JobRecord | undefined {
    return this.#record;
  }

  // What the bucket shows.

  created(path: string, bytes: Uint8Array): void {
    must(!this.#written.has(path), () => `X4: ${path} is written a second time`);
    this.#written.add(path);
    if (path.endsWith("_metadata")) this.#cut(path, decodeManifest(bytes));
    else must(!this.#isInline, () => `X4: ${path} is written, and all is to be in manifests`);
  }

  deleted(path: string): void {
    for (const { id } of this.#record?.checkpoints.retained ?? []) {
      const needed = this.#cuts.get(id)?.files.has(path) === true;
      must(!needed, () => `X4: ${path} is deleted, and retained checkpoint ${id} needs it`);
    }
  }

  /** A reader found nothing under a name that the running attempt's checkpoint holds. */
  missing(path: string, attempt: Attempt): void {
    const isDeploying = this.#record?.regions.some(
      (region) => region.phase === "deploying" && region.attempt === attempt,
    );
    must(isDeploying !== true, () => `X4: attempt ${attempt} restores ${path}, gone`);
  }

  // What becomes durable.

  recorded(record: JobRecord): void {
    const before = this.#record;
    this.#record = record;
    const { attempt, checkpoints, phase } = record;
    this.#ran.set(
      attempt,
      record.regions.map((region) => region.attempt),
    );
    if (phase === "RESTARTING" && before?.phase !== phase) this.#restarts++;
    if (record.restingSince !== undefined && before?.restingSince === undefined) this.#rests++;
    must(attempt >= (before?.attempt ?? 0), () => `X5: attempt ${attempt} after a later one`);
    const spent = before?.checkpoints.nextId ?? 0;
    must(
      checkpoints.nextId >= spent,
      () => `X5: checkpoint id ${checkpoints.nextId} after ${spent}`,
    );
    if (before?.checkpoints.retained === checkpoints.retained) return;
    const latest = before?.checkpoints.retained[0]?.id ?? 0;
    if (checkpoints.retained.length > 0 && checkpoints.retained[0]!.id < latest) this.#fallbacks++;
    for (const { id } of checkpoints.retained) {
      if (this.#complete.has(id)) continue;
      this.#complete.add(id);
      const cut = this.#cuts.get(id);
      if (cut === undefined) {
        throw new Violation(
          `X3: checkpoint ${id} completes without a manifest, or without its files`,
        );
      }
      for (const path of cut.files) {
        must(this.#files.has(path), () => `X4: checkpoint ${id} needs ${path}, which is not there`);
      }
    }
  }

  // What subtasks say on their way out.

  acknowledging(ack: CheckpointAck): void {
    const key = ackKey(ack.checkpoint, `${ack.task.vertex}/${ack.task.index}`);
    const acks = this.#acks.get(key);
    if (acks === undefined) this.#acks.set(key, [ack]);
    else acks.push(ack);
  }

  // What readers are shown.

  shown(
    table: string,
    reader: TaskKey,
    checkpoint: CheckpointId | null,
    rows: readonly { readonly key: unknown }[],
    keyed: StateView,
  ): void {
    const last = this.#shown.get(reader) ?? 0;
    if (checkpoint === null) {
      must(rows.length === 0, () => `X3: ${table} shows ${rows.length} rows of no checkpoint`);
      must(last === 0, () => `X3: ${table} shows nothing after checkpoint ${last}`);
      return;
    }
    must(this.#complete.has(checkpoint), () => `X3: ${table} shows checkpoint ${checkpoint}`);
    const isOlder = checkpoint < last && this.#fallbacks === 0;
    must(!isOlder, () => `X3: ${table} shows checkpoint ${checkpoint} after ${last}`);
    this.#shown.set(reader, checkpoint);
    const expected = this.#cuts.get(checkpoint)!.tables.get(`${reader} ${table}`) ?? new Map();
    const wrong = difference(keyed, expected, false);
    must(wrong === undefined, () => `X3: ${table} as of checkpoint ${checkpoint}: ${wrong}`);
  }

  /** What tables show in the end, all subtasks together. */
  final(table: string, rows: StateView): string | undefined {
    return difference(rows, this.#references.whole().tables.get(table)!, this.#atLeast);
  }

  view(state: string): (value: unknown) => View {
    let view = this.#views.get(state);
    if (view === undefined) this.#views.set(state, (view = viewOf(this.#topology, state)));
    return view;
  }

  /** Files that no retained checkpoint reaches. */
  unreachable(): string[] {
    const retained = this.#record?.checkpoints.retained ?? [];
    return [...this.#files.keys()].filter(
      (path) => !retained.some((entry) => this.#cuts.get(entry.id)?.files.has(path)),
    );
  }

  /** Of these, those that no checkpoint that is still open may need. */
  orphans(): string[] {
    const record = this.#record;
    const latest = record?.checkpoints.retained[0];
    if (latest === undefined) return [];
    // What could not be deleted is for the next checkpoint's sweep, which a job that rests has not had.
    if (record?.restingSince !== undefined && record.checkpoints.litterUpTo !== undefined)
      return [];
    return this.unreachable().filter((path) => {
      const id = checkpointOfPath(record!.job, path);
      return id === undefined || id <= latest.id;
    });
  }

  // The cut.

  #cut(path: string, manifest: Manifest): void {
    const { checkpoint, attempt, tasks } = manifest;
    must(!this.#cuts.has(checkpoint), () => `X1: two manifests of checkpoint ${checkpoint}`);
    const files = new Set([path, ...manifestFiles(manifest)]);
    // A manifest that arrives after its attempt has ended is litter, and so are its files: nobody
    // may record it.
    for (const file of files) if (!this.#files.has(file)) return;
    const offsets: TopicOffsets[] = this.#topology.sources.map(() => []);
    const found = new Map<string, ReadonlyMap<string, Held>>();
    const tables = new Map<string, StateView>();
    const underWay: UnderWay[] = [];
    const side = new SideCut(this.#topology, this.#plan, this.#snapshots);
    for (const { task, state: named } of tasks) {
      const state = this.#acknowledged(named, task, checkpoint, attempt);
      const { index } = parseTaskKey(task);
      for (const handle of state.operator) {
        // What it becomes is seen in the topic (letters.ts).
        if (handle.state === "commits/topics") continue;
        if (side.took(handle, index)) continue;
        const source = this.#topology.sources.findIndex((_, at) => sourceUid(at) === handle.uid);
        const elements = this.#snapshots.elements(handle) as TopicOffsets;
        offsets[source] = [...offsets[source]!, ...elements];
      }
      for (const handle of state.keyed) {
        const name = `${handle.uid}/${handle.state}`;
        const own = this.#snapshots.state(task, handle, (group) => {
          if (!rangeHas(handle.range, group)) {
            throw new Violation(`X1: checkpoint ${checkpoint}: ${name} holds another's key`);
          }
        });
        found.set(name, joined(found.get(name), own, `checkpoint ${checkpoint}: ${name}`));
        if (handle.state !== "rows") continue;
        const at = Number(handle.uid.slice("out-".length));
        tables.set(`${task} table-${at}`, own);
      }
      for (const handle of state.channels ?? []) {
        if (side.tookRows(handle)) continue;
        const { toUid } = this.#plan.edges.find((edge) => edge.id === handle.edge)!;
        underWay.push({ uid: toUid, rows: this.#snapshots.rows(handle) });
      }
    }
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
    this.#cuts.set(checkpoint, { files, tables });
  }

  /** What the region of a subtask ran while `attempt` was the job's last. */
  #attemptOf(task: TaskKey, attempt: Attempt): Attempt | undefined {
    const [vertex = "", index] = task.split("/");
    const region = this.#regions.indexOf({ vertex, index: Number(index) }) ?? -1;
    return this.#ran.get(attempt)?.[region];
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
