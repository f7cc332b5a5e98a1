// The Worker under test: the deployment of ../../examples/app.ts, and programs made for testing.

import { tidemark } from "tidemark/worker";
import { flightDelays } from "../../examples/01-flight-delays/job.ts";

const app = tidemark({ jobs: [flightDelays] });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
