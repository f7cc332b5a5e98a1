import { deploymentOf } from "./counting.ts";

const app = deploymentOf();

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
