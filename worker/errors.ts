// Every failure as Flink says it: `{"errors": ["…"]}` with the status that tells the client what to
// do. 4xx: change the request. 503: repeat it. 500: ours, with the facts in the log only.

import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";

/** Seconds after which a client may repeat what failed for want of an object. */
const retryAfter = "1";

/** An answer that is not the asked one; throw it from a route. */
export class HttpError extends HTTPException {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 414 | 422 | 429 | 501 | 503,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(status, { message });
    this.headers = status === 503 ? { "Retry-After": retryAfter, ...headers } : headers;
  }
}

/** The answer to whatever a route threw. */
export function errorResponse(error: Error, c: Context): Response {
  if (error instanceof HttpError) {
    return c.json({ errors: [error.message] }, error.status, { ...error.headers });
  }
  if (isTransient(error)) {
    const message = "An object of this deployment could not be reached; repeat the request.";
    return c.json({ errors: [message] }, 503, { "Retry-After": retryAfter });
  }
  console.error(`${c.req.method} ${c.req.path}`, error);
  return c.json({ errors: ["Internal error. The Worker's log has the details."] }, 500);
}

/** What the platform marks as passing: an object that moves, restarts or has too much to do. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    ("retryable" in error && error.retryable === true) ||
    ("durableObjectReset" in error && error.durableObjectReset === true) ||
    ("overloaded" in error && error.overloaded === true)
  );
}
