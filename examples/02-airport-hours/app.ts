// The deployment of the second example.

import { tidemark } from "tidemark/worker";

import { airportHours } from "./job.ts";

const app = tidemark({ jobs: [airportHours] });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
