// The Worker under chaos: the deployment of ../../examples/app.ts whose objects can be ended from
// outside, and asked what no public route tells.
//   POST /chaos/abort/:binding?name=…   ends one object at once, as a crash of its process would
//   GET  /chaos/jobs/:jobid             all that the job's coordinator knows

import { tidemark } from "tidemark/worker";

import { flightDelays } from "../../examples/01-flight-delays/job.ts";
import type { Purpose } from "../../format/frame.ts";
import type { Attempt, CheckpointId } from "../../format/ids.ts";
import type { JobDetails } from "../../format/job-status.ts";
import type { AttemptOutcome } from "../../format/messages.ts";

const app = tidemark({ jobs: [flightDelays] });
/** Milliseconds by which a subtask may hear of a checkpoint later than another. */
const triggerDelayMax = 200;

const reason = "aborted by chaos";

export class Dispatcher extends app.Dispatcher {
  async abortNow(): Promise<void> {
    this.ctx.abort(reason);
  }
}

export class Coordinator extends app.Coordinator {
  async abortNow(): Promise<void> {
    this.ctx.abort(reason);
  }
}

export class Subtask extends app.Subtask {
  // In one process all sources would hear of a checkpoint in the same millisecond, and nothing could
  // overtake a barrier: a job that does not align then counts as exactly as one that does.
  override async triggerCheckpoint(
    attempt: Attempt,
    checkpoint: CheckpointId,
    purpose?: Purpose,
  ): Promise<AttemptOutcome> {
    await scheduler.wait(Math.random() * triggerDelayMax);
    return await super.triggerCheckpoint(attempt, checkpoint, purpose);
  }

  async abortNow(): Promise<void> {
    this.ctx.abort(reason);
  }
}

export class TopicPartition extends app.TopicPartition {
  async abortNow(): Promise<void> {
    this.ctx.abort(reason);
  }
}

type Env = Parameters<typeof app.fetch>[1];

interface Mortal {
  abortNow(): Promise<void>;
  details(): Promise<JobDetails | undefined>;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, chaos, what, which = ""] = pathname.split("/");
    if (chaos !== "chaos") return app.fetch(request, env, ctx);
    const object = (binding: string, name: string): Mortal =>
      (env as unknown as Record<string, { getByName(name: string): Mortal }>)[binding]!.getByName(
        name,
      );
    if (what === "jobs") return Response.json(await object("COORDINATOR", which).details());
    const outcome = await object(which, searchParams.get("name") ?? "")
      .abortNow()
      .then(() => "It goes on", String);
    return Response.json({ outcome });
  },
};
