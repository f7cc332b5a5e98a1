// What `import … from "tidemark"` gives. The only barrel of the repository.

export {
  avg,
  count,
  countIf,
  max,
  min,
  sum,
  type Aggregate,
  type AggregateRow,
  type Aggregates,
} from "./aggregates.ts";
export {
  applyFlinkConfiguration,
  jobConfig,
  type CheckpointOptions,
  type Duration,
  type JobOptions,
  type RestartOptions,
  type Size,
} from "./config.ts";
export type { DataStream, KeyedStream } from "./data-stream.ts";
export { ConfigError, GraphError, UserCodeError, type GraphErrorCode } from "./errors.ts";
export type { GraphEdge, GraphNode, JobGraph, KeySelector, OperatorSpec } from "./graph.ts";
export { defineJob, type JobDefinition, type JobEnvironment } from "./job.ts";
export {
  rows,
  valueState,
  type ProcessContext,
  type ProcessFunction,
  type Rows,
  type StateDescriptors,
  type ValueState,
  type ValueStateDescriptor,
} from "./process.ts";
export type { OperatorOptions } from "./recorder.ts";
export { table, type TableSink } from "./table.ts";
export { topic, type Topic, type TopicOptions } from "./topic.ts";
export type {
  CheckpointConfig,
  CheckpointingMode,
  JobConfig,
  RestartConfig,
} from "../format/config.ts";
export type { Key } from "../format/key.ts";
