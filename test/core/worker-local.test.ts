import { describe, expect, test } from "vitest";

import { type Locality, localityOf } from "../../worker/access/local.ts";

interface Asked {
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly declared?: string | undefined;
  readonly origins?: readonly string[];
}

const own = "http://localhost:8787/jobs";

// As `wrangler dev` hands a request on: Host and CF-Connecting-IP are always there.
function ask({ url = own, headers = {}, origins = [], ...rest }: Asked = {}): Locality["kind"] {
  const declared = "declared" in rest ? rest.declared : "open";
  const all = { Host: new URL(url).host, "CF-Connecting-IP": "127.0.0.1", ...headers };
  return localityOf({ url, headers: new Headers(all) }, declared, origins).kind;
}

test.each([undefined, "", "false", "1", "OPEN", "open "])(
  "a runtime that says %j of itself is no local one, whatever the request (L1)",
  (declared) => expect(ask({ declared })).toBe("deployed"),
);

test.each([
  "http://localhost/",
  "http://localhost:8787/jobs",
  "https://localhost:8787/jobs",
  "http://LOCALHOST:1/",
  "http://127.0.0.1:8787/",
  "http://127.1:8787/",
  "http://127.9.8.7/",
  "http://[::1]:8787/",
])("%s is this machine", (url) => expect(ask({ url })).toBe("local"));

test.each([
  "http://tidemark.example.workers.dev/",
  "http://localhost.example.com/",
  "http://127.0.0.1.example.com/",
  "http://127.0.0.1.nip.io/",
  "http://example.com/localhost",
  "http://localhost@example.com/",
  "http://notlocalhost/",
  "http://0.0.0.0:8787/",
  "http://192.168.0.7:8787/",
  "http://[::]:8787/",
  "http://[::ffff:7f00:1]:8787/",
])("%s is not (L2, L3)", (url) => {
  expect(ask({ url })).toBe("foreign");
  // As a client of `wrangler dev` can make it: the URL forged, the Host as the browser sends it.
  expect(ask({ headers: { Host: new URL(url).host } })).toBe("foreign");
});

test.each(["", ":", "a b", "localhost:x", "[::1"])("a Host of %j is nobody's", (Host) =>
  expect(ask({ headers: { Host } })).toBe("foreign"),
);

test("a runtime that names neither a Host nor an address is asked from within it", () => {
  expect(localityOf({ url: own, headers: new Headers() }, "open", [])).toEqual({ kind: "local" });
});

test.each([
  ["CF-Ray", "8f0a1b2c3d4e5f60-FRA"],
  ["CF-Worker", "example.com"],
  ["Forwarded", "for=192.0.2.1"],
  ["X-Forwarded-For", "127.0.0.1"],
  ["X-Forwarded-Host", "localhost"],
  ["CF-Connecting-IP", "203.0.113.9"],
  ["CF-Connecting-IP", "2001:db8::1"],
  ["CF-Connecting-IP", "127.0.0.1, 203.0.113.9"],
])("%s: %s tells of the edge, a proxy or another machine (L2, L4)", (name, value) =>
  expect(ask({ headers: { [name]: value } })).toBe("foreign"),
);

test.each(["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "::FFFF:127.0.0.1"])(
  "CF-Connecting-IP: %s is this machine",
  (address) => expect(ask({ headers: { "CF-Connecting-IP": address } })).toBe("local"),
);

describe("a web page", () => {
  test.each([
    { Origin: "https://evil.example.com" },
    { Origin: "null" },
    { Origin: "http://localhost:3000" },
    { Origin: "https://localhost:8787" },
    { Origin: "http://127.0.0.1:8787" },
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
  ])("of another origin is no user of this machine: %j (L3)", (headers) =>
    expect(ask({ headers })).toBe("foreign"),
  );

  test.each([
    { Origin: "http://localhost:8787" },
    { Origin: "http://localhost:8787", "Sec-Fetch-Site": "same-origin" },
    { "Sec-Fetch-Site": "none" },
  ])("of the runtime itself, or the address bar, is: %j", (headers) =>
    expect(ask({ headers })).toBe("local"),
  );

  test("is too where its origin is listed", () => {
    const headers = { Origin: "http://localhost:3000", "Sec-Fetch-Site": "same-site" };
    expect(ask({ headers, origins: ["http://localhost:3000"] })).toBe("local");
    expect(ask({ headers, origins: ["http://localhost:3001"] })).toBe("foreign");
  });
});
