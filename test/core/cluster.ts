// A whole deployment in one process: the production cores of coordinator, subtasks and sources on a
// virtual clock, with a network and a bucket that fail when the seed says so. The shells are played
// here; everything they decide nothing about (delays, losses, crashes) is drawn from the seed.

import { encodeRows } from "../../format/batch.ts";
import {
  type Attempt,
  attempt as attemptOf,
  type Millis,
  millis,
  offset,
  type Seq,
  type TaskId,
  type TaskKey,
  taskKey,
} from "../../format/ids.ts";
import { jobIdFrom } from "../../format/ids.ts";
import type { CheckpointRecord } from "../../format/job-status.ts";
import { decodeManifest } from "../../format/manifest.ts";
import type {
  AttemptOutcome,
  CheckpointAck,
  DeployOutcome,
  HeartbeatOutcome,
  StoredBatch,
  TaskDeployment,
} from "../../format/messages.ts";
import { channelKey, tasksOf } from "../../format/plan.ts";
import { decodeFrames } from "../../format/channel-state.ts";
import { type BytesHandle, filesOf } from "../../format/state-handle.ts";
import { collectable } from "../../coordinator/retention.ts";
import type { Effect } from "../../coordinator/effects.ts";
import { Job } from "../../coordinator/job.ts";
import type { JobRecord } from "../../coordinator/job-record.ts";
import { planOf } from "../../coordinator/plan.ts";
import { Prng } from "../../sim/prng.ts";
import type { JobDefinition } from "../../stream/job.ts";
import { channelsOf } from "../../task/channel-state.ts";
import { sharesOf } from "../../task/operator-state.ts";
import { type RestoredState, Task, type TaskEffect } from "../../task/task.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly definition: JobDefinition;
  readonly parallelism?: number;
  /** Milliseconds of virtual time for which a subtask of that operator does nothing else, per row. */
  readonly rowCost?: Readonly<Record<string, number>>;
  /** Probability per second of virtual time of each kind of fault; none where absent. */
  readonly faults?: {
    readonly crashSubtask?: number;
    readonly crashCoordinator?: number;
    readonly crashAll?: number;
    readonly cutSession?: number;
    /** Probability per put. */
    readonly failPut?: number;
  };
}

interface SubtaskNode {
  readonly id: TaskId;
  stored: { attempt: Attempt; isActive: boolean } | undefined;
  task: Task | undefined;
  incarnation: number;
  sessions: (Session | undefined)[];
  waiters: { channel: number; seq: Seq; done: () => void }[];
  reading: number;
  lostFiles: Set<string>;
  wake: number | undefined;
  /** Until then it computes; what reaches it waits. */
  busyUntil: number;
}

interface Session {
  readonly sender: SubtaskNode;
  readonly channel: number;
  readonly receiver: SubtaskNode;
  readonly receiverTask: Task;
  readonly input: number;
  isCut: boolean;
  /** Whether what was under way when it was cut arrives all the same. */
  delivers: boolean;
  /** Virtual time before which nothing later on this session may arrive. */
  arrivesAt: number;
}

export class Cluster {
  readonly prng: Prng;
  readonly files = new Map<string, Uint8Array>();
  readonly deleted = new Set<string>();
  readonly log: string[] = [];
  /** Rows of each topic partition, as stored batches. */
  readonly topics = new Map<string, StoredBatch[]>();
  now = 1_000_000;
  completed = 0;
  attempts = 0;
  /** Frames of channel state in acknowledgements, and in deployments that restored them. */
  readonly channelFrames = { captured: 0, restored: 0, restores: 0 };
  faultsOn = true;
  readonly #definition: JobDefinition;
  readonly #faults: NonNullable<ClusterOptions["faults"]>;
  readonly #rowCost: NonNullable<ClusterOptions["rowCost"]>;
  readonly #nodes = new Map<TaskKey, SubtaskNode>();
  #queue: { at: number; run: () => void }[] = [];
  #job: Job | undefined;
  #coordinatorIncarnation = 0;
  #record: JobRecord | undefined;
  #history: CheckpointRecord[] = [];
  #alarm: number | undefined;

  constructor(options: ClusterOptions) {
    this.prng = new Prng(options.seed);
    this.#definition = options.definition;
    this.#faults = options.faults ?? {};
    this.#rowCost = options.rowCost ?? {};
    const { graph } = options.definition;
    const config = {
      ...graph.config,
      parallelism: options.parallelism ?? graph.config.parallelism,
    };
    const plan = planOf(graph, config);
    for (const id of tasksOf(plan)) {
      this.#nodes.set(taskKey(id), {
        id,
        stored: undefined,
        task: undefined,
        incarnation: 0,
        sessions: [],
        waiters: [],
        reading: 0,
        lostFiles: new Set(),
        wake: undefined,
        busyUntil: 0,
      });
    }
    for (const vertex of plan.vertices) {
      if (vertex.source === undefined) continue;
      for (let p = 0; p < vertex.source.partitions; p++) this.#partition(vertex.source.topic, p);
    }
    const id = jobIdFrom(new Uint8Array(16).fill(7));
    const { job, effects } = Job.submitted({ job: id, plan, config }, this.#time());
    this.#job = job;
    this.#performAll(effects);
    this.#scheduleFaults();
  }

  get phase(): string {
    return this.#record?.phase ?? "none";
  }

  get record(): JobRecord {
    return this.#record!;
  }

  /** Ended checkpoints, newest first. */
  get history(): readonly CheckpointRecord[] {
    return this.#history;
  }

  append(topic: string, partition: number, rows: readonly unknown[]): void {
    const batches = this.#partition(topic, partition);
    const last = batches.at(-1);
    const first = offset(last === undefined ? 0 : last.first + last.count);
    batches.push({ first, count: rows.length, bytes: encodeRows(rows) });
  }

  /** Runs until `until` holds or `forMs` of virtual time have passed. */
  run(forMs: number, until?: () => boolean): boolean {
    const end = this.now + forMs;
    while (this.#queue.length > 0) {
      if (until?.() === true) return true;
      const next = this.#queue[0]!;
      if (next.at > end) break;
      this.#queue.shift();
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = Math.max(this.now, end);
    return until?.() === true;
  }

  /** Every row of a table over all subtasks that serve it. */
  table(name: string, read: "committed" | "latest" = "committed"): unknown[] {
    return [...this.#nodes.values()].flatMap((node) => {
      const table = node.task?.table(name);
      return table === undefined ? [] : Array.from(table.entries(read), ([, row]) => row);
    });
  }

  task(vertexUid: string, index: number): Task | undefined {
    return [...this.#nodes.values()].find(
      (node) => node.id.index === index && this.#vertexUids(node).includes(vertexUid),
    )?.task;
  }

  crashSubtask(key: TaskKey): void {
    const node = this.#nodes.get(key)!;
    this.log.push(`${this.now} crash ${key}`);
    node.task?.stop();
    node.task = undefined;
    node.incarnation++;
    for (const peer of this.#nodes.values()) {
      for (const session of peer.sessions) {
        if (session !== undefined && (session.receiver === node || session.sender === node))
          this.#cut(session);
      }
    }
    node.sessions = [];
    node.waiters = [];
    node.wake = undefined;
    node.busyUntil = 0;
    // The watch alarm.
    if (node.stored?.isActive === true) {
      const { attempt } = node.stored;
      this.#later(500, () => {
        if (node.task !== undefined || node.stored?.attempt !== attempt) return;
        this.#toCoordinator((job) =>
          job.taskFailed(
            { attempt, task: node.id, name: "SubtaskLost", message: "evicted" },
            this.#time(),
          ),
        );
      });
    }
  }

  crashCoordinator(): void {
    this.log.push(`${this.now} crash coordinator`);
    this.#job = undefined;
    this.#coordinatorIncarnation++;
    // Its alarm is durable.
    if (this.#alarm !== undefined) this.#scheduleAlarm(this.#alarm);
  }

  crashAll(): void {
    for (const key of this.#nodes.keys()) this.crashSubtask(key);
    this.crashCoordinator();
  }

  cancel(): void {
    this.#toCoordinator((job) => job.cancel(this.#time()).effects);
  }

  keys(): TaskKey[] {
    return [...this.#nodes.keys()];
  }

  #vertexUids(node: SubtaskNode): readonly string[] {
    return this.record.plan.vertices.find((vertex) => vertex.id === node.id.vertex)!.operators;
  }

  #partition(topic: string, partition: number): StoredBatch[] {
    const key = `${topic}/${partition}`;
    let batches = this.topics.get(key);
    if (batches === undefined) this.topics.set(key, (batches = []));
    return batches;
  }

  #time(): Millis {
    return millis(Math.floor(this.now));
  }

  #later(delay: number, run: () => void): void {
    // What is due at the same time runs in the order in which it was asked for.
    const at = this.now + delay;
    let [low, high] = [0, this.#queue.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#queue[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, { at, run });
  }

  #latency(): number {
    return 1 + this.prng.below(this.prng.chance(0.05) ? 200 : 10);
  }

  #scheduleFaults(): void {
    const step = 50;
    this.#later(step, () => {
      if (this.faultsOn) {
        const per = (rate: number | undefined): boolean =>
          this.prng.chance(((rate ?? 0) * step) / 1_000);
        const keys = [...this.#nodes.keys()];
        if (per(this.#faults.crashSubtask)) this.crashSubtask(keys[this.prng.below(keys.length)]!);
        if (per(this.#faults.crashCoordinator)) this.crashCoordinator();
        if (per(this.#faults.crashAll)) this.crashAll();
        if (per(this.#faults.cutSession)) {
          const sessions = [...this.#nodes.values()]
            .flatMap((node) => node.sessions)
            .filter((s) => s !== undefined);
          const session = sessions[this.prng.below(Math.max(1, sessions.length))];
          if (session !== undefined) this.#cut(session);
        }
      }
      this.#scheduleFaults();
    });
  }

  // The coordinator's shell.

  #toCoordinator(event: (job: Job) => readonly Effect[]): void {
    this.#later(this.#latency(), () => this.#coordinatorEvent(event));
  }

  #coordinatorEvent(event: (job: Job) => readonly Effect[]): void {
    if (this.#job === undefined) {
      const { job, effects } = Job.reloaded(this.#record!, this.#history, this.#time());
      this.#job = job;
      this.#performAll(effects);
    }
    this.#performAll(event(this.#job));
  }

  #performAll(effects: readonly Effect[]): void {
    for (const effect of effects) this.#perform(effect);
    const at = this.#job?.nextWakeAt();
    if (at !== undefined && at !== this.#alarm) {
      this.#alarm = at;
      this.#scheduleAlarm(at);
    }
  }

  #scheduleAlarm(at: number): void {
    this.#later(Math.max(1, at - this.now), () => {
      if (this.#alarm !== at) return;
      this.#alarm = undefined;
      this.#coordinatorEvent((job) => job.tick(this.#time()));
    });
  }

  /** A call on a subtask: request, work, answer, each after a while; silent where either is gone. */
  #call<T>(
    task: TaskId,
    work: (node: SubtaskNode) => T,
    answer: (job: Job, result: T) => readonly Effect[],
    silent: (job: Job) => readonly Effect[] = () => [],
  ): void {
    const caller = this.#coordinatorIncarnation;
    const back = (event: (job: Job) => readonly Effect[]): void =>
      this.#later(this.#latency(), () => {
        if (this.#coordinatorIncarnation === caller) this.#coordinatorEvent(event);
      });
    this.#later(this.#latency(), () => {
      if (this.faultsOn && this.prng.chance(0.002)) return back(silent);
      const node = this.#nodes.get(taskKey(task))!;
      this.#whenFree(node, () => {
        const result = work(node);
        back((job) => answer(job, result));
      });
    });
  }

  /** A subtask does one thing at a time: what reaches it while it computes waits, in order. */
  #whenFree(node: SubtaskNode, run: () => void): void {
    if (node.busyUntil <= this.now) return run();
    this.#later(node.busyUntil - this.now, () => this.#whenFree(node, run));
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        this.#record = effect.record;
        this.#history = [...effect.ended, ...this.#history].slice(0, 10);
        return;
      case "loadManifest": {
        const bytes = this.files.get(effect.checkpoint.path);
        return this.#toCoordinator((job) =>
          bytes === undefined
            ? job.manifestFailed(
                effect.attempt,
                { damaged: true, message: "missing" },
                this.#time(),
              )
            : job.manifestLoaded(effect.attempt, decodeManifest(bytes), this.#time()),
        );
      }
      case "deploy":
        this.attempts++;
        for (const deployment of effect.deployments) {
          const { attempt, task } = deployment;
          this.#call(
            task,
            (node) => this.#deploy(node, deployment),
            (job, outcome) => job.deployed(attempt, task, outcome, this.#time()),
            (job) => job.deployed(attempt, task, { kind: "refused", reason: "lost" }, this.#time()),
          );
        }
        return;
      case "start":
        return this.#each(
          effect.tasks,
          effect.attempt,
          (node, task) => this.#taskEvent(node, (now) => task.start(now)),
          {
            answer: (job, id, outcome) => job.started(effect.attempt, id, outcome, this.#time()),
          },
        );
      case "trigger":
        return this.#each(
          effect.tasks,
          effect.attempt,
          (node, task) => this.#taskEvent(node, (now) => task.trigger(effect.checkpoint, now)),
          {
            answer: (job, id, outcome) =>
              job.triggered(effect.attempt, effect.checkpoint, id, outcome, this.#time()),
          },
        );
      case "publish": {
        const caller = this.#coordinatorIncarnation;
        const fails = this.faultsOn && this.prng.chance(this.#faults.failPut ?? 0);
        this.#later(this.#latency(), () => {
          const exists = this.files.has(effect.candidate.path);
          if (!fails && !exists) this.files.set(effect.candidate.path, effect.bytes);
          this.#later(this.#latency(), () => {
            if (this.#coordinatorIncarnation !== caller) return;
            const outcome = fails
              ? ({ kind: "unknown", message: "R2 error" } as const)
              : exists
                ? ({ kind: "exists", message: "exists" } as const)
                : ({ kind: "created" } as const);
            this.#coordinatorEvent((job) =>
              job.published(effect.attempt, effect.candidate, outcome, this.#time()),
            );
          });
        });
        return;
      }
      case "probeManifest":
        return this.#toCoordinator((job) =>
          job.recovered(effect.candidate, this.files.has(effect.candidate.path), this.#time()),
        );
      case "notifyComplete":
        this.completed++;
        return this.#each(
          effect.tasks,
          effect.attempt,
          (_, task) => {
            task.notifyComplete(effect.checkpoint);
          },
          {
            answer: (job, id, outcome) =>
              job.heartbeat(effect.attempt, id, this.#beat(id, outcome), this.#time()),
          },
        );
      case "notifyAborted":
        return this.#each(effect.tasks, effect.attempt, (node, task) =>
          this.#taskEvent(node, (now) => task.notifyAborted(effect.checkpoint, now)),
        );
      case "heartbeat":
        return this.#each(effect.tasks, effect.attempt, () => {}, {
          answer: (job, id, outcome) =>
            job.heartbeat(effect.attempt, id, this.#beat(id, outcome), this.#time()),
        });
      case "cancelTasks":
        for (const task of effect.tasks) {
          this.#call(
            task,
            (node) => this.#cancel(node, effect.attempt),
            (job) => job.tasksCancelled(effect.attempt, [task], this.#time()),
          );
        }
        return;
      case "deleteFiles":
        for (const path of effect.paths) this.#delete(path);
        return;
      case "sweep": {
        const job = this.#record!.job;
        const reachable = new Set(effect.reachable);
        for (const path of collectable({ job, reachable, upTo: effect.upTo }, this.files.keys()))
          this.#delete(path);
        return this.#toCoordinator((job) => job.swept(effect.upTo, this.#time()));
      }
      case "announce":
        return this.#toCoordinator((job) =>
          job.announced(effect.summary.lastModification, this.#time()),
        );
      default:
        effect satisfies never;
    }
  }

  #delete(path: string): void {
    this.files.delete(path);
    this.deleted.add(path);
  }

  #beat(id: TaskId, outcome: AttemptOutcome): HeartbeatOutcome {
    if (outcome.kind !== "ok") return outcome;
    const metrics = this.#nodes.get(taskKey(id))?.task?.metrics;
    return {
      kind: "ok",
      metrics: metrics ?? { recordsIn: 0, recordsOut: 0, bytesIn: 0, bytesOut: 0 },
      activity: { isIdle: false },
    };
  }

  #each(
    tasks: readonly TaskId[],
    attempt: Attempt,
    work: (node: SubtaskNode, task: Task) => void,
    on?: { answer: (job: Job, id: TaskId, outcome: AttemptOutcome) => readonly Effect[] },
  ): void {
    for (const id of tasks) {
      this.#call(
        id,
        (node): AttemptOutcome => {
          const current = node.stored?.attempt;
          if (current !== undefined && attempt < current) return { kind: "stale", current };
          const task = this.#runOf(node, attempt);
          if (task === undefined) return { kind: "unknown" };
          work(node, task);
          return { kind: "ok" };
        },
        (job, outcome) => on?.answer(job, id, outcome) ?? [],
      );
    }
  }

  // The subtasks' shells.

  #runOf(node: SubtaskNode, attempt: Attempt): Task | undefined {
    return node.task?.deployment.attempt === attempt ? node.task : undefined;
  }

  #deploy(node: SubtaskNode, deployment: TaskDeployment): DeployOutcome {
    const { attempt } = deployment;
    if (node.stored !== undefined && attempt < node.stored.attempt) {
      return { kind: "stale", current: node.stored.attempt };
    }
    if (node.stored?.attempt === attempt) {
      return node.task === undefined ? { kind: "refused", reason: "lost" } : { kind: "deployed" };
    }
    this.#end(node);
    node.stored = { attempt, isActive: true };
    const restored = this.#load(deployment);
    node.task = new Task(deployment, this.#definition.graph, restored, this.#time());
    node.sessions = node.task.outputs.map(() => undefined);
    return { kind: "deployed" };
  }

  #load(deployment: TaskDeployment): RestoredState | undefined {
    const { restore } = deployment;
    if (restore === undefined) return undefined;
    const keyed = restore.states.flatMap((state) =>
      state.keyed.map((handle) => ({
        handle,
        segments: handle.segments.map((segment) => this.#bytesOf(segment)),
      })),
    );
    const channels = channelsOf(deployment).map((handle) => ({
      handle,
      bytes: this.#bytesOf(handle.frames),
    }));
    const frames = channels.reduce((sum, { bytes }) => sum + decodeFrames(bytes).length, 0);
    this.channelFrames.restored += frames;
    if (frames > 0) this.channelFrames.restores++;
    return {
      checkpoint: restore.checkpoint,
      keyed,
      operator: sharesOf(deployment).map((share) => ({
        ...share,
        bytes: this.#bytesOf(share.handle.bytes),
      })),
      channels,
    };
  }

  #bytesOf(handle: BytesHandle): Uint8Array {
    if (handle.kind === "inline") return handle.bytes;
    const { path, offset, length } = handle;
    const file = this.files.get(path);
    if (file === undefined) {
      const fate = this.deleted.has(path) ? "deleted" : "never stored";
      throw new Error(`Restore needs ${path}, ${fate}.`);
    }
    return file.subarray(offset, offset + length);
  }

  #end(node: SubtaskNode): void {
    node.task?.stop();
    node.task = undefined;
    for (const session of node.sessions) if (session !== undefined) session.isCut = true;
    node.sessions = [];
    node.waiters = [];
    node.lostFiles.clear();
    node.wake = undefined;
  }

  #cancel(node: SubtaskNode, attempt: Attempt): void {
    if (node.stored === undefined || node.stored.attempt > attempt) return;
    this.#end(node);
    node.stored = { attempt: attemptOf(attempt), isActive: false };
  }

  #taskEvent(node: SubtaskNode, event: (now: Millis) => readonly TaskEffect[]): void {
    const { task } = node;
    if (task === undefined) return;
    const rows = task.metrics.recordsIn;
    const effects = event(this.#time());
    const cost = (task.metrics.recordsIn - rows) * this.#costOf(node);
    if (cost === 0) return this.#afterEvent(node, task, effects);
    node.busyUntil = this.now + cost;
    this.#later(cost, () => {
      if (node.task === task) this.#afterEvent(node, task, effects);
    });
  }

  #afterEvent(node: SubtaskNode, task: Task, effects: readonly TaskEffect[]): void {
    for (const effect of effects) this.#performTask(node, task, effect);
    const at = task.wakeAt;
    if (at === undefined || (node.wake !== undefined && node.wake <= at)) return;
    node.wake = at;
    this.#later(Math.max(0, at - this.now), () =>
      this.#whenFree(node, () => {
        if (node.task !== task || node.wake !== at) return;
        node.wake = undefined;
        this.#taskEvent(node, (now) => task.tick(now));
      }),
    );
  }

  #costOf(node: SubtaskNode): number {
    return Math.max(0, ...this.#vertexUids(node).map((uid) => this.#rowCost[uid] ?? 0));
  }

  #performTask(node: SubtaskNode, task: Task, effect: TaskEffect): void {
    switch (effect.kind) {
      case "open":
        return this.#open(node, task, effect.channel);
      case "push":
        return this.#push(node, task, effect.channel, effect.seq, effect.frame);
      case "awaitSettled":
        return this.#awaitSettled(node, task, effect.channel, effect.seq);
      case "release": {
        const due = node.waiters.filter(
          (w) => w.channel === effect.channel && w.seq === effect.seq,
        );
        node.waiters = node.waiters.filter((w) => !due.includes(w));
        for (const waiter of due) waiter.done();
        return;
      }
      case "read":
        return this.#read(node, task, effect.partition, effect.from);
      case "snapshot":
        return this.#snapshot(node, task, effect.file, effect.ack);
      case "decline":
        return this.#toCoordinator((job) => job.declined(effect.decline, this.#time()));
      case "fail":
        this.log.push(`${this.now} fail ${taskKey(node.id)} ${effect.failure.message}`);
        return this.#toCoordinator((job) => job.taskFailed(effect.failure, this.#time()));
      default:
        effect satisfies never;
    }
  }

  #open(node: SubtaskNode, task: Task, channel: number): void {
    const target = task.outputs[channel]!;
    const receiver = this.#nodes.get(taskKey(target.to))!;
    this.#later(this.#latency(), () => {
      if (node.task !== task) return;
      const { attempt } = task.deployment;
      const receiving = this.#runOf(receiver, attempt);
      if (receiving === undefined) {
        const failure = { attempt, task: node.id, name: "ChannelLost", message: "receiver lost" };
        task.stop();
        return this.#toCoordinator((job) => job.taskFailed(failure, this.#time()));
      }
      const input = receiving.inputs.findIndex((one) => channelKey(one) === channelKey(target));
      const expected = receiving.expected(input);
      const session: Session = {
        sender: node,
        channel,
        receiver,
        receiverTask: receiving,
        input,
        isCut: false,
        delivers: true,
        arrivesAt: this.now,
      };
      this.#later(this.#latency(), () => {
        if (node.task !== task) return;
        this.#whenFree(node, () => {
          if (node.task !== task) return;
          node.sessions[channel] = session;
          this.#taskEvent(node, (now) => task.reopened(channel, expected, now));
        });
      });
    });
  }

  #cut(session: Session): void {
    if (session.isCut) return;
    session.isCut = true;
    session.delivers = this.prng.chance(0.5);
    const { sender, channel } = session;
    const task = sender.task;
    this.#later(this.#latency(), () => {
      if (task === undefined || sender.task !== task || sender.sessions[channel] !== session)
        return;
      this.#whenFree(sender, () => {
        if (sender.task !== task || sender.sessions[channel] !== session) return;
        sender.sessions[channel] = undefined;
        this.#taskEvent(sender, (now) => task.disconnected(channel, now));
      });
    });
  }

  #push(node: SubtaskNode, task: Task, channel: number, seq: Seq, frame: Uint8Array): void {
    const session = node.sessions[channel];
    if (session === undefined) return;
    session.arrivesAt = Math.max(session.arrivesAt, this.now + this.#latency());
    const arrives = (): void => {
      if (!session.delivers || session.receiver.task !== session.receiverTask)
        return this.#cut(session);
      this.#taskEvent(
        session.receiver,
        (now) => session.receiverTask.receive(session.input, seq, frame, now).effects,
      );
      this.#whenFree(session.receiver, () => this.#whenSettled(session, seq, node, task));
    };
    this.#later(session.arrivesAt - this.now, () => this.#whenFree(session.receiver, arrives));
  }

  #awaitSettled(node: SubtaskNode, task: Task, channel: number, seq: Seq): void {
    const session = node.sessions[channel];
    if (session === undefined) return;
    this.#later(this.#latency(), () => {
      if (session.isCut || session.receiver.task !== session.receiverTask)
        return this.#cut(session);
      this.#whenSettled(session, seq, node, task);
    });
  }

  #whenSettled(session: Session, seq: Seq, node: SubtaskNode, task: Task): void {
    const done = (): void =>
      this.#later(this.#latency(), () =>
        this.#whenFree(node, () => {
          if (session.isCut || node.task !== task) return;
          this.#taskEvent(node, (now) => task.settled(session.channel, seq, now));
        }),
      );
    if (session.receiver.task !== session.receiverTask) return;
    if (session.receiverTask.isSettled(session.input, seq)) done();
    else session.receiver.waiters.push({ channel: session.input, seq, done });
  }

  #read(
    node: SubtaskNode,
    task: Task,
    partition: number,
    from: StoredBatch["first"],
    waited = 0,
  ): void {
    const { plan } = task.deployment;
    const { topic } = plan.vertices.find((vertex) => vertex.id === node.id.vertex)!.source!;
    this.#later(this.#latency(), () => {
      if (node.task !== task) return;
      const batches = this.#partition(topic, partition).filter(
        (batch) => batch.first + batch.count > from,
      );
      if (batches.length === 0 && waited < 20)
        return this.#read(node, task, partition, from, waited + 1);
      this.#whenFree(node, () => {
        if (node.task !== task) return;
        this.#taskEvent(node, (now) =>
          task.sourceBatches(partition, batches.slice(0, 1 + this.prng.below(12)), now),
        );
      });
    });
  }

  #snapshot(
    node: SubtaskNode,
    task: Task,
    file: { path: string; bytes: Uint8Array } | undefined,
    ack: CheckpointAck,
  ): void {
    const { incarnation } = node;
    for (const { frames } of ack.state.channels ?? []) {
      const bytes =
        frames.kind === "inline"
          ? frames.bytes
          : file!.bytes.subarray(frames.offset, frames.offset + frames.length);
      this.channelFrames.captured += decodeFrames(bytes).length;
    }
    this.#later(this.#latency(), () => {
      // A zombie goes on writing: the put happens although the object was replaced.
      if (file !== undefined) {
        if (this.faultsOn && this.prng.chance(this.#faults.failPut ?? 0)) {
          node.lostFiles.add(file.path);
          if (node.task === task) task.snapshotLost();
        } else {
          if (this.files.has(file.path)) throw new Error(`${file.path} was written twice.`);
          this.files.set(file.path, file.bytes);
        }
      }
      if (node.task !== task || node.incarnation !== incarnation) return;
      const { attempt, checkpoint } = ack;
      if (filesOf(ack.state).some((path) => node.lostFiles.has(path))) {
        const decline = { attempt, checkpoint, task: node.id, reason: "not stored" };
        return this.#toCoordinator((job) => job.declined(decline, this.#time()));
      }
      this.#toCoordinator((job) => job.acknowledged(ack, this.#time()));
    });
  }
}
