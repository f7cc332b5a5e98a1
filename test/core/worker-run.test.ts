import { expect, test } from "vitest";

import { defineJob, table, topic } from "../../stream/index.ts";
import { catalogOf } from "../../worker/catalog.ts";
import type { Env } from "../../worker/env.ts";
import { httpApp } from "../../worker/http.ts";

const job = defineJob("latest", (env) => {
  env.from(topic<{ key: string }>("in"), { uid: "in" }).to(table("t"), { uid: "out" });
});

/** A deployment whose coordinator is reset in mid-call, as by a deploy. */
function deployment(listed: string[]) {
  const reset = Object.assign(new Error("reset"), { durableObjectReset: true });
  const env = {
    TIDEMARK_LOCAL: "open",
    DISPATCHER: {
      getByName: () => ({
        register: async (summary: { job: string }) => {
          listed.push(summary.job);
          return { kind: "registered" };
        },
      }),
    },
    COORDINATOR: { getByName: () => ({ submit: () => Promise.reject(reset) }) },
  };
  const app = httpApp(catalogOf([job], []));
  return (path: string, init?: RequestInit) => app.request(path, init, env as unknown as Env);
}

test("a run whose coordinator was reset is answered with the id to repeat it under", async () => {
  const listed: string[] = [];
  const answer = await deployment(listed)("/jars/latest/run", { method: "POST" });
  expect(answer.status).toBe(503);
  expect(answer.headers.get("Retry-After")).toBe("1");
  const { errors } = (await answer.json()) as { errors: string[] };
  expect(errors[0]).toContain(`"jobId": "${listed[0]}"`);
});
