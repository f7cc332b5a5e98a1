import { describe, expect, test } from "vitest";

import { type Grant, type Scope, scopeOf, scopes, suffices } from "../../worker/access/scopes.ts";

test("a route that nobody listed needs admin (A1)", () => {
  expect(scopeOf("GET", "/jobs")).toBe("read");
  for (const [method, path] of [
    ["GET", "/new"],
    ["DELETE", "/jobs"],
    ["HEAD", "/jobs"],
    ["get", "/jobs"],
    ["GET", "/jobs/"],
    ["GET", "constructor"],
  ] as const) {
    expect(scopeOf(method, path)).toBe("admin");
  }
});

describe("a grant", () => {
  const may = (grant: Grant, topic?: string): Scope[] =>
    scopes.filter((scope) => suffices([grant], scope, topic));

  test("of admin suffices everywhere, any other for itself (A2)", () => {
    expect(may({ scope: "admin" })).toEqual(["admin", "ingest", "read"]);
    expect(may({ scope: "ingest" })).toEqual(["ingest"]);
    expect(may({ scope: "read" })).toEqual(["read"]);
  });

  test("for topics suffices for these, and not where the route names none (A3)", () => {
    const grant: Grant = { scope: "ingest", topics: new Set(["a", "b"]) };
    expect(may(grant, "a")).toEqual(["ingest"]);
    expect(may(grant, "c")).toEqual([]);
    expect(may(grant)).toEqual([]);
  });

  test("adds to others; none is none", () => {
    const grants: Grant[] = [{ scope: "read" }, { scope: "ingest", topics: new Set(["a"]) }];
    expect(scopes.filter((scope) => suffices(grants, scope, "a"))).toEqual(["ingest", "read"]);
    expect(scopes.filter((scope) => suffices([], scope, "a"))).toEqual([]);
  });
});
