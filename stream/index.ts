// What `import … from "tidemark"` gives. The only barrel of the repository.

export {
  avg,
  count,
  countIf,
  max,
  min,
  sum,
  type Aggregate,
  type AggregateResults,
  type AggregateRow,
  type Aggregates,
} from "./aggregates.ts";
export type {
  AsyncContext,
  AsyncOptions,
  AsyncOrder,
  AsyncRetry,
  CallOptions,
  CallRetry,
} from "./async.ts";
export { approxCountDistinct, countDistinct, type Distinct } from "./distinct.ts";
export { percentiles, type PercentileOptions } from "./percentiles.ts";
export { collect, first, last, topN, type TopOptions } from "./row-aggregates.ts";
export type { FieldOf, WithField } from "./field-values.ts";
export {
  applyFlinkConfiguration,
  jobConfig,
  restartConfig,
  type CheckpointOptions,
  type Duration,
  type JobOptions,
  type RestartOptions,
  type Size,
  type StateBackendOptions,
} from "./config.ts";
export type {
  BroadcastConnectedStream,
  BroadcastContext,
  BroadcastDescriptors,
  BroadcastProcessFunction,
  BroadcastStream,
  KeyedBroadcastConnectedStream,
  KeyedBroadcastProcessFunction,
  ReadOnlyBroadcast,
  ReadOnlyMapState,
} from "./broadcast.ts";
export type {
  ConnectedStream,
  CoProcessFunction,
  KeyedConnectedStream,
  UnkeyedCoProcessFunction,
} from "./connect.ts";
export type { TimeSpan } from "./duration.ts";
export type { AsyncStream, DataStream, KeyedStream } from "./data-stream.ts";
export { discard, type DiscardSink } from "./discard.ts";
export { type FilePartition, files, type FilesSink } from "./files.ts";
export {
  countEvictor,
  deltaEvictor,
  timeEvictor,
  type Evictor,
  type EvictorOptions,
  type TimestampedRow,
} from "./evictors.ts";
export {
  ConfigError,
  GraphError,
  ParameterError,
  StateError,
  UserCodeError,
  type GraphErrorCode,
} from "./errors.ts";
export { fromIterable } from "./from-iterable.ts";
export {
  generate,
  generateColumns,
  type ColumnMaker,
  type ColumnsOf,
  type GeneratedFields,
  type GeneratedRow,
  type GenerateOptions,
  type GeneratorSource,
  type RowMaker,
} from "./generate.ts";
export type { GraphEdge, GraphNode, JobGraph, KeySelector, OperatorSpec } from "./graph.ts";
export type { KeyField, WithNumber } from "./fields.ts";
export {
  defineJob,
  type BuiltProgram,
  type JobDefinition,
  type JobEnvironment,
  type SourceOptions,
} from "./job.ts";
export type {
  DedupeOptions,
  IntervalJoinOptions,
  RegularJoinOptions,
  TemporalJoinOptions,
} from "./joins.ts";
export type { LookupCache, LookupOptions } from "./lookup.ts";
export {
  deadLetter,
  type DeadLetter,
  type DeadLetterTarget,
  type OnError,
  type RecordPosition,
} from "./on-error.ts";
export {
  unionListState,
  type NoOperatorState,
  type OperatorStateDescriptor,
  type OperatorStateDescriptors,
  type OperatorStateOf,
  type UnionListStateDescriptor,
  type UnkeyedProcessContext,
  type UnkeyedProcessFunction,
} from "./operator-state.ts";
export {
  rows,
  type FunctionContext,
  type ProcessContext,
  type ProcessFunction,
  type Rows,
  type TimeDomain,
  type TimerContext,
  type Timers,
} from "./process.ts";
export type { ProgramParameters } from "./parameters.ts";
export type { OperatorOptions } from "./recorder.ts";
export {
  outputTag,
  type OutputTag,
  type OutputTagFor,
  type ProcessedStream,
  type SideOutputs,
} from "./side-output.ts";
export {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
  type AggregatingState,
  type AggregatingStateDescriptor,
  type ListState,
  type ListStateDescriptor,
  type MapState,
  type MapStateDescriptor,
  type ReducingState,
  type ReducingStateDescriptor,
  type StateDescriptor,
  type StateDescriptors,
  type StateOf,
  type StateOptions,
  type StateTraits,
  type ValueState,
  type ValueStateDescriptor,
} from "./state.ts";
export { table, type TableSink } from "./table.ts";
export { topic, type Topic, type TopicOptions } from "./topic.ts";
export {
  continuousEventTime,
  continuousProcessingTime,
  countTrigger,
  eventTimeTrigger,
  never,
  processingTimeTrigger,
  purging,
  type Trigger,
  type TriggerContext,
  type TriggerMergeContext,
  type TriggerResult,
} from "./triggers.ts";
export {
  type Change,
  change,
  type ChangeMakers,
  type ChangeOf,
  rowOf,
  type RowKind,
  type RowOf,
} from "./changelog.ts";
export {
  boundedOutOfOrderness,
  monotonous,
  watermarks,
  type AlignmentOptions,
  type WatermarkAlignment,
  type WatermarkGenerator,
  type BoundedOptions,
  type WatermarkOptions,
  type WatermarkStrategy,
} from "./watermarks.ts";
export type {
  CoGroupFunction,
  CoGroupOptions,
  SideRow,
  WindowJoinOptions,
  WindowJoinType,
} from "./window-joins.ts";
export type {
  WindowAggregates,
  WindowContext,
  WindowedStream,
  WindowFields,
  WindowFunction,
  WindowRow,
} from "./windowed-stream.ts";
export {
  globalWindow,
  session,
  sliding,
  tumbling,
  type GlobalWindow,
  type KnownAssigner,
  type Sliding,
  type TimeWindow,
  type WindowAssigner,
  type WindowOptions,
  type WindowTimeOptions,
} from "./windows.ts";
export type {
  CheckpointConfig,
  CheckpointingMode,
  CheckpointRetention,
  JobConfig,
  RestartConfig,
  RestartStrategy,
  StateConfig,
} from "../format/config.ts";
export type { Key } from "../format/key.ts";
