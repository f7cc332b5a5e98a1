// The Durable Object around one job: the shell of `coordinator/coordinator.ts`, played. The core is
// the production one.
//   D1. Events run one at a time.
//   D2. What an effect needs durable is written before the effect; the gate holds the effect's
//       messages back until then.
//   D3. The alarm is set again before its work begins.

import type { HoldAnswer, HoldKey, HoldRequest } from "../format/holds.ts";
import { type Attempt, type JobId, type Millis, millis, type TaskId } from "../format/ids.ts";
import type {
  CheckpointRecord,
  JobDetails,
  RescaleAnswer,
  RescaleRequest,
  SavepointAnswer,
  SavepointRequest,
  SubmitOutcome,
} from "../format/job-status.ts";
import { heartbeatInterval } from "../format/limits.ts";
import { FormatError } from "../format/format-error.ts";
import { decodeManifest, encodeManifest, type Manifest } from "../format/manifest.ts";
import type {
  AttemptOutcome,
  DeployOutcome,
  HeartbeatOutcome,
  JobSubmission,
  RestOutcome,
} from "../format/messages.ts";
import { jobPrefix } from "../format/paths.ts";
import { collectable } from "../coordinator/retention.ts";
import type { Effect, Silence } from "../coordinator/effects.ts";
import { Job } from "../coordinator/job.ts";
import type { JobRecord } from "../coordinator/job-record.ts";
import type { Deployment } from "./deployment.ts";
import { Host, Instance, type Scene } from "./host.ts";
import { type Manifests, ManifestRows, type ManifestStore } from "./manifest-rows.ts";
import { call } from "./network.ts";
import type { SubtaskInstance } from "./subtask.ts";

/** Keys that one call deletes; production deletes a thousand at once. */
const deleteBatch = 3;

interface JobState {
  readonly record: JobRecord;
  readonly history: readonly CheckpointRecord[];
  /** Those that are kept here. */
  readonly manifests: Manifests;
}

const noManifests: Manifests = new Map();

type State = JobState | undefined;

export class CoordinatorHost extends Host<State, CoordinatorInstance> {
  readonly deployment: () => Deployment;
  #seen = noManifests;

  constructor(name: string, scene: Scene, deployment: () => Deployment) {
    super(name, scene, undefined);
    this.deployment = deployment;
  }

  protected override wake(stored: State): CoordinatorInstance {
    return new CoordinatorInstance(this, stored);
  }

  protected override onAlarm(instance: CoordinatorInstance): void {
    instance.alarm();
  }

  protected override onDurable(stored: State): void {
    if (stored === undefined) return;
    const { bucket, checks } = this.deployment();
    const { manifests } = stored;
    if (manifests !== this.#seen) {
      for (const path of this.#seen.keys()) if (!manifests.has(path)) bucket.removed(path);
      for (const [path, bytes] of manifests) if (!this.#seen.has(path)) bucket.placed(path, bytes);
      this.#seen = manifests;
    }
    checks.recorded(stored.record);
  }
}

type Published = Parameters<Job["published"]>[2];

export class CoordinatorInstance extends Instance<State> {
  readonly #deployment: Deployment;
  #stored: State;
  #job: Job | undefined;
  #alarmAt: Millis | undefined;

  constructor(host: CoordinatorHost, stored: State) {
    super(host);
    this.#deployment = host.deployment();
    this.#stored = stored;
  }

  override born(): void {
    if (this.#stored === undefined) return;
    const { record, history } = this.#stored;
    const { definition } = this.#deployment;
    const programs = new Map([[definition.name, definition]]);
    const { job, effects } = Job.reloaded(record, history, this.#now(), programs);
    this.#job = job;
    this.#perform(effects);
  }

  override get isAsleep(): boolean {
    return this.#stored?.record.restingSince !== undefined;
  }

  submit(submission: JobSubmission): SubmitOutcome {
    if (this.#job !== undefined) return { kind: "known" };
    const { hold, path } = submission.restore ?? {};
    const { platform, id } = this.#deployment;
    if (hold !== undefined && platform.hasRenounced(id, hold)) {
      return { kind: "refused", reason: `${path} is not held for it any more.` };
    }
    const { job, effects } = Job.submitted(submission, this.#now());
    this.#job = job;
    this.#perform(effects);
    return { kind: "submitted" };
  }

  get details(): JobDetails | undefined {
    return this.#job?.details();
  }

  cancel(): void {
    this.handle((job, now) => job.cancel(now).effects);
  }

  savepoint(request: SavepointRequest): SavepointAnswer {
    const job = this.#job;
    if (job === undefined) return { kind: "refused", reason: "The job is not submitted yet." };
    const { answer, effects } = job.savepoint(request, this.#now());
    this.#perform(effects);
    return answer;
  }

  rescale(request: RescaleRequest): RescaleAnswer {
    const job = this.#job;
    if (job === undefined) return { kind: "refused", reason: "The job is not submitted yet." };
    const { answer, effects } = job.rescale(request, this.#now());
    this.#perform(effects);
    return answer;
  }

  /** Where manifests are in here, the held one is put into the bucket before it is answered. */
  hold(request: HoldRequest, reply: (answer: HoldAnswer) => void): void {
    const job = this.#job;
    if (job === undefined) {
      return reply({ kind: "refused", reason: "The job is not submitted yet." });
    }
    const { answer, effects } = job.hold(request, this.#now());
    this.#perform(effects);
    const copy = answer.kind === "held" ? job.copyFor(answer.hold.nth) : undefined;
    if (answer.kind !== "held" || copy === undefined) return reply(answer);
    const { from, to } = copy;
    const failed = (reason: string): void => {
      this.handle((current, now) => current.withdrawn(answer.hold.nth, now));
      reply({ kind: "unavailable", reason });
    };
    this.#storeOf(from).get(this, from, {
      done: (bytes) => {
        if (bytes === undefined) return failed(`${from} is not there`);
        const copied = encodeManifest(decodeManifest(bytes, from), to);
        this.#publish(this.#deployment.bucket, to, copied, (outcome) =>
          outcome.kind === "created" ? reply(answer) : failed(outcome.message),
        );
      },
      failed: () => failed("R2 error"),
    });
  }

  needs(hold: HoldKey): boolean {
    if (this.#job !== undefined) return this.#job.needs(hold);
    const { platform, id } = this.#deployment;
    platform.renounce(id, hold);
    return false;
  }

  alarm(): void {
    this.#alarmAt = undefined;
    const job = this.#job;
    if (job === undefined) return;
    if (job.nextWakeAt() !== undefined) this.#arm(millis(this.#now() + heartbeatInterval));
    this.handle((current, now) => current.tick(now));
  }

  handle(event: (job: Job, now: Millis) => readonly Effect[]): void {
    if (this.isDead || this.#job === undefined) return;
    this.#perform(event(this.#job, this.#now()));
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#performOne(effect);
    this.#arm(this.#job?.nextWakeAt());
  }

  #performOne(effect: Effect): void {
    const { checks } = this.#deployment;
    switch (effect.kind) {
      case "persist": {
        const { record, ended, forgotten } = effect;
        const gone = new Set([...forgotten, ...ended.map((entry) => entry.id)]);
        const kept = (this.#stored?.history ?? []).filter((entry) => !gone.has(entry.id));
        const manifests = this.#stored?.manifests ?? noManifests;
        this.#stored = { record, history: [...kept, ...ended], manifests };
        return this.#write();
      }
      case "loadManifest": {
        const { attempt, checkpoint } = effect;
        const fail = (damaged: boolean, message: string): void =>
          this.handle((job, now) => job.manifestFailed(attempt, { damaged, message }, now));
        return this.send(() =>
          this.#storeOf(checkpoint.path).get(this, checkpoint.path, {
            done: (bytes) => {
              if (bytes === undefined) {
                const { path } = checkpoint;
                if (!this.#deployment.bucket.isDamaged(path)) checks.missing(path, attempt);
                return fail(true, `${path} is not in the bucket.`);
              }
              const manifest = manifestOf(bytes, checkpoint.path);
              if (typeof manifest === "string") return fail(true, manifest);
              this.handle((job, now) => job.manifestLoaded(attempt, manifest, now));
            },
            failed: () => fail(false, "R2 error"),
          }),
        );
      }
      case "deploy":
        for (const deployment of effect.deployments) {
          const { attempt, task } = deployment;
          this.#call<DeployOutcome>(
            task,
            (subtask, reply) => subtask.deploy(deployment, reply),
            (outcome) =>
              this.handle((job, now) =>
                outcome.kind === "silent"
                  ? job.deployed(attempt, task, { kind: "refused", reason: outcome.message }, now)
                  : job.deployed(attempt, task, outcome, now),
              ),
          );
        }
        return;
      case "start":
        return this.#ask(effect, (subtask) => subtask.start(effect.attempt), {
          answered: (job, task, outcome, now) => job.started(effect.attempt, task, outcome, now),
        });
      case "trigger": {
        const { attempt, checkpoint, purpose } = effect;
        return this.#ask(effect, (subtask) => subtask.trigger(attempt, checkpoint, purpose), {
          answered: (job, task, outcome, now) =>
            job.triggered(attempt, checkpoint, task, outcome, now),
        });
      }
      case "publish": {
        const { attempt, candidate, bytes } = effect;
        return this.send(() =>
          this.#publish(this.#storeOf(candidate.path), candidate.path, bytes, (outcome) =>
            this.handle((job, now) => job.published(attempt, candidate, outcome, now)),
          ),
        );
      }
      case "probeManifest": {
        const { candidate } = effect;
        const recovered = (exists: boolean): void =>
          this.handle((job, now) => job.recovered(candidate, exists, now));
        return this.send(() =>
          this.#storeOf(candidate.path).get(this, candidate.path, {
            done: (bytes) => recovered(bytes !== undefined),
            failed: () => recovered(false),
          }),
        );
      }
      case "notifyComplete":
        return this.#hear(effect, (subtask) =>
          subtask.notifyComplete(effect.attempt, effect.checkpoint),
        );
      case "notifyAborted":
        return this.#hear(effect, (subtask) =>
          subtask.notifyAborted(effect.attempt, effect.checkpoint),
        );
      case "heartbeat":
        return this.#hear(effect, (subtask) => subtask.heartbeat(effect.attempt));
      case "rest": {
        const { attempt, checkpoint, round, tasks } = effect;
        for (const task of tasks) {
          this.#call<RestOutcome>(
            task,
            (subtask, reply) => subtask.rest(attempt, checkpoint, reply),
            (outcome) => this.handle((job, now) => job.rested(attempt, task, round, outcome, now)),
          );
        }
        return;
      }
      case "align": {
        const { attempt, least } = effect;
        return this.#ask(effect, (subtask) => subtask.align(attempt, least), {
          answered: (job, task, outcome, now) => job.alignmentTold(attempt, task, outcome, now),
        });
      }
      case "cancelTasks":
        for (const task of effect.tasks) {
          this.#call<AttemptOutcome>(
            task,
            (subtask, reply) => {
              subtask.cancel(effect.attempt, effect.keepsTables);
              reply({ kind: "ok" });
            },
            (outcome) => {
              if (outcome.kind === "silent") return;
              this.handle((job, now) => job.tasksCancelled(effect.attempt, [task], now));
            },
          );
        }
        return;
      case "deleteFiles":
        return this.send(() =>
          this.#delete(this.#store, effect.paths, {
            done: () => {},
            failed: () => this.handle((job, now) => job.notDeleted(now)),
          }),
        );
      case "deleteFolder": {
        const { folder } = effect;
        return this.send(() =>
          this.#deployment.bucket.list(this, {
            done: (paths) =>
              this.#delete(
                this.#deployment.bucket,
                paths.filter((path) => path.startsWith(folder)),
                {
                  done: () => this.handle((job, now) => job.folderDeleted(folder, now)),
                  failed: () => {},
                },
              ),
            failed: () => {},
          }),
        );
      }
      case "discard":
        return this.send(() =>
          this.#delete(this.#deployment.bucket, effect.paths, {
            done: () => this.handle((job, now) => job.letGone(now)),
            failed: () => {},
          }),
        );
      case "sweep": {
        const { job } = this.#stored!.record;
        const reachable = new Set(effect.reachable);
        return this.send(() =>
          this.#store.list(this, {
            done: (paths) =>
              this.#delete(this.#store, collectable({ job, reachable, upTo: effect.upTo }, paths), {
                done: () => this.handle((current, now) => current.swept(effect.upTo, now)),
                failed: () => {},
              }),
            failed: () => {},
          }),
        );
      }
      case "askHolder": {
        const { by, hold } = effect;
        return this.#peer(by, {
          work: (peer) => peer.needs(hold),
          absent: () => {
            this.#deployment.platform.renounce(by, hold);
            return false;
          },
          answered: (isNeeded) =>
            this.handle((job, now) => job.holderAnswered(hold.nth, isNeeded, now)),
        });
      }
      case "letGo": {
        const { owner, nth } = effect.hold;
        return this.#peer(owner, {
          work: (peer) => {
            peer.handle((job, now) => job.released(nth, now));
            return true;
          },
          absent: () => true,
          answered: () => this.handle((job, now) => job.letGone(now)),
        });
      }
      case "announce": {
        const { clock, faults } = this.host.scene;
        const { lastModification } = effect.summary;
        return this.send(() => {
          if (faults.strikes("drop")) return;
          clock.later(faults.latency(), () =>
            this.handle((job, now) => job.announced(lastModification, now)),
          );
        });
      }
      default:
        effect satisfies never;
    }
  }

  /** As `coordinator/manifest-store.ts` does it: what was answered is made unambiguous. */
  #publish(
    store: ManifestStore,
    path: string,
    bytes: Uint8Array,
    tell: (outcome: Published) => void,
  ): void {
    const look = (): void =>
      store.get(this, path, {
        done: (found) => {
          if (found === undefined) tell({ kind: "unknown", message: "R2 error" });
          else if (found === bytes) tell({ kind: "created" });
          else tell({ kind: "exists", message: `${path} holds another manifest.` });
        },
        failed: () => tell({ kind: "unknown", message: "R2 error" }),
      });
    store.create(this, path, bytes, {
      done: (isCreated) => (isCreated ? tell({ kind: "created" }) : look()),
      failed: look,
    });
  }

  #delete(
    store: ManifestStore,
    paths: readonly string[],
    on: { readonly done: () => void; readonly failed: () => void },
  ): void {
    if (paths.length === 0) return on.done();
    store.delete(this, paths.slice(0, deleteBatch), {
      done: () => this.#delete(store, paths.slice(deleteBatch), on),
      failed: on.failed,
    });
  }

  /** Where that file is: savepoints and other jobs' are in the bucket, wherever this one's are. */
  #storeOf(path: string): ManifestStore {
    const job = this.#job;
    const isOwn = job !== undefined && path.startsWith(jobPrefix(job.id));
    return isOwn ? this.#store : this.#deployment.bucket;
  }

  /** Where manifests are, as the job is configured. */
  get #store(): ManifestStore {
    if (this.#job?.config.checkpointing.storage !== "inline") return this.#deployment.bucket;
    return new ManifestRows(
      () => this.#stored?.manifests ?? noManifests,
      (manifests) => {
        this.#stored = { ...this.#stored!, manifests };
        this.#write();
      },
    );
  }

  #hear(
    effect: { readonly attempt: Attempt; readonly tasks: readonly TaskId[] },
    work: (subtask: SubtaskInstance) => AttemptOutcome | HeartbeatOutcome,
  ): void {
    this.#ask(effect, work, {
      answered: (job, task, outcome, now) => job.heartbeat(effect.attempt, task, outcome, now),
    });
  }

  #ask<T>(
    { tasks }: { readonly tasks: readonly TaskId[] },
    work: (subtask: SubtaskInstance) => T,
    on: { answered(job: Job, task: TaskId, outcome: T | Silence, now: Millis): readonly Effect[] },
  ): void {
    for (const task of tasks) {
      this.#call<T>(
        task,
        (subtask, reply) => reply(work(subtask)),
        (outcome) => this.handle((job, now) => on.answered(job, task, outcome, now)),
      );
    }
  }

  /** Calls another job's coordinator; where it does not answer, the core asks again. */
  #peer<T>(
    id: JobId,
    on: {
      readonly work: (peer: CoordinatorInstance) => T;
      readonly absent: () => T;
      readonly answered: (result: T) => void;
    },
  ): void {
    const { scene } = this.host;
    this.send(() => {
      const peer = this.#deployment.platform.coordinatorOf(id);
      if (peer === undefined) {
        return scene.clock.later(scene.faults.latency(), () => on.answered(on.absent()));
      }
      call<unknown, Instance<unknown>, T>(
        scene,
        this,
        peer,
        "crashCoordinator",
        (instance, reply) => reply(on.work(instance as CoordinatorInstance)),
        { answered: on.answered, lost: () => {} },
      );
    });
  }

  #call<T>(
    task: TaskId,
    work: (subtask: SubtaskInstance, reply: (outcome: T) => void) => void,
    heard: (outcome: T | Silence) => void,
  ): void {
    this.send(() =>
      call(this.host.scene, this, this.#deployment.subtask(task), "crashSubtask", work, {
        answered: heard,
        lost: (message) => heard({ kind: "silent", message }),
      }),
    );
  }

  #arm(at: Millis | undefined): void {
    if (this.#alarmAt === at) return;
    this.#alarmAt = at;
    this.#write();
  }

  #write(): void {
    const alarm = this.#alarmAt;
    this.write({ value: this.#stored, ...(alarm !== undefined && { alarm }) });
  }

  #now(): Millis {
    return millis(this.host.time);
  }
}

/** Or what is wrong with the bytes. */
function manifestOf(bytes: Uint8Array, path: string): Manifest | string {
  try {
    return decodeManifest(bytes, path);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}
