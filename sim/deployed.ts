// One job in virtual time: its objects, its topics and the bucket, a client that submits and cancels
// it, and what befalls all of them together. What it is fed and what must hold is said elsewhere.

import { planOf } from "../coordinator/plan.ts";
import { jobIdFrom, type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import { type ExecutionPlan, tasksOf, vertexOf } from "../format/plan.ts";
import type { JobDefinition } from "../stream/job.ts";
import { Bucket } from "./bucket.ts";
import { Clock } from "./clock.ts";
import { CoordinatorHost, type CoordinatorInstance } from "./coordinator.ts";
import type { Deployment, Observer } from "./deployment.ts";
import { type FaultRates, Faults } from "./faults.ts";
import type { Scene } from "./host.ts";
import { call } from "./network.ts";
import { Prng } from "./prng.ts";
import { SubtaskHost } from "./subtask.ts";
import { Topics } from "./topics.ts";

/** Milliseconds between two occasions for everything to be killed at once. */
const disasterEvery = 100;

/** Milliseconds between two occasions for memory that is not needed to be taken. */
const evictEvery = 4_000;

/** What an observer may look at whenever it likes. */
export interface Seen {
  readonly plan: ExecutionPlan;
  readonly topics: Topics;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface DeployedOptions<O extends Observer> {
  readonly seed: number;
  readonly faults: FaultRates;
  /** `faults` may be drawn from in the code of the job. */
  readonly definition: (faults: Faults) => JobDefinition;
  readonly rowCost?: Deployment["rowCost"];
  /** Less than a job may ask for itself; what it asks for where absent. */
  readonly memoryBudget?: number;
  readonly observe: (seen: Seen) => O;
  readonly log: ((line: string) => void) | undefined;
}

export class Deployed<O extends Observer> implements Deployment {
  readonly clock = new Clock(1_700_000_000_000);
  readonly faults: Faults;
  readonly scene: Scene;
  readonly definition: JobDefinition;
  readonly plan: ExecutionPlan;
  readonly rowCost: Deployment["rowCost"];
  readonly topics: Topics;
  readonly bucket: Bucket;
  readonly checks: O;
  readonly coordinator: CoordinatorHost;
  readonly #subtasks = new Map<TaskKey, SubtaskHost>();
  #isSubmitted = false;
  /** What objects did last that costs something. */
  #stirred: { readonly at: number; readonly what: string } | undefined;

  constructor(options: DeployedOptions<O>) {
    const { seed, faults, definition, rowCost, memoryBudget, observe, log } = options;
    const { clock } = this;
    const start = clock.now;
    this.faults = new Faults(faults, new Prng(seed ^ 0x2545f491));
    this.scene = {
      clock,
      faults: this.faults,
      log: log && ((line) => log(`${String(clock.now - start).padStart(7)} ${line}`)),
      stirred: (what) => (this.#stirred = { at: clock.now, what }),
    };
    this.definition = definition(this.faults);
    this.plan = planOf(this.definition.graph);
    this.rowCost = rowCost ?? {};
    this.topics = new Topics(this.scene, (task) => this.subtask(task));
    const files = new Map<string, Uint8Array>();
    this.checks = observe({ plan: this.plan, topics: this.topics, files });
    this.bucket = new Bucket(this.scene, files, this.checks);
    this.coordinator = new CoordinatorHost(this.scene, () => this);
    for (const task of tasksOf(this.plan)) {
      const title = `${vertexOf(this.plan, task.vertex).operators[0]}/${task.index}`;
      this.#subtasks.set(taskKey(task), new SubtaskHost(task, title, this.scene, () => this));
    }
    const job = jobIdFrom(new Uint8Array(16).fill(7));
    const { config: asked } = this.definition.graph;
    const state = { ...asked.state, ...(memoryBudget !== undefined && { memoryBudget }) };
    const submission = { job, plan: this.plan, config: { ...asked, state } };
    this.#asClient((instance) => instance.submit(submission), {
      done: () => (this.#isSubmitted = true),
    });
    this.#disasters();
    this.#evictions();
  }

  /** What any object did last that costs something, if that was after `since`. */
  stirredAfter(since: number): string | undefined {
    const { at = 0, what } = this.#stirred ?? {};
    return at > since ? what : undefined;
  }

  subtask(task: TaskId): SubtaskHost {
    return this.#subtasks.get(taskKey(task))!;
  }

  /** The subtasks that run an operator. */
  subtasksOf(uid: string): SubtaskHost[] {
    return this.subtasks.filter(({ id }) => vertexOf(this.plan, id.vertex).operators.includes(uid));
  }

  get subtasks(): SubtaskHost[] {
    return [...this.#subtasks.values()];
  }

  cancel(): void {
    this.scene.log?.("client: cancels");
    this.#asClient((instance) => instance.cancel(), { onlyIf: () => this.#isSubmitted });
  }

  /** Nothing goes wrong any more, and nobody goes on who was replaced. */
  heal(): void {
    this.scene.log?.("no more faults");
    this.faults.heal();
    for (const host of [this.coordinator, ...this.subtasks]) host.buryZombies();
  }

  /** Tries again until it is answered. */
  #asClient(
    ask: (instance: CoordinatorInstance) => void,
    { onlyIf, done }: { readonly onlyIf?: () => boolean; readonly done?: () => void },
  ): void {
    const { clock } = this;
    const again = (): void => {
      if (onlyIf?.() === false) return clock.later(50, again);
      call(
        this.scene,
        undefined,
        this.coordinator,
        "crashCoordinator",
        (instance, reply) => {
          ask(instance);
          reply(true);
        },
        { answered: () => done?.(), lost: () => clock.later(50, again) },
      );
    };
    again();
  }

  /** Memory that nobody needs is taken at any time; that is no fault. */
  #evictions(): void {
    this.clock.later(evictEvery, () => {
      const asleep = [this.coordinator, ...this.subtasks].filter(
        ({ awake }) => awake?.isAsleep === true,
      );
      const takesAll = this.faults.prng.chance(0.3);
      for (const host of asleep) {
        if (takesAll || this.faults.prng.chance(0.3)) host.crash({ mayHaunt: false });
      }
      this.#evictions();
    });
  }

  #disasters(): void {
    this.clock.later(disasterEvery, () => {
      if (!this.faults.areOn) return;
      if (this.faults.strikes("crashAll", disasterEvery / 1_000)) {
        this.scene.log?.("everything is killed");
        for (const host of this.subtasks) host.crash({ mayHaunt: false });
        this.coordinator.crash({ mayHaunt: false });
      }
      this.#disasters();
    });
  }
}
