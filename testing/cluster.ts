// All subtasks of a job in one process, with nobody but the test to coordinate them: frames, credits,
// reads and time move as a seed draws them. A checkpoint becomes a manifest as it does in production,
// and another cluster begins with it, at any parallelism and in any code that it fits.

import { misfits, statesFor } from "../coordinator/changed-code.ts";
import { planOf } from "../coordinator/plan.ts";
import { WatermarkAlignment } from "../coordinator/watermark-alignment.ts";
import { encodeRows } from "../format/batch.ts";
import { joined } from "../format/bytes.ts";
import { decodeFrames } from "../format/channel-state.ts";
import type { CheckpointConfig, StateConfig } from "../format/config.ts";
import type { SavepointMark } from "../format/frame.ts";
import {
  attempt as attemptOf,
  type CheckpointId,
  checkpointId,
  type JobId,
  jobIdFrom,
  millis,
  offset,
  type Seq,
  type TaskKey,
  taskKey,
} from "../format/ids.ts";
import {
  decodeManifest,
  encodeManifest,
  hasRowsOnTheirWay,
  type Manifest,
} from "../format/manifest.ts";
import type { StoredBatch, TaskDeployment } from "../format/messages.ts";
import {
  allEdges,
  channelKey,
  type ChannelKey,
  edgeOf,
  type ExecutionPlan,
  sourceTasksOf,
  tasksOf,
  vertexOf,
} from "../format/plan.ts";
import type { BytesHandle, TaskStateHandle } from "../format/state-handle.ts";
import { Prng } from "../sim/prng.ts";
import type { CallAnswer } from "../operators/async-requests.ts";
import type { JobDefinition } from "../stream/index.ts";
import { channelsOf, restoredChannel } from "../task/former-rows.ts";
import { sharesOf } from "../task/operator-state.ts";
import { Calls } from "../task/shell/calls.ts";
import { ownKeyedState } from "../task/snapshot-parts.ts";
import { Task } from "../task/task.ts";
import type { RestoredState } from "../task/task-state.ts";
import type { TaskEffect } from "../task/task-effect.ts";
import { memoryDatabase } from "./database.ts";

/** What outlives a cluster: topics and files. */
export class World {
  readonly job: JobId;
  readonly files = new Map<string, Uint8Array>();
  readonly #topics = new Map<string, StoredBatch[][]>();
  readonly #commits = new Set<string>();
  /** What jobs have put into the bucket as files of rows. */
  readonly written = new Map<string, Uint8Array>();
  now = 1_000;
  attempts = 0;
  checkpoints = 0;

  constructor(job: JobId = jobIdFrom(new Uint8Array(16).fill(3))) {
    this.job = job;
  }

  append(topic: string, partition: number, rows: readonly unknown[]): void {
    this.#store(topic, partition, rows.length, encodeRows(rows));
  }

  /** Once per id. */
  commit(
    id: string,
    topic: string,
    partition: number,
    batches: readonly { readonly rows: number; readonly bytes: Uint8Array }[],
  ): void {
    if (this.#commits.has(id)) return;
    this.#commits.add(id);
    for (const { rows, bytes } of batches) this.#store(topic, partition, rows, bytes);
  }

  /** Once per path, and never anything else. */
  put(path: string, bytes: Uint8Array): void {
    const there = this.written.get(path);
    if (there !== undefined && !isSame(there, bytes)) {
      throw new Error(`${path} was two files.`);
    }
    this.written.set(path, bytes);
  }

  /** Everything in a topic, partition by partition. */
  topic(name: string): readonly StoredBatch[] {
    return (this.#topics.get(name) ?? []).flat();
  }

  batches(topic: string, partition: number): readonly StoredBatch[] {
    return this.#topics.get(topic)?.[partition] ?? [];
  }

  #store(topic: string, partition: number, count: number, bytes: Uint8Array): void {
    const partitions = this.#topics.get(topic) ?? [];
    this.#topics.set(topic, partitions);
    const batches = (partitions[partition] ??= []);
    const last = batches.at(-1);
    const first = offset(last === undefined ? 0 : last.first + last.count);
    batches.push({ first, count, bytes });
  }
}

export interface ClusterOptions {
  readonly definition: JobDefinition;
  readonly parallelism: number;
  readonly checkpointing?: Partial<CheckpointConfig>;
  readonly state?: Partial<StateConfig>;
  readonly seed?: number;
  readonly restore?: Manifest;
  readonly allowNonRestoredState?: boolean;
}

interface Read {
  readonly key: TaskKey;
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
}

type Action = () => void;

/** Milliseconds by the real clock for which nothing else happens where calls may be answered. */
const callPatience = 50;

/** What a checkpoint is to be. */
export interface CheckpointRequest {
  /** Whether anybody goes on meanwhile. */
  readonly ticks?: boolean;
  readonly savepoint?: SavepointMark;
  /** Whatever the job's checkpoints are. */
  readonly isAligned?: boolean;
  /** The last one of a job whose input has ended. */
  readonly isFinal?: boolean;
}

export class Cluster {
  readonly world: World;
  readonly plan: ExecutionPlan;
  readonly tasks = new Map<TaskKey, Task>();
  readonly #prng: Prng;
  readonly #wires = new Map<ChannelKey, { readonly seq: Seq; readonly frame: Uint8Array }[]>();
  readonly #credits: { readonly key: ChannelKey; readonly seq: Seq }[] = [];
  #reads: Read[] = [];
  /** Subtasks that have told of their end. */
  readonly ended = new Set<TaskKey>();
  readonly #calls = new Map<TaskKey, Calls>();
  /** By subtask and operator, what came of its calls and it was not told yet. */
  readonly #answers = new Map<string, { key: TaskKey; uid: string; answers: CallAnswer[] }>();
  readonly #turns = new Turns();
  readonly #alignment: WatermarkAlignment;
  /** Whether the sources wait for nobody any more. */
  #isUnaligned = false;
  /** What is said of alignment and has not arrived. */
  readonly #said: Action[] = [];
  readonly #acks = new Map<number, Map<TaskKey, TaskStateHandle>>();
  /** Of files of which more is to come. */
  readonly #pieces = new Map<string, Uint8Array>();
  /** By channel, the sender and its output, the receiver and its input. */
  readonly #ends = new Map<
    ChannelKey,
    {
      readonly from: TaskKey;
      readonly output: number;
      readonly to: TaskKey;
      readonly input: number;
    }
  >();

  /** @throws where the checkpoint does not fit: all that is wrong */
  constructor(world: World, options: ClusterOptions) {
    this.world = world;
    this.#prng = new Prng(options.seed ?? 1);
    const { graph } = options.definition;
    const config = {
      ...graph.config,
      parallelism: options.parallelism,
      checkpointing: { ...graph.config.checkpointing, ...options.checkpointing },
      state: { ...graph.config.state, ...options.state },
    };
    this.plan = planOf(graph, config);
    const { restore: manifest } = options;
    if (manifest !== undefined) {
      const reasons = misfits(manifest, this.plan, {
        checkpoint: `checkpoint ${manifest.checkpoint}`,
        program: "the program",
        allowNonRestoredState: options.allowNonRestoredState ?? false,
      });
      if (reasons.length > 0) throw new Error(reasons.join(" "));
    }
    const attempt = attemptOf(++world.attempts);
    for (const task of tasksOf(this.plan)) {
      const isOtherCode = manifest !== undefined && manifest.fingerprint !== this.plan.fingerprint;
      const deployment: TaskDeployment = {
        job: world.job,
        attempt,
        task,
        plan: this.plan,
        config,
        ...(manifest !== undefined && {
          restore: {
            checkpoint: manifest.checkpoint,
            ...statesFor(manifest, vertexOf(this.plan, task.vertex), this.plan),
            ...(isOtherCode && { isOtherCode }),
          },
        }),
      };
      const restored = this.#restored(deployment, options.definition);
      const made = new Task(deployment, graph, restored, millis(world.now), memoryDatabase());
      this.tasks.set(taskKey(task), made);
    }
    this.#connect();
    this.#alignment = new WatermarkAlignment({
      record: this,
      regionOf: () => ({ attempt, phase: "deploying" }),
      tell: (tasks, effectOf) => {
        const effect = effectOf(attempt, tasks);
        if (effect.kind !== "align") throw new Error(`It says ${effect.kind}.`);
        for (const task of tasks) this.#align(taskKey(task), effect.least);
      },
    });
    for (const [key, task] of this.tasks) this.#did(key, task.start(millis(world.now)));
  }

  /** Lets so many things happen, or as many as there are. Without ticks backlogs grow. */
  run(steps: number, ticks = true): this {
    return this.#atOnce(this.#running(steps, ticks));
  }

  /** Until nothing is left to do before that much time has passed. */
  settle(patience = 1_000): this {
    return this.#atOnce(this.#settling(patience));
  }

  /** Time passes, and with it whatever is due by the clock. */
  pass(span: number): this {
    return this.#atOnce(this.#passing(span));
  }

  /** A checkpoint, once all have acknowledged it. */
  checkpoint(options: CheckpointRequest = {}): Manifest {
    const id = this.#triggered(options);
    this.#atOnce(this.#acknowledging(id, options));
    return this.#manifest(id, options.savepoint);
  }

  // The same for jobs that make calls, which are given turns of the event loop to be answered. Above,
  // nobody has an answer.

  async ran(steps: number): Promise<this> {
    return this.#inTurns(this.#running(steps, true));
  }

  async settled(patience = 1_000): Promise<this> {
    this.#turns.owed();
    return this.#inTurns(this.#settling(patience));
  }

  /** Until all calls have come to something, however long that takes by the virtual clock. */
  async answered(patience = 1_000): Promise<this> {
    this.#turns.owed();
    return this.#inTurns(this.#answering(patience));
  }

  async passed(span: number): Promise<this> {
    return this.#inTurns(this.#passing(span));
  }

  async checkpointed(options: CheckpointRequest = {}): Promise<Manifest> {
    const id = this.#triggered(options);
    await this.#inTurns(this.#acknowledging(id, options));
    return this.#manifest(id, options.savepoint);
  }

  /** The subtasks are lost, and so are the answers to their calls. */
  stop(): void {
    for (const task of this.tasks.values()) task.stop();
    for (const calls of this.#calls.values()) calls.close();
  }

  #atOnce(steps: Iterable<void>): this {
    for (const _ of steps);
    return this;
  }

  async #inTurns(steps: Iterable<void>): Promise<this> {
    for (const _ of steps) await this.#turns.next();
    return this;
  }

  /** Does one thing of those there are; what it gives is whether there was any. */
  *#act(ticks = true): Generator<void, boolean> {
    if (this.#turns.isDue) yield;
    let actions = this.#actions(ticks);
    if (actions.length === 0 && this.#callsUnderWay > 0 && this.#turns.mayHelp) {
      yield;
      actions = this.#actions(ticks);
    }
    if (actions.length === 0) return false;
    this.#prng.pick(actions)();
    return true;
  }

  get #callsUnderWay(): number {
    let size = 0;
    for (const calls of this.#calls.values()) size += calls.size;
    return size;
  }

  *#running(steps: number, ticks: boolean): Generator<void> {
    for (let step = 0; step < steps; step++) {
      if (this.#prng.chance(0.3)) this.world.now += this.#prng.below(30);
      if (!(yield* this.#act(ticks))) break;
    }
  }

  *#settling(patience: number): Generator<void> {
    for (let until = this.world.now + patience, steps = 0; ; steps++) {
      if (steps > 1_000_000) throw new Error("The job never comes to rest.");
      if (yield* this.#act()) continue;
      const next = Math.min(...Array.from(this.tasks.values(), (task) => task.wakeAt ?? Infinity));
      if (next > until) return;
      this.world.now = Math.max(this.world.now, next);
      until = Math.max(until, this.world.now);
    }
  }

  *#answering(patience: number): Generator<void> {
    for (;;) {
      yield* this.#settling(patience);
      const tasks = [...this.tasks.values()];
      const next = Math.min(...tasks.map(({ wakeAt }) => wakeAt ?? Infinity));
      if (next === Infinity || !tasks.some(({ awaitsAnswers }) => awaitsAnswers)) return;
      this.world.now = Math.max(this.world.now, next);
    }
  }

  *#passing(span: number): Generator<void> {
    for (const until = this.world.now + span; ;) {
      if (yield* this.#act()) continue;
      const next = Math.min(...Array.from(this.tasks.values(), (task) => task.wakeAt ?? Infinity));
      this.world.now = Math.max(this.world.now, Math.min(next, until));
      if (next > until) return;
    }
  }

  /** Nobody waits for the rows of others any more: there are no more to come. */
  unaligned(): this {
    this.#isUnaligned = true;
    for (const { vertex, index } of sourceTasksOf(this.plan)) {
      this.#align(taskKey({ vertex, index }), Infinity);
    }
    return this;
  }

  #triggered(options: CheckpointRequest): CheckpointId {
    const id = checkpointId(++this.world.checkpoints);
    const given = options.isFinal === true ? "final" : options.isAligned ? "aligned" : undefined;
    const purpose = options.savepoint ?? given;
    for (const source of sourceTasksOf(this.plan)) {
      const key = taskKey(source);
      this.#did(key, this.#task(key).trigger(id, millis(this.world.now), purpose));
    }
    return id;
  }

  *#acknowledging(id: CheckpointId, { ticks = true }: CheckpointRequest): Generator<void> {
    for (let steps = 0; (this.#acks.get(id)?.size ?? 0) < this.tasks.size; steps++) {
      if (steps > 1_000_000) throw new Error(`Checkpoint ${id} never ends.`);
      // Not all barriers may come to their turn like this.
      if ((yield* this.#act(ticks)) || (!ticks && (yield* this.#act()))) continue;
      this.world.now += 10;
    }
  }

  #manifest(id: CheckpointId, savepoint: SavepointMark | undefined): Manifest {
    const { plan, world } = this;
    const tasks = Array.from(this.#acks.get(id)!, ([task, state]) => ({ task, state }));
    const manifest: Manifest = {
      job: world.job,
      program: plan.program,
      fingerprint: plan.fingerprint,
      checkpoint: id,
      attempt: attemptOf(world.attempts),
      completedAt: millis(world.now),
      maxParallelism: plan.maxParallelism,
      ...(savepoint !== undefined && { isSavepoint: true as const }),
      shapes: plan.shapes ?? {},
      ...(hasRowsOnTheirWay({ tasks }) && { edges: allEdges(plan) }),
      tasks,
    };
    return decodeManifest(encodeManifest(manifest));
  }

  /** It is durable. */
  complete({ checkpoint }: Manifest): this {
    for (const [key, task] of this.tasks) {
      this.#did(key, task.notifyComplete(checkpoint, millis(this.world.now)));
    }
    return this;
  }

  /** All rows of a table as they are now. */
  table(name: string, read: "committed" | "latest" = "latest"): unknown[] {
    return [...this.tasks.values()].flatMap((task) =>
      Array.from(task.table(name)?.entries(read) ?? [], ([, row]) => row),
    );
  }

  subtasksOf(uid: string): Task[] {
    return [...this.tasks.values()].filter(({ deployment: { plan, task } }) =>
      vertexOf(plan, task.vertex).operators.includes(uid),
    );
  }

  /** Whether all subtasks with that operator have told of their end. */
  hasEnded(uid: string): boolean {
    for (const [key, { deployment }] of this.tasks) {
      const { operators } = vertexOf(deployment.plan, deployment.task.vertex);
      if (operators.includes(uid) && !this.ended.has(key)) return false;
    }
    return true;
  }

  #task(key: TaskKey): Task {
    return this.tasks.get(key)!;
  }

  #callsOf(key: TaskKey): Calls {
    let calls = this.#calls.get(key);
    if (calls === undefined) {
      calls = new Calls((uid, answers) => {
        const place = `${key} ${uid}`;
        const waiting = this.#answers.get(place);
        if (waiting === undefined) this.#answers.set(place, { key, uid, answers: [...answers] });
        else waiting.answers.push(...answers);
        this.#turns.answered();
      });
      this.#calls.set(key, calls);
    }
    return calls;
  }

  #connect(): void {
    for (const [from, sender] of this.tasks) {
      sender.outputs.forEach((channel, output) => {
        const key = channelKey(channel);
        const to = taskKey(channel.to);
        const input = this.#task(to).inputs.findIndex((one) => channelKey(one) === key);
        this.#ends.set(key, { from, output, to, input });
        this.#wires.set(key, []);
      });
    }
  }

  #restored(deployment: TaskDeployment, { graph }: JobDefinition): RestoredState | undefined {
    const { restore } = deployment;
    if (restore === undefined) return undefined;
    const bytesOf = (handle: BytesHandle): Uint8Array => {
      if (handle.kind === "inline") return handle.bytes;
      const { path, offset: at, length } = handle;
      const file = this.world.files.get(path);
      if (file === undefined) throw new Error(`${path} is not there.`);
      return file.subarray(at, at + length);
    };
    return {
      checkpoint: restore.checkpoint,
      keyed: ownKeyedState(deployment).map((handle) => ({
        handle,
        segments: handle.segments.map(bytesOf),
      })),
      operator: sharesOf(deployment).map((share) => ({
        ...share,
        bytes: bytesOf(share.handle.bytes),
      })),
      channels: channelsOf(deployment).map((handle) =>
        restoredChannel(deployment, graph, handle, decodeFrames(bytesOf(handle.frames))),
      ),
    };
  }

  #actions(ticks: boolean): Action[] {
    const { now } = this.world;
    const actions: Action[] = [];
    for (const [key, wire] of this.#wires) {
      if (wire.length === 0) continue;
      const { to, input } = this.#ends.get(key)!;
      actions.push(() => {
        const { seq, frame } = wire.shift()!;
        this.#did(to, this.#task(to).receive(input, seq, frame, millis(this.world.now)).effects);
      });
    }
    this.#credits.forEach(({ key, seq }, at) => {
      const { from, output } = this.#ends.get(key)!;
      actions.push(() => {
        this.#credits.splice(at, 1);
        this.#did(from, this.#task(from).settled(output, seq, millis(this.world.now)));
      });
    });
    this.#said.forEach((arrive, at) => {
      actions.push(() => {
        this.#said.splice(at, 1);
        arrive();
      });
    });
    for (const read of this.#reads) {
      const { topic, partition, from, key } = read;
      const all = this.world.batches(topic, partition);
      const found = all.filter(({ first, count }) => first + count > from);
      const last = found.at(-1);
      if (last === undefined) continue;
      const end = offset(last.first + last.count);
      actions.push(() => {
        this.#reads = this.#reads.filter((one) => one !== read);
        const some = found.slice(0, 1 + this.#prng.below(3)).map((batch) => ({ ...batch, end }));
        const { tasks } = this;
        this.#did(key, tasks.get(key)!.sourceBatches(partition, some, millis(this.world.now)));
      });
    }
    for (const [place, waiting] of this.#answers) {
      const { key, uid, answers } = waiting;
      actions.push(() => {
        const from = this.#prng.below(answers.length);
        const told = answers.splice(from, 1 + this.#prng.below(answers.length - from));
        if (answers.length === 0) this.#answers.delete(place);
        this.#did(key, this.#task(key).answered(uid, told, millis(this.world.now)));
      });
    }
    if (!ticks) return actions;
    for (const [key, task] of this.tasks) {
      if ((task.wakeAt ?? Infinity) > now) continue;
      actions.push(() => this.#did(key, task.tick(millis(this.world.now))));
    }
    return actions;
  }

  #align(key: TaskKey, least: number | undefined): void {
    this.#said.push(() => {
      const known = this.#isUnaligned ? Infinity : least;
      this.#did(key, this.#task(key).align(known, millis(this.world.now)));
    });
  }

  #did(key: TaskKey, effects: readonly TaskEffect[]): void {
    for (const effect of effects) this.#effect(key, this.#task(key), effect);
  }

  #effect(key: TaskKey, task: Task, effect: TaskEffect): void {
    const now = millis(this.world.now);
    switch (effect.kind) {
      case "open": {
        const { to, input } = this.#ends.get(channelKey(task.outputs[effect.channel]!))!;
        const { expected } = this.#task(to).position(input);
        return this.#did(key, task.reopened(effect.channel, expected, now));
      }
      case "push": {
        const { seq, frame } = effect;
        this.#wires.get(channelKey(task.outputs[effect.channel]!))!.push({ seq, frame });
        return;
      }
      case "release":
        this.#credits.push({
          key: channelKey(task.inputs[effect.channel]!),
          seq: effect.seq,
        });
        return;
      case "read": {
        const { plan, task: id } = task.deployment;
        const { topic } = vertexOf(plan, id.vertex).source!;
        this.#reads.push({ key, topic, partition: effect.partition, from: effect.from });
        return;
      }
      case "piece": {
        const { path, bytes } = effect;
        const pieces = this.#pieces.get(path) ?? new Uint8Array();
        this.#pieces.set(path, joined([pieces, bytes]));
        return this.#did(key, task.pieceStored(path, now));
      }
      case "discard":
        this.#pieces.delete(effect.path);
        return;
      case "snapshot": {
        const { file, ack } = effect;
        if (file !== undefined) {
          const pieces = this.#pieces.get(file.path) ?? new Uint8Array();
          this.world.files.set(file.path, joined([pieces, file.bytes]));
          this.#pieces.delete(file.path);
        }
        const acks = this.#acks.get(ack.checkpoint) ?? new Map<TaskKey, TaskStateHandle>();
        this.#acks.set(ack.checkpoint, acks.set(key, ack.state));
        return;
      }
      case "append": {
        const { id, topic, partition, batches } = effect.commit;
        this.world.commit(id, topic, partition, batches);
        return this.#did(key, task.committed(id, now));
      }
      case "put": {
        const { id, file } = effect.commit;
        // A crash may come before it is there, and before it is known to be.
        this.#said.push(() => {
          this.world.put(id, file);
          this.#said.push(() => this.#did(key, task.committed(id, millis(this.world.now))));
        });
        return;
      }
      case "call":
        this.#turns.owed();
        return this.#callsOf(key).make(effect);
      case "abandon":
        return this.#callsOf(key).abandon(effect);
      case "ended":
        this.ended.add(key);
        return;
      case "reportAlignment":
        this.#said.push(() => {
          const known = this.#alignment.reported(effect.report);
          const least = this.#isUnaligned ? Infinity : known;
          this.#said.push(() => {
            this.#did(key, task.alignmentReported(least, millis(this.world.now)));
          });
        });
        return;
      case "awaitSettled":
      case "decline":
        throw new Error(`Nothing breaks here, and yet: ${effect.kind}.`);
      case "fail":
        throw new Error(`${effect.failure.name}: ${effect.failure.message}`);
    }
  }
}

const isSame = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, at) => byte === right[at]);

/** Turns of the event loop, which calls need to be answered. */
class Turns {
  #isDue = false;
  #mayHelp = true;
  #cameInTurn: (() => void) | undefined;

  /** Whether calls were made since the last turn. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Whether to wait could bring answers; what took too long by the real clock is left to the virtual one. */
  get mayHelp(): boolean {
    return this.#mayHelp;
  }

  owed(): void {
    this.#isDue = true;
    this.#mayHelp = true;
  }

  answered(): void {
    this.#mayHelp = true;
    this.#cameInTurn?.();
  }

  async next(): Promise<void> {
    if (this.#isDue) {
      this.#isDue = false;
      return new Promise((done) => void setImmediate(done));
    }
    this.#mayHelp = false;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, callPatience);
      this.#cameInTurn = () => {
        clearTimeout(timer);
        done();
      };
    });
    this.#cameInTurn = undefined;
  }
}

/** The rows on their way in a checkpoint: how many channels there are of each end, by edge. */
export function onTheirWay({ tasks, edges = [] }: Manifest): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { end, edge: id } of tasks.flatMap(({ state: { channels = [] } }) => channels)) {
    const { fromUid, toUid } = edgeOf({ edges } as ExecutionPlan, id);
    const name = `${fromUid}>${toUid} ${end}`;
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}
