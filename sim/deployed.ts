// One job on a platform: its objects, and a client that submits it, asks it for savepoints and cancels
// it. What it is fed and what must hold is said elsewhere.

import { planOf } from "../coordinator/plan.ts";
import { type JobId, type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import type { HoldAnswer, HoldRequest } from "../format/holds.ts";
import type {
  RescaleAnswer,
  RescaleRequest,
  SavepointAnswer,
  SavepointRequest,
} from "../format/job-status.ts";
import type { JobSubmission, TaskDeployment } from "../format/messages.ts";
import { type ExecutionPlan, tasksOf, vertexOf } from "../format/plan.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Bucket } from "./bucket.ts";
import { CoordinatorHost, type CoordinatorInstance } from "./coordinator.ts";
import type { Deployment, Observer } from "./deployment.ts";
import { call } from "./network.ts";
import type { Neighbour, Platform } from "./platform.ts";
import { SubtaskHost } from "./subtask.ts";
import type { Topics } from "./topics.ts";

/** What an observer may look at whenever it likes. */
export interface Seen {
  readonly job: JobId;
  readonly plan: ExecutionPlan;
  readonly topics: Topics;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface DeployedOptions<O extends Observer> {
  readonly definition: JobDefinition;
  readonly rowCost?: Deployment["rowCost"];
  readonly service?: Deployment["service"];
  /** Less than a job may ask for itself; what it asks for where absent. */
  readonly memoryBudget?: number;
  readonly restore?: JobSubmission["restore"];
  readonly observe: (seen: Seen) => O;
}

export class Deployed<O extends Observer> implements Deployment, Neighbour {
  readonly id: JobId;
  readonly platform: Platform;
  readonly definition: JobDefinition;
  /** As it was submitted. */
  readonly plan: ExecutionPlan;
  readonly rowCost: Deployment["rowCost"];
  readonly service: Deployment["service"];
  readonly topics: Topics;
  readonly bucket: Bucket;
  readonly checks: O;
  readonly coordinator: CoordinatorHost;
  readonly #subtasks = new Map<TaskKey, SubtaskHost>();
  readonly #prefix: string;
  /** Why a deployment is refused, where it is. */
  refusalOf: (deployment: TaskDeployment) => string | undefined = () => undefined;
  #isSubmitted = false;
  /** It never began. */
  isRefused = false;

  constructor(platform: Platform, options: DeployedOptions<O>) {
    const { definition, rowCost, service, memoryBudget, restore, observe } = options;
    const { scene, topics, bucket, jobs } = platform;
    this.id = platform.nextId;
    this.platform = platform;
    this.definition = definition;
    this.plan = planOf(definition.graph);
    this.rowCost = rowCost ?? {};
    this.service = service;
    this.topics = topics;
    this.bucket = bucket;
    this.checks = observe({ job: this.id, plan: this.plan, topics, files: bucket.files });
    // In a trace, the objects of the first job are known by their own names alone.
    this.#prefix = jobs === 0 ? "" : `job ${jobs + 1}: `;
    this.coordinator = new CoordinatorHost(`${this.#prefix}coordinator`, scene, () => this);
    for (const task of tasksOf(this.plan)) this.subtask(task);
    const { config: asked } = definition.graph;
    const state = { ...asked.state, ...(memoryBudget !== undefined && { memoryBudget }) };
    const config = { ...asked, state };
    const submission = { job: this.id, plan: this.plan, config, ...(restore && { restore }) };
    this.#asClient((instance) => instance.submit(submission), {
      done: ({ kind }) => {
        if (kind === "refused") this.isRefused = true;
        else this.#isSubmitted = true;
      },
    });
    platform.add(this);
  }

  get watch(): O {
    return this.checks;
  }

  /** Those of other sizes than the first come to be when they are called. */
  subtask(task: TaskId): SubtaskHost {
    const key = taskKey(task);
    const known = this.#subtasks.get(key);
    if (known !== undefined) return known;
    const title = `${this.#prefix}${vertexOf(this.plan, task.vertex).operators[0]}/${task.index}`;
    const host = new SubtaskHost(task, title, this.platform.scene, () => this);
    this.#subtasks.set(key, host);
    return host;
  }

  /** The subtasks that run an operator. */
  subtasksOf(uid: string): SubtaskHost[] {
    return this.subtasks.filter(({ id }) => vertexOf(this.plan, id.vertex).operators.includes(uid));
  }

  /** How many subtasks there have been. */
  get size(): number {
    return this.#subtasks.size;
  }

  get subtasks(): SubtaskHost[] {
    return [...this.#subtasks.values()];
  }

  cancel(): void {
    this.platform.scene.log?.("client: cancels");
    this.#asClient((instance) => instance.cancel(), { onlyIf: () => this.#isSubmitted });
  }

  /** Has a checkpoint of it kept for another job. */
  hold(request: HoldRequest, answered: (answer: HoldAnswer) => void): void {
    const { scene } = this.platform;
    call(
      scene,
      undefined,
      this.coordinator,
      "crashCoordinator",
      (instance, reply: (answer: HoldAnswer) => void) => instance.hold(request, reply),
      // What was placed and not heard of, nobody needs: its keeper finds that out by itself.
      { answered, lost: (reason) => answered({ kind: "unavailable", reason }) },
    );
  }

  /** Asks once; where that is lost, the keeper finds out by itself. */
  withdraw(nth: number): void {
    const done = (): void => {};
    call(
      this.platform.scene,
      undefined,
      this.coordinator,
      "crashCoordinator",
      (instance, reply) => {
        instance.handle((job, now) => job.withdrawn(nth, now));
        reply(true);
      },
      { answered: done, lost: done },
    );
  }

  rescale(request: RescaleRequest, answered: (answer: RescaleAnswer) => void): void {
    const sizes = Object.values(request).map(({ upperBound }) => upperBound);
    this.platform.scene.log?.(`client: asks for sizes ${sizes.join(", ")} of ${this.id}`);
    this.#asClient((instance) => instance.rescale(request), {
      onlyIf: () => this.#isSubmitted,
      done: answered,
    });
  }

  savepoint(request: SavepointRequest, answered: (answer: SavepointAnswer) => void): void {
    const { trigger, ends = "go on" } = request;
    this.platform.scene.log?.(`client: asks for savepoint ${trigger} of ${this.id}, to ${ends}`);
    this.#asClient((instance) => instance.savepoint(request), {
      onlyIf: () => this.#isSubmitted,
      done: answered,
    });
  }

  /** Tries again until it is answered. */
  #asClient<T>(
    ask: (instance: CoordinatorInstance) => T,
    { onlyIf, done }: { readonly onlyIf?: () => boolean; readonly done?: (answer: T) => void },
  ): void {
    const { scene } = this.platform;
    const { clock } = scene;
    const again = (): void => {
      if (onlyIf?.() === false) return clock.later(50, again);
      call(
        scene,
        undefined,
        this.coordinator,
        "crashCoordinator",
        (instance, reply: (answer: T) => void) => reply(ask(instance)),
        { answered: (answer) => done?.(answer), lost: () => clock.later(50, again) },
      );
    };
    again();
  }
}
