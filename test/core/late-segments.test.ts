// What a large state becomes that is encoded after its barrier, while it goes on to change.

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { encodeRows } from "../../format/batch.ts";
import { joined } from "../../format/bytes.ts";
import { encodeBarrier, encodeData, never } from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, millis, seq } from "../../format/ids.ts";
import { allKeyGroups } from "../../format/key-groups.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import type { SqlDatabase } from "../../format/sql.ts";
import type { BytesHandle, KeyedStateHandle } from "../../format/state-handle.ts";
import { SqliteStateBackend } from "../../operators/state/sqlite.ts";
import { ChannelCapture } from "../../task/channel-state.ts";
import type { OpenSnapshot } from "../../task/open-snapshot.ts";
import { SnapshotWriting } from "../../task/snapshot-writing.ts";
import { type FrozenState, keyedHandleOf, StateSnapshots } from "../../task/state-snapshots.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { count, defineJob, table, topic } from "../../stream/index.ts";
import { testDatabase } from "./state-backends.ts";

const maxParallelism = 8;
const range = allKeyGroups(maxParallelism);
const savepoint = { folder: "savepoints/s/", stops: false };
const cut = { lateFrom: 0, stepRows: 3, segment: { bytes: 300, rows: 100 }, piece: 500 };

/** A backend with its snapshots, and the bucket that they are stored in. */
class Subtask {
  readonly backend: SqliteStateBackend;
  readonly snapshots: StateSnapshots;
  readonly writing = new SnapshotWriting(cut.piece);
  readonly files = new Map<string, Uint8Array>();
  readonly #pieces = new Map<string, Uint8Array[]>();
  readonly declined: number[] = [];
  readonly frozen = new Map<number, FrozenState>();
  /** What was handed over, by checkpoint. */
  readonly acknowledged = new Map<number, KeyedStateHandle[]>();
  /** The path of the piece that is on its way. */
  storing: string | undefined;
  readonly #database: SqlDatabase;
  #checkpoint: number;

  constructor(budget: number, from?: { readonly checkpoint: number; readonly of: Subtask }) {
    this.#checkpoint = from?.checkpoint ?? 0;
    const database = testDatabase();
    this.#database = database;
    const options = { database, range, maxParallelism, budget, isHeld: false };
    this.backend = new SqliteStateBackend({ ...options, checkpoint: this.#checkpoint });
    this.snapshots = new StateSnapshots({
      job: jobIdFrom(new Uint8Array(16)),
      attempt: attempt(1),
      task: { vertex: "v", index: 0 },
      range,
      maxParallelism,
      inlineThreshold: 0,
      subtasks: 1,
      incremental: true,
      storage: "r2",
      backend: this.backend,
      cut,
    });
    if (from !== undefined) {
      const handles = from.of.acknowledged.get(from.checkpoint)!;
      this.snapshots.restore(
        handles.map((handle) => ({
          handle,
          segments: handle.segments.map((at) => from.of.read(at)),
        })),
      );
    }
    this.backend.store("op").table("t");
    this.snapshots.restored();
  }

  get table() {
    return this.backend.store("op").table<string>("t");
  }

  /** Runs that do not count any more and are still there. */
  get litter(): number {
    const query = "SELECT count(*) AS n FROM state_runs WHERE live = 0";
    return Number(this.#database.exec(query)[0]!["n"]);
  }

  /** Writes all keys time and again, until runs are merged: of what was only that is there which is kept. */
  overwrite(): void {
    for (let epoch = 0; epoch < 12; epoch++) {
      for (let n = 0; n < 60; n++) this.table.put(`key ${n}`, `${epoch} `.repeat(20));
      this.backend.completed(checkpointId(this.freeze("checkpoint")));
      this.finish();
    }
    for (let n = 0; n < 1_000; n++) this.backend.check();
  }

  get contents(): Record<string, string> {
    return Object.fromEntries(this.table.entries()) as Record<string, string>;
  }

  read(handle: BytesHandle): Uint8Array {
    if (handle.kind === "inline") return handle.bytes;
    const { path, offset, length } = handle;
    return this.files.get(path)!.slice(offset, offset + length);
  }

  freeze(kind: "checkpoint" | "full" | "savepoint"): number {
    const id = ++this.#checkpoint;
    const path = kind === "savepoint" ? `savepoints/s/${id}` : this.pathOf(id);
    const checkpoint = checkpointId(id);
    const keyed =
      kind === "savepoint"
        ? this.snapshots.freezeWhole(checkpoint, path)
        : this.snapshots.freeze(checkpoint, { isFull: kind === "full" });
    this.frozen.set(id, keyed);
    const open: OpenSnapshot = {
      barrier: {
        checkpoint,
        overtakesAt: never,
        ...(kind === "savepoint" && { purpose: savepoint }),
      },
      state: { keyed, operator: [] },
      channels: new ChannelCapture(),
      frozenAt: millis(0),
      firstBarrierAt: 0,
      lastBarrierAt: millis(0),
    };
    this.writing.add(open, path);
    this.#handOver();
    return id;
  }

  pathOf = (id: number): string => `jobs/${jobIdFrom(new Uint8Array(16))}/chk-${id}/1-v-0`;

  step(): void {
    const before = this.storing;
    const piece = this.writing.step();
    if (piece !== undefined) {
      if (before !== undefined) throw new Error("W2: a piece is under way.");
      if (piece.bytes.length !== cut.piece) throw new Error("A piece has another size.");
      const { path } = piece;
      this.storing = path;
      this.#pieces.set(path, [...(this.#pieces.get(path) ?? []), piece.bytes.slice()]);
    }
    this.#handOver();
  }

  stored(): void {
    if (this.storing === undefined) return;
    this.writing.stored(this.storing);
    this.storing = undefined;
  }

  lost(): void {
    if (this.storing === undefined) return;
    if (this.writing.lost(this.storing)) this.snapshots.lost();
    this.storing = undefined;
    this.#handOver();
  }

  finish(): void {
    while (!this.writing.isEmpty) {
      this.step();
      this.stored();
    }
  }

  #handOver(): void {
    for (let next = this.writing.take(); next !== undefined; next = this.writing.take()) {
      const { checkpoint } = next.open.barrier;
      if (next.kind === "lost") {
        this.declined.push(checkpoint);
        continue;
      }
      const { file } = next;
      if (file !== undefined) {
        const pieces = this.#pieces.get(file.path) ?? [];
        if ((file.from ?? 0) !== pieces.length * cut.piece) throw new Error("A piece is missing.");
        this.files.set(file.path, joined([...pieces, file.bytes]));
      }
      this.acknowledged.set(checkpoint, next.open.state.keyed.keyed.map(keyedHandleOf));
    }
  }
}

type Step =
  | { readonly kind: "put"; readonly key: number; readonly length: number }
  | { readonly kind: "remove"; readonly key: number }
  | { readonly kind: "freeze"; readonly as: "checkpoint" | "full" | "savepoint" }
  | { readonly kind: "step" | "stored" | "lost" | "complete" | "check" | "restore" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      key: fc.nat({ max: 60 }),
      length: fc.nat({ max: 40 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("remove" as const), key: fc.nat({ max: 60 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("freeze" as const),
      as: fc.constantFrom("checkpoint", "checkpoint", "checkpoint", "full", "savepoint" as const),
    }),
  },
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...(["step", "step", "step", "stored", "stored", "complete", "check"] as const),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("lost", "restore" as const) }) },
);

describe("a state that is encoded after its barrier", () => {
  it.each([1_500, 1_000_000])(
    "is what it was at the barrier, whatever came since (cache of %i bytes)",
    (budget) => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 40, maxLength: 400 }), (steps) => {
          let subtask = new Subtask(budget);
          const at = new Map<number, Record<string, string>>();
          const check = (): void => {
            for (const [id, contents] of at) {
              if (!subtask.acknowledged.has(id)) continue;
              expect(new Subtask(budget, { checkpoint: id, of: subtask }).contents).toEqual(
                contents,
              );
            }
          };
          for (const step of steps) {
            if (step.kind === "put") subtask.table.put(`key ${step.key}`, "v".repeat(step.length));
            else if (step.kind === "remove") subtask.table.remove(`key ${step.key}`);
            else if (step.kind === "freeze") {
              const { contents } = subtask;
              at.set(subtask.freeze(step.as), contents);
            } else if (step.kind === "complete") {
              const last = [...subtask.acknowledged.keys()].at(-1);
              if (last !== undefined) subtask.backend.completed(checkpointId(last));
            } else if (step.kind === "check") subtask.backend.check();
            else if (step.kind === "restore") {
              const last = [...subtask.acknowledged.keys()].at(-1);
              if (last === undefined) continue;
              check();
              const next = new Subtask(budget, { checkpoint: last, of: subtask });
              for (const [path, bytes] of subtask.files) next.files.set(path, bytes);
              at.clear();
              subtask = next;
            } else subtask[step.kind]();
          }
          subtask.finish();
          check();
          // Whatever was not handed over was declined.
          for (const id of at.keys()) {
            expect(subtask.acknowledged.has(id) || subtask.declined.includes(id)).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  const filled = (): Subtask => {
    const subtask = new Subtask(1_500);
    for (let n = 0; n < 60; n++) subtask.table.put(`key ${n}`, "v".repeat(400));
    return subtask;
  };
  it("keeps the rows that it is made of until all is encoded, and no longer (R6)", () => {
    const subtask = filled();
    const { contents } = subtask;
    const full = subtask.freeze("full");
    subtask.step();
    // What it is made of is merged away meanwhile; nothing that comes later is handed over before it.
    for (let epoch = 0; epoch < 12; epoch++) {
      for (let n = 0; n < 60; n++) subtask.table.put(`key ${n}`, `${epoch} `.repeat(20));
      subtask.backend.completed(checkpointId(subtask.freeze("checkpoint")));
    }
    for (let n = 0; n < 1_000; n++) subtask.backend.check();
    expect(subtask.litter).toBeGreaterThan(0);
    expect([...subtask.acknowledged.keys()]).toEqual([]);
    subtask.finish();
    expect(new Subtask(1_500, { checkpoint: full, of: subtask }).contents).toEqual(contents);
    subtask.overwrite();
    expect(subtask.litter).toBe(0);
  });

  it("keeps nothing once it is lost, and the next one is whole (W3)", () => {
    const subtask = filled();
    const lost = subtask.freeze("full");
    // A delta refers to what the full one has yet to write.
    subtask.table.put("key 1", "changed");
    const next = subtask.freeze("checkpoint");
    while (subtask.storing === undefined) subtask.step();
    subtask.lost();
    expect(subtask.declined).toEqual([lost, next]);
    const whole = subtask.freeze("checkpoint");
    subtask.finish();
    const [{ segments }] = subtask.acknowledged.get(whole) as [KeyedStateHandle];
    const paths = segments.map((at) => (at.kind === "file" ? at.path : undefined));
    expect(new Set(paths)).toEqual(new Set([subtask.pathOf(whole)]));
    subtask.overwrite();
    expect(subtask.litter).toBe(0);
  });

  it("keeps nothing that refers to what was placed before a piece was lost (W3)", () => {
    const subtask = filled();
    const other = subtask.backend.store("op").table<string>("u");
    for (let n = 0; n < 60; n++) other.put(`key ${n}`, "v".repeat(400));
    const lost = subtask.freeze("full");
    // The first table is placed; of the second, which is lost, nothing is left at the next barrier.
    for (let n = 0; n < 60; n++) other.remove(`key ${n}`);
    subtask.table.put("key 1", "changed");
    const next = subtask.freeze("checkpoint");
    const [first] = subtask.frozen.get(lost)!.late;
    while (first!.handles === undefined) {
      subtask.stored();
      subtask.step();
    }
    while (subtask.storing === undefined) subtask.step();
    subtask.lost();
    expect(subtask.declined).toEqual([lost, next]);
    expect([...subtask.acknowledged.keys()]).toEqual([]);
  });

  it("is one by its bytes, however few its rows are, also where they are found again", () => {
    const database = testDatabase();
    const options = { database, range, maxParallelism, budget: 1_500 };
    const first = new SqliteStateBackend({ ...options, checkpoint: 0, isHeld: false });
    const table = first.store("op").table<string>("t");
    for (let n = 0; n < 100; n++) table.put(`key ${n}`, "v".repeat(50_000));
    const isAsLarge = (bytes: number | undefined): void => {
      expect(bytes).toBeGreaterThan(5_000_000);
      expect(bytes).toBeLessThan(5_100_000);
    };
    isAsLarge(table.freeze("full").bytes);
    first.sealed(checkpointId(1));
    const again = new SqliteStateBackend({ ...options, checkpoint: 1, isHeld: true });
    isAsLarge(again.store("op").table("t").freeze("full").bytes);
  });

  it("is one link of its chain again after a restore: of what was restored nothing is a change", () => {
    const subtask = filled();
    const full = subtask.freeze("full");
    subtask.finish();
    expect(subtask.acknowledged.get(full)![0]!.segments.length).toBeGreaterThan(3);
    const restored = new Subtask(1_500, { checkpoint: full, of: subtask });
    expect(restored.table.mergedChanges).toBe(0);
  });

  it("is given up where it is a savepoint that was aborted, and written on where others build on it (W4)", () => {
    for (const kind of ["savepoint", "full"] as const) {
      const subtask = filled();
      const id = checkpointId(subtask.freeze(kind));
      while (subtask.storing === undefined) subtask.step();
      const { storing } = subtask;
      const given = kind === "savepoint" ? [storing] : [];
      expect(subtask.writing.aborted(id, "savepoints")).toEqual(given);
      subtask.stored();
      subtask.finish();
      expect([...subtask.acknowledged.keys()]).toEqual(kind === "savepoint" ? [] : [id]);
      expect(subtask.writing.lost(storing!)).toBe(false);
      subtask.overwrite();
      expect(subtask.litter).toBe(0);
    }
  });
});

describe("a task whose snapshot is being written", () => {
  const { graph } = defineJob(
    "late",
    (env) => {
      env
        .from(topic<{ key: string }>("rows", { partitions: 1 }), { uid: "rows" })
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "counts" })
        .to(table("out"), { uid: "out" });
    },
    { parallelism: 1, checkpointing: { interval: 100 } },
  );
  const config = { ...graph.config, state: { ...graph.config.state, backend: "sqlite" as const } };

  /** Of a savepoint, or of a checkpoint that builds on no other. */
  function opened({ isSavepoint = true } = {}) {
    const checkpointing = { ...graph.config.checkpointing, incremental: isSavepoint };
    const plan = planOf(graph, config);
    const vertex = plan.vertices.find(({ operators }) => operators.includes("counts"))!;
    const deployment: TaskDeployment = {
      job: jobIdFrom(new Uint8Array(16)),
      attempt: attempt(1),
      task: { vertex: vertex.id, index: 0 },
      plan,
      config: { ...config, checkpointing },
    };
    const task = new Task(deployment, graph, undefined, millis(0), testDatabase(), cut);
    let next = 0;
    const receive = (frame: Uint8Array): TaskEffect[] =>
      task.receive(0, seq(next++), frame, millis(0)).effects;
    task.start(millis(0));
    receive(encodeData(encodeRows(Array.from({ length: 200 }, (_, n) => ({ key: `key ${n}` })))));
    const mark = { folder: "savepoints/s/", stops: false };
    receive(encodeBarrier(checkpointId(1), never, isSavepoint ? mark : undefined));
    const written: TaskEffect[] = [];
    while (!written.some(({ kind }) => kind === "piece")) written.push(...task.tick(millis(0)));
    const { path } = written.at(-1) as Extract<TaskEffect, { kind: "piece" }>;
    if (isSavepoint) expect(path).toBe(`savepoints/s/${vertex.id}-0`);
    return { task, receive, path };
  }

  it("gives a savepoint up with the barrier of a checkpoint: it has failed, whether or not that was heard", () => {
    const { task, receive, path } = opened();
    expect(receive(encodeBarrier(checkpointId(2)))).toContainEqual({ kind: "discard", path });
    // What is on its way of it fails then, which is no reason to write all of the state again.
    task.pieceLost(path, millis(0));
    const effects: TaskEffect[] = [];
    while (task.wakeAt !== undefined) {
      for (const effect of task.tick(millis(0))) {
        effects.push(effect);
        if (effect.kind === "piece") effects.push(...task.pieceStored(effect.path, millis(0)));
      }
    }
    expect(effects.filter(({ kind }) => kind === "snapshot")).toMatchObject([
      { ack: { checkpoint: 2 } },
    ]);
  });

  it.each([true, false])(
    "hands nothing over once it is told that it was aborted",
    (isSavepoint) => {
      const { task, path } = opened({ isSavepoint });
      expect(task.notifyAborted(checkpointId(1), millis(0))).toEqual([{ kind: "discard", path }]);
      expect(task.pieceStored(path, millis(0))).toEqual([]);
      expect(task.activity.isIdle).toBe(true);
    },
  );

  it("hands over a checkpoint that builds on no other, if another comes behind it", () => {
    const { task, receive, path } = opened({ isSavepoint: false });
    const effects = [
      ...receive(encodeBarrier(checkpointId(2))),
      ...task.pieceStored(path, millis(0)),
    ];
    while (task.wakeAt !== undefined) {
      for (const effect of task.tick(millis(0))) {
        effects.push(effect);
        if (effect.kind === "piece") effects.push(...task.pieceStored(effect.path, millis(0)));
      }
    }
    const snapshots = effects.filter(({ kind }) => kind === "snapshot");
    expect(snapshots).toMatchObject([{ ack: { checkpoint: 1 } }, { ack: { checkpoint: 2 } }]);
  });
});
