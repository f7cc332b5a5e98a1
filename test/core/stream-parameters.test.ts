// The arguments of a job: what a build function reads of them, and what it is refused.

import { describe, expect, test, vi } from "vitest";

import { fingerprintOf } from "../../stream/fingerprint.ts";
import {
  count,
  defineJob,
  type JobDefinition,
  type JobEnvironment,
  ParameterError,
  table,
  topic,
} from "../../stream/index.ts";
import { ParsedParameters } from "../../stream/parameters.ts";
import { catalogOf } from "../../worker/catalog.ts";
import { HttpError } from "../../worker/errors.ts";
import { argumentsOf, graphWith } from "../../worker/program-arguments.ts";

const read = (...args: string[]): ParsedParameters => new ParsedParameters(args);

describe("parameters", () => {
  test("are written as name and value, as name=value, or as a flag", () => {
    const given = read("--airport", "SFO", "--worst=10", "-verbose", "--empty=", "--at=a=b");
    expect(Object.fromEntries(given.toMap())).toEqual({
      airport: "SFO",
      worst: "10",
      verbose: "true",
      empty: "",
      at: "a=b",
    });
  });

  test("may be negative numbers, and the last of a name counts", () => {
    const given = read("--by", "-5", "--share", "-.5", "--by", "-7");
    expect([given.getInt("by"), given.getDouble("share")]).toEqual([-7, -0.5]);
  });

  test("have types and defaults", () => {
    const given = read("--n", "3", "--x", "1e3", "--yes", "TRUE", "--no", "false", "--flag");
    expect([given.getInt("n"), given.getInt("other", 4)]).toEqual([3, 4]);
    expect([given.getDouble("x"), given.getDouble("other", 0.5)]).toEqual([1000, 0.5]);
    expect(["yes", "no", "flag"].map((name) => given.getBoolean(name))).toEqual([
      true,
      false,
      true,
    ]);
    expect([given.getBoolean("other", false), given.has("flag"), given.has("other")]).toEqual([
      false,
      true,
      false,
    ]);
    expect([given.get("other"), given.get("other", "SFO"), given.getRequired("n")]).toEqual([
      undefined,
      "SFO",
      "3",
    ]);
  });

  test.each<[ParameterError["code"], string | undefined, () => unknown]>([
    ["MISSING", "airport", () => read().getRequired("airport")],
    ["MISSING", "n", () => read().getInt("n")],
    ["MISSING", "yes", () => read().getBoolean("yes")],
    ["BAD_VALUE", "n", () => read("--n", "3.5").getInt("n")],
    ["BAD_VALUE", "n", () => read("--n", "9007199254740993").getInt("n")],
    ["BAD_VALUE", "x", () => read("--x", "").getDouble("x")],
    ["BAD_VALUE", "x", () => read("--x", "Infinity").getDouble("x")],
    ["BAD_VALUE", "yes", () => read("--yes", "1").getBoolean("yes")],
    ["BAD_VALUE", "airport", () => read("--airport").get("airport")],
    ["BAD_ARGUMENTS", undefined, () => read("SFO")],
    ["BAD_ARGUMENTS", undefined, () => read("--a", "b", "c")],
    ["BAD_ARGUMENTS", "", () => read("--")],
    ["BAD_ARGUMENTS", "__proto__", () => read("--__proto__", "x")],
  ])("%s of %s is an error that names it", (code, parameter, step) => {
    let found: unknown;
    try {
      step();
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(ParameterError);
    expect(found).toMatchObject({ code, parameter });
  });

  test("know what nobody asked for", () => {
    const given = read("--a", "1", "--b", "2");
    given.get("a");
    given.get("c");
    expect([given.unread, given.read]).toEqual([["b"], ["a", "c"]]);
    given.toMap();
    expect(given.unread).toEqual([]);
  });
});

interface Flight {
  readonly origin: string;
}

const counting = (env: JobEnvironment, airport: string, uid = "count"): void => {
  env
    .from(topic<Flight>("flights"), { uid: "flights" })
    .filter((flight) => flight.origin === airport, { uid: "one" })
    .keyBy((flight) => flight.origin)
    .aggregate({ rows: count() }, { uid })
    .to(table("rows"), { uid: "out" });
};

const program = (build: (env: JobEnvironment) => void): JobDefinition =>
  defineJob("flights", build);

describe("a program", () => {
  const needy = program((env) => counting(env, env.parameters.getRequired("airport")));

  test("that needs a parameter can be defined, and has no graph without it", () => {
    expect(() => needy.graph).toThrow(/needs the parameter --airport/);
    expect(needy.built(["--airport", "SFO"]).graph.nodes).toHaveLength(4);
  });

  test("with another topology for other arguments has another fingerprint", () => {
    const wide = program((env) => counting(env, "SFO", env.parameters.get("uid", "count")));
    const [plain, same, other] = [[], ["--uid", "count"], ["--uid", "other"]].map((args) =>
      fingerprintOf(wide.built(args).graph),
    );
    expect(same).toBe(plain);
    expect(other).not.toBe(plain);
  });

  test("is built once for the same arguments, and not kept for any number of them", () => {
    const build = vi.fn<(env: JobEnvironment) => void>((env) =>
      counting(env, env.parameters.get("airport", "")),
    );
    const many = program(build);
    const first = many.built(["--airport", "A"]);
    expect(many.built(["--airport", "A"])).toBe(first);
    expect(build).toHaveBeenCalledTimes(2);
    for (let n = 0; n < 40; n++) many.built(["--airport", String(n)]);
    expect(many.built(["--airport", "A"])).not.toBe(first);
  });

  test("whose definition makes no sense is still refused when the module is loaded", () => {
    expect(() => program(() => {})).toThrow(/has no source/);
  });
});

describe("a submission", () => {
  const catalog = catalogOf([], [topic<Flight>("flights")]);
  const refusalOf = (job: JobDefinition, args: readonly string[], topics = catalog): string => {
    try {
      graphWith(job, args, topics);
    } catch (error) {
      expect(error).toBeInstanceOf(HttpError);
      expect((error as HttpError).status).toBe(400);
      return (error as HttpError).message;
    }
    throw new Error("was not refused");
  };
  const needy = program((env) => counting(env, env.parameters.getRequired("airport")));

  test("is refused where the build function throws, with its message", () => {
    expect(refusalOf(needy, [])).toMatch(/without arguments: .* needs the parameter --airport/);
    expect(refusalOf(needy, ["SFO"])).toMatch(/"SFO" is no parameter/);
    const picky = program((env) => {
      if (env.parameters.has("closed")) throw new Error("SFO is closed");
      counting(env, "SFO");
    });
    expect(refusalOf(picky, ["--closed"])).toMatch(/with these arguments: SFO is closed$/);
  });

  test("is refused where it gives what the program does not read", () => {
    const message = refusalOf(needy, ["--airport", "SFO", "--aiport=LAX"]);
    expect(message).toBe(
      'Program "flights" does not read --aiport. Its build function reads: --airport.',
    );
  });

  test("is refused where the program would read a topic that nobody can write to", () => {
    expect(refusalOf(needy, ["--airport", "SFO"], catalogOf([], []))).toMatch(
      /would read topic "flights" with \d+ partitions?, and this deployment has none of that name/,
    );
    const others = catalogOf([], [topic<Flight>("flights", { partitions: 7 })]);
    expect(refusalOf(needy, ["--airport", "SFO"], others)).toMatch(/this deployment has it with 7/);
  });

  test("a program that needs arguments brings no topics of its own", () => {
    expect([...catalogOf([needy], []).topics.keys()]).toEqual([]);
  });

  test("carries them as a text with quotes, or as a list", () => {
    expect(argumentsOf({ programArgs: `--a "b c" --d 'e' --f=g  --h ""` })).toEqual([
      "--a",
      "b c",
      "--d",
      "e",
      "--f=g",
      "--h",
      "",
    ]);
    expect(argumentsOf({ programArgsList: ["--a", "b c"] })).toEqual(["--a", "b c"]);
    expect(argumentsOf({})).toEqual([]);
    expect(() => argumentsOf({ programArgs: "--a", programArgsList: ["--a"] })).toThrow(/both/);
    expect(() => argumentsOf({ programArgsList: ["x".repeat(8_193)] })).toThrow(/8193 bytes/);
  });
});
