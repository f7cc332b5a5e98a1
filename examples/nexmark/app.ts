// The deployment of the queries.

import { tidemark } from "tidemark/worker";

import { queries } from "./queries/queries.ts";
import { none } from "./sources.ts";

const app = tidemark({ jobs: queries, topics: [none] });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
