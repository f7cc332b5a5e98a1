// From graphs to plans: what is fused, what vertices are called, and that both ends of a channel
// agree on it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { planOf, resized } from "../../coordinator/plan.ts";
import { hex128 } from "../../format/digest.ts";
import {
  channelKey,
  type ExecutionPlan,
  inputChannels,
  outputChannels,
  sourceTasksOf,
  taskKeysOf,
  tasksOf,
  vertexOf,
} from "../../format/plan.ts";
import {
  count,
  type DataStream,
  defineJob,
  type JobEnvironment,
  type JobOptions,
  table,
  topic,
} from "tidemark";

interface Row {
  readonly key: string;
}

const input = topic<Row>("in");

function plan(build: (env: JobEnvironment) => void, options: JobOptions = {}): ExecutionPlan {
  return planOf(defineJob("job", build, { parallelism: 2, ...options }).graph);
}

const from = (env: JobEnvironment, uid = "in"): DataStream<Row> => env.from(input, { uid });
const keep = (): boolean => true;
const chainsOf = ({ vertices }: ExecutionPlan): string[][] =>
  vertices.map(({ operators }) => [...operators]);
const uidOf = (one: ExecutionPlan, vertex: string): string => vertexOf(one, vertex).operators[0]!;
const edgesOf = (one: ExecutionPlan): string[] =>
  one.edges.map((edge) => `${edge.fromUid}>${edge.toUid} ${edge.partitioning}`);

describe("chains (C1)", () => {
  test("fuse along forward edges, up to the next key", () => {
    const made = plan((env) => {
      from(env)
        .filter(keep, { uid: "keep" })
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "count" })
        .to(table("t"), { uid: "out" });
    });
    expect(chainsOf(made)).toEqual([
      ["in", "keep"],
      ["count", "out"],
    ]);
    expect(edgesOf(made)).toEqual(["keep>count hash"]);
    expect(made.vertices.map(({ name }) => name)).toEqual([
      "Source: in -> keep",
      "count -> Sink: out",
    ]);
    expect(made.vertices[0]?.source).toMatchObject({ topic: "in" });
    expect(made.vertices[1]?.source).toBeUndefined();
  });

  test("branch inside a vertex where every branch keeps the subtask", () => {
    const made = plan((env) => {
      const all = from(env);
      all.filter(keep, { uid: "left" }).to(table("l"), { uid: "l" });
      all.filter(keep, { uid: "right" }).to(table("r"), { uid: "r" });
    });
    expect(chainsOf(made)).toEqual([["in", "left", "right"], ["l"], ["r"]]);
    expect(edgesOf(made)).toEqual(["left>l hash", "right>r hash"]);
    expect(made.edges.map((edge) => uidOf(made, edge.from))).toEqual(["in", "in"]);
  });

  test("end at a union: what has two inputs has channels", () => {
    const made = plan((env) => {
      const both = from(env, "a").union(from(env, "b")).filter(keep, { uid: "keep" });
      both.filter(keep, { uid: "more" }).to(table("t"), { uid: "out" });
    });
    expect(chainsOf(made)).toEqual([["a"], ["b"], ["keep", "more"], ["out"]]);
    expect(edgesOf(made)).toEqual(["a>keep forward", "b>keep forward", "more>out hash"]);
  });

  test("end at a rebalance", () => {
    const made = plan((env) => {
      const spread = from(env).rebalance().filter(keep, { uid: "keep" });
      spread.filter(keep, { uid: "more" }).to(table("t"), { uid: "out" });
    });
    expect(chainsOf(made)).toEqual([["in"], ["keep", "more"], ["out"]]);
    expect(edgesOf(made)).toEqual(["in>keep rebalance", "more>out hash"]);
  });

  const widened = (env: JobEnvironment): void => {
    const wide = from(env).filter(keep, { uid: "keep", parallelism: 3 });
    wide.to(table("t"), { uid: "out" });
  };

  test("end where the parallelism changes: rows then go in turn (C0)", () => {
    const made = plan(widened);
    expect(chainsOf(made)).toEqual([["in"], ["keep"], ["out"]]);
    expect(edgesOf(made)[0]).toBe("in>keep rebalance");
    expect(made.vertices.map(({ parallelism }) => parallelism)).toEqual([2, 3, 2]);
    expect(chainsOf(plan(widened, { parallelism: 3 }))).toEqual([["in", "keep"], ["out"]]);
  });

  test("end where it changes behind a key: rows then go by that key (C0)", () => {
    const made = plan((env) => {
      from(env)
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "count", parallelism: 3 })
        .to(table("t"), { uid: "out" });
    });
    expect(chainsOf(made)).toEqual([["in"], ["count"], ["out"]]);
    expect(edgesOf(made)).toEqual(["in>count hash", "count>out hash"]);
  });

  test("a submission's parallelism replaces the program's, but not an operator's own", () => {
    const { graph } = defineJob("job", widened);
    const made = planOf(graph, { ...graph.config, parallelism: 5 });
    expect(made.vertices.map(({ parallelism }) => parallelism)).toEqual([5, 3, 5]);
  });
});

describe("sizes of single vertices (C3)", () => {
  const program = (env: JobEnvironment): void => {
    const both = from(env, "a").union(from(env, "b")).filter(keep, { uid: "keep" });
    both
      .keyBy((row) => row.key)
      .aggregate({ n: count() }, { uid: "count" })
      .to(table("t"), { uid: "out" });
  };
  const { graph } = defineJob("job", program, { parallelism: 2 });
  const sized = (sizes: Readonly<Record<string, number>>): ExecutionPlan => {
    const parallelismOverrides = Object.fromEntries(
      Object.entries(sizes).map(([head, size]) => [hex128(head), size]),
    );
    return planOf(graph, { ...graph.config, parallelismOverrides });
  };

  test("resize chains and leave them whole, with their ids", () => {
    const made = sized({ count: 5 });
    expect(chainsOf(made)).toEqual([["a"], ["b"], ["keep"], ["count", "out"]]);
    expect(made.vertices.map(({ id }) => id)).toEqual(planOf(graph).vertices.map(({ id }) => id));
    expect(made.vertices.map(({ parallelism }) => parallelism)).toEqual([2, 2, 2, 5]);
    expect(made.fingerprint).toBe(planOf(graph).fingerprint);
  });

  test("part rows that kept their subtask, and join them again", () => {
    expect(edgesOf(sized({ a: 3 }))).toEqual([
      "a>keep rebalance",
      "b>keep forward",
      "keep>count hash",
    ]);
    expect(edgesOf(sized({ a: 3, keep: 3 }))).toEqual([
      "a>keep forward",
      "b>keep rebalance",
      "keep>count hash",
    ]);
    expect(edgesOf(sized({ a: 3, b: 3, keep: 3 }))).toEqual(edgesOf(planOf(graph)));
  });

  test("do not fuse what the program keeps apart", () => {
    const { graph: uneven } = defineJob("job", (env) => {
      from(env).filter(keep, { uid: "keep", parallelism: 3 }).to(table("t"), { uid: "out" });
    });
    const parallelismOverrides = { [hex128("in")]: 3 };
    const made = planOf(uneven, { ...uneven.config, parallelismOverrides });
    expect(chainsOf(made)).toEqual([["in"], ["keep"], ["out"]]);
    expect(edgesOf(made)[0]).toBe("in>keep forward");
  });

  test("resized step by step, a plan is what it would be at once", () => {
    const heads = ["a", "b", "keep", "count"];
    const size = fc.integer({ min: 1, max: 4 });
    const sizes = fc.dictionary(fc.constantFrom(...heads.map(hex128)), size);
    fc.assert(
      fc.property(fc.array(sizes, { maxLength: 4 }), (steps) => {
        const parallelismOverrides = Object.assign({}, ...steps) as Record<string, number>;
        const atOnce = planOf(graph, { ...graph.config, parallelismOverrides });
        expect(steps.reduce(resized, planOf(graph))).toEqual(atOnce);
      }),
    );
  });

  test("name every vertex there is where one is unknown, and the limit where one is too many", () => {
    expect(() => sized({ nobody: 2 })).toThrow(
      `pipeline.jobvertex-parallelism-overrides: "job" has no vertex "${hex128("nobody")}"; it has ` +
        `${hex128("a")} (Source: a), ${hex128("b")} (Source: b), ${hex128("keep")} (keep), ` +
        `${hex128("count")} (count -> Sink: out).`,
    );
    expect(() => sized({ count: 129 })).toThrow(
      `Vertex ${hex128("count")} (count -> Sink: out) cannot have parallelism 129; allowed: 1 to ` +
        `the max parallelism, which is 128.`,
    );
  });
});

describe("identity (C2)", () => {
  const base = (env: JobEnvironment): void => {
    from(env)
      .filter(keep, { uid: "keep" })
      .keyBy((row) => row.key)
      .aggregate({ n: count() }, { uid: "count" })
      .to(table("t"), { uid: "out" });
  };
  const vertexIdOf = (one: ExecutionPlan, head: string): string =>
    one.vertices.find(({ operators }) => operators[0] === head)!.id;

  test("a vertex is called after its first operator, by these very digits", () => {
    const made = plan(base);
    expect(made.vertices.map(({ id }) => id)).toEqual([hex128("in"), hex128("count")]);
    // A known vector: names of objects and of files are made of it, so it must never change.
    expect(hex128("count")).toBe("54eac164f0914a2b1e9ba00ec21aad9e");
  });

  test("edits elsewhere leave it alone", () => {
    const edited = plan((env) => {
      from(env, "other").to(table("o"), { uid: "o" });
      from(env)
        .filter(keep, { uid: "new" })
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "count" })
        .filter(keep, { uid: "late" })
        .to(table("t"), { uid: "out" });
    });
    const before = plan(base);
    for (const head of ["in", "count"]) {
      expect(vertexIdOf(edited, head)).toBe(vertexIdOf(before, head));
    }
  });

  test("the fingerprint changes with the topology, and only with it", () => {
    const before = plan(base).fingerprint;
    expect(plan(base, { parallelism: 4, checkpointing: { interval: 1_000 } }).fingerprint).toBe(
      before,
    );
    expect(
      plan((env) => {
        from(env)
          .filter((row) => row.key !== "", { uid: "keep", parallelism: 7 })
          .keyBy((row) => `${row.key}!`)
          .aggregate({ n: count() }, { uid: "count" })
          .to(table("t"), { uid: "out" });
      }).fingerprint,
    ).toBe(before);
    const others = [
      plan((env) => {
        from(env).filter(keep, { uid: "keep" }).to(table("t"), { uid: "out" });
      }),
      plan((env) => {
        from(env)
          .filter(keep, { uid: "kept" })
          .keyBy((row) => row.key)
          .aggregate({ n: count() }, { uid: "count" })
          .to(table("t"), { uid: "out" });
      }),
      plan((env) => {
        from(env)
          .filter(keep, { uid: "keep" })
          .keyBy((row) => row.key)
          .aggregate({ m: count() }, { uid: "count" })
          .to(table("t"), { uid: "out" });
      }),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set([before, ...others]).size).toBe(4);
  });
});

describe("channels (format/plan.ts)", () => {
  const vertexCount = fc.integer({ min: 1, max: 5 });
  const plans = vertexCount.chain((size) =>
    fc
      .record({
        parallelism: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: size, maxLength: size }),
        edges: fc.array(
          fc.record({
            a: fc.nat(size - 1),
            b: fc.nat(size - 1),
            partitioning: fc.constantFrom("forward", "hash", "rebalance", "broadcast"),
          }),
          { maxLength: 8 },
        ),
      })
      .map(({ parallelism, edges }): ExecutionPlan => {
        const vertices = parallelism.map((own, at) => {
          const id = hex128(`v${at}`);
          return { id, name: `v${at}`, parallelism: own, operators: [`v${at}`] };
        });
        return {
          program: "p",
          fingerprint: "f",
          maxParallelism: 128,
          vertices,
          edges: edges
            .map(({ a, b, partitioning }) => ({
              low: Math.min(a, b),
              high: Math.max(a, b),
              partitioning,
            }))
            .filter(({ low, high, partitioning }) => {
              const keepsIndex = partitioning !== "forward";
              return low < high && (keepsIndex || parallelism[low] === parallelism[high]);
            })
            .map(({ low, high, partitioning }, id) => ({
              id,
              from: vertices[low]!.id,
              fromUid: `v${low}`,
              to: vertices[high]!.id,
              toUid: `v${high}`,
              input: 0,
              partitioning,
            })),
        };
      }),
  );

  test("both ends name the same channels, each once (L1)", () => {
    fc.assert(
      fc.property(plans, (made) => {
        const ins = tasksOf(made).flatMap((task) => inputChannels(made, task));
        const outs = tasksOf(made).flatMap((task) => outputChannels(made, task));
        const full = ({ from, to, ...channel }: (typeof ins)[0]): string =>
          `${channelKey({ ...channel, from, to })} ${from.vertex} ${to.vertex}`;
        expect(ins.map(full).sort()).toEqual(outs.map(full).sort());
        expect(new Set(ins.map(channelKey)).size).toBe(ins.length);
        for (const edge of made.edges) {
          const senders = vertexOf(made, edge.from).parallelism;
          const receivers = vertexOf(made, edge.to).parallelism;
          const expected = edge.partitioning === "forward" ? senders : senders * receivers;
          expect(ins.filter((channel) => channel.edge === edge.id)).toHaveLength(expected);
        }
      }),
    );
  });

  test("inputs and outputs are numbered edge by edge, by the index of the other end", () => {
    fc.assert(
      fc.property(plans, (made) => {
        for (const task of tasksOf(made)) {
          const ins = inputChannels(made, task).map(({ edge, from }) => [edge, from.index]);
          const outs = outputChannels(made, task).map(({ edge, to }) => [edge, to.index]);
          for (const numbered of [ins, outs]) {
            expect(numbered).toEqual(
              numbered.toSorted((left, right) => left[0]! - right[0]! || left[1]! - right[1]!),
            );
          }
        }
      }),
    );
  });

  test("sources are the subtasks without inputs", () => {
    fc.assert(
      fc.property(plans, (made) => {
        const sources = tasksOf(made).filter((task) => inputChannels(made, task).length === 0);
        expect(sourceTasksOf(made)).toEqual(sources);
        expect(taskKeysOf(made)).toHaveLength(tasksOf(made).length);
      }),
    );
  });

  test("of a real plan, they lead where the program says", () => {
    const made = plan((env) => {
      from(env)
        .keyBy((row) => row.key)
        .aggregate({ n: count() }, { uid: "count", parallelism: 3 })
        .to(table("t"), { uid: "out" });
    });
    const [task] = sourceTasksOf(made);
    const outputs = outputChannels(made, task!);
    expect(outputs.map(channelKey)).toEqual(["0:0>0", "0:0>1", "0:0>2"]);
    expect(outputs.map(({ to }) => uidOf(made, to.vertex))).toEqual(["count", "count", "count"]);
  });
});
