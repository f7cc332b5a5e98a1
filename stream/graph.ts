// The logical graph of a job: what `defineJob` records and every other part reads. Holds the user's
// functions by value, runs none of them.
//   G1. Uids are unique in a graph; an edge names its ends by uid.
//   G2. An operator that needs a key has `key`, and all its inputs are partitioned by that key, but
//       those that are broadcast.
//   G3. A source has no inputs, a sink no outputs, everything else both.

import type { JobConfig } from "../format/config.ts";
import type { Key } from "../format/key.ts";
import type { Partitioning } from "../format/plan.ts";
import type { Aggregate } from "./aggregates.ts";
import type { AsyncMap, Calling } from "./async.ts";
import type { AnyBroadcastFunction, BroadcastDescriptors } from "./broadcast.ts";
import type { AnyCoProcessFunction } from "./connect.ts";
import type { FilesSink } from "./files.ts";
import type { GeneratorSource } from "./generate.ts";
import type { Dedupe, IntervalJoin, RegularJoin, TemporalJoin } from "./joins.ts";
import type { LookupJoin } from "./lookup.ts";
import type { OnError } from "./on-error.ts";
import type { OperatorStateDescriptors, UnkeyedProcessFunction } from "./operator-state.ts";
import type { ProcessFunction } from "./process.ts";
import type { TableSink } from "./table.ts";
import type { Topic } from "./topic.ts";
import type { WatermarkStrategy } from "./watermarks.ts";
import type { CoGroup, WindowJoin } from "./window-joins.ts";
import type { WindowSpec } from "./windowed-stream.ts";

/** A function from a row to its key. */
export type KeySelector = (row: never) => Key;

/** A process function for rows with or without keys. */
export type AnyProcessFunction =
  | ProcessFunction<never, never, unknown>
  | UnkeyedProcessFunction<never, unknown, OperatorStateDescriptors>;

/** How rows of a source come to have event times; absent where they have none. */
interface SourceTime {
  readonly watermarks?: WatermarkStrategy<never>;
}

/** Of operators with two keyed inputs: the selector of input 1; that of input 0 is the node's key. */
interface TwoKeys {
  readonly rightKey: KeySelector;
}

/** What an operator does. The functions take and return `never`/`unknown` here: their types were
 * checked where the user wrote them. */
export type OperatorSpec =
  | ({ readonly kind: "source"; readonly topic: Topic<unknown> } & SourceTime)
  | ({ readonly kind: "generator"; readonly generator: GeneratorSource<unknown> } & SourceTime)
  | { readonly kind: "map"; readonly fn: (row: never) => unknown }
  | { readonly kind: "flatMap"; readonly fn: (row: never) => Iterable<unknown> }
  | { readonly kind: "filter"; readonly fn: (row: never) => boolean }
  | { readonly kind: "asyncMap"; readonly map: AsyncMap; readonly calls: Calling }
  | { readonly kind: "lookupJoin"; readonly join: LookupJoin; readonly calls: Calling }
  | { readonly kind: "reduce"; readonly fn: (left: never, right: never) => unknown }
  | { readonly kind: "aggregate"; readonly aggregates: Readonly<Record<string, Aggregate>> }
  /** Keyed where the node has a key. */
  | { readonly kind: "process"; readonly fn: AnyProcessFunction }
  | {
      readonly kind: "processBroadcast";
      readonly fn: AnyBroadcastFunction;
      readonly broadcast: BroadcastDescriptors;
    }
  | WindowSpec
  | ({ readonly kind: "coProcess"; readonly fn: AnyCoProcessFunction } & Partial<TwoKeys>)
  | ({ readonly kind: "intervalJoin"; readonly join: IntervalJoin } & TwoKeys)
  | ({ readonly kind: "temporalJoin"; readonly join: TemporalJoin } & TwoKeys)
  | ({ readonly kind: "regularJoin"; readonly join: RegularJoin } & TwoKeys)
  | ({ readonly kind: "windowJoin"; readonly join: WindowJoin } & TwoKeys)
  | ({ readonly kind: "coGroup"; readonly join: CoGroup } & TwoKeys)
  | { readonly kind: "dedupe"; readonly dedupe: Dedupe }
  | { readonly kind: "toChangelog" }
  | {
      readonly kind: "aggregateChanges";
      readonly aggregates: Readonly<Record<string, Aggregate>>;
    }
  | { readonly kind: "sink"; readonly table: TableSink<never> }
  | { readonly kind: "files"; readonly files: FilesSink<never> }
  | { readonly kind: "timestamps"; readonly watermarks: WatermarkStrategy<never> }
  | { readonly kind: "discard" };

/** An operator as the program defines it. */
export interface GraphNode {
  readonly uid: string;
  readonly spec: OperatorSpec;
  /** Where the program sets one; else the job's, which a submission may change. */
  readonly parallelism?: number;
  /** Of keyed operators: the selector by which their input is partitioned. */
  readonly key?: KeySelector;
  /** What becomes of rows that its code throws on; absent: the attempt fails. */
  readonly onError?: Exclude<OnError, "fail">;
}

/** By which subtask a program has its rows processed. */
export interface CustomPartitioning {
  readonly key: KeySelector;
  partition(this: void, key: never, receivers: number): number;
}

/** A stream between two operators. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** Which input of `to` it feeds, from 0; there may be several edges to each. */
  readonly input: number;
  readonly partitioning: Partitioning;
  /** Present exactly where `partitioning` is `hash`. */
  readonly key?: KeySelector;
  /** Present exactly where `partitioning` is `custom`. */
  readonly custom?: CustomPartitioning;
  /** The side output of `from` whose rows it carries; absent: what `from` emits. */
  readonly tag?: string;
}

/** A whole job as its program defines it. */
export interface JobGraph {
  readonly name: string;
  readonly config: JobConfig;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Whether an operator of that kind has no input. */
export const isSource = ({ kind }: OperatorSpec): boolean =>
  kind === "source" || kind === "generator";

/** Whether what it emits are changes (changelog.ts). */
export const emitsChanges = (spec: OperatorSpec): boolean =>
  spec.kind === "toChangelog" ||
  spec.kind === "aggregateChanges" ||
  (spec.kind === "regularJoin" && spec.join.type !== "inner");

/** Whether an operator of that kind has no output. */
export const endsStream = ({ kind }: OperatorSpec): boolean =>
  kind === "sink" || kind === "files" || kind === "discard";
