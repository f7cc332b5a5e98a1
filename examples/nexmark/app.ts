// The deployment of the queries.

import { tidemark } from "tidemark/worker";

import { queries } from "./queries/queries.ts";

const app = tidemark({ jobs: queries });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
