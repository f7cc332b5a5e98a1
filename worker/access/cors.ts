// Which web pages may read answers. None, unless `TIDEMARK_CORS_ORIGINS` lists their origins.

import { type Context, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import * as z from "zod";

import type { Env } from "../env.ts";
import type { GuardedEnv } from "./guard.ts";

export type CorsOrigins =
  | { readonly kind: "origins"; readonly origins: readonly string[] }
  | { readonly kind: "malformed"; readonly problem: string };

const origin = z.string().refine((text) => URL.canParse(text) && new URL(text).origin === text);
const origins = z.array(origin);

// A deployment has one text, and every request asks for it more than once: reading it each time took
// longer than all else of a request's way to its route.
let latest: { readonly text: string; readonly read: CorsOrigins } | undefined;

/** The origins of `TIDEMARK_CORS_ORIGINS`, which separates them by commas. */
export function corsOriginsOf({ TIDEMARK_CORS_ORIGINS: text = "" }: Env): CorsOrigins {
  if (latest?.text !== text) latest = { text, read: read(text) };
  return latest.read;
}

function read(text: string): CorsOrigins {
  const listed = text.split(",").flatMap((item) => (item.trim() === "" ? [] : [item.trim()]));
  const parsed = origins.safeParse(listed);
  if (parsed.success) return { kind: "origins", origins: parsed.data };
  const wrong = parsed.error.issues.map(({ path }) => `item ${Number(path[0]) + 1}`).join(", ");
  return {
    kind: "malformed",
    problem:
      `TIDEMARK_CORS_ORIGINS must list origins such as "https://example.com", separated by commas ` +
      `and each without a path; wrong: ${wrong}.`,
  };
}

const allowing = cors({
  origin: (asked, c: Context<GuardedEnv>) => (isListed(asked, c.env) ? asked : null),
  allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
  allowHeaders: ["Authorization", "Content-Type", "Idempotency-Key"],
  exposeHeaders: ["Retry-After", "WWW-Authenticate"],
  maxAge: 600,
});

/** Answers preflights of listed origins, and marks what they may read. Others see no difference. */
export const corsWhereListed: MiddlewareHandler<GuardedEnv> = async (c, next) =>
  isListed(c.req.header("Origin"), c.env) ? allowing(c, next) : next();

function isListed(asked: string | undefined, env: Env): boolean {
  const listed = corsOriginsOf(env);
  return asked !== undefined && listed.kind === "origins" && listed.origins.includes(asked);
}
