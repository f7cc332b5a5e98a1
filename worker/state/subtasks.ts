// Asking the subtasks of a job what they hold now.

import type { JobDetails } from "../../format/job-status.ts";
import type { StateAnswer, StateQuery } from "../../format/messages.ts";
import type { VertexPlan } from "../../format/plan.ts";
import { type Env, subtask } from "../env.ts";
import { HttpError } from "../errors.ts";

export async function everywhere(
  env: Env,
  details: JobDetails,
  vertex: VertexPlan,
  query: StateQuery,
): Promise<{ readonly index: number; readonly answer: StateAnswer }[]> {
  return Promise.all(
    Array.from({ length: vertex.parallelism }, async (_, index) => {
      return { index, answer: await ask(env, details, vertex, index, query) };
    }),
  );
}

export async function ask(
  env: Env,
  { summary }: JobDetails,
  vertex: VertexPlan,
  index: number,
  query: StateQuery,
): Promise<StateAnswer> {
  const { job, phase, endTime } = summary;
  if (endTime === -1) {
    const answer = await subtask(env, job, { vertex: vertex.id, index }).readState(query);
    if (answer.kind === "unreadable") throw new HttpError(422, answer.reason);
    if (answer.kind !== "unknown") return answer;
    throw new HttpError(
      503,
      `Job ${job} is ${phase} and subtask ${index} holds no state now; repeat the request.`,
    );
  }
  throw new HttpError(
    409,
    `Job ${job} is ${phase}; nothing of it runs. Its state is in what it has left: ask with ` +
      `checkpoint=N for a checkpoint that is retained, or with savepoint=ID.`,
  );
}
