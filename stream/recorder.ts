// Records one job's graph while its build function runs, and refuses what makes no sense.
//   G1 to G3 of graph.ts hold for every graph that `finish` returns.
//   D1. A refusal names the operator by uid, wherever there is one.
//   D2. After `finish` nothing can be added: a stream that was kept is of no use.

import type { JobConfig } from "../format/config.ts";
import type { Partitioning } from "../format/plan.ts";
import { GraphError } from "./errors.ts";
import {
  emitsChanges,
  endsStream,
  isSource,
  type CustomPartitioning,
  type GraphEdge,
  type GraphNode,
  type JobGraph,
  type KeySelector,
  type OperatorSpec,
} from "./graph.ts";
import { checkedUid, shown } from "./names.ts";
import { checkedOnError, type OnError } from "./on-error.ts";
import { keyField } from "./table.ts";
import { eventTimeOf } from "./triggers.ts";
import type { WindowSpec } from "./windowed-stream.ts";

/** What every operator may be given, and its uid, which it must be given. */
export interface OperatorOptions {
  /** Ties the operator to its state across versions of the program: 1 to 64 of [A-Za-z0-9_.-]. */
  readonly uid: string;
  /** Subtasks of this operator; the job's parallelism where absent. */
  readonly parallelism?: number;
  /** What follows when its code throws on a row, its key selector included; the job's where absent. */
  readonly onError?: OnError;
}

/** One origin of a stream, and how its rows reach the next operator. */
export interface Upstream {
  readonly node: GraphNode;
  readonly partitioning: Partitioning;
  readonly key?: KeySelector;
  readonly custom?: CustomPartitioning;
  /** Of the operator that follows; 0 where absent. */
  readonly input?: number;
  /** The side output that the stream is, where it is one. */
  readonly tag?: string;
}

/** The same origin, whose rows go another way. */
export const repartitioned = (
  { node, tag }: Upstream,
  partitioning: Partitioning,
  of: Pick<Upstream, "key" | "custom" | "input"> = {},
): Upstream => ({ node, partitioning, ...of, ...(tag !== undefined && { tag }) });

const methodOf = (spec: OperatorSpec): string => {
  if (isSource(spec)) return "from";
  if (spec.kind === "timestamps") return "assignTimestampsAndWatermarks";
  if (spec.kind === "processBroadcast" || spec.kind === "coProcess") return "process";
  return endsStream(spec) ? "to" : spec.kind;
};

const needsEventTime = (spec: OperatorSpec): boolean => {
  const windows = windowsOf(spec);
  if (windows !== undefined) return windows.assigner.time === "event" || waitsForEventTime(windows);
  return spec.kind === "intervalJoin" || spec.kind === "temporalJoin";
};

/** Whether windows by the clock, or the global one, have a trigger that nothing but watermarks sets off. */
function waitsForEventTime({ assigner, trigger }: WindowSpec): boolean {
  const until = trigger && eventTimeOf(trigger);
  // The end of a global window comes with that of all input, whatever the sources are.
  return until === "turns" || (until === "end" && assigner.isEndless !== true);
}

/** The windows that an operator puts rows into, where it does. */
const windowsOf = (spec: OperatorSpec): WindowSpec | undefined => {
  if (spec.kind === "window") return spec;
  return spec.kind === "windowJoin" || spec.kind === "coGroup" ? spec.join.windows : undefined;
};

const untold = ({ assigner }: WindowSpec): string =>
  assigner.time === "event" ? "window would ever end. " : "window would ever be told. ";

const foldsRows = ({ kind }: OperatorSpec): boolean =>
  kind === "reduce" ||
  kind === "aggregate" ||
  kind === "window" ||
  kind === "dedupe" ||
  kind === "coGroup" ||
  kind === "files" ||
  kind.endsWith("Join");

export class GraphRecorder {
  readonly job: string;
  readonly #config: JobConfig;
  readonly #nodes = new Map<string, GraphNode>();
  readonly #edges: GraphEdge[] = [];
  readonly #onError: OnError;
  #finished = false;

  /** @param onError of operators that say nothing themselves. */
  constructor(job: string, config: JobConfig, onError: OnError = "fail") {
    this.job = job;
    this.#config = config;
    this.#onError = checkedOnError(`Job "${job}"`, onError);
  }

  /** Adds an operator that reads `upstreams`; `key` where it is keyed. */
  add(
    spec: OperatorSpec,
    options: OperatorOptions | undefined,
    upstreams: readonly Upstream[] = [],
    key?: KeySelector,
  ): GraphNode {
    const method = methodOf(spec);
    const uid = checkedUid(method, options?.uid);
    this.#refuseIfFinished(method, uid);
    this.#refuseConflicts(spec, uid);
    if (needsEventTime(spec)) this.#refuseWithoutEventTime(spec, uid, upstreams);
    this.#refuseChanges(spec, uid, upstreams);
    const parallelism = this.#parallelism(uid, options?.parallelism);
    const node = {
      uid,
      spec,
      ...(parallelism === undefined ? {} : { parallelism }),
      ...(key === undefined ? {} : { key }),
      ...this.#policy(spec, uid, options?.onError),
    };
    this.#nodes.set(uid, node);
    for (const upstream of upstreams) this.#edges.push(edge(upstream, node));
    return node;
  }

  /** The graph, which is complete and stays as it is. */
  finish(): JobGraph {
    this.#finished = true;
    const nodes = [...this.#nodes.values()];
    this.#refuseWithout(
      "source",
      nodes.some(({ spec }) => isSource(spec)),
      "NO_SOURCE",
      "env.from(topic(…), { uid: … })",
    );
    this.#refuseWithout(
      "sink",
      nodes.some(({ spec }) => endsStream(spec)),
      "NO_SINK",
      ".to(table(…), { uid: … })",
    );
    this.#refuseDeadLetters(nodes);
    const read = new Set(this.#edges.map((edge) => edge.from));
    for (const { uid, spec } of nodes) {
      if (endsStream(spec) || read.has(uid)) continue;
      throw new GraphError(
        "NO_CONSUMER",
        `Nothing reads what operator "${uid}" (${methodOf(spec)}) of job "${this.job}" emits. ` +
          `Every stream must end in a sink: add .to(table(…), { uid: … }), or remove the operator.`,
        uid,
      );
    }
    return { name: this.job, config: this.#config, nodes, edges: this.#edges };
  }

  #refuseIfFinished(method: string, uid: string): void {
    if (!this.#finished) return;
    throw new GraphError(
      "JOB_CLOSED",
      `Operator "${uid}" (${method}) was added to job "${this.job}" after its definition had ended. ` +
        `Use env and its streams only inside the function given to defineJob.`,
      uid,
    );
  }

  /** Every source that an operator of event time has its rows from must say what that is. */
  #refuseWithoutEventTime(spec: OperatorSpec, uid: string, upstreams: readonly Upstream[]): void {
    const windows = windowsOf(spec);
    const instead =
      windows?.assigner.time === "event"
        ? `, or go by the clock: { time: "processing" }.`
        : `, or windows a trigger that goes by the clock: continuousProcessingTime("10s").`;
    const seen = new Set<GraphNode>();
    const waiting = upstreams.map(({ node }) => node);
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (seen.has(node) || "watermarks" in node.spec) continue;
      seen.add(node);
      if (isSource(node.spec)) {
        throw new GraphError(
          "NO_EVENT_TIME",
          `Operator "${uid}" (${methodOf(spec)}) of job "${this.job}" goes by event time, and its ` +
            `source "${node.uid}" has no watermarks: its rows have no event times, and no ` +
            (windows === undefined ? "row would ever be joined. " : untold(windows)) +
            `Give that source watermarks: boundedOutOfOrderness("10s", { timestamp: … }), ` +
            `or the stream (assignTimestampsAndWatermarks)` +
            (windows === undefined ? "." : instead),
          uid,
        );
      }
      const { uid: to } = node;
      for (const { from } of this.#edges.filter((one) => one.to === to)) {
        waiting.push(this.#nodes.get(from)!);
      }
    }
  }

  /** Who takes every row for one that is there would count what is taken back. */
  #refuseChanges(spec: OperatorSpec, uid: string, upstreams: readonly Upstream[]): void {
    if (!foldsRows(spec)) return;
    const changing = upstreams.find(({ node }) => emitsChanges(node.spec))?.node;
    if (changing === undefined) return;
    throw new GraphError(
      "TAKES_NO_CHANGES",
      `Operator "${uid}" (${methodOf(spec)}) of job "${this.job}" takes every row for a new one, and ` +
        `"${changing.uid}" (${methodOf(changing.spec)}) emits changes, some of which take rows back. ` +
        `Aggregate them with aggregateChanges, write them to a table, or take the rows that you mean: ` +
        `.filter(({ $kind }) => …, …).`,
      uid,
    );
  }

  #refuseConflicts(spec: OperatorSpec, uid: string): void {
    const same = this.#nodes.get(uid);
    if (same !== undefined) {
      throw new GraphError(
        "DUPLICATE_UID",
        `Two operators of job "${this.job}" have the uid "${uid}": ${described(same.spec)} and ` +
          `${described(spec)}. A uid names one operator's state; give each its own.`,
        uid,
      );
    }
    for (const other of this.#nodes.values()) {
      if (spec.kind === "source" && other.spec.kind === "source") {
        const { topic } = spec;
        const declared = other.spec.topic;
        if (topic.name !== declared.name || topic.partitions === declared.partitions) continue;
        throw new GraphError(
          "TOPIC_CONFLICT",
          `Topic "${topic.name}" has ${declared.partitions} partitions in operator "${other.uid}" ` +
            `and ${topic.partitions} in operator "${uid}". Declare it once and use that twice.`,
          uid,
        );
      }
      if (spec.kind === "sink" && other.spec.kind === "sink") {
        if (spec.table.name !== other.spec.table.name) continue;
        throw new GraphError(
          "DUPLICATE_TABLE",
          `Operators "${other.uid}" and "${uid}" both write the table "${spec.table.name}". ` +
            `Give each its own table, or write union(…) of the streams to one.`,
          uid,
        );
      }
      if (spec.kind === "files" && other.spec.kind === "files") {
        if (spec.files.name !== other.spec.files.name) continue;
        throw new GraphError(
          "DUPLICATE_FILES",
          `Operators "${other.uid}" and "${uid}" both write the files "${spec.files.name}". ` +
            `Give each its own name, or write union(…) of the streams to one.`,
          uid,
        );
      }
    }
  }

  /** What the operator asks for itself; undefined leaves it to the job, and so to a submission. */
  #parallelism(uid: string, given: unknown): number | undefined {
    if (given === undefined) return undefined;
    const most = this.#config.maxParallelism;
    if (typeof given === "number" && Number.isInteger(given) && given >= 1 && given <= most) {
      return given;
    }
    throw new GraphError(
      "BAD_PARALLELISM",
      `Operator "${uid}" has the parallelism ${shown(given)}. ` +
        `Allowed: a whole number from 1 to ${most}, the max parallelism of job "${this.job}".`,
      uid,
    );
  }

  /** What becomes of rows the operator's code throws on, where that is not a failure. */
  #policy(spec: OperatorSpec, uid: string, given: unknown): Pick<GraphNode, "onError"> {
    if (isSource(spec) || spec.kind === "timestamps") {
      if (given === undefined) return {};
      const why =
        spec.kind === "timestamps"
          ? "without rows that have no event time nobody knows how far event time has come"
          : spec.kind === "source"
            ? "a source runs no code of yours: its topic took no record that cannot be read"
            : "a row that a generator cannot make is no row that could be left out";
      throw new GraphError(
        "BAD_ARGUMENT",
        `Operator "${uid}" (${methodOf(spec)}) has onError, and ${why}. Give onError to the operators that follow, ` +
          `or to the job.`,
        uid,
      );
    }
    const checked = checkedOnError(
      `Operator "${uid}" (${methodOf(spec)})`,
      given === undefined ? this.#onError : given,
      uid,
    );
    return checked === "fail" ? {} : { onError: checked };
  }

  #refuseDeadLetters(nodes: readonly GraphNode[]): void {
    const topics = new Map<string, number>();
    for (const { uid, onError } of nodes) {
      if (typeof onError !== "object") continue;
      const { name, partitions } = onError.topic;
      const source = nodes.find(({ spec }) => spec.kind === "source" && spec.topic.name === name);
      if (source !== undefined) {
        throw new GraphError(
          "TOPIC_CONFLICT",
          `Operator "${uid}" of job "${this.job}" sends dead letters to topic "${name}", which the ` +
            `source "${source.uid}" of the same job reads: they would come back. Give them a topic of ` +
            `their own, and read that in another job.`,
          uid,
        );
      }
      const declared = topics.get(name) ?? partitions;
      topics.set(name, declared);
      if (declared === partitions) continue;
      throw new GraphError(
        "TOPIC_CONFLICT",
        `Operator "${uid}" of job "${this.job}" sends dead letters to topic "${name}" with ` +
          `${partitions} partitions, another operator with ${declared}. Declare it once and use that ` +
          `twice.`,
        uid,
      );
    }
  }

  #refuseWithout(
    kind: "source" | "sink",
    isThere: boolean,
    code: "NO_SOURCE" | "NO_SINK",
    call: string,
  ): void {
    if (isThere) return;
    throw new GraphError(code, `Job "${this.job}" has no ${kind}. Add one: ${call}.`);
  }
}

function edge(upstream: Upstream, to: GraphNode): GraphEdge {
  const { tag } = upstream;
  const ends = {
    from: upstream.node.uid,
    to: to.uid,
    input: upstream.input ?? 0,
    ...(tag !== undefined && { tag }),
  };
  if (to.spec.kind === "sink") {
    // The rows of a table's key must all come to one subtask. Those of an aggregate that go by its
    // own key already are where its key groups are, and stay there where the parallelism is the same.
    const { key } = to.spec.table;
    const inPlace = upstream.node.spec.kind === "aggregate" && key === keyField;
    if (inPlace && upstream.partitioning === "forward") {
      return { ...ends, partitioning: "forward" };
    }
    return { ...ends, partitioning: "hash", key };
  }
  const { partitioning, key, custom } = upstream;
  if (key !== undefined) return { ...ends, partitioning: "hash", key };
  if (custom !== undefined) return { ...ends, partitioning, custom };
  return { ...ends, partitioning };
}

function described(spec: OperatorSpec): string {
  if (spec.kind === "source") return `the source of topic "${spec.topic.name}"`;
  if (spec.kind === "generator") return "a generator";
  if (spec.kind === "discard") return "a sink that discards";
  if (spec.kind === "files") return `the sink to files "${spec.files.name}"`;
  if (spec.kind === "sink") return `the sink to table "${spec.table.name}"`;
  return `a ${methodOf(spec)}`;
}
