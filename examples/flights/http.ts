// One HTTP request to a server that may be killed at any time.

export type Answer =
  | { readonly kind: "answer"; readonly body: unknown }
  /** Not to be reached, or not able to answer as things are. */
  | { readonly kind: "away"; readonly problem: string };

/** Conflict, with a job that has just ended for instance, and Service Unavailable. */
const notNow = [409, 503];

interface Request extends RequestInit {
  /** Ends the request for good, with the signal's reason. */
  readonly signal: AbortSignal;
  /** Milliseconds after which the server counts as away. */
  readonly timeout: number;
}

/** @throws Error for an answer that another try would not change */
export async function ask(url: string, { signal, timeout, ...init }: Request): Promise<Answer> {
  let response: Response;
  let text: string;
  try {
    const either = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    response = await fetch(url, { ...init, signal: either });
    text = await response.text();
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "away", problem: String((error as Error).cause ?? error) };
  }
  if (notNow.includes(response.status)) return { kind: "away", problem: text };
  if (response.ok) return { kind: "answer", body: JSON.parse(text) };
  throw new Error(`${init.method ?? "GET"} ${url} answered ${response.status}: ${text}`);
}
