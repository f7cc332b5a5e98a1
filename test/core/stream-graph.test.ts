// What defineJob records, and every reason for which it refuses.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { fingerprintOf } from "../../stream/fingerprint.ts";
import { catalogOf } from "../../worker/catalog.ts";
import { flightDelays } from "../../examples/01-flight-delays/job.ts";
import {
  boundedOutOfOrderness,
  continuousEventTime,
  count,
  countTrigger,
  type DeadLetter,
  deadLetter,
  defineJob,
  discard,
  eventTimeTrigger,
  files,
  globalWindow,
  GraphError,
  listState,
  mapState,
  outputTag,
  purging,
  rows,
  session,
  sum,
  table,
  topic,
  tumbling,
  valueState,
  type DataStream,
  type GraphErrorCode,
  type JobDefinition,
  type JobEnvironment,
  type JobOptions,
  type KeyedStream,
  type OnError,
  type ProcessedStream,
  type TimeWindow,
} from "tidemark";

interface Row {
  readonly key: string;
  readonly n: number;
}

const input = topic<Row>("input");

/** The edges of a job on `stream`, as `from>to partitioning`. */
function edgesOf(build: (stream: DataStream<Row>) => void, options?: JobOptions): string[] {
  const job = defineJob("job", (env) => build(env.from(input, { uid: "in" })), options);
  return job.graph.edges.map((edge) => `${edge.from}>${edge.to} ${edge.partitioning}`);
}

describe("a recorded graph", () => {
  test("may end in a sink that discards, which stays with the rows", () => {
    const toNowhere = (stream: DataStream<Row>) => stream.to(discard(), { uid: "out" });
    expect(edgesOf(toNowhere)).toEqual(["in>out forward"]);
    const { graph } = defineJob("job", (env) => toNowhere(env.from(input, { uid: "in" })));
    const plan = planOf(graph, graph.config);
    expect(plan.vertices.map(({ name }) => name)).toEqual(["Source: in -> Sink: out"]);
  });

  test("has the nodes and edges of the program, in its order", () => {
    const { name, graph } = flightDelays;
    expect(name).toBe("flight-delays");
    expect(graph.name).toBe("flight-delays");
    expect(graph.nodes.map(({ uid, spec, parallelism }) => [uid, spec.kind, parallelism])).toEqual([
      ["flights", "source", undefined],
      ["real-flights", "filter", undefined],
      ["by-origin", "aggregate", undefined],
      ["out", "sink", undefined],
    ]);
    expect(graph.edges.map(({ from, to, partitioning }) => [from, to, partitioning])).toEqual([
      ["flights", "real-flights", "forward"],
      ["real-flights", "by-origin", "hash"],
      ["by-origin", "out", "forward"],
    ]);
    expect(graph.config.checkpointing.interval).toBe(1000);
  });

  test("says of every operator but sources what becomes of rows its code throws on", () => {
    const dead = deadLetter(topic("dead"));
    const policies = (onError?: OnError): unknown[] =>
      defineJob(
        "job",
        (env) => {
          env
            .from(input, { uid: "in" })
            .map((row) => row, { uid: "own", onError: "drop" })
            .map((row) => row, { uid: "strict", onError: "fail" })
            .to(table("out"), { uid: "out" });
        },
        onError === undefined ? {} : { onError },
      ).graph.nodes.map(({ onError: policy }) => policy);
    expect(policies()).toEqual([undefined, "drop", undefined, undefined]);
    expect(policies("drop")).toEqual([undefined, "drop", undefined, "drop"]);
    expect(policies(dead)).toEqual([undefined, "drop", undefined, dead]);
  });

  test("has another fingerprint with another policy, dead letter topic or with timers", () => {
    const job = (onError: OnError, onTimer?: () => void): string =>
      fingerprintOf(
        defineJob("job", (env) => {
          env
            .from(input, { uid: "in" })
            .keyBy((row) => row.key)
            .process(
              { state: {}, emits: rows<Row>(), process() {}, ...(onTimer && { onTimer }) },
              { uid: "p", onError },
            )
            .to(table("out"), { uid: "out" });
        }).graph,
      );
    const different = [
      job("fail"),
      job("drop"),
      job(deadLetter(topic("dead"))),
      job(deadLetter(topic("buried"))),
      job("fail", () => {}),
    ];
    expect(new Set(different).size).toBe(different.length);
  });

  test("puts its dead letter topics among those of the deployment, to be read by others", () => {
    const dead = topic<DeadLetter>("dead", { partitions: 2 });
    const sends = defineJob("sends", (env) => {
      env.from(input, { uid: "in" }).to(table("out"), { uid: "out", onError: deadLetter(dead) });
    });
    const reads = defineJob("reads", (env) => {
      env.from(dead, { uid: "in" }).to(table("seen", { key: (one) => one.time }), { uid: "out" });
    });
    expect([...catalogOf([sends, reads], []).topics.values()]).toEqual([input, dead]);
    const other = topic<DeadLetter>("dead", { partitions: 3 });
    expect(() => catalogOf([sends], [other])).toThrow('Topic "dead" is declared twice');
  });

  test("has keys on hash edges, on keyed operators and on sinks, and nowhere else", () => {
    const { nodes, edges } = flightDelays.graph;
    const flight = { origin: "LAS" } as never;
    expect(nodes.map((node) => typeof node.key)).toEqual([
      "undefined",
      "undefined",
      "function",
      "function",
    ]);
    expect(edges.map((edge) => edge.key?.(flight))).toEqual([undefined, "LAS", undefined]);
    expect(nodes[2]?.key?.(flight)).toBe("LAS");
    expect(nodes[3]?.key?.({ key: "LAS" } as never)).toBe("LAS");
  });

  test("forwards unless told otherwise; the plan sees to unequal parallelisms", () => {
    const edges = edgesOf((stream) => {
      const wide = stream.map((row) => row, { uid: "wide", parallelism: 4 });
      wide
        .filter(() => true, { uid: "same", parallelism: 4 })
        .rebalance()
        .map((row) => row, { uid: "spread", parallelism: 4 })
        .to(table("t"), { uid: "out" });
    });
    expect(edges).toEqual([
      "in>wide forward",
      "wide>same forward",
      "same>spread rebalance",
      "spread>out hash",
    ]);
  });

  test("lets every stream of a union keep its own way, until all are keyed", () => {
    const edges = edgesOf((stream) => {
      const other = stream.map((row) => row, { uid: "other" });
      const both = stream.union(other.rebalance());
      both.map((row) => row, { uid: "unkeyed" }).to(table("t"), { uid: "out-1" });
      both
        .keyBy((row) => row.key)
        .reduce((a) => a, { uid: "keyed" })
        .to(table("u"), { uid: "out-2" });
    });
    expect(edges).toEqual([
      "in>other forward",
      "in>unkeyed forward",
      "other>unkeyed rebalance",
      "unkeyed>out-1 hash",
      "in>keyed hash",
      "other>keyed hash",
      "keyed>out-2 hash",
    ]);
  });

  test("leaves an aggregate's rows where they are, if the table goes by their key", () => {
    const toTable = (sink: Parameters<DataStream<Row>["to"]>[0]): string =>
      edgesOf((stream) => {
        stream
          .keyBy((row) => row.key)
          .aggregate({ n: count() }, { uid: "agg" })
          .to(sink, { uid: "out" });
      }).at(-1) ?? "";
    expect(toTable(table("t"))).toBe("agg>out forward");
    expect(toTable(table("t", { key: (row) => row.n }))).toBe("agg>out hash");
  });

  test("hashes by the table's key whatever another operator emits", () => {
    const edges = edgesOf((stream) => {
      const keyed = stream.keyBy((row) => row.n);
      keyed.reduce((a) => a, { uid: "fold" }).to(table("t"), { uid: "out" });
      keyed
        .process(
          { state: { last: valueState<number>() }, emits: rows<Row>(), process: () => {} },
          { uid: "proc" },
        )
        .to(table("u"), { uid: "out-2" });
      stream.to(table("v"), { uid: "out-3" });
    });
    expect(edges).toEqual([
      "in>fold hash",
      "fold>out hash",
      "in>proc hash",
      "proc>out-2 hash",
      "in>out-3 hash",
    ]);
  });

  test("says which input an edge feeds, also where both come from one operator", () => {
    const { graph } = defineJob("job", (env) => {
      const stream = env.from(input, { uid: "in" });
      const rules = stream.union(stream.map((row) => row, { uid: "more" }));
      stream
        .keyBy((row) => row.key)
        .connect(rules.broadcast({ rules: mapState<string, number>() }))
        .process(
          { state: {}, emits: rows<Row>(), process: () => {}, processBroadcast: () => {} },
          { uid: "both" },
        )
        .to(table("t"), { uid: "out" });
    });
    const edges = graph.edges.filter((edge) => edge.to === "both");
    expect(edges.map(({ from, input: at, partitioning }) => [from, at, partitioning])).toEqual([
      ["in", 0, "hash"],
      ["in", 1, "broadcast"],
      ["more", 1, "broadcast"],
    ]);
    expect(edges.map((edge) => edge.key !== undefined)).toEqual([true, false, false]);
    expect(graph.nodes.find((node) => node.uid === "both")?.key).toBeDefined();
  });

  test("says which side output an edge carries, whatever way it goes", () => {
    const late = outputTag<Row>("late");
    const define = (name: string): JobDefinition =>
      defineJob("job", (env) => {
        const stream = sorted(env.from(input, { uid: "in" }));
        const side = stream.sideOutput(outputTag<Row>(name));
        stream
          .union(side, side.rebalance())
          .map((row) => row, { uid: "all" })
          .to(table("t"), { uid: "out" });
        side
          .keyBy((row) => row.key)
          .connect(side.broadcast({ rules: mapState<string, number>() }))
          .process(
            { state: {}, emits: rows<Row>(), process: () => {}, processBroadcast: () => {} },
            { uid: "both" },
          )
          .to(table("u"), { uid: "more" });
      });
    const { graph } = define(late.name);
    const edges = graph.edges.filter((edge) => edge.from === "sorted");
    expect(
      edges.map(({ to, input: at, tag, partitioning }) => [to, at, tag, partitioning]),
    ).toEqual([
      ["all", 0, undefined, "forward"],
      ["all", 0, "late", "forward"],
      ["all", 0, "late", "rebalance"],
      ["both", 0, "late", "hash"],
      ["both", 1, "late", "broadcast"],
    ]);
    expect(fingerprintOf(graph)).not.toBe(fingerprintOf(define("later").graph));
  });

  test("takes the same topic twice", () => {
    const job = defineJob("job", (env) => {
      const left = env.from(input, { uid: "left" });
      left.union(env.from(input, { uid: "right" })).to(table("t"), { uid: "out" });
    });
    expect(job.graph.nodes).toHaveLength(3);
  });
});

function refusalOf(define: () => unknown): GraphError {
  try {
    define();
  } catch (error) {
    if (error instanceof GraphError) return error;
    throw error;
  }
  throw new Error("It was not refused.");
}

/** What a program that no compiler has seen may do. */
type Untyped = Record<string, (...args: unknown[]) => Untyped>;
const untyped = (stream: DataStream<Row> | KeyedStream<Row, string>): Untyped =>
  stream as unknown as Untyped;

const sorted = (stream: DataStream<Row>): ProcessedStream<Row> =>
  stream.process({ emits: rows<Row>(), process: () => {} }, { uid: "sorted" });

const timed = (stream: DataStream<Row>): DataStream<Row> =>
  stream.assignTimestampsAndWatermarks(boundedOutOfOrderness(0, { timestamp: "n" }), {
    uid: "timed",
  });

/** A stream beside itself, broadcast. */
const connected = (stream: DataStream<Row>): Untyped =>
  untyped(stream).connect!(untyped(stream).broadcast!({ rules: mapState() }));

const withStream = (build: (stream: DataStream<Row>, env: JobEnvironment) => void) => () =>
  defineJob("job", (env) => {
    const stream = env.from(input, { uid: "in" });
    stream.to(table("all"), { uid: "all" });
    build(stream, env);
  });

const aggregating = (aggregates: unknown) =>
  withStream((stream) =>
    untyped(stream.keyBy((row) => row.key)).aggregate?.(aggregates, { uid: "a" }),
  );

const name = '1 to 64 letters, digits, underscores, dots and hyphens, but not "." or ".."';

test.each([".", "..", "", "a/b"])("nothing may have the name %j", (given) => {
  expect(() => topic(given)).toThrow(name);
  expect(() => table(given)).toThrow(name);
  expect(() => defineJob(given, (env) => env.from(input, { uid: "in" }))).toThrow(name);
});

const refusals: readonly {
  readonly when: string;
  readonly define: () => unknown;
  readonly code: GraphErrorCode;
  readonly uid?: string;
  readonly message: string;
}[] = [
  {
    when: "two operators share a uid",
    define: withStream((stream) => {
      stream.map((row) => row, { uid: "twin" }).filter(() => true, { uid: "twin" });
    }),
    code: "DUPLICATE_UID",
    uid: "twin",
    message:
      'Two operators of job "job" have the uid "twin": a map and a filter. ' +
      "A uid names one operator's state; give each its own.",
  },
  {
    when: "a source and a sink share a uid",
    define: () =>
      defineJob("job", (env) => env.from(input, { uid: "x" }).to(table("t"), { uid: "x" })),
    code: "DUPLICATE_UID",
    uid: "x",
    message:
      'Two operators of job "job" have the uid "x": the source of topic "input" and the sink to ' +
      `table "t". A uid names one operator's state; give each its own.`,
  },
  {
    when: "an unkeyed stream is aggregated",
    define: withStream((stream) => untyped(stream).aggregate?.({ n: count() }, { uid: "sum" })),
    code: "NOT_KEYED",
    uid: "sum",
    message:
      'Operator "sum" (aggregate) needs a key, and its input "in" has none. Allowed: reduce, ' +
      "aggregate and window on a keyed stream: call .keyBy((row) => …) right before.",
  },
  {
    when: "a keyed stream is part of a union",
    define: withStream((stream) => {
      untyped(stream).union?.(stream.keyBy((row) => row.key) as never);
    }),
    code: "BAD_ARGUMENT",
    message:
      "union is of a keyed stream. Allowed: streams without keys: call .keyBy(…) on what union gives.",
  },
  {
    when: "a union is of a keyed stream",
    define: withStream((stream) => {
      untyped(stream.keyBy((row) => row.key)).union?.(stream);
    }),
    code: "BAD_ARGUMENT",
    message:
      "union is of a keyed stream. Allowed: streams without keys: call .keyBy(…) on what union gives.",
  },
  {
    when: "rows are counted that may be taken back",
    define: withStream((stream) =>
      stream
        .keyBy((row) => row.key)
        .toChangelog({ uid: "changes" })
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "sum" }),
    ),
    code: "TAKES_NO_CHANGES",
    uid: "sum",
    message:
      'Operator "sum" (aggregate) of job "job" takes every row for a new one, and "changes" (toChangelog) ' +
      "emits changes, some of which take rows back. Aggregate them with aggregateChanges, write them to a " +
      "table, or take the rows that you mean: .filter(({ $kind }) => …, …).",
  },
  {
    when: "state of a key is declared without one",
    define: withStream((stream) =>
      untyped(stream).process?.({ state: { n: valueState() }, process: () => {} }, { uid: "p" }),
    ),
    code: "NOT_KEYED",
    uid: "p",
    message:
      'Operator "p" (process) has state of a key, and its input has no key. Allowed: state on a ' +
      "keyed stream: call .keyBy((row) => …) right before; or operatorState without a key.",
  },
  {
    when: "a function has timers without a key",
    define: withStream((stream) =>
      untyped(stream).process?.({ process: () => {}, onTimer: () => {} }, { uid: "p" }),
    ),
    code: "NOT_KEYED",
    uid: "p",
    message:
      'Operator "p" (process) has onTimer, and its input has no key. Allowed: timers on a keyed ' +
      "stream: call .keyBy((row) => …) right before.",
  },
  {
    when: "a function of two streams has timers without a key",
    define: withStream((stream) =>
      connected(stream).process?.(
        { process: () => {}, processBroadcast: () => {}, onTimer: () => {} },
        { uid: "both" },
      ),
    ),
    code: "NOT_KEYED",
    uid: "both",
    message:
      'Operator "both" (process) has onTimer, and its input has no key. Allowed: timers on a keyed ' +
      "stream: call .keyBy((row) => …) right before.",
  },
  {
    when: "a function of a keyed and a broadcast stream has a time instead of a timer",
    define: withStream((stream) =>
      connected(stream.keyBy((row) => row.key) as never).process?.(
        { state: {}, process: () => {}, processBroadcast: () => {}, onTimer: 5 },
        { uid: "both" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "both",
    message: 'Operator "both" (process) has 5 as onTimer. Allowed: a function onTimer(time, ctx).',
  },
  {
    when: "operator state is no list",
    define: withStream((stream) =>
      untyped(stream).process?.(
        { operatorState: { n: valueState() }, process: () => {} },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (operatorState) has value state as "n". ' +
      "Allowed: listState() and unionListState().",
  },
  {
    when: "operator state expires",
    define: withStream((stream) =>
      stream.process(
        { operatorState: { n: listState({ ttl: 5 }) }, emits: rows(), process: () => {} },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (operatorState) has a ttl on "n". Allowed: state without ttl; what is to ' +
      "expire is kept by key, behind keyBy.",
  },
  {
    when: "broadcast state is no map",
    define: withStream((stream) => untyped(stream).broadcast?.({ rules: listState() })),
    code: "BAD_ARGUMENT",
    message: 'broadcast has list state as "rules". Allowed: mapState().',
  },
  {
    when: "broadcast state expires",
    define: withStream((stream) => stream.broadcast({ rules: mapState({ ttl: "1 h" }) })),
    code: "BAD_ARGUMENT",
    message:
      'broadcast has a ttl on "rules". Allowed: state without ttl; what is to expire is kept by ' +
      "key, behind keyBy.",
  },
  {
    when: "a stream is connected to what is none",
    define: withStream((stream) => untyped(stream).connect?.({})),
    code: "BAD_ARGUMENT",
    message:
      "connect was given an object. Allowed: a stream, or a broadcast one: " +
      "rules.broadcast({ rules: mapState() }).",
  },
  {
    when: "a function of two streams has one half",
    define: withStream((stream) =>
      connected(stream).process?.({ process: () => {} }, { uid: "both" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "both",
    message:
      'Operator "both" (process) was given undefined as processBroadcast. Allowed: functions ' +
      "process(row, ctx) and processBroadcast(row, ctx) that return nothing.",
  },
  {
    when: "a function of a keyed and a broadcast stream has no state",
    define: withStream((stream) =>
      connected(stream.keyBy((row) => row.key) as never).process?.(
        { process: () => {}, processBroadcast: () => {} },
        { uid: "both" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "both",
    message:
      'Operator "both" (process) has undefined as state. Allowed: { state: { name: valueState() } ' +
      "}, or {} for none.",
  },
  {
    when: "operator state and broadcast state share a name",
    define: withStream((stream) =>
      stream.connect(stream.broadcast({ rules: mapState<string, number>() })).process(
        {
          operatorState: { rules: listState<number>() },
          emits: rows(),
          process: () => {},
          processBroadcast: () => {},
        },
        { uid: "both" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "both",
    message:
      'Operator "both" (process) has operator state and broadcast state called "rules". ' +
      "Allowed: another name for each state.",
  },
  {
    when: "a stream ends in no sink",
    define: withStream((stream) => stream.map((row) => row, { uid: "loose" })),
    code: "NO_CONSUMER",
    uid: "loose",
    message:
      'Nothing reads what operator "loose" (map) of job "job" emits. Every stream must end in a ' +
      "sink: add .to(table(…), { uid: … }), or remove the operator.",
  },
  {
    when: "there is no source",
    define: () => defineJob("job", () => {}),
    code: "NO_SOURCE",
    message: 'Job "job" has no source. Add one: env.from(topic(…), { uid: … }).',
  },
  {
    when: "there is no sink",
    define: () => defineJob("job", (env) => env.from(input, { uid: "in" })),
    code: "NO_SINK",
    message: 'Job "job" has no sink. Add one: .to(table(…), { uid: … }).',
  },
  {
    when: "one topic has two partition counts",
    define: withStream((_, env) =>
      env.from(topic<Row>("input", { partitions: 8 }), { uid: "again" }),
    ),
    code: "TOPIC_CONFLICT",
    uid: "again",
    message:
      'Topic "input" has 4 partitions in operator "in" and 8 in operator "again". ' +
      "Declare it once and use that twice.",
  },
  {
    when: "dead letters go to a topic that the job reads",
    define: withStream((stream) =>
      stream.map((row) => row, { uid: "m", onError: deadLetter(topic("input")) }),
    ),
    code: "TOPIC_CONFLICT",
    uid: "m",
    message:
      'Operator "m" of job "job" sends dead letters to topic "input", which the source "in" of the ' +
      "same job reads: they would come back. Give them a topic of their own, and read that in " +
      "another job.",
  },
  {
    when: "a dead letter topic has two partition counts",
    define: withStream((stream) =>
      stream
        .map((row) => row, { uid: "m", onError: deadLetter(topic("dead", { partitions: 1 })) })
        .map((row) => row, { uid: "n", onError: deadLetter(topic("dead", { partitions: 2 })) }),
    ),
    code: "TOPIC_CONFLICT",
    uid: "n",
    message:
      'Operator "n" of job "job" sends dead letters to topic "dead" with 2 partitions, another ' +
      "operator with 1. Declare it once and use that twice.",
  },
  {
    when: "a dead letter topic has a key",
    define: () => deadLetter(topic<DeadLetter>("dead", { key: (letter) => letter.operator })),
    code: "BAD_ARGUMENT",
    message: 'The dead letter topic "dead" has a key. Allowed: topic(…) without a key.',
  },
  {
    when: "dead letters go to a name",
    define: () => deadLetter("dead" as never),
    code: "BAD_ARGUMENT",
    message: 'deadLetter was given "dead". Allowed: topic(…) without a key.',
  },
  {
    when: "a dead letter topic has a name that no topic may have",
    define: () => deadLetter(topic("dead letters")),
    code: "BAD_NAME",
    message: `"dead letters" cannot be the name of a topic. Allowed: ${name}.`,
  },
  {
    when: "an operator's onError is none",
    define: withStream((stream) =>
      stream.map((row) => row, { uid: "m", onError: "ignore" as never }),
    ),
    code: "BAD_ARGUMENT",
    uid: "m",
    message:
      'Operator "m" (map) has onError "ignore". Allowed: "fail", "drop", deadLetter(topic("…")).',
  },
  {
    when: "a job's onError is none",
    define: () => defineJob("job", () => {}, { onError: null as never }),
    code: "BAD_ARGUMENT",
    message: 'Job "job" has onError null. Allowed: "fail", "drop", deadLetter(topic("…")).',
  },
  {
    when: "a source has onError",
    define: () =>
      defineJob("job", (env) => void env.from(input, { uid: "in", onError: "drop" } as never)),
    code: "BAD_ARGUMENT",
    uid: "in",
    message:
      'Operator "in" (from) has onError, and a source runs no code of yours: its topic took no ' +
      "record that cannot be read. Give onError to the operators that follow, or to the job.",
  },
  {
    when: "a state has the name of timers",
    define: withStream((stream) =>
      untyped(stream.keyBy((row) => row.key)).process?.(
        { state: { "timers/mine": valueState() }, emits: rows(), process() {} },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) has a state named "timers/mine". Allowed: names that do not begin ' +
      'with "timers/", where timers are kept.',
  },
  {
    when: "two sinks write one table",
    define: withStream((stream) => stream.to(table("all"), { uid: "more" })),
    code: "DUPLICATE_TABLE",
    uid: "more",
    message:
      'Operators "all" and "more" both write the table "all". ' +
      "Give each its own table, or write union(…) of the streams to one.",
  },
  {
    when: "two sinks write files of one name",
    define: withStream((stream) => {
      stream.to(files("rows"), { uid: "some" });
      stream.to(files("rows"), { uid: "more" });
    }),
    code: "DUPLICATE_FILES",
    uid: "more",
    message:
      'Operators "some" and "more" both write the files "rows". ' +
      "Give each its own name, or write union(…) of the streams to one.",
  },
  {
    when: "the partition of files is no function",
    define: withStream((stream) =>
      stream.to(files("rows", { partition: "dt" as never }), { uid: "some" }),
    ),
    code: "BAD_ARGUMENT",
    message:
      'The partition of files "rows" is "dt". Allowed: a function from a row to ' +
      '[["name", value], …] or to a text such as "dt=2026-01-31/hm=12", that returns at once.',
  },
  {
    when: "the parallelism exceeds the key groups",
    define: withStream((stream) => stream.map((row) => row, { uid: "m", parallelism: 129 })),
    code: "BAD_PARALLELISM",
    uid: "m",
    message:
      'Operator "m" has the parallelism 129. ' +
      'Allowed: a whole number from 1 to 128, the max parallelism of job "job".',
  },
  ...[0, 1.5, "2", NaN].map((parallelism) => ({
    when: `the parallelism is ${JSON.stringify(parallelism)}`,
    define: withStream((stream) =>
      untyped(stream).map?.((row: Row) => row, { uid: "m", parallelism }),
    ),
    code: "BAD_PARALLELISM" as const,
    uid: "m",
    message:
      `Operator "m" has the parallelism ${typeof parallelism === "string" ? `"2"` : parallelism}. ` +
      'Allowed: a whole number from 1 to 128, the max parallelism of job "job".',
  })),
  ...[0, 257, 2.5, NaN, "4"].map((partitions) => ({
    when: `a topic has ${JSON.stringify(partitions)} partitions`,
    define: () => topic("t", { partitions: partitions as number }),
    code: "BAD_PARTITIONS" as const,
    message:
      `Topic "t" has ${typeof partitions === "string" ? `"4"` : partitions} partitions. ` +
      "Allowed: a whole number from 1 to 256.",
  })),
  {
    when: "a topic's name has a slash",
    define: () => topic("a/b"),
    code: "BAD_NAME",
    message: `"a/b" cannot be the name of a topic. Allowed: ${name}.`,
  },
  {
    when: "a table's name is too long",
    define: () => table("x".repeat(65)),
    code: "BAD_NAME",
    message: `"${"x".repeat(65)}" cannot be the name of a table. Allowed: ${name}.`,
  },
  {
    when: "a job's name is empty",
    define: () => defineJob("", () => {}),
    code: "BAD_NAME",
    message: `"" cannot be the name of a job. Allowed: ${name}.`,
  },
  {
    when: "a uid has a space",
    define: withStream((stream) => stream.map((row) => row, { uid: "my map" })),
    code: "BAD_UID",
    message:
      `An operator (map) has the uid "my map". Allowed: ${name}. The uid ties an operator to its ` +
      'state; pass { uid: "…" } as the last argument and never change it afterwards.',
  },
  {
    when: "an operator has no uid",
    define: withStream((stream) => untyped(stream).filter?.(() => true)),
    code: "BAD_UID",
    message:
      `An operator (filter) has no uid. Allowed: ${name}. The uid ties an operator to its ` +
      'state; pass { uid: "…" } as the last argument and never change it afterwards.',
  },
  ...["map", "flatMap", "filter"].map((method) => ({
    when: `${method} is given no function`,
    define: withStream((stream) => untyped(stream)[method]?.("upper", { uid: "m" })),
    code: "BAD_ARGUMENT" as const,
    uid: "m",
    message:
      `Operator "m" (${method}) was given "upper". ` +
      "Allowed: a function that returns its result, not a promise.",
  })),
  {
    when: "reduce is given no function",
    define: withStream((stream) =>
      untyped(stream.keyBy((row) => row.key)).reduce?.(undefined, { uid: "r" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "r",
    message:
      'Operator "r" (reduce) was given undefined. ' +
      "Allowed: a function that returns its result, not a promise.",
  },
  {
    when: "keyBy is given a number",
    define: withStream((stream) => untyped(stream).keyBy?.(1)),
    code: "BAD_ARGUMENT",
    message:
      "keyBy was given 1. Allowed: the names of one or more fields, or a function that returns its " +
      "result, not a promise.",
  },
  {
    when: "keyBy is given a field and a function",
    define: withStream((stream) => untyped(stream).keyBy?.("key", (row: { n: number }) => row.n)),
    code: "BAD_ARGUMENT",
    message:
      "keyBy was given a function among several parts of a key. Allowed: the names of fields; one " +
      "function for all of the key: (row) => [row.a, f(row.b)].",
  },
  {
    when: "a sum is given an object",
    define: () => sum({ field: "n" } as never),
    code: "BAD_ARGUMENT",
    message:
      "sum was given an object. Allowed: the name of a field, or a function from a row to a number.",
  },
  {
    when: "a function is asynchronous",
    define: withStream((stream) => stream.map(async (row) => row, { uid: "m" })),
    code: "BAD_ARGUMENT",
    uid: "m",
    message:
      'Operator "m" (map) was given an async function. ' +
      "Allowed: a function that returns its result, not a promise.",
  },
  {
    when: "process is given a bare function",
    define: withStream((stream) =>
      untyped(stream.keyBy((row) => row.key)).process?.(() => {}, { uid: "p" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) was given a function that is no process function. Allowed: ' +
      "{ state: { name: valueState() }, emits: rows(), process(row, ctx) { … } }.",
  },
  {
    when: "a state is no descriptor",
    define: withStream((stream) =>
      untyped(stream.keyBy((row) => row.key)).process?.(
        { state: { last: 0 }, emits: rows(), process: () => {} },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) was given an object that is no process function. Allowed: ' +
      "{ state: { name: valueState() }, emits: rows(), process(row, ctx) { … } }.",
  },
  {
    when: "to is given a name",
    define: withStream((stream) => untyped(stream).to?.("table", { uid: "out" })),
    code: "BAD_ARGUMENT",
    uid: "out",
    message: 'Operator "out" (to) was given "table". Allowed: table(…), files(…) or discard().',
  },
  {
    when: "from is given a name",
    define: withStream((_, env) => env.from("input" as never, { uid: "again" })),
    code: "BAD_ARGUMENT",
    uid: "again",
    message:
      'Operator "again" (from) was given "input". Allowed: topic(…), generate(…) or fromIterable(…).',
  },
  {
    when: "union is given no stream",
    define: withStream((stream) => untyped(stream).union?.([stream])),
    code: "BAD_ARGUMENT",
    message: "union was given an array. Allowed: streams.",
  },
  {
    when: "a topic's key is a number",
    define: () => topic("t", { key: 3 as never }),
    code: "BAD_ARGUMENT",
    message:
      'The key of topic "t" is 3. Allowed: the name of a field, or a function from a row to its key.',
  },
  {
    when: "a table's key is a field's name",
    define: () => table("t", { key: "origin" as never }),
    code: "BAD_ARGUMENT",
    message: 'The key of table "t" is "origin". Allowed: a function from a row to its key.',
  },
  {
    when: "an aggregate is named key",
    define: aggregating({ key: count() }),
    code: "BAD_AGGREGATES",
    uid: "a",
    message:
      'Operator "a" (aggregate) has a field "key". ' +
      `Allowed: any other name; "key" holds the stream's key.`,
  },
  {
    when: "there are no aggregates",
    define: aggregating({}),
    code: "BAD_AGGREGATES",
    uid: "a",
    message:
      'Operator "a" (aggregate) has no field. Allowed: one or more, such as { rows: count() }.',
  },
  {
    when: "aggregates are missing",
    define: aggregating(undefined),
    code: "BAD_AGGREGATES",
    uid: "a",
    message:
      'Operator "a" (aggregate) was given undefined. Allowed: an object such as { rows: count() }.',
  },
  {
    when: "an aggregate is a factory that nobody called",
    define: aggregating({ n: count }),
    code: "BAD_AGGREGATES",
    uid: "a",
    message:
      'Operator "a" (aggregate) has a function in its field "n". Allowed: count(), sum(…) and the ' +
      "like, or an object with create, add, merge and result.",
  },
  {
    when: "a stream with a key is connected to one without",
    define: withStream((stream) => untyped(stream.keyBy("key")).connect!(stream)),
    code: "NOT_KEYED",
    message:
      "connect was given two streams of which the stream itself has a key and the other has none. " +
      "Allowed: two keyed streams, or two without keys. Call .keyBy((row) => …) on both, so that rows " +
      "of one key meet.",
  },
  {
    when: "a stream without a key is connected to one with one",
    define: withStream((stream) => untyped(stream).connect!(stream.keyBy("key"))),
    code: "NOT_KEYED",
    message:
      "connect was given two streams of which the other has a key and the stream has none. Allowed: " +
      "two keyed streams, or two without keys. Call .keyBy((row) => …) on both, so that rows of one " +
      "key meet.",
  },
  {
    when: "a function of two streams is one of one",
    define: withStream((stream) =>
      untyped(stream).connect!(stream).process!({ process: () => {} }, { uid: "p" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) was given undefined as processLeft. Allowed: functions ' +
      "processLeft(row, ctx) and processRight(row, ctx) that return nothing.",
  },
  {
    when: "a function of two keyed streams keeps what is the timers'",
    define: withStream((stream) =>
      untyped(stream.keyBy("key")).connect!(stream.keyBy("key")).process!(
        {
          state: { "timers/event-time": mapState() },
          processLeft: () => {},
          processRight: () => {},
        },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) has a state named "timers/event-time". Allowed: names that do not begin ' +
      'with "timers/", where timers are kept.',
  },
  ...[
    {
      method: "intervalJoin",
      settings: { between: ["soon", 1] },
      message:
        'has ["soon", 1] as between. Allowed: two numbers of milliseconds, or texts, such as ' +
        '["-5 min", "1 h"].',
    },
    {
      method: "intervalJoin",
      settings: {
        between: ["-1 s", -500],
        exclusive: { lower: true, upper: true },
        lateLeft: "late",
      },
      message: 'has "late" as lateLeft. Allowed: a tag, as outputTag("late") gives one.',
    },
    {
      method: "intervalJoin",
      settings: { between: [0, 1], exclusive: { lower: true, upper: true } },
      message:
        "has between 1 ms and 0 ms, in which nothing is. Allowed: a lower bound that is not above " +
        "the upper one.",
    },
    {
      method: "temporalJoin",
      settings: { type: "outer" },
      message: 'has "outer" as type. Allowed: "inner" or "left".',
    },
    {
      method: "windowJoin",
      settings: { window: "1h" },
      message:
        'has "1h" as window. Allowed: tumbling("1h"), sliding("1h", "5 min"), session("30 min"), ' +
        "globalWindow(), or an object with assign(row, timestamp) and, if need be, merging and time " +
        '("event" or "processing").',
    },
    {
      method: "windowJoin",
      settings: { window: tumbling("1h"), type: "outer" },
      message: 'has "outer" as type. Allowed: "inner", "left", "right" or "full".',
    },
    {
      method: "windowJoin",
      settings: { window: tumbling("1h"), allowedLateness: "soon" },
      message:
        'has "soon" as allowedLateness. Allowed: milliseconds, or a text such as "10s", "5 min" or "12h".',
    },
    {
      method: "coGroup",
      settings: {
        window: session("1h"),
        trigger: { ...countTrigger(1), onMerge: undefined },
      },
      message:
        "has windows that merge, and a trigger without onMerge. Allowed: a trigger that says in " +
        "onMerge(window, ctx) what becomes of its states and timers.",
    },
    {
      method: "coGroup",
      settings: { window: tumbling("1h") },
      message:
        "was given a function that is no function of windows. Allowed: { emits: rows(), process(ctx, lefts, " +
        "rights) { … } }.",
    },
    {
      method: "regularJoin",
      settings: { ttl: "soon" },
      message:
        'has the ttl "soon". Allowed: a number of milliseconds from 1 on, or a text such as "1 h".',
    },
    {
      method: "regularJoin",
      settings: undefined,
      message:
        'was given undefined as its settings. Allowed: an object such as { ttl: "1 d" }, or {}.',
    },
  ].map(({ method, settings, message }) => ({
    when: `${method} ${message}`,
    define: withStream((stream) => {
      const keyed = stream.keyBy("key");
      untyped(keyed)[method]!(keyed, settings, () => 0, { uid: "j" });
    }),
    code: "BAD_ARGUMENT" as const,
    uid: "j",
    message: `Operator "j" (${method}) ${message}`,
  })),
  {
    when: "a join has a function that waits",
    define: withStream((stream) => {
      const keyed = stream.keyBy("key");
      untyped(keyed).temporalJoin!(keyed, async () => Promise.resolve(), { uid: "j" });
    }),
    code: "BAD_ARGUMENT",
    uid: "j",
    message:
      'Operator "j" (temporalJoin) was given an async function. Allowed: a function of both rows that ' +
      "returns its result.",
  },
  {
    when: "a stream without a key is joined",
    define: withStream((stream) =>
      untyped(stream.keyBy("key")).regularJoin!(stream, {}, () => 0, { uid: "j" }),
    ),
    code: "NOT_KEYED",
    uid: "j",
    message:
      'Operator "j" (regularJoin) needs keys, and the right stream has none. Allowed: two keyed ' +
      "streams: call .keyBy((row) => …) on both.",
  },
  ...(["windowJoin", "intervalJoin"] as const).map((method) => ({
    when: `${method} has a side without event times`,
    define: withStream((stream) => {
      const settings = { window: tumbling("1h"), between: [0, 1] };
      untyped(timed(stream).keyBy("key"))[method]!(stream.keyBy("key"), settings, () => 0, {
        uid: "j",
      });
    }),
    code: "NO_EVENT_TIME" as const,
    uid: "j",
    message:
      `Operator "j" (${method}) of job "job" goes by event time, and its source "in" has no watermarks: its ` +
      `rows have no event times, and no ` +
      (method === "windowJoin" ? "window would ever end. " : "row would ever be joined. ") +
      'Give that source watermarks: boundedOutOfOrderness("10s", { timestamp: … }), or the stream ' +
      "(assignTimestampsAndWatermarks)" +
      (method === "windowJoin" ? ', or go by the clock: { time: "processing" }.' : "."),
  })),
  {
    when: "dedupe is not told what to keep",
    define: withStream((stream) =>
      untyped(stream.keyBy("key")).dedupe!({ keep: "all" }, { uid: "d" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "d",
    message: 'Operator "d" (dedupe) has "all" as keep. Allowed: "first" or "last".',
  },
  {
    when: "a join has no such side output",
    define: withStream((stream) => {
      const keyed = timed(stream).keyBy("key");
      keyed
        .intervalJoin(keyed, { between: [0, 1], lateLeft: outputTag<Row>("late") }, (row) => row, {
          uid: "j",
        })
        .sideOutput(outputTag("later"));
    }),
    code: "NO_SIDE_OUTPUT",
    message:
      'sideOutput "later" was asked of "j", an intervalJoin, which has only late. Allowed: right ' +
      "behind process, of which it gives the rows of ctx.output, or behind a join, of which it gives " +
      "the rows that come too late.",
  },
  {
    when: "a function of keyed rows has close",
    define: withStream((stream) =>
      untyped(stream.keyBy("key")).process!(
        { state: {}, process: () => {}, close: () => {} },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) has close, and its input has a key. Allowed: onTimer with a timer of ' +
      "event time: all of them fire once the input has ended.",
  },
  {
    when: "close is no function",
    define: withStream((stream) =>
      untyped(stream).process!({ process: () => {}, close: true }, { uid: "p" }),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (process) has true as close. Allowed: a function close(ctx) that returns nothing.',
  },
  {
    when: "operator state has a name of the context's own",
    define: withStream((stream) =>
      untyped(stream).process!(
        { process: () => {}, operatorState: { "ctx/random": listState() } },
        { uid: "p" },
      ),
    ),
    code: "BAD_ARGUMENT",
    uid: "p",
    message:
      'Operator "p" (operatorState) has a state named "ctx/random". Allowed: names that do not begin ' +
      'with "ctx/".',
  },
  {
    when: "a side output is asked of an operator that has none",
    define: withStream((stream) =>
      untyped(stream.map((row) => row, { uid: "m" })).sideOutput!(outputTag("late")),
    ),
    code: "NO_SIDE_OUTPUT",
    message:
      'sideOutput "late" was asked of "m", a map, which has no side outputs. Allowed: right behind ' +
      "process, of which it gives the rows of ctx.output, or behind a join, of which it gives the rows " +
      "that come too late.",
  },
  {
    when: "a side output is asked of a union",
    define: withStream((stream) =>
      untyped(sorted(stream).union(stream)).sideOutput!(outputTag("late")),
    ),
    code: "NO_SIDE_OUTPUT",
    message:
      'sideOutput "late" was asked of a union. Allowed: right behind process, of which it gives the ' +
      "rows of ctx.output, or behind a join, of which it gives the rows that come too late.",
  },
  {
    when: "a side output is asked of rows that are on another way",
    define: withStream((stream) =>
      untyped(sorted(stream).rebalance()).sideOutput!(outputTag("late")),
    ),
    code: "NO_SIDE_OUTPUT",
    message:
      'sideOutput "late" was asked of "sorted" by another way than forward. Allowed: right behind ' +
      "process, of which it gives the rows of ctx.output, or behind a join, of which it gives the rows " +
      "that come too late; repartition what it gives.",
  },
  {
    when: "a side output is asked of a side output",
    define: withStream((stream) =>
      untyped(sorted(stream).sideOutput(outputTag<Row>("one"))).sideOutput!(outputTag("late")),
    ),
    code: "NO_SIDE_OUTPUT",
    message:
      'sideOutput "late" was asked of a side output of "sorted". Allowed: right behind process, of ' +
      "which it gives the rows of ctx.output, or behind a join, of which it gives the rows that come " +
      "too late.",
  },
  {
    when: "a side output is asked for without a tag",
    define: withStream((stream) => untyped(sorted(stream)).sideOutput!("late")),
    code: "BAD_ARGUMENT",
    message: 'sideOutput was given "late". Allowed: a tag, as outputTag("late") gives one.',
  },
  {
    when: "a stream of another job is used",
    define: () => {
      let foreign: DataStream<Row> | undefined;
      defineJob("other", (env) => {
        foreign = env.from(input, { uid: "in" });
        foreign.to(table("t"), { uid: "out" });
      });
      withStream((stream) => stream.union(foreign!))();
    },
    code: "FOREIGN_STREAM",
    message:
      'union in job "job" was given a stream of job "other". A graph has streams of one job only; ' +
      "to use another job's rows, let both read the same topic.",
  },
  {
    when: "windows go by event time, and a source of theirs has none",
    define: withStream((stream) =>
      stream
        .map((row) => row, { uid: "same" })
        .keyBy("key")
        .window(tumbling("1h"))
        .aggregate({ n: count() }, { uid: "hourly" }),
    ),
    code: "NO_EVENT_TIME",
    uid: "hourly",
    message:
      'Operator "hourly" (window) of job "job" goes by event time, and its source "in" has no ' +
      "watermarks: its rows have no event times, and no window would ever end. Give that source " +
      'watermarks: boundedOutOfOrderness("10s", { timestamp: … }), or the stream ' +
      "(assignTimestampsAndWatermarks), or go by the clock: " +
      '{ time: "processing" }.',
  },
  ...(
    [
      [continuousEventTime("1s"), globalWindow()],
      [purging(continuousEventTime("1s")), globalWindow()],
      [eventTimeTrigger(), tumbling("1s", { time: "processing" })],
    ] as const
  ).map(([trigger, assigner], at) => ({
    when: `windows by the clock wait for event time, and a source of theirs has none (${at})`,
    define: withStream((stream) =>
      stream
        .keyBy("key")
        .window<TimeWindow>(assigner)
        .trigger(trigger)
        .aggregate({ n: count() }, { uid: "n" }),
    ),
    code: "NO_EVENT_TIME" as const,
    uid: "n",
    message:
      'Operator "n" (window) of job "job" goes by event time, and its source "in" has no ' +
      "watermarks: its rows have no event times, and no window would ever be told. Give that source " +
      'watermarks: boundedOutOfOrderness("10s", { timestamp: … }), or the stream ' +
      "(assignTimestampsAndWatermarks), or windows a trigger that goes by the clock: " +
      'continuousProcessingTime("10s").',
  })),
  {
    when: "a stream is used after its job was defined",
    define: () => {
      let kept: DataStream<Row> | undefined;
      withStream((stream) => (kept = stream))();
      kept?.map((row) => row, { uid: "late" });
    },
    code: "JOB_CLOSED",
    uid: "late",
    message:
      'Operator "late" (map) was added to job "job" after its definition had ended. ' +
      "Use env and its streams only inside the function given to defineJob.",
  },
  {
    when: "the build function is asynchronous",
    define: () => defineJob("job", (() => Promise.resolve()) as () => void),
    code: "ASYNC_BUILD",
    message:
      'The build function of job "job" returned a promise. Allowed: a synchronous function; ' +
      "await what it needs before you call defineJob.",
  },
];

test.each([".", "", "a/b"])("no side output has the name %j", (given) => {
  expect(() => outputTag(given)).toThrow(name);
});

describe("a graph is refused when", () => {
  test.each(refusals)("$when", ({ define, code, uid, message }) => {
    const refusal = refusalOf(define);
    expect(refusal.message).toBe(message);
    expect(refusal.code).toBe(code);
    expect(refusal.uid).toBe(uid);
  });

  test("and every code is among the reasons", () => {
    const codes: Record<GraphErrorCode, true> = {
      BAD_NAME: true,
      BAD_UID: true,
      BAD_PARALLELISM: true,
      BAD_PARTITIONS: true,
      BAD_ARGUMENT: true,
      BAD_AGGREGATES: true,
      DUPLICATE_UID: true,
      DUPLICATE_TABLE: true,
      DUPLICATE_FILES: true,
      TOPIC_CONFLICT: true,
      NOT_KEYED: true,
      TAKES_NO_CHANGES: true,
      NO_SIDE_OUTPUT: true,
      NO_EVENT_TIME: true,
      FOREIGN_STREAM: true,
      JOB_CLOSED: true,
      ASYNC_BUILD: true,
      NO_SOURCE: true,
      NO_SINK: true,
      NO_CONSUMER: true,
    };
    expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(Object.keys(codes)));
  });
});
