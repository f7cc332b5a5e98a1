import { deploymentOf } from "./counting.ts";

const app = deploymentOf({ doubled: true, tally: "renamed" });

export default app;
export const { Dispatcher, Coordinator, Subtask, TopicPartition } = app;
