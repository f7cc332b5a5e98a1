// The deployment of the examples: `wrangler.toml` names it as the Worker's entry point.

import { tidemark } from "tidemark/worker";

import { flightDelays } from "./01-flight-delays/job.ts";

const app = tidemark({ jobs: [flightDelays] });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
