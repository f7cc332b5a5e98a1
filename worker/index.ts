// What a deployment's entry point is made with: the HTTP routes and the Durable Object classes of
// its programs.

import { coordinatorClass } from "../coordinator/coordinator.ts";
import { Dispatcher } from "../coordinator/dispatcher.ts";
import { type RestartOptions, restartConfig } from "../stream/config.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Topic } from "../stream/topic.ts";
import { subtaskClass } from "../task/subtask.ts";
import { TopicPartition } from "../topic/topic-partition.ts";
import { catalogOf } from "./catalog.ts";
import type { Env } from "./env.ts";
import { httpApp } from "./http.ts";

export type { Env } from "./env.ts";

/** What a deployment runs. */
export interface TidemarkOptions {
  /** The programs that can be started, each under its name. */
  readonly jobs: readonly JobDefinition[];
  /** Topics that take records although no program reads them yet. */
  readonly topics?: readonly Topic<unknown>[];
  /** What follows a failure of a job that does not say so itself. */
  readonly restart?: RestartOptions;
}

/**
 * A deployment: the Worker's handler, and the classes that `wrangler.toml` binds. Call it once, at
 * the top level of the entry point; deploying it again with changed programs keeps all state.
 * Throws `ConfigError` where `restart` makes no sense.
 *
 * @example
 * const app = tidemark({ jobs: [flightDelays] });
 * export default app;
 * export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
 */
export function tidemark({ jobs, topics = [], restart }: TidemarkOptions) {
  const catalog = catalogOf(jobs, topics, restart && restartConfig(restart));
  const app = httpApp(catalog);
  return {
    fetch: (request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> =>
      app.fetch(request, env, ctx),
    Dispatcher,
    Coordinator: coordinatorClass(catalog.programs),
    Subtask: subtaskClass(catalog.programs),
    TopicPartition,
  };
}
