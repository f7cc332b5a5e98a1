// The Worker under test: the deployment of ../../examples/app.ts with programs made for testing
// beside it, and objects that fail where faults.ts says so.

import { tidemark } from "tidemark/worker";
import { type CoordinatorEnv } from "../../coordinator/coordinator.ts";
import type { DispatcherEnv } from "../../coordinator/dispatcher.ts";
import { flightDelays } from "../../examples/01-flight-delays/job.ts";
import { type Attempt, type JobId, objectName, type TaskId } from "../../format/ids.ts";
import type { SavepointProgress } from "../../format/job-status.ts";
import type {
  AppendOutcome,
  AttemptOutcome,
  CheckpointAck,
  CheckpointDecline,
  OpenChannel,
  OpenOutcome,
  TaskFailure,
  TopicAppend,
  TopicSubscription,
} from "../../format/messages.ts";
import type { SubtaskEnv } from "../../task/shell/task-run.ts";
import { subtaskClass } from "../../task/subtask.ts";
import { constructed, faults, faultyBucket, FaultySession, seen, timeouts } from "./faults.ts";
import { keyed, programs } from "./programs.ts";

const app = tidemark({ jobs: [flightDelays, ...programs], topics: [keyed] });

export default app;

export class Dispatcher extends app.Dispatcher {
  constructor(ctx: DurableObjectState, env: DispatcherEnv) {
    super(ctx, { ...env, BUCKET: faultyBucket(env.BUCKET) });
  }
}

export class Coordinator extends app.Coordinator {
  constructor(ctx: DurableObjectState, env: CoordinatorEnv) {
    super(ctx, { ...env, BUCKET: faultyBucket(env.BUCKET) });
    constructed(ctx.id.name);
  }

  override async acknowledge(ack: CheckpointAck): Promise<void> {
    seen.acks.push(ack);
    const forward = (): Promise<void> => super.acknowledge(ack);
    return faults.onAcknowledge === undefined ? forward() : faults.onAcknowledge(ack, forward);
  }

  override async savepointProgress(trigger: string): Promise<SavepointProgress | undefined> {
    seen.progressReads++;
    return super.savepointProgress(trigger);
  }

  override async decline(decline: CheckpointDecline): Promise<void> {
    seen.declines.push(decline);
    await super.decline(decline);
  }

  override async taskFailed(failure: TaskFailure): Promise<void> {
    seen.failures.push(failure);
    await super.taskFailed(failure);
  }

  override async active(attempt: Attempt, task: TaskId): Promise<void> {
    seen.actives.push(objectName.subtask(this.ctx.id.name as JobId, task));
    await super.active(attempt, task);
  }
}

const byName = new Map([flightDelays, ...programs].map((program) => [program.name, program]));

export class Subtask extends subtaskClass(byName, timeouts) {
  constructor(ctx: DurableObjectState, env: SubtaskEnv) {
    super(ctx, { ...env, BUCKET: faultyBucket(env.BUCKET) });
    constructed(ctx.id.name);
  }

  override async open(request: OpenChannel): Promise<OpenOutcome> {
    const open = (): Promise<OpenOutcome> => super.open(request);
    const outcome = await (faults.onOpen === undefined ? open() : faults.onOpen(request, open));
    if (outcome.kind !== "open" || faults.onPush === undefined) return outcome;
    return { ...outcome, session: new FaultySession(outcome.session, request) };
  }

  override async appended(attempt: Attempt, partition: number): Promise<AttemptOutcome> {
    const appended = (): Promise<AttemptOutcome> => super.appended(attempt, partition);
    return faults.onAppended === undefined ? appended() : faults.onAppended(appended);
  }
}

export class TopicPartition extends app.TopicPartition {
  override async append(request: TopicAppend): Promise<AppendOutcome> {
    const append = (): Promise<AppendOutcome> => super.append(request);
    const { onAppend } = faults;
    if (onAppend === undefined) return append();
    return onAppend(append, () => this.ctx.abort("killed by the test"), request);
  }

  override async subscribe(subscription: TopicSubscription): Promise<"subscribed" | "behind"> {
    const subscribe = () => super.subscribe(subscription);
    return faults.onSubscribe === undefined ? subscribe() : faults.onSubscribe(subscribe);
  }
}
