// The gate before the routes: who calls (`authenticate`), and whether that suffices (`authorise`).
// The decisions are in the files beside this one.
//
// Hono's bearerAuth is not used: it knows no scopes, stops comparing at the first match, answers 400
// where RFC 6750 has 401, and its answers do not have Flink's form.

import type { MiddlewareHandler } from "hono";

import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { corsOriginsOf } from "./cors.ts";
import { localityOf } from "./local.ts";
import { type Grant, type Scope, suffices } from "./scopes.ts";
import { grantsOf, sha256, type Tokens, tokensOf, tokensSecret } from "./tokens.ts";

/** What the gate leaves to the routes behind it. */
export interface GuardedEnv {
  Bindings: Env;
  Variables: { grants: readonly Grant[] };
}

/** Seconds after which a deployment may have been configured; a second is too soon for that. */
const retryConfigured = { "Retry-After": "60" };

/** Seconds until a rate limit may have passed: the shorter of the two periods that there are. */
const retryLimited = { "Retry-After": "10" };

// A Worker's bindings are one object for as long as the isolate lives.
const known = new WeakMap<object, Promise<Tokens>>();

function tokensIn(env: Env): Promise<Tokens> {
  const found = known.get(env) ?? tokensOf({ ...env });
  known.set(env, found);
  return found;
}

/** @throws HttpError 503 where the deployment's configuration of who may do what is wrong */
export async function refuseMisconfigured(env: Env): Promise<void> {
  const tokens = await tokensIn(env);
  const cors = corsOriginsOf(env);
  const problems = [
    ...(tokens.kind === "malformed" ? tokens.problems : []),
    ...(cors.kind === "malformed" ? [cors.problem] : []),
  ];
  if (problems.length === 0) return;
  throw new HttpError(
    503,
    `This deployment is configured wrongly and answers nobody. ${problems.join(" ")} ` +
      `Set it again (a secret by "npx wrangler secret put"); docs/security.md describes both.`,
    retryConfigured,
  );
}

/** Finds out who calls: 401 for nobody we know, 429 for one who calls too often, 503 where nobody is known. */
export const authenticate: MiddlewareHandler<GuardedEnv> = async (c, next) => {
  await refuseMisconfigured(c.env);
  const tokens = await tokensIn(c.env);
  if (tokens.kind !== "listed") {
    refuseStrangers(c.req.raw, c.env);
    c.set("grants", [{ scope: "admin" }]);
    return next();
  }
  const digest = await sha256(bearerOf(c.req.header("Authorization")));
  const grants = grantsOf(tokens.tokens, digest);
  if (grants.length === 0) {
    throw new HttpError(401, "The bearer token is not one of this deployment's.", {
      "WWW-Authenticate": 'Bearer realm="tidemark", error="invalid_token"',
    });
  }
  // By digest: the token itself goes nowhere.
  const outcome = await c.env.RATE_LIMIT?.limit({ key: digest.toHex() });
  if (outcome?.success === false) {
    throw new HttpError(
      429,
      "Too many requests with this token (RATE_LIMIT of wrangler.toml).",
      retryLimited,
    );
  }
  c.set("grants", grants);
  return next();
};

/** Lets pass who may do what needs `scope`. Goes before the handler of a route, under its path. */
export const authorise =
  (scope: Scope): MiddlewareHandler<GuardedEnv> =>
  async (c, next) => {
    const topic: string | undefined = c.req.param("topic");
    if (suffices(c.get("grants"), scope, topic)) return next();
    const named = scope === "ingest" && topic !== undefined;
    throw new HttpError(
      403,
      `${c.req.method} here needs a token with the scope "${scope}"` +
        `${named ? ", for all topics or for this one" : ""}, or "admin".`,
      {
        "WWW-Authenticate": `Bearer realm="tidemark", error="insufficient_scope", scope="${scope}"`,
      },
    );
  };

/** What follows "Bearer"; a scheme's name is the same in lower case. */
function bearerOf(authorization: string | undefined): string {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (token !== undefined) return token;
  throw new HttpError(401, 'Send a token: "Authorization: Bearer …".', {
    "WWW-Authenticate": 'Bearer realm="tidemark"',
  });
}

/** Without tokens only this machine's user is served, and only by this machine's runtime. */
function refuseStrangers(request: Request, env: Env): void {
  const cors = corsOriginsOf(env);
  const locality = localityOf(
    request,
    env.TIDEMARK_LOCAL,
    cors.kind === "origins" ? cors.origins : [],
  );
  switch (locality.kind) {
    case "local":
      return;
    case "foreign":
      throw new HttpError(
        503,
        `Without a token only this machine is served, and of this request ${locality.reason}. ` +
          `Set ${tokensSecret} in .dev.vars to serve others (docs/security.md).`,
        retryConfigured,
      );
    case "deployed":
      throw new HttpError(
        503,
        `No token is configured, so nobody is served. Set the secret ${tokensSecret} by ` +
          `"npx wrangler secret put ${tokensSecret}", to a line "admin TOKEN" with a TOKEN from ` +
          `"openssl rand -hex 32". For local development start with "npx tidemark dev", or ` +
          `"wrangler dev --var TIDEMARK_LOCAL:open".`,
        retryConfigured,
      );
  }
}
